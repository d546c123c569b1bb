package system

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/deskconn/dconn/capabilities"
)

func TestParseFloats(t *testing.T) {
	got, err := parseFloats("0.20 0.18 0.12 1/80 11206\n", 3)
	if err != nil || !reflect.DeepEqual(got, []float64{0.20, 0.18, 0.12}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "1 2", "a b c"} {
		if got, err := parseFloats(text, 3); err == nil {
			t.Errorf("parseFloats(%q) = %v", text, got)
		}
	}
}

// On the machine that runs the test, everything is there.
func TestThisMachine(t *testing.T) {
	for _, p := range New(capabilities.Env{Root: "/", Name: "desk", Version: "1"}).Procedures {
		v, err := p.Handle(context.Background(), capabilities.Call{})
		if err != nil {
			t.Errorf("%s: %v", p.Verb, err)
		}
		switch v := v.(type) {
		case float64:
			if v <= 0 {
				t.Errorf("%s = %v", p.Verb, v)
			}
		case map[string]any:
			for k, text := range v {
				if text == "" {
					t.Errorf("%s: %s is empty", p.Verb, k)
				}
			}
		}
	}
}

func TestBrokenProc(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/uptime"), []byte("soon\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range New(capabilities.Env{Root: root}).Procedures {
		if p.Verb == "name" || p.Verb == "version" {
			continue
		}
		if _, err := p.Handle(context.Background(), capabilities.Call{}); !errors.Is(err, capabilities.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", p.Verb, err)
		}
	}
}
