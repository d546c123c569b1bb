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
	Share     Action = "share" // to join a registration of somebody else
)

var actions = []Action{Call, Register, Publish, Subscribe, Share}

// Scope is one thing that a device may do here: the name of a capability, which
// is to call it and to hear its events, or an action, a colon, and a URI, below
// which everything is meant as well. An action covers nothing of org.deskconn.*:
// a capability is granted by its name only.
type Scope string

// minParts is how many parts the URI of a scope has at least: one of a single part
// is most of what there is.
const minParts = 2

// ScopeError says why a text is no scope that can be given.
type ScopeError struct {
	Text, Why string
	Instead   Scope // the scope to give instead, "" if there is none
}

// Error says the text, and what is wrong with it.
func (e *ScopeError) Error() string { return fmt.Sprintf("%q cannot be given: %s", e.Text, e.Why) }

// ParseScope checks the form of a scope. What belongs to the daemon or its owner
// cannot be given away. Its error is a *ScopeError.
func ParseScope(text string) (Scope, error) {
	refuse := func(format string, a ...any) (Scope, error) {
		return "", &ScopeError{Text: text, Why: fmt.Sprintf(format, a...)}
	}
	action, uri, hasAction := strings.Cut(text, ":")
	switch {
	case !hasAction && isWord(text):
		return Scope(text), nil
	case !hasAction:
		return refuse("it is neither a capability nor an action with a URI, as in call:org.example")
	case !slices.Contains(actions, Action(action)):
		return refuse("it begins with neither call, register, publish, subscribe nor share")
	}
	uri = wire.Expand(uri)
	if err := wire.CheckURI(uri); err != nil {
		return refuse("%v", err)
	}
	parts := strings.Count(uri, ".") + 1
	switch {
	case uri == "wamp" || wire.IsMeta(uri):
		return refuse("wamp.* belongs to the router and its owner")
	case wire.Reserved(uri):
		return "", reserved(text, Action(action), uri)
	case parts < minParts:
		return refuse("the URI of a scope must have %d parts at least, as in %s:%s.example, got %d", minParts, action, uri, parts)
	}
	return Scope(action + ":" + uri), nil
}

// reserved refuses an action on org.deskconn.*.
func reserved(text string, action Action, uri string) error {
	if action == Register || action == Publish || action == Share {
		return &ScopeError{Text: text, Why: "only the daemon registers and publishes org.deskconn.*"}
	}
	rest, _ := strings.CutPrefix(uri+".", wire.Namespace)
	name, _, _ := strings.Cut(rest, ".")
	if !isWord(name) {
		return &ScopeError{Text: text, Why: "org.deskconn.* is granted by capability name, as in brightness"}
	}
	return &ScopeError{text, "org.deskconn.* is granted by capability name: " + name, Scope(name)}
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
	switch {
	case !isAction:
		return isWord(mine) && (action == Call || action == Subscribe) && Inside(wire.Namespace+mine, uri, match)
	case Action(mine) != action || !Inside(below, uri, match):
		return false
	}
	return !reachesOurs(uri, match) || keeps(action, uri, match) // such a scope is an old one
}

// reachesOurs reports whether uri, by match, means anything of org.deskconn.*.
func reachesOurs(uri, match string) bool {
	switch match {
	case "prefix":
		return strings.HasPrefix(wire.Namespace, uri) || strings.HasPrefix(uri, wire.Namespace)
	case "wildcard":
		parts := strings.Split(uri, ".")
		return len(parts) >= 2 && (parts[0] == "" || parts[0] == "org") && (parts[1] == "" || parts[1] == "deskconn")
	}
	return uri+"." == wire.Namespace || strings.HasPrefix(uri, wire.Namespace)
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

// ScopeFor is the smallest scope that people would name to allow an action, "" if
// no scope allows it.
func ScopeFor(action Action, uri string) Scope {
	if rest, ours := strings.CutPrefix(uri, wire.Namespace); ours && (action == Call || action == Subscribe) {
		if name, _, more := strings.Cut(rest, "."); more && isWord(name) {
			return Scope(name)
		}
		return ""
	}
	scope, _ := ParseScope(string(action) + ":" + uri)
	return scope
}
