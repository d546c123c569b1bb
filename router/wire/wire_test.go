package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{
		".brightness.set": "org.deskconn.brightness.set", "org.a.b": "org.a.b", "": "", "a": "a",
	} {
		if got := Expand(in); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCheckURI(t *testing.T) {
	for _, uri := range []string{"a", "org.deskconn.describe", "com.example.Grün-1_x", strings.Repeat("x", MaxURI)} {
		if err := CheckURI(uri); err != nil {
			t.Errorf("CheckURI(%q) = %v", uri, err)
		}
	}
	for _, uri := range []string{
		"", ".", "a.", ".a", "a..b", "a b", "a#b", "a\nb", "a\x1b[31m", "a\u202eb", "a\xff", strings.Repeat("x", MaxURI+1),
	} {
		if err := CheckURI(uri); err == nil {
			t.Errorf("CheckURI(%q) finds nothing wrong", uri)
		}
	}
}

func TestReserved(t *testing.T) {
	for uri, want := range map[string]bool{
		"org.deskconn.x": true, "org.deskconn": true, "org.deskconnx.y": false,
		"wamp.x": true, "wamp": true, "wampx.y": false, "org.example.x": false,
	} {
		if got := Reserved(uri); got != want {
			t.Errorf("Reserved(%q) = %v", uri, got)
		}
	}
}

func TestError(t *testing.T) {
	if got := (&Error{URI: ErrCalleeLost}).Message(); got != sentences[ErrCalleeLost] {
		t.Errorf("without words: %q", got)
	}
	if got := (&Error{URI: "org.x", Args: []any{int64(1)}}).Message(); got != "org.x" {
		t.Errorf("without a sentence: %q", got)
	}
	err := error(Errorf(ErrBusy, "%d run", 3))
	if err.Error() != "3 run" || !errors.Is(err, &Error{URI: ErrBusy}) || errors.Is(err, &Error{URI: ErrLimit}) {
		t.Errorf("got %v", err)
	}
}
