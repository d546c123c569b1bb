package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asking are the verbs that talk to a router, as they are typed, and what each
// asks for first.
var asking = []struct {
	words   []string
	request string
}{
	{[]string{"call", "-o", "json", "org.t.x"}, "CALL"},
	{[]string{"publish", "-o", "json", "org.t.x"}, "PUBLISH"},
	{[]string{"subscribe", "-o", "json", "org.t.x"}, "SUBSCRIBE"},
	{[]string{"register", "-o", "json", "org.t.x", "--", "true"}, "REGISTER"},
	{[]string{"describe", "-o", "json", "org.t.x"}, "CALL"},
	{[]string{"status", "-o", "json"}, "CALL"},
	{[]string{"wait", "-W", "0.2", "-o", "json", "org.t.x"}, "SUBSCRIBE"},
}

// refusals are the ways in which a router refuses a request with a URI.
var refusals = []string{
	`%[1]s ["ERROR","%[1]s",#,{},"%[2]s"]`,
	`%[1]s ["GOODBYE",{},"%[2]s"]`,
	`HELLO ["ABORT",{},"%[2]s"]`,
}

// Every URI of the table, refused with in every way, ends every verb in the code
// of its row, with words, the row's hint, and a last line for machines.
func TestCodesOfVerbs(t *testing.T) {
	for _, row := range codes {
		for _, uri := range row.uris {
			if strings.HasSuffix(uri, ".") {
				uri += "system_shutdown"
			}
			t.Run(uri, func(t *testing.T) {
				t.Parallel()
				for _, verb := range asking {
					for _, way := range refusals {
						want := row.code
						if verb.words[0] == "wait" && want == exitUnreachable {
							want = exitTimeout // it waits for that to pass
						}
						router := fmt.Sprintf(way, verb.request, uri)
						checkRefusal(t, router, verb.words, uri, want, row.hint)
					}
				}
			})
		}
	}
}

func checkRefusal(t *testing.T, script string, words []string, uri string, code int, hint string) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	f, err := startFake(socket, script)
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	cmd := exec.CommandContext(t.Context(), "dconn", words...)
	cmd.Env = append(cmd.Environ(), "DCONN_SOCKET="+socket, "HOME="+dir, "GORACE=atexit_sleep_ms=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	exit, _ := errors.AsType[*exec.ExitError](err)
	if exit == nil || exit.ExitCode() != code || stdout.Len() > 0 {
		t.Errorf("%s: dconn %v: %v, want exit code %d; stdout %q, stderr %q", script, words, err, code, &stdout, &stderr)
		return
	}
	lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
	var last struct {
		Error struct {
			URI, Message string
			Args         []any
			Kwargs       map[string]any
			Exit         int
		}
	}
	last.Error.Exit = -1
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Error.Exit != code {
		t.Errorf("%s: dconn %v: the last line of stderr is %s (%v), want exit %d", script, words, lines[len(lines)-1], err, code)
	}
	message := last.Error.Message
	if !slices.Contains(lines, "dconn: "+message) || !strings.Contains(message, " ") {
		t.Errorf("%s: dconn %v: %q is not said, or not in words: %q", script, words, message, lines)
	}
	if code == exitTimeout && !strings.Contains(script, "timeout") {
		return // it is about the wait, not about the refusal
	}
	if last.Error.URI != uri || strings.Contains(message, uri) {
		t.Errorf("%s: dconn %v: got %+v, want the URI %s, and its meaning in words", script, words, last.Error, uri)
	}
	if hint != "" && !slices.Contains(lines, "dconn: hint: "+hint) {
		t.Errorf("%s: dconn %v: no hint %q in %q", script, words, hint, lines)
	}
}
