package commands

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// What is drawn is the QR code of the token, light on dark, with the four modules
// around it that a reader needs.
func TestDraw(t *testing.T) {
	const token = "DCONN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
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
