package commands

import (
	"bytes"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/deskconn/dconn/router/wire"
)

const token = "DCONN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// Once the digits have ended, the QR code still pairs, so the command goes on where one
// is to be seen. Where none is, nobody could use the window, and the command fails.
func TestDigitsOver(t *testing.T) {
	over := map[string]any{"event": "digits_over", "message": "no digits are taken after 3 wrong codes"}
	for _, c := range []struct {
		name                string
		first               map[string]any
		terminal, noQR, end bool
		format              string
	}{
		{"a QR code is shown", map[string]any{"event": "code", "code": "1234-5678", "token": token}, true, false, false, "raw"},
		{"locked, a QR code is shown", map[string]any{"event": "token", "token": token}, true, false, false, "raw"},
		{"for a program", map[string]any{"event": "token", "token": token}, false, false, false, "ndjson"},
		{"no terminal", map[string]any{"event": "code", "code": "1234-5678", "token": token}, false, false, true, "raw"},
		{"--no-qr", map[string]any{"event": "token", "token": token}, true, true, true, "raw"},
	} {
		var out, talk bytes.Buffer
		s := &streams{out: &out, err: &talk, errTTY: c.terminal}
		o := &pairOptions{streams: s, noQR: c.noQR}
		o.output.to, o.format = s, c.format
		w := o.newShow()
		if err := w.event(c.first); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, shown := c.first["code"]; !shown && c.format == "raw" && out.Len() > 0 {
			t.Errorf("%s: a code is printed: %q", c.name, out.String())
		}
		err := w.event(over)
		w.end()
		if (err != nil) != c.end {
			t.Errorf("%s: %v", c.name, err)
		}
		if f := explain(err, ""); c.end && (f.Code != exitIdentity || f.WAMP.URI != wire.ErrPairing || !strings.Contains(f.Message, "3 wrong codes")) {
			t.Errorf("%s: %+v", c.name, f)
		}
		if goesOn := strings.Contains(talk.String(), "the QR code can still be scanned"); goesOn != (!c.end && c.format == "raw") {
			t.Errorf("%s: says %q", c.name, talk.String())
		}
	}
}

// What is drawn is the QR code of the token, light on dark, with the four modules
// around it that a reader needs.
func TestDraw(t *testing.T) {
	picture, err := draw(token)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(token, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lit := func(r rune, lower bool) bool { return r == '█' || r == '▀' && !lower || r == '▄' && lower }
	rows := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	if len(rows) != (code.Size+9)/2 {
		t.Fatalf("%d rows for %d modules", len(rows), code.Size)
	}
	for i, row := range rows {
		cells := []rune(row)
		if len(cells) != code.Size+8 {
			t.Fatalf("row %d has %d modules, want %d", i, len(cells), code.Size+8)
		}
		for x, r := range cells {
			for half := range 2 {
				y := 2*i + half - 4
				inside := x >= 4 && x < code.Size+4 && y >= 0 && y < code.Size
				if want := !inside || !code.Black(x-4, y); lit(r, half == 1) != want {
					t.Fatalf("module %d, %d is lit: %v", x-4, y, !want)
				}
			}
		}
	}
}
