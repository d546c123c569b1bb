package pairing

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// docs/security.md says how many wrong codes there may be, and for how long they lock
// the digits, by the constants that are in force.
func TestDocumentHasTheRules(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	document := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
	number := map[int]string{2: "two", 3: "three", 10: "ten", 20: "twenty"}
	for _, rule := range []string{
		fmt.Sprintf("%s wrong codes end the digits of a window.", number[maxCodes]),
		fmt.Sprintf("%s within an hour lock the digits until %s hours after the first of these %s.",
			number[failuresPerHour], number[int(remembered/time.Hour)], number[failuresPerHour]),
		fmt.Sprintf("%s in a row lock the digits until `dconn pair --reset`", number[failuresInARow]),
		fmt.Sprintf("has %d guesses of 10^%d between two acts of the owner", failuresInARow, codeDigits),
		fmt.Sprintf("the qr code has %d bits instead of the digits", keyBytes*8),
	} {
		if !strings.Contains(document, rule) {
			t.Errorf("docs/security.md does not say: %s", rule)
		}
	}
	if remembered%time.Hour != 0 {
		t.Errorf("%v are not whole hours", remembered)
	}
}
