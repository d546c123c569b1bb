//go:build netns

package net

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// traced starts a command line of dconn, and writes what it executes, with its
// environment, and all that it writes to file.
func (h *host) traced(file string, args ...string) *process {
	h.lab.Helper()
	return h.launch(func(ctx context.Context) *exec.Cmd {
		return h.command(ctx, "strace", append([]string{"-f", "-v", "-s", "100000", "-e", "trace=execve,openat,write,writev,sendto,sendmsg", "-o", file, binary}, args...)...)
	})
}

// codes are the forms of a pairing code.
func codes(code string) []string { return []string{code, strings.ReplaceAll(code, "-", "")} }

// The code, the token and the key are in no argument, no environment of a child, no
// log, no file but the key's own, and no packet.
func TestSecrets(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	daemonTrace, pairTrace := filepath.Join(t.TempDir(), "daemon"), filepath.Join(t.TempDir(), "pair")
	daemon := desk.traced(daemonTrace, "serve", "-v", "--name", "desk")
	daemon.says("msg=serving")
	window := desk.start("pair", "-o", "ndjson", "--allow", "system,call:org.desk,register:org.laptop")
	event := window.line(0)
	code, token := field(t, event, "code"), field(t, event, "token")
	wrong := "0000-0001"
	o := laptop.with([]string{"DCONN_PAIR_CODE=" + wrong}, "pair", desk.address)
	if o.code != 7 || strings.Contains(o.err, wrong) {
		t.Fatalf("%+v", o)
	}
	first := code
	event = window.line(2) // after that of the wrong code
	code = field(t, event, "code")
	typed := filepath.Join(laptop.dir, "typed")
	if err := os.WriteFile(typed, []byte(code+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := laptop.traced(pairTrace, "pair", "--code-file", typed, desk.address)
	pair.ends(0)
	if err := os.Remove(typed); err != nil {
		t.Fatal(err)
	}
	window.ends(0)
	used := use(desk, laptop)

	secrets := append(append(codes(first), codes(code)...), token, strings.TrimPrefix(token, "DCONN1:"))
	for _, h := range []*host{desk, laptop} {
		secrets = append(secrets, keyLines(t, h)...)
	}
	_, log := daemon.texts()
	_, pairLog := pair.texts()
	for what, text := range map[string]string{
		"daemon's log": log, "daemon's trace": withoutUnix(read(t, daemonTrace)), "pair's stderr": pairLog,
		"pair's trace": read(t, pairTrace), "use": used,
	} {
		for i, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("secret %d is in the %s", i, what)
			}
		}
	}
	for _, h := range []*host{desk, laptop} {
		searchFiles(t, h.dir, secrets)
	}
	serving := childOf(t, daemon)
	limits := read(t, fmt.Sprintf("/proc/%d/limits", serving))
	if !strings.Contains(limits, "Max core file size        1 ") {
		t.Errorf("the daemon may leave a core: %s", limits)
	}
	if err := syscall.Kill(serving, syscall.SIGTERM); err != nil { // strace would leave it running
		t.Error(err)
	}
	daemon.ends(0)
}

// use is what an hour of use does, in miniature; it returns all that was said.
func use(desk, laptop *host) string {
	desk.lab.Helper()
	child := desk.start("register", "--stdin", "none", "org.desk.env", "--", "env")
	desk.must("wait", "-W", "20", "org.desk.env")
	there := laptop.start("register", "-d", "desk", "--stdin", "none", "org.laptop.env", "--", "env")
	desk.must("wait", "-W", "20", "org.laptop.env")
	var said strings.Builder
	for range 20 {
		said.WriteString(laptop.must("call", "-d", "desk", ".system.uptime"))
	}
	said.WriteString(laptop.must("call", "-d", "desk", "org.desk.env"))
	said.WriteString(desk.must("call", "org.laptop.env"))
	for _, o := range []outcome{
		laptop.dconn("call", "-d", "desk", "org.other"), desk.dconn("status"), desk.dconn("audit"), desk.dconn("devices", "show", desk.devices()[0].Name),
		laptop.dconn("describe", "-d", "desk"), desk.dconn("doctor"), desk.dconn("config", "show", "serve"),
	} {
		said.WriteString(o.out + o.err)
	}
	for _, p := range []*process{child, there} {
		out, err := p.texts()
		said.WriteString(out + err)
	}
	return said.String()
}

// withoutUnix is a trace of a daemon without what it sends to its owner.
func withoutUnix(trace string) string {
	var kept []string
	for line := range strings.SplitSeq(trace, "\n") {
		if strings.Contains(line, "execve(") || strings.Contains(line, "openat(") || strings.Contains(line, " write(2,") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func field(t *testing.T, event, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(event, `"`+name+`":"`)
	value, _, ended := strings.Cut(rest, `"`)
	if !found || !ended {
		t.Fatalf("no %s in %s", name, event)
	}
	return value
}

// keyLines are the lines of a host's private key.
func keyLines(t *testing.T, h *host) (lines []string) {
	t.Helper()
	pem, _, _ := strings.Cut(read(t, filepath.Join(h.dir, "state/dconn/identity.pem")), "-----END PRIVATE KEY")
	for line := range strings.Lines(pem) {
		if !strings.HasPrefix(line, "-----") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		t.Fatal("no key")
	}
	return lines
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// searchFiles looks for secrets in every file of a host but its key.
func searchFiles(t *testing.T, dir string, secrets []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "identity.pem" {
			return err
		}
		files++
		text := read(t, path)
		for i, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("secret %d is in %s", i, path)
			}
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d files searched, %v", files, err)
	}
}

// childOf is the process that strace traces.
func childOf(t *testing.T, p *process) int {
	t.Helper()
	pid := p.cmd.Process.Pid // ip execs strace
	var child int
	text := read(t, fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if _, err := fmt.Sscan(text, &child); err != nil {
		t.Fatalf("children %q: %v", text, err)
	}
	return child
}
