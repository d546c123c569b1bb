package trust

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A change is on the disk in a file of its own before that takes the name of the
// old one, and the name is on the disk before the change is vouched for. Nothing
// else is done to the store in between.
func TestWriteOrder(t *testing.T) {
	want := []string{
		"open devices.json.new", "write devices.json.new", "fsync devices.json.new",
		"rename devices.json.new devices.json",
		"open .", "fsync .",
		"write stdout",
	}
	calls := traceChange(t)
	if i := slices.Index(calls, want[0]); i >= 0 {
		calls = calls[i:]
	}
	if !slices.Equal(calls, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}
}

// calls of the kernel that change files, or open them.
const traced = "trace=openat,write,pwrite64,writev,fsync,fdatasync,sync_file_range,?rename,renameat,renameat2," +
	"linkat,unlinkat,mkdirat,ftruncate,fallocate,utimensat,fchmod,fchmodat,fchown,fchownat"

// traceChange runs the writer for one change, and has what it did to the store
// until it said so: names of calls and of files in the store.
func traceChange(t *testing.T) (calls []string) {
	if exec.Command("strace", "-o", os.DevNull, "true").Run() != nil {
		t.Skip("strace is missing, or not allowed to trace")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir, trace := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(ctx, "strace", "-f", "-y", "-s", "0", "-e", traced, "-o", trace, os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir, "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "1\n" {
		t.Errorf("the writer said %q, %v", said, err)
	}
	_ = out.Close() // which ends the writer when it says more
	_ = cmd.Wait()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return callsOf(string(text), dir)
}

// callsOf are those that a trace has on files in dir, up to the first on stdout.
// A call that strace shows in two parts is where it begins.
func callsOf(trace, dir string) (calls []string) {
	call := regexp.MustCompile(`^\d+ +(\w+)\((.*)`)
	name := regexp.MustCompile(`["<]` + regexp.QuoteMeta(dir) + `(/[^">]*)?[">]`)
	for line := range strings.Lines(trace) {
		part := call.FindStringSubmatch(line)
		if part == nil {
			continue
		}
		if part[1] == "write" && strings.HasPrefix(part[2], "1<") {
			return append(calls, "write stdout")
		}
		arguments, _, _ := strings.Cut(part[2], ") = ")
		said := []string{strings.TrimSuffix(strings.TrimSuffix(part[1], "2"), "at")} // renameat2, fchmodat
		for _, found := range name.FindAllStringSubmatch(arguments, -1) {
			said = append(said, filepath.Join(".", found[1]))
		}
		if len(said) > 1 {
			calls = append(calls, strings.Join(said, " "))
		}
	}
	return calls
}
