package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deskconn/dconn/router/wire"
)

// Action is what a device does with a URI.
type Action string

// The actions that a scope may allow.
const (
	Call      Action = "call"
	Register  Action = "register"
	Publish   Action = "publish"
	Subscribe Action = "subscribe"
)

var actions = []Action{Call, Register, Publish, Subscribe}

// Scope is one thing that a device may do here: the name of a capability, which
// is to call it and to hear its events, or an action, a colon, and a URI, below
// which everything is meant as well.
type Scope string

// ParseScope checks the form of a scope. What nobody but the daemon or its owner
// may do cannot be given away.
func ParseScope(text string) (Scope, error) {
	action, uri, hasAction := strings.Cut(text, ":")
	switch {
	case !hasAction && isWord(text):
		return Scope(text), nil
	case !hasAction:
		return "", fmt.Errorf("not a scope: %q is neither a capability nor an action with a URI, as in call:org.example", text)
	case !slices.Contains(actions, Action(action)):
		return "", fmt.Errorf("not a scope: %q begins with neither call, register, publish nor subscribe", text)
	}
	uri = wire.Expand(uri)
	if err := wire.CheckURI(uri); err != nil {
		return "", fmt.Errorf("not a scope: %q: %w", text, err)
	}
	owns := Action(action) == Register || Action(action) == Publish
	switch {
	case uri == "wamp" || wire.IsMeta(uri):
		return "", fmt.Errorf("%q cannot be given: wamp.* belongs to the router and its owner", text)
	case owns && (wire.Reserved(uri) || strings.HasPrefix(wire.Namespace, uri+".")):
		return "", fmt.Errorf("%q cannot be given: only the daemon registers and publishes org.deskconn.*", text)
	}
	return Scope(action + ":" + uri), nil
}

// isWord reports whether text has the form of a capability's name.
func isWord(text string) bool {
	for i, r := range text {
		if (r < 'a' || r > 'z') && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return text != "" && len(text) <= 64
}

// Capability is the name of the capability that the scope is, "" if it is an
// action.
func (s Scope) Capability() string {
	if strings.Contains(string(s), ":") {
		return ""
	}
	return string(s)
}

// allows reports whether the scope covers all that uri means by match.
func (s Scope) allows(action Action, uri, match string) bool {
	mine, below, isAction := strings.Cut(string(s), ":")
	if !isAction {
		return (action == Call || action == Subscribe) && Inside(wire.Namespace+string(s), uri, match)
	}
	return Action(mine) == action && Inside(below, uri, match)
}

// Scopes are what a device may do.
type Scopes []Scope

// Allow reports whether one of them covers all that uri means by match, which is
// exact, prefix or wildcard.
func (s Scopes) Allow(action Action, uri, match string) bool {
	return slices.ContainsFunc(s, func(one Scope) bool { return one.allows(action, uri, match) })
}

// Within reports whether other has all of s, by the same words.
func (s Scopes) Within(other Scopes) bool {
	return !slices.ContainsFunc(s, func(one Scope) bool { return !slices.Contains(other, one) })
}

// Inside reports whether all that uri means by match is space, or below it: a.b is
// below a, and a.bc is not below a.b. A pattern is inside where nothing else could
// match it.
func Inside(space, uri, match string) bool {
	switch match {
	case "prefix": // compared without a look at the dots, WAMP section "Pattern-based Subscriptions"
		return strings.HasPrefix(uri, space+".")
	case "wildcard":
		mine, theirs := strings.Split(space, "."), strings.Split(uri, ".")
		return len(theirs) >= len(mine) && slices.Equal(mine, theirs[:len(mine)])
	case "exact", "":
		return uri == space || strings.HasPrefix(uri, space+".")
	}
	return false
}

// ScopeFor is the smallest scope that people would name to allow an action.
func ScopeFor(action Action, uri string) Scope {
	if rest, ours := strings.CutPrefix(uri, wire.Namespace); ours && (action == Call || action == Subscribe) {
		if name, _, more := strings.Cut(rest, "."); more && isWord(name) {
			return Scope(name)
		}
	}
	return Scope(string(action) + ":" + uri)
}
