// Package capabilities is the contract between the daemon and the things a
// machine can do for others. A capability is a value: its name, its
// procedures and topics, and functions that know nothing of WAMP.
package capabilities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Env is what a capability gets from the daemon.
type Env struct {
	// Root is the directory that every device path hangs off, "/" outside of
	// tests.
	Root string
	// Name is what the daemon calls this machine.
	Name string
	// Version of dconn.
	Version string
	Log     *slog.Logger
}

// Path is a device path below Root.
func (e Env) Path(elements ...string) string {
	return filepath.Join(append([]string{e.Root}, elements...)...)
}

// Capability is one thing a machine can do. Its name is the URI segment, the
// scope a device is granted, and the name of its folder.
type Capability struct {
	Name string
	Doc  string
	// Sensitive capabilities are never granted by default: those of SensitiveNames.
	Sensitive  bool
	Procedures []Procedure
	Topics     []Topic
	// Watch reports changes until ctx ends; nil if there are none to report.
	Watch func(ctx context.Context, publish Publish)
	// Probe looks at what the capability needs and changes nothing, for
	// `dconn doctor`; nil if it needs nothing.
	Probe func(ctx context.Context) Finding
}

// State is how what was looked at fares.
type State string

// The states of a Finding. None is absent hardware or an absent service: no
// failure.
const (
	OK   State = "ok"
	Fail State = "fail"
	None State = "none"
)

// Finding is what a probe found. Fix mends a failure: a line for a shell.
type Finding struct {
	State State
	Found string
	Fix   string
}

// Publish publishes an event on the topic `on_<event>` of the capability.
type Publish func(event string, kwargs map[string]any)

// Procedure is one callable verb.
type Procedure struct {
	Verb   string
	Doc    string
	Params []Param
	Result string // what is returned, in words; empty for nothing
	Handle func(ctx context.Context, call Call) (any, error)
}

// Topic describes an event that is published as `on_<Event>`.
type Topic struct {
	Event  string
	Doc    string
	Fields []Param // its keyword arguments
}

// Call is one call of a procedure, its arguments already checked.
type Call struct {
	Args
	// Caller is the caller's session, so that what it holds can be released
	// when it ends.
	Caller uint64
}

// The kinds of error a capability may return; any other error is an internal
// one. Test with errors.Is.
var (
	ErrInvalid     = errors.New("invalid argument")
	ErrUnavailable = errors.New("unavailable")
	ErrBusy        = errors.New("busy")
)

type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

// Invalid says which argument is wrong, the rule, and the value given.
func Invalid(format string, a ...any) error {
	return &kindError{ErrInvalid, fmt.Sprintf(format, a...)}
}

// Unavailable says what is missing on this machine and, if known, the fix.
func Unavailable(format string, a ...any) error {
	return &kindError{ErrUnavailable, fmt.Sprintf(format, a...)}
}
