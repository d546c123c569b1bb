package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Exit codes. They are API: scripts branch on them.
const (
	exitOK          = 0
	exitApplication = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitAuth        = 4
	exitDenied      = 5
	exitUnreachable = 6
	exitIdentity    = 7
	exitOwn         = 8
	exitProtocol    = 9
	exitTimeout     = 124
)

// codes is the one table of exit codes: what each means, which WAMP errors
// end in it, and what a user may try then.
var codes = []struct {
	code    int
	meaning string
	uris    []string // an entry that ends in "." stands for all below it
	hint    string   // may name the URI that was asked for by %s
}{
	{exitOK, "done; for a reader that went away (EPIPE) as well", nil, ""},
	{exitApplication, "the callee answered with an error of its own",
		[]string{wire.ErrUnavailable, wire.ErrExecFailed, wire.ErrBusy, wire.ErrLimit, wire.ErrApplication}, ""},
	{exitUsage, "wrong usage, or the callee refused an argument",
		[]string{wire.ErrInvalidArgument, wire.ErrInvalidURI}, ""},
	{exitNotFound, "no such procedure or device, or fewer than --require",
		[]string{wire.ErrNoSuchProcedure, wire.ErrNoSuchRegistration}, "dconn describe lists what can be called"},
	{exitAuth, "not paired, or authentication failed",
		[]string{wire.ErrAuthentication, wire.ErrNoAuthMethod}, ""},
	{exitDenied, "not authorised",
		[]string{wire.ErrNotAuthorized, wire.ErrAuthorization, wire.ErrRights}, ""},
	{exitUnreachable, "unreachable, refused, or the connection or the callee was lost",
		[]string{wire.ErrCalleeLost, wire.ErrSlowConsumer, wire.ErrLost, wire.ErrNetworkFailure, "wamp.close."}, ""},
	{exitIdentity, "wrong pairing code, or another identity than expected at this address",
		[]string{wire.ErrPairing}, "a while helps, or on the machine that shows the code: dconn pair --reset"},
	{exitOwn, "this process's own socket, config, key, file or command", nil, ""},
	{exitProtocol, "the peer broke the protocol, or events may be missing with --strict",
		[]string{wire.ErrProtocolViolation, wire.ErrNoSuchRealm, "wamp.error.no_such_role"}, ""},
	{exitTimeout, "time ran out (-W)", []string{wire.ErrTimeout}, ""},
}

// codeOf is the exit code of a WAMP error: 1 for what the table does not name.
func codeOf(uri string) (code int, hint string) {
	for _, row := range codes {
		for _, u := range row.uris {
			if uri == u || strings.HasSuffix(u, ".") && strings.HasPrefix(uri, u) {
				return row.code, row.hint
			}
		}
	}
	return exitApplication, ""
}

// failure is how a command ended, as a user sees it.
type failure struct {
	Code    int
	Message string
	Hint    string
	WAMP    *wire.Error // nil if no peer was involved
	remote  bool        // Code is that of the command behind a procedure
}

func (f *failure) Error() string { return f.Message }

// usage is a failure of the command line.
func usage(format string, a ...any) *failure {
	return &failure{Code: exitUsage, Message: fmt.Sprintf(format, a...)}
}

// own is a failure of something that belongs to this process.
func own(format string, a ...any) *failure {
	return &failure{Code: exitOwn, Message: fmt.Sprintf(format, a...)}
}

func (f *failure) hint(format string, a ...any) *failure {
	f.Hint = fmt.Sprintf(format, a...)
	return f
}

// interrupted is the error of a command that a signal ended.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return i.signal.String() }

// errReaderGone ends a command whose reader closed the pipe: no failure.
var errReaderGone = errors.New("nobody reads the output any more")

// document is a failure for machines.
func (f *failure) document() map[string]any {
	e := cmp.Or(f.WAMP, &wire.Error{})
	return map[string]any{"error": map[string]any{
		"uri": e.URI, "message": f.Message, "args": orEmptyList(e.Args), "kwargs": orEmptyDict(e.Kwargs), "exit": f.Code,
	}}
}

// exitWithRemote is the flag of call that leaves the exit code to the command
// behind the procedure; exitNotRemote is that of any failure of dconn itself,
// as with ssh.
const (
	exitWithRemote = "exit-with-remote"
	exitNotRemote  = 255
)

// notRemote gives a failure of dconn itself the code that --exit-with-remote has
// for it.
func (f *failure) notRemote() {
	if f.Code != exitOK && !f.remote {
		f.Code = exitNotRemote
	}
}

// explain turns the error of a command into a failure. subject names what was
// asked for, usually a URI.
func explain(err error, subject string) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		code, hint := codeOf(e.URI)
		return &failure{Code: code, Message: prefix(subject, e.Message()), Hint: hint, WAMP: e}
	}
	if e, ok := errors.AsType[*client.UnreachableError](err); ok {
		f := &failure{Code: exitUnreachable, Message: e.Error(), WAMP: &wire.Error{URI: wire.ErrLost}}
		if !strings.HasPrefix(e.URL, "unix:") {
			return f
		}
		return f.hint("is dconn serve running? start it with: dconn serve &")
	}
	if f := cmp.Or(explainDevice(err), explainScopes(err)); f != nil {
		return f
	}
	if e, ok := errors.AsType[*client.URLError](err); ok {
		return usage("%v", e)
	}
	if unsendable(err) {
		return usage("%s", prefix(subject, err.Error()))
	}
	if e, ok := errors.AsType[*router.HeldError](err); ok {
		return own("%s", e).hint("stop it with: kill %d, or serve elsewhere with: dconn serve --socket PATH", e.PID)
	}
	switch {
	case errors.Is(err, client.ErrForeign):
		return own("%v", err).hint("use a daemon of your own: dconn serve &")
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{Code: exitTimeout, Message: prefix(subject, err.Error()), WAMP: &wire.Error{URI: wire.ErrTimeout}}
	}
	return own("%v", err)
}

// unsendable reports whether err is about a message that no router would take.
func unsendable(err error) bool {
	_, long := errors.AsType[*transport.TooLongError](err)
	_, complex := errors.AsType[*transport.ComplexError](err)
	return long || complex
}

func prefix(subject, message string) string {
	if subject == "" || strings.Contains(message, subject) {
		return message
	}
	return subject + ": " + message
}

// timedOut is the cause of a context whose -W has passed.
type timedOut struct{ after time.Duration }

func (t timedOut) Error() string { return fmt.Sprintf("no answer within %v (-W)", t.after) }
func (t timedOut) Is(target error) bool {
	return target == context.DeadlineExceeded
}

// within bounds ctx by -W; 0 is no bound.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, timedOut{d})
}

// report prints a failure on stderr: what went wrong, then what to do. With
// JSON output its last line is for machines.
func (s *streams) report(f *failure, asJSON bool) {
	s.complain("%s", strings.TrimRight(f.Message, "\n"))
	if f.Hint != "" {
		s.say("hint: %s", f.Hint)
	}
	if !asJSON {
		return
	}
	line, err := jsonLine(f.document())
	if err == nil {
		_, _ = s.err.Write(line)
	}
}
