package all

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/deskconn/dconn/capabilities"
)

func env(root string) capabilities.Env {
	return capabilities.Env{Root: root, Name: "desk", Version: "1", Log: slog.New(slog.DiscardHandler)}
}

var word = regexp.MustCompile(`^[a-z][a-z_]*$`)

// What every capability owes its caller, on a machine that has nothing.
func TestSuite(t *testing.T) {
	names := map[string]bool{}
	for _, c := range New(env(t.TempDir())) {
		t.Run(c.Name, func(t *testing.T) {
			if names[c.Name] || !word.MatchString(c.Name) {
				t.Errorf("%q is taken or no URI segment", c.Name)
			}
			names[c.Name] = true
			if c.Doc == "" || len(c.Procedures) == 0 {
				t.Error("no doc or no procedure")
			}
			if _, err := os.Stat("../" + c.Name); err != nil {
				t.Errorf("the folder has another name: %v", err)
			}
			if c.Sensitive != capabilities.IsSensitive(c.Name) {
				t.Errorf("Sensitive is %v, capabilities.SensitiveNames has it: %v", c.Sensitive, capabilities.IsSensitive(c.Name))
			}
			described(t, c)
			absent(t, c)
			watchEnds(t, c)
			if c.Probe != nil {
				if f := c.Probe(t.Context()); f.State == capabilities.Fail || f.Found == "" || f.Fix != "" {
					t.Errorf("absent hardware is no failure: %+v", f)
				}
			}
		})
	}
}

func described(t *testing.T, c capabilities.Capability) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range c.Procedures {
		if seen[p.Verb] || !word.MatchString(p.Verb) || p.Doc == "" || p.Handle == nil {
			t.Errorf("%s: taken, no URI segment, or without doc or handler", p.Verb)
		}
		seen[p.Verb] = true
		optional := false
		for _, param := range p.Params {
			if !word.MatchString(param.Name) || param.Min > param.Max {
				t.Errorf("%s %s: bad name or range", p.Verb, param.Name)
			}
			if optional && !param.Optional && !param.Named {
				t.Errorf("%s %s: required after an optional one", p.Verb, param.Name)
			}
			optional = optional || param.Optional
		}
	}
}

// absent hardware is an error of the contract, never a panic; junk arguments
// are refused before the handler sees them.
func absent(t *testing.T, c capabilities.Capability) {
	t.Helper()
	for _, p := range c.Procedures {
		junk := []any{map[string]any{}, []any{}, "\x00", nil, nil, nil, nil, nil, nil}
		if _, err := capabilities.Decode(p.Params, junk, nil); !errors.Is(err, capabilities.ErrInvalid) {
			t.Errorf("%s takes junk: %v", p.Verb, err)
		}
		_, err := p.Handle(context.Background(), capabilities.Call{Args: capabilities.Args{}})
		if err != nil && !errors.Is(err, capabilities.ErrUnavailable) && !errors.Is(err, capabilities.ErrInvalid) {
			t.Errorf("%s on an empty machine: %v is of no kind", p.Verb, err)
		}
	}
}

func watchEnds(t *testing.T, c capabilities.Capability) {
	t.Helper()
	if c.Watch == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Watch(ctx, func(event string, _ map[string]any) { t.Errorf("event %q on an empty machine", event) })
	}()
	cancel()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Watch does not end with its context")
	}
}
