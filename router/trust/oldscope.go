package trust

import (
	"slices"
	"strings"

	"github.com/deskconn/dconn/router/wire"
)

// kept are the capabilities that dconn had while an action could still be granted
// on org.deskconn.*, or on all of org. None of them is sensitive. A scope of that
// time that is still in a store reaches these and no other.
var kept = []string{"brightness", "system"}

// keeps reports whether a device keeps what an old scope allowed on org.deskconn.*.
func keeps(action Action, uri, match string) bool {
	return (action == Call || action == Subscribe) && slices.ContainsFunc(kept, func(name string) bool {
		return Inside(wire.Namespace+name, uri, match)
	})
}

// Old reports whether the scope could not be given any more: an older dconn wrote
// it, or somebody with an editor.
func (s Scope) Old() bool {
	_, err := ParseScope(string(s))
	return err != nil
}

// InForce says what a scope allows, in scopes that cover what they say and, unless
// they name it, nothing of org.deskconn.*. Of a scope that is not old that is itself.
func (s Scope) InForce() (list Scopes) {
	if !s.Old() {
		return Scopes{s}
	}
	action, below, _ := strings.Cut(string(s), ":")
	if !slices.Contains(actions, Action(action)) || below == "wamp" || wire.IsMeta(below) {
		return nil
	}
	if !wire.Reserved(below) {
		list = append(list, s)
	}
	for _, name := range kept {
		space := wire.Namespace + name
		switch {
		case !keeps(Action(action), space, "exact"):
		case Inside(below, space, "exact"):
			list = append(list, Scope(action+":"+space))
		case Inside(space, below, "exact"):
			list = append(list, s)
		}
	}
	return list
}

// InForce is what all of them allow: see Scope.InForce.
func (s Scopes) InForce() (list Scopes) {
	for _, one := range s {
		for _, now := range one.InForce() {
			if !slices.Contains(list, now) {
				list = append(list, now)
			}
		}
	}
	return list
}

// Old are those of them that are old.
func (s Scopes) Old() Scopes {
	return slices.DeleteFunc(slices.Clone(s), func(one Scope) bool { return !one.Old() })
}

// Names are the capabilities that an old scope reaches: granting them by name leaves
// it with nothing of org.deskconn.* to add.
func (s Scope) Names() (list Scopes) {
	for _, name := range kept {
		for _, now := range s.InForce() {
			_, uri, _ := strings.Cut(string(now), ":")
			if Inside(wire.Namespace+name, uri, "exact") && !slices.Contains(list, Scope(name)) {
				list = append(list, Scope(name))
			}
		}
	}
	return list
}
