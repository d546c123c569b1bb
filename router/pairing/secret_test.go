package pairing

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for text, ok := range map[string]bool{
		"12345678":            true,
		"1234-5678":           true,
		" 1234 5678\n":        true,
		"12 34-56\u00a078":    true,
		"00000000":            true,
		"":                    false,
		"1234567":             false,
		"123456789":           false,
		"1234567a":            false,
		"1234–5678":           false,
		"１２３４５６７８":            false,
		"٠٠٠٠":                false,
		"+1234567":            false,
		"DCONN1:":             false,
		"DCONN2:AAAAAAAA":     false,
		"dconn1:AAAAAAAA":     false,
		"DCONN1:12345678":     false,
		"DCONN1:\n12345678\n": false,
	} {
		s, err := ParseSecret(text)
		if ok != (err == nil) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if ok && (s.by != byCode || len(s.prs) != codeDigits) {
			t.Errorf("%q is read as %q", text, s.prs)
		}
		if _, named := s.Place(); named {
			t.Errorf("%q names a place", text)
		}
	}
}

func places(t *rapid.T) Place {
	address := rapid.StringMatching(`[!-~]{1,64}`)
	return Place{
		Peer:      ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id")),
		Port:      rapid.Uint16Min(1).Draw(t, "port"),
		Addresses: rapid.SliceOfN(address, 0, maxAddresses).Draw(t, "addresses"),
	}
}

func TestTokensComeBackAndHaveOneText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, key := places(t), rapid.SliceOfN(rapid.Byte(), keyBytes, keyBytes).Draw(t, "key")
		text, err := encodeToken(key, p)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSecret(" " + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := s.Place()
		if got.Peer != p.Peer || got.Port != p.Port || strings.Join(got.Addresses, " ") != strings.Join(p.Addresses, " ") {
			t.Fatalf("%+v comes back as %+v", p, got)
		}
		if s.by != byToken || string(s.prs) != "token:"+string(key) {
			t.Fatalf("the key comes back as %q", s.prs)
		}
		at := rapid.IntRange(1, len(text)-1).Draw(t, "at")
		for _, other := range []string{text[:at], text[:at] + text[at+1:], text[:at] + "\n" + text[at:], strings.ToLower(text), text + "="} {
			again, err := ParseSecret(other)
			if p, _ := again.Place(); err == nil && reflect.DeepEqual(p, got) && string(again.prs) == string(s.prs) {
				t.Fatalf("%q is taken for the same token", other)
			}
		}
	})
}

func TestSecretsDoNotShowInLogs(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("typed", "secret", secret(t, "57319048"))
	}
	coded := base64.StdEncoding.EncodeToString([]byte("57319048"))
	if text := out.String(); strings.Count(text, "typed") != 2 || strings.Contains(text, "57319048") || strings.Contains(text, coded) {
		t.Errorf("logged %s", text)
	}
}

func TestNamesAreMadeFitToShow(t *testing.T) {
	for name, want := range map[string]string{
		"":                                "unnamed",
		" \t\n":                           "unnamed",
		"kitchen":                         "kitchen",
		"  living \t\n room ":             "living room",
		"Küche 北 🏠":                       "Küche 北 🏠",
		"a\x1b[31mb\x00\x7f\u0085c":       "a[31mb c",
		"pay\u202egnp.exe":                "paygnp.exe",
		"\u2066a\u2069\u200b\u200d\ufeff": "a",
		"\u3164\u115f\u2800\u00ad":        "unnamed",
		"\u0301a":                         "a",
		"a\u2028b":                        "a b",
		"a\xff\xfeb":                      "ab",
		"\ue000\U000e0041x":               "x",
		strings.Repeat("ü", 40):           strings.Repeat("ü", 32),
		strings.Repeat("a", 31) + " b":    strings.Repeat("a", 31),
	} {
		if got := CleanName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestCleanNamesStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := CleanName(rapid.String().Draw(t, "name"))
		if again := CleanName(name); again != name {
			t.Fatalf("%q becomes %q", name, again)
		}
		if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
			t.Fatalf("%q has %d runes", name, n)
		}
	})
}
