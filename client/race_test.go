package client

import (
	"slices"
	"testing"

	"github.com/deskconn/dconn/router/trust"
)

// What the owner says goes first, however far away it is; then what is near.
func TestCandidates(t *testing.T) {
	reached := []string{"203.0.113.7:5020", "127.0.0.1:5021"}
	for fixed, want := range map[string][]string{
		"":                      {"127.0.0.1:5021", "203.0.113.7:5020"},
		"198.51.100.9:5020":     {"198.51.100.9:5020", "127.0.0.1:5021", "203.0.113.7:5020"},
		"pi.example.org:5020":   {"pi.example.org:5020", "127.0.0.1:5021", "203.0.113.7:5020"},
		"203.0.113.7:5020":      {"203.0.113.7:5020", "127.0.0.1:5021"},
		"[fe80::9%nowhere]:502": {"[fe80::9%nowhere]:502", "127.0.0.1:5021", "203.0.113.7:5020"},
	} {
		d := &trust.Device{Fixed: fixed, Address: slices.Clone(reached)}
		if got := candidates(d); !slices.Equal(got, want) {
			t.Errorf("fixed %q: %q, want %q", fixed, got, want)
		}
		if !slices.Equal(d.Address, reached) {
			t.Errorf("fixed %q: the device is changed: %q", fixed, d.Address)
		}
	}
}
