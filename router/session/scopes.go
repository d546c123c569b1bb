package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Option changes how a session is joined.
type Option func(*joining)

// joining is what a session asks for in its HELLO.
type joining struct {
	lowered bool // to scopes
	scopes  []string
}

// WithScopes has the session give up all rights but these, as trust.ParseScope reads
// them; an empty list is no right at all. Joining a router that does not confirm
// that it enforces them fails with a *NotLoweredError.
func WithScopes(scopes []string) Option {
	return func(j *joining) { j.lowered, j.scopes = true, scopes }
}

// NotLoweredError says that a router would have given a session more rights than
// the session asked for.
type NotLoweredError struct {
	Scopes []string // that the session asked for
	Echo   any      // what WELCOME has in their place, nil if nothing
}

// Error says what the router answered.
func (e *NotLoweredError) Error() string {
	asked := strings.Join(e.Scopes, ",")
	if e.Echo == nil {
		return fmt.Sprintf("the router does not limit this session to the scopes %q: it would have every right", asked)
	}
	return fmt.Sprintf("the router limits this session to other scopes than %q: %v", asked, e.Echo)
}

// ask puts the scopes into the details of HELLO.
func (j *joining) ask(details wamp.Dict) {
	if !j.lowered {
		return
	}
	list := wamp.List{}
	for _, s := range j.scopes {
		list = append(list, s)
	}
	details[wire.ScopesKey] = list
}

// confirm checks that the router enforces the scopes, and leaves it if not.
func (j *joining) confirm(ctx context.Context, link Link, welcome *wamp.Welcome) error {
	if !j.lowered {
		return nil
	}
	echo := welcome.Details[wire.ScopesKey]
	list, isList := wamp.AsList(echo)
	more := slices.ContainsFunc(list, func(v any) bool {
		s, _ := wamp.AsString(v)
		return !slices.Contains(j.scopes, s)
	})
	if echo != nil && isList && !more { // nil passes for a list
		return nil
	}
	_ = link.Send(ctx, &wamp.Goodbye{Reason: wamp.CloseNormal, Details: wamp.Dict{}})
	return &NotLoweredError{j.scopes, echo}
}
