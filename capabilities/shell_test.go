package capabilities

import (
	"os/exec"
	"testing"

	"pgregory.net/rapid"
)

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{
		"/run/user/1000/dconn/dconn.sock": "/run/user/1000/dconn/dconn.sock",
		"call:org.example,register:a.b":   "call:org.example,register:a.b",
		"":                                "''",
		"/home/a b/it's":                  `'/home/a b/it'\''s'`,
		"[fe80::1%eth0]:5020":             "'[fe80::1%eth0]:5020'",
		"~/x":                             "'~/x'",
		"a$b`c`":                          "'a$b`c`'",
	} {
		if got := ShellWord(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// A shell takes a word back as what it was.
func TestShellTakesWord(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	text := rapid.StringOf(rapid.RuneFrom([]rune("abc/ '\"\\$`!*?[]{}()<>|&;#~=\n\té-")))
	rapid.Check(t, func(t *rapid.T) {
		want := text.Draw(t, "text")
		got, err := exec.Command(sh, "-c", "printf %s "+ShellWord(want)).Output()
		if err != nil || string(got) != want {
			t.Fatalf("%q came back as %q, %v", want, got, err)
		}
	})
}
