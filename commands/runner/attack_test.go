package runner

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// attacks are texts that make a file named pwned where something runs them: as a
// script of a shell or of another language, a command, a file or an option.
var attacks = [][]string{
	{"$(touch pwned)", "`touch pwned`"}, {";touch pwned;", "\ntouch pwned\n"}, {"touch pwned", "touch pwned"},
	{"./evil", "./evil"}, {"evil", "evil"}, {"sh", "./evil"}, {"A=1", "./evil"},
	{`system("touch pwned")`, `BEGIN{system("touch pwned")}`}, {`__import__("os").system("touch pwned")`, "1e touch pwned"},
	{"/dev/stdin", "$(touch pwned)"}, {"/proc/self/environ", "\";touch pwned;\""},
	{"-c", "touch pwned"}, {`-esystem("touch pwned")`, "-"}, {"-e1e touch pwned", "./evil"}, {"-fevil.awk", "evil.awk"},
	{"-exec", "./evil"}, {"-S./evil", "x"}, {"--expression=1e touch pwned", "./evil"},
}

// Command lines are made of what wrappers, interpreters and their options are made
// of, in any order. What CheckCode allows runs no text of a caller, whatever that
// is. The lines are the same in each run, unless ATTACKS says how many others to try.
func TestAllowedRunsNoText(t *testing.T) {
	wrappers := strings.Fields("env nice timeout setsid stdbuf nohup xargs chrt ionice time busybox")
	interpreters := strings.Fields("sh bash dash perl python3 awk gawk mawk sed /bin/sh /usr/bin/env find xargs jq node lua ruby")
	words := []string{
		"-c", "-e", "-x", "-ec", "-o", "pipefail", "--norc", "--", "-", "-n", "-i", "-s", "+e", "-f", "1", "5", "-I%", "%", "-S", "-u",
		"-ne", "-pe", "-E", "-v", "-l", "-oL", "A=1", "true", ":", "pass", "script", "p", "-exec", ";", ".", "-print", "-name", "-k", "-d", "-r", "-m",
		"{0}", "{0}", "{0}", "{1}", "{1}", "x {0}", "A={0}", "-{0}", "--a={1}", "-e{0}", "-c{0}", "'{0}'", `"{1}"`, "{0}{1}",
	}
	n, seed := 120, uint64(1)
	if more, err := strconv.Atoi(os.Getenv("ATTACKS")); err == nil {
		n, seed = more, rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	dir := t.TempDir()
	allowed := 0
	for range n {
		var argv []string
		for range random.IntN(3) {
			argv = append(argv, pick(wrappers))
			for random.IntN(3) == 0 {
				argv = append(argv, pick(words))
			}
		}
		argv = append(argv, pick(interpreters))
		for range 1 + random.IntN(5) {
			argv = append(argv, pick(words))
		}
		r := Rules{Inside: random.IntN(2) == 0, AllowDash: random.IntN(2) == 0, Input: random.IntN(2) == 0}
		path, err := exec.LookPath(argv[0])
		if err != nil || CheckCode(argv, r) != nil || len(Placeholders(strings.Join(argv, " "))) == 0 && !r.Input {
			continue
		}
		allowed++
		for _, args := range attacks {
			filled, err := Fill(argv, args, nil, r.AllowDash)
			if err == nil && attack(t, dir, path, filled, args, r.Input) {
				t.Errorf("seed %d: %q, %+v ran a text of %q", seed, argv, r, args)
			}
		}
	}
	t.Logf("%d of %d are allowed", allowed, n)
}

// attack runs a command and reports whether it ran a text of args.
func attack(t *testing.T, dir, path string, argv, args []string, input bool) bool {
	t.Helper()
	for name, text := range map[string]string{"evil": "#!/bin/sh\ntouch pwned\n", "evil.awk": `BEGIN{system("touch pwned")}`, "script": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := json.Marshal(map[string]any{"args": args})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Dir, cmd.WaitDelay = argv, dir, 10*time.Millisecond
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "DCONN_ARGS_JSON=" + string(doc)}
	if input {
		cmd.Stdin = strings.NewReader(string(doc) + "\n")
	}
	_ = cmd.Run()
	pwned := filepath.Join(dir, "pwned")
	if _, err := os.Stat(pwned); err != nil {
		return false
	}
	return os.Remove(pwned) == nil
}
