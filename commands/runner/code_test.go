package runner

import (
	"strings"
	"testing"
)

// argvOf splits a line at its blanks; text in single quotes is part of a word.
func argvOf(line string) []string {
	var argv []string
	var b strings.Builder
	quoted, inWord := false, false
	for _, r := range line + " " {
		switch {
		case r == '\'':
			quoted, inWord = !quoted, true
		case r == ' ' && !quoted:
			if inWord {
				argv = append(argv, b.String())
			}
			b.Reset()
			inWord = false
		default:
			b.WriteRune(r)
			inWord = true
		}
	}
	return argv
}

// Whatever the flags, a caller's text is never run, and never chooses what is run.
func TestCodeIsRefused(t *testing.T) {
	for _, c := range []struct {
		line  string
		place Place
	}{
		{"sh -c 'echo to {0}'", Script},
		{"sh -c {0}", Script},
		{"sh -c echo{0}", Script},
		{"sh -c 'echo {@}'", Script},
		{"sh -c 'echo {name}'", Script},
		{"sh -c 'echo ${HOME}'", Script},
		{"/bin/sh -c 'echo {0}'", Script},
		{"./bin/bash -c 'echo {0}'", Script},
		{"bash-static -c 'echo {0}'", Script},
		{"bash -ec 'echo {0}'", Script},
		{"bash -ce 'echo {0}'", Script},
		{"bash -lc 'echo {0}'", Script},
		{"sh -xc 'echo {0}'", Script},
		{"sh +e -c 'echo {0}'", Script},
		{"bash --norc -c 'echo {0}'", Script},
		{"bash --norc --noprofile -c 'echo {0}'", Script},
		{"bash --rcfile x -c 'echo {0}'", Script},
		{"bash --rcfile {0} -c true", Ahead},
		{"bash -o pipefail -c 'echo {0}'", Script},
		{"bash -eo pipefail -c 'echo {0}'", Script},
		{"bash -eco pipefail 'echo {0}'", Script},
		{"bash -O extglob -c 'echo {0}'", Script},
		{"bash -O {0} -c true", Ahead},
		{"bash -c -e 'echo {0}'", Script},
		{"bash -c -- 'echo {0}'", Script},
		{"bash -c - 'echo {0}'", Script},
		{"bash --unknown x -c 'echo {0}'", Script},
		{"bash {0}", File},
		{"bash -x {0}", File},
		{"bash -{0} x", Ahead},
		{"bash -s {0}", Stdin},
		{"dash -c 'echo {0}'", Script},
		{"ash -c 'echo {0}'", Script},
		{"zsh -c 'echo {0}'", Script},
		{"zsh --extendedglob -c 'echo {0}'", Script},
		{"ksh -c 'echo {0}'", Script},
		{"ksh93 -c 'echo {0}'", Script},
		{"mksh -c 'echo {0}'", Script},
		{"tcsh -c 'echo {0}'", Script},
		{"fish -c 'echo {0}'", Script},
		{"fish --command='echo {0}'", Script},
		{"fish -C true -c 'echo {0}'", Script},
		{"pwsh -Command {0}", Script},
		{"busybox sh -c 'echo {0}'", Script},
		{"busybox {0}", Command},
		{"{0}", Command},
		{"{0} x", Command},
		{"env sh -c 'echo {0}'", Script},
		{"env A=1 B=2 sh -c 'echo {0}'", Script},
		{"env - sh -c 'echo {0}'", Script},
		{"env -i -u A sh -c 'echo {0}'", Script},
		{"env -S 'sh -c' 'echo {0}'", Ahead},
		{"env -S bash", Stdin},
		{"env '-S sh -c {0}'", Script},
		{"env --split-string='sh -c {0}'", Script},
		{"env {0} sh", Command},
		{"env {0}=x ls", Command},
		{"env PATH={0} ls", Setting},
		{"env LD_PRELOAD={0} ls", Setting},
		{"env PS4={0} bash -xc true", Setting},
		{"env -u {0} ls", Ahead},
		{"env --unknown x sh -c {0}", Ahead},
		{"nice sh -c 'echo {0}'", Script},
		{"nice -n 5 sh -c 'echo {0}'", Script},
		{"nice -5 sh -c 'echo {0}'", Script},
		{"nice -n {0} ls", Ahead},
		{"nice {0}", Command},
		{"timeout 5 sh -c 'echo {0}'", Script},
		{"timeout -k 1 --signal=TERM 5 sh -c 'echo {0}'", Script},
		{"timeout 5 {0}", Command},
		{"timeout {0} ls", Ahead},
		{"sudo sh -c 'echo {0}'", Script},
		{"sudo -u root -- sh -c 'echo {0}'", Script},
		{"sudo -n A=1 sh -c 'echo {0}'", Script},
		{"sudo {0}", Command},
		{"sudo -s", Stdin},
		{"doas -u root sh -c 'echo {0}'", Script},
		{"su -c 'echo {0}'", Line},
		{"su root -c 'echo {0}'", Line},
		{"su - root --command='echo {0}'", Line},
		{"su", Stdin},
		{"runuser root -c 'echo {0}'", Line},
		{"runuser -u root -- sh -c 'echo {0}'", Script},
		{"runuser -u root {0}", Command},
		{"setsid -f sh -c 'echo {0}'", Script},
		{"stdbuf -oL sh -c 'echo {0}'", Script},
		{"stdbuf -o L sh -c 'echo {0}'", Script},
		{"nohup sh -c 'echo {0}'", Script},
		{"ionice -c 3 sh -c 'echo {0}'", Script},
		{"ionice -c3 sh -c 'echo {0}'", Script},
		{"chrt -f 10 sh -c 'echo {0}'", Script},
		{"taskset -c 0 sh -c 'echo {0}'", Script},
		{"time -p sh -c 'echo {0}'", Script},
		{"xargs sh -c 'echo {0}'", Stdin},
		{"xargs -n1 sh -c 'echo {0}' sh", Stdin},
		{"xargs -I% sh -c 'echo %'", Stdin},
		{"xargs -I % sh -c 'echo %'", Stdin},
		{"xargs -i sh -c 'echo {}'", Stdin},
		{"xargs sh -c", Stdin},
		{"xargs env", Stdin},
		{"xargs sudo", Stdin},
		{"xargs {0}", Stdin},
		{"ssh host 'echo {0}'", Line},
		{"ssh host echo {0}", Line},
		{"ssh -p 22 -l me host echo {0}", Line},
		{"ssh {0} ls", Line},
		{"ssh host", Stdin},
		{"ssh -p 22 host bash -s", Stdin},
		{"ssh host 'exec bash'", Stdin},
		{"flatpak-spawn --host sh -c 'echo {0}'", Script},
		{"flatpak-spawn --host {0}", Command},
		{"systemd-run --user --pipe sh -c 'echo {0}'", Script},
		{"systemd-run -p A=1 --unit x sh -c 'echo {0}'", Script},
		{"unshare -r --fork sh -c 'echo {0}'", Script},
		{"unshare", Stdin},
		{"chroot /mnt sh -c 'echo {0}'", Script},
		{"chroot {0} ls", Ahead},
		{"chroot /mnt", Stdin},
		{"parallel echo {0}", Line},
		{"parallel echo ::: {0}", Line},
		{"parallel", Stdin},
		{"parallel sh -c", Stdin},
		{"watch -n1 'echo {0}'", Line},
		{"script -qc 'echo {0}' /dev/null", Line},
		{"script", Stdin},
		{"flock /tmp/l -c 'echo {0}'", Script},
		{"flock -n /tmp/l sh -c 'echo {0}'", Script},
		{"flock /tmp/l {0}", Command},
		{"eval {0}", Line},
		{"find . -exec sh -c 'echo {0}' ;", Script},
		{"find . -name x -execdir bash -c {0} ;", Script},
		{"find . -exec {0} ;", Command},
		{"find . -{0}", Option},
		{"docker exec -i c sh -c 'echo {0}'", Script},
		{"docker exec -u root c {0}", Command},
		{"docker exec -i c bash", Stdin},
		{"podman run --rm image sh -c {0}", Script},
		{"kubectl exec pod -- sh -c {0}", Script},
		{"anything at all sh -c 'echo {0}'", Script},
		{"anything bash --unknown x -c {0}", Script},
		{"tmux new -d {0}", Line},
		{"make {0}", Line},
		{"make A={0}", Line},
		{"make -f -", Stdin},
		{"vim {0}", Line},
		{"ed {0}", Line},
		{"ed", Stdin},
		{"at now", Stdin},
		{"at -f {0} now", File},
		{"tar -xf x --to-command={0}", Script},
		{"rsync --rsh {0} a b", Script},
		{"dconn subscribe --exec {0} org.example.x", Script},
		{"python -c 'print({0})'", Script},
		{"python3 -c {0}", Script},
		{"python3.11 -c 'print({0})'", Script},
		{"python3 -Bc 'print({0})'", Script},
		{"python3 -u -W ignore -c 'print({0})'", Script},
		{"/usr/bin/env python3 -c 'print({0})'", Script},
		{"python3 '-cprint({0})'", Script},
		{"python3 -m {0}", File},
		{"python3 {0}", File},
		{"python3 -", Stdin},
		{"python3", Stdin},
		{"perl -e 'print {0}'", Script},
		{"perl -E 'say {0}'", Script},
		{"perl -ne 'print if /{0}/'", Script},
		{"perl -pe s/a/{0}/", Script},
		{"perl -lane 'print {0}'", Script},
		{"perl -i.bak -pe s/a/{0}/ file", Script},
		{"perl -e 1 -e {0}", Script},
		{"perl -M{0} -e 1", Ahead},
		{"perl {0}", File},
		{"ruby -e 'puts {0}'", Script},
		{"ruby -rjson -ne 'puts {0}'", Script},
		{"node -e 'console.log({0})'", Script},
		{"node --eval 'console.log({0})'", Script},
		{"node --eval={0}", Script},
		{"node -p {0}", Script},
		{"node -pe {0}", Script},
		{"node -r {0} app.js", Ahead},
		{"node -p -e {0}", Ahead},
		{"php -r 'echo {0};'", Script},
		{"php -f {0}", File},
		{"lua -e 'print({0})'", Script},
		{"lua5.4 -e {0}", Script},
		{"lua -e 1 {0}", File},
		{"awk '{print {0} }'", Script},
		{"awk '/{0}/'", Script},
		{"awk {0}", Script},
		{"awk '{print}'", Script},
		{"gawk -v a=1 '/{0}/'", Script},
		{"gawk -e '/{0}/'", Script},
		{"mawk -F: {0}", Script},
		{"awk -f {0}", File},
		{"awk -f /dev/stdin", Stdin},
		{"awk -v {0} 1", Ahead},
		{"awk -v{0} 1", Ahead},
		{"busybox awk {0}", Script},
		{"sed s/a/{0}/", Script},
		{"sed -n {0}p", Script},
		{"sed -e s/a/b/ -e {0}", Script},
		{"sed -ne {0}", Script},
		{"sed --expression={0}", Script},
		{"sed -i s/a/{0}/ file", Script},
		{"sed -f {0}", File},
		{"sed s/a/b/ -e{0}", Script},
		{"jq .{0}", Script},
		{"jq -r '.[] | select(.a == \"{0}\")'", Script},
		{"jq --arg a b .{0}", Script},
		{"jq --arg {0} b .", Ahead},
		{"jq -f {0}", Script},
		{"yq eval .a={0}", Script},
		{"osascript -e {0}", Script},
		{"psql -c 'select {0}'", Script},
		{"psql -h x --command={0}", Script},
		{"psql", Stdin},
		{"psql db", Stdin},
		{"mysql -e 'select {0}'", Script},
		{"sqlite3 db 'select {0}'", Script},
		{"sqlite3 -json db {0}", Script},
		{"sqlite3 -cmd {0} db .tables", Script},
		{"sqlite3 db", Stdin},
		{"sh", Stdin},
		{"bash -x", Stdin},
		{"bash /dev/stdin", Stdin},
		{"sh -c sh", Stdin},
		{"sh -c 'exec bash -s'", Stdin},
	} {
		for _, r := range []Rules{{Input: true}, {Input: true, Inside: true}, {Input: true, Inside: true, AllowDash: true}} {
			err := CheckCode(argvOf(c.line), r)
			if r.AllowDash && c.place == Option {
				continue
			}
			if err == nil || err.Place != c.place {
				t.Errorf("%s, %+v: %v, want place %d", c.line, r, err, c.place)
			}
		}
	}
}

// What is data for the command is data for us.
func TestDataIsAllowed(t *testing.T) {
	for _, line := range []string{
		"df -h {0}",
		"echo {0} {name} {1}",
		"convert {0} -resize 200 {0}.png",
		"curl --data={0} https://example.org/{name}",
		"printf %s-%s {0} {1}",
		"loginctl lock-session",
		"sh -c 'echo \"$1\"' sh {0}",
		"sh -c 'exit $0' {0}",
		"bash -ec 'echo \"$1\"' bash {0} {name}",
		"bash --norc -o pipefail -c 'echo \"$1\"' bash {0}",
		"sh -c 'echo ${{HOME}}'",
		"fish -c 'echo $argv[1]' {0}",
		"busybox sh -c 'echo \"$1\"' sh {0}",
		"sh script.sh {0}",
		"bash ./script.sh -c {0}",
		"/bin/sh script.sh {0}",
		"bash -s",
		"env ls {0}",
		"env TEXT={0} ./script",
		"env -i A=1 ls {0}",
		"env TEXT={0} sh -c 'echo \"$TEXT\"'",
		"nice -n 5 ls {0}",
		"timeout 5 ls {0}",
		"timeout -k 1 5 sh -c 'echo \"$1\"' sh {0}",
		"sudo ls {0}",
		"sudo -u nobody sh -c 'echo \"$1\"' sh {0}",
		"runuser -u nobody -- ls {0}",
		"setsid -w ls {0}",
		"stdbuf -oL ls {0}",
		"nohup ls {0}",
		"ionice -c 3 ls {0}",
		"chrt -f 10 ls {0}",
		"xargs ls {0}",
		"xargs -I% cp % {0}",
		"ssh host uptime",
		"ssh host 'a=$(cat); echo \"$a\"'",
		"su -c uptime nobody",
		"flatpak-spawn --host ls {0}",
		"systemd-run --user --wait ls {0}",
		"unshare -r ls {0}",
		"chroot /mnt ls {0}",
		"flock /tmp/l ls {0}",
		"flock /tmp/l sh -c 'echo \"$1\"' sh {0}",
		"find {0} -name {1}",
		"find . -newer {0} -exec ls {} ;",
		"docker exec -i c ls {0}",
		"docker restart {0}",
		"python3 script.py {0}",
		"python3 -u script.py -c {0}",
		"python3 -c 'import sys; print(sys.argv[1])' {0}",
		"python3 -m json.tool {0}",
		"python3 --version",
		"perl -e 'print $ARGV[0]' {0}",
		"perl -lane 'print $F[0]' {0}",
		"ruby -e 'puts ARGV[0]' {0}",
		"node -e 'console.log(process.argv[1])' {0}",
		"node app.js --eval {0}",
		"php -r 'echo $argv[1];' {0}",
		"lua script.lua {0}",
		"awk -f prog.awk {0}",
		"awk -v a={0} '{{print}}' file",
		"awk -va={0} 1",
		"awk '{ print $1 }' {0}",
		"sed -n 1p {0}",
		"sed -e s/a/b/ {0}",
		"sed -f script.sed {0}",
		"jq .a {0}",
		"jq -n --arg a {0} '$a'",
		"jq -c --unbuffered '{args: [.args[0] * 2]}'",
		"jq -f filter.jq {0}",
		"psql -v a={0} -f query.sql",
		"sqlite3 {0} 'select 1'",
		"bash --version",
		"cat",
		"grep python {0}",
		"grep -e {0} sh",
		"ls -- {0}",
		"tar -cf {0}.tar dir",
	} {
		rules := Rules{Input: true}
		if line == "bash -s" {
			rules.Input = false
		}
		if err := CheckCode(argvOf(line), rules); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Where a flag makes the difference.
func TestCodeByRules(t *testing.T) {
	for _, c := range []struct {
		line          string
		allow, refuse Rules
		place         Place
	}{
		{"printf %s 'hello {0}'", Rules{Inside: true}, Rules{}, Inside},
		{"printf %s a;{0}", Rules{Inside: true}, Rules{}, Inside},
		{"printf %s $({0})", Rules{Inside: true}, Rules{}, Inside},
		{"ls -{0}", Rules{AllowDash: true}, Rules{}, Choice},
		{"ls --{name}", Rules{AllowDash: true}, Rules{}, Choice},
		{"perl -e 1 {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"perl -e 1 -- {0}", Rules{AllowDash: true}, Rules{Inside: true, AllowDash: true, Input: true}, -1},
		{"node -e 1 {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"sed -e p {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"sed p {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"jq . {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"gawk -f x {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"awk 1 {0}", Rules{AllowDash: true}, Rules{}, -1},
		{"find {0}", Rules{}, Rules{AllowDash: true}, Option},
		{"sh -c 'echo \"$1\"' sh {0}", Rules{AllowDash: true}, Rules{}, -1},
		{"sh", Rules{}, Rules{Input: true}, Stdin},
		{"ssh host", Rules{}, Rules{Input: true}, Stdin},
	} {
		if err := CheckCode(argvOf(c.line), c.allow); err != nil {
			t.Errorf("%s, %+v: %v", c.line, c.allow, err)
		}
		err := CheckCode(argvOf(c.line), c.refuse)
		if c.place < 0 && err != nil || c.place >= 0 && (err == nil || err.Place != c.place) {
			t.Errorf("%s, %+v: %v, want place %d", c.line, c.refuse, err, c.place)
		}
	}
}

func TestShellScript(t *testing.T) {
	for text, want := range map[string][2]string{
		`echo "$1"`:          {`echo "$1"`, ""},
		"echo ${HOME} ${10}": {"echo ${HOME} ${10}", ""},
		"grep a{{3}}":        {"grep a{3}", ""},
		"awk '{{print}}'":    {"awk '{print}'", ""},
		"echo {0} {1}":       {"echo {0} {1}", "{0}"},
		"echo {name}":        {"echo {name}", "{name}"},
		"echo {@}":           {"echo {@}", "{@}"},
	} {
		if script, found := ShellScript(text); script != want[0] || found != want[1] {
			t.Errorf("%s: %q, %q, want %q", text, script, found, want)
		}
	}
}

// No template and no value get a word more, or a script with the text of a caller.
func FuzzCheckCode(f *testing.F) {
	f.Add("sh -c 'echo {0}'", true)
	f.Add("sudo -u x bash -eo pipefail -c {0} {@} {a}", false)
	f.Add("env -S xargs -I% node -p -e %", true)
	f.Fuzz(func(t *testing.T, line string, allow bool) {
		argv := argvOf(line)
		if len(argv) == 0 {
			return
		}
		r := Rules{Inside: allow, AllowDash: allow, Input: !allow}
		err := CheckCode(argv, r)
		if err == nil && strings.HasPrefix(argv[0], "{0}") {
			t.Errorf("%q lets a caller choose the command", argv)
		}
		if err != nil && err.Error() == "" {
			t.Errorf("%q is refused without a reason", argv)
		}
		if err := CheckCode(append([]string{"sh", "-c", "echo {0}"}, argv...), r); err == nil {
			t.Error("a script with a placeholder is allowed")
		}
	})
}
