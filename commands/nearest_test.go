package commands

import "testing"

func TestNearest(t *testing.T) {
	candidates := []string{"brightness", "call", "device-root", "output", "socket", "system", "wait"}
	for word, want := range map[string]string{
		"sokcet": "socket", "brightnes": "brightness", "cal": "call", "wiat": "wait", "calll": "call",
		"devcie-rot": "device-root", "sytsem": "system", "out": "output", "socket": "socket",
		"": "", "c": "call", "xyz": "", "bell": "", "wa": "wait", "get": "", "ö": "", "waiting": "",
	} {
		if got := nearest(word, candidates); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSlips(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"socket", "sokcet", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"äö", "ä", 1},
	} {
		if got := slips(c.a, c.b); got != c.want {
			t.Errorf("slips(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
