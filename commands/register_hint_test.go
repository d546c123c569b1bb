package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// The line that is said instead of a refused one; what follows `register` in both.
func TestSaferLines(t *testing.T) {
	const help = "--help"
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"sh", "-c", "echo to {0}"}, `--shell org.t.x -- 'echo to "$1"'`},
		{[]string{"/bin/sh", "-c", `echo "a {0}b {1}"`}, `--shell org.t.x -- 'echo "a ""$1""b $2"'`},
		{[]string{"sh", "-c", "echo {@}"}, `--shell org.t.x -- 'echo "$@"'`},
		{[]string{"sh", "-c", "echo ${HOME}/{0}"}, `--shell org.t.x -- 'echo ${HOME}/"$1"'`},
		{[]string{"sh", "-c", "echo ${HOME}/{a}"}, `org.t.x -- sh -c 'echo ${{HOME}}/"$1"' sh '{a}'`},
		{[]string{"sh", "-c", "x=$(cat {0} | tail -1); echo $x 2>&1 >{1}"}, `--shell org.t.x -- 'x=$(cat "$1" | tail -1); echo $x 2>&1 >"$2"'`},
		{[]string{"bash", "-ec", "echo {1} {1}"}, `org.t.x -- bash -ec 'echo "$1" "$1"' bash '{1}'`},
		{[]string{"bash", "-c", `echo "$1" {0}`, "bash", "x"}, `org.t.x -- bash -c 'echo "$1" "$2"' bash x '{0}'`},
		{[]string{"nice", "sh", "-c", "ls {0}"}, `org.t.x -- nice sh -c 'ls "$1"' sh '{0}'`},
		{[]string{"fish", "-c", "ls {0}"}, `org.t.x -- fish -c 'ls "$argv[1]"' '{0}'`},
		{[]string{"ssh", "pi", "ls {0}; date"}, `--stdin=raw org.t.x -- ssh pi 'a=$(cat); case $a in -*) exit 2;; esac; ls "$a"; date'`},
		{[]string{"su", "-c", "ls {0}", "me"}, `--stdin=raw org.t.x -- su -c 'a=$(cat); case $a in -*) exit 2;; esac; ls "$a"' me`},
		{[]string{"python3", "-c", `print("{0}")`}, `org.t.x -- python3 -c 'import sys; print(sys.argv[1])' '{0}'`},
		{[]string{"node", "-e", "console.log('{0}')"}, `org.t.x -- node -e 'console.log(process.argv[1])' '{0}'`},
		{[]string{"jq", `"a {0}"`}, `org.t.x -- jq --arg a0 '{0}' '"a \($a0)"'`},
		{[]string{"gawk", `$1 == "{0}"`}, `org.t.x -- gawk -v 'a0={0}' '$1 == a0'`},
		{[]string{"awk", "{print}"}, `org.t.x -- awk '{{print}}'`},
		{[]string{"perl", "-lne", "if (/x/) {print}"}, `org.t.x -- perl -lne 'if (/x/) {{print}}'`},
		{[]string{"printf", "%s", "a {0}"}, `--inside org.t.x -- printf %s 'a {0}'`},
		// where the text would be code all the same, or that is not known
		{[]string{"sh", "-c", "{0}"}, help},
		{[]string{"sh", "-c", "date; {0}"}, help},
		{[]string{"sh", "-c", "if true; then {0}; fi"}, help},
		{[]string{"sh", "-c", "A=1 {0}"}, help},
		{[]string{"sh", "-c", "eval ls {0}"}, help},
		{[]string{"sh", "-c", "echo `ls {0}`"}, help},
		{[]string{"sh", "-c", "echo $(({0} + 1))"}, help},
		{[]string{"bash", "-c", "[[ {0} -eq 1 ]]"}, help},
		{[]string{"sh", "-c", "ssh pi 'ls {0}'"}, help},
		{[]string{"sh", "-c", "sudo sh -c 'ls {0}'"}, help},
		{[]string{"sh", "-c", "awk '/{0}/'"}, help},
		{[]string{"sh", "-c", "date | xargs {0}"}, help},
		{[]string{"sh", "-c", "cat <<E\n{0}\nE"}, help},
		{[]string{"sh", "-c", "date # it's {0}"}, help},
		{[]string{"bash", "-c", "read {0}"}, help},
		{[]string{"bash", "-c", "printf -v {0} x"}, help},
		{[]string{"ssh", "pi", "sh -c 'ls {0}'"}, help},
		{[]string{"ssh", "pi", "ls", "{0}", "{1}"}, help},
		{[]string{"find", ".", "-exec", "sh", "-c", "ls {0}", ";"}, help},
		{[]string{"awk", "/{0}/"}, help},
		{[]string{"awk", `{ print | "{0}" }`}, help},
		{[]string{"python3", "-c", "import os; os.system('{0}')"}, help},
		{[]string{"jq", ".{0}"}, help},
		{[]string{"sed", "s/a/{0}/"}, help},
		{[]string{"env", "{0}"}, help},
	} {
		s, _ := testStreams()
		err := run(context.Background(), s, append([]string{"register", "org.t.x", "--"}, c.argv...))
		f, ok := errors.AsType[*failure](err)
		if !ok || f.Code != exitUsage {
			t.Errorf("%q is not refused: %v", c.argv, err)
			continue
		}
		if got := strings.TrimPrefix(f.Hint, "dconn register "); got != c.want {
			t.Errorf("%q\ngot  %s\nwant %s", c.argv, got, c.want)
		}
	}
}
