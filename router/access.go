package router

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// Identity is who the other end of a session is. It comes from the
// connection, never from what the peer says about itself.
type Identity struct {
	AuthID string // "uid:1000", or the id of a device
	Role   string
	Method string   // WAMP authmethod
	Device trust.ID // of a paired device, else zero
}

// Roles.
const (
	roleDaemon = "daemon" // the daemon's own sessions
	roleOwner  = "owner"  // who runs the daemon, and root
	roleDevice = "device" // a paired machine
	roleGuest  = "guest"  // whoever proves nothing
)

// transportDetails hands an identity to nexus, under the one key of the
// session's details that nexus shows to nobody.
func (id Identity) transportDetails() wamp.Dict {
	return wamp.Dict{"auth": wamp.Dict{"identity": id}}
}

// authenticator tells nexus the identity that the connection has established.
type authenticator struct{ method string }

func (a authenticator) AuthMethod() string { return a.method }

func (a authenticator) Authenticate(_ wamp.ID, details wamp.Dict, _ wamp.Peer) (*wamp.Welcome, error) {
	auth := wamp.DictChild(wamp.DictChild(details, "transport"), "auth")
	id, ok := auth["identity"].(Identity)
	if !ok || id.Method != a.method {
		return nil, errors.New("the connection has no identity")
	}
	return &wamp.Welcome{Details: wamp.Dict{
		"authid": id.AuthID, "authrole": id.Role, "authprovider": "dconn",
	}}, nil
}

// rule is what a role may not use in one kind of message.
type rule struct {
	reserved []string // a URI, or with a dot at its end everything below it
	why      string
}

// policy says what no role but others may use, whatever is granted to a device. A
// subscription by a pattern is one to all that could match.
var policy = map[string]map[wamp.MessageType]rule{
	roleDaemon: {},
	roleOwner: {
		wamp.REGISTER: {[]string{wire.Namespace, wire.Meta}, "only the daemon registers org.deskconn.* and wamp.*"},
		wamp.PUBLISH:  {[]string{wire.Meta}, "only the router publishes wamp.*"},
	},
	roleDevice: ownersOnly,
	roleGuest:  ownersOnly,
}

var ownersOnly = map[wamp.MessageType]rule{
	wamp.REGISTER:  {[]string{wire.Namespace, wire.Meta}, "only the daemon registers org.deskconn.* and wamp.*"},
	wamp.PUBLISH:   {[]string{wire.Namespace, wire.Meta}, "only the daemon publishes org.deskconn.* and wamp.*"},
	wamp.CALL:      {[]string{wire.Meta, wire.Status, wire.Pair, wire.Announce, wire.Discover}, "only the owner of this daemon calls it"},
	wamp.SUBSCRIBE: {[]string{wire.Meta}, "only the owner of this daemon subscribes to wamp.*, or to what could match it"},
}

// rights are what one session may do: by its identity, which the connection has
// established, and by the scopes to which it has lowered its own rights at HELLO.
type rights struct {
	devices *devices
	who     Identity
	lowered bool
	scopes  trust.Scopes // that it kept, where lowered
}

// lower keeps of the rights what v, a list of scopes, allows; nil keeps them all.
func (r *rights) lower(v any) error {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return wire.Errorf(wire.ErrInvalidArgument, "%s must be a list of scopes, got %T", wire.ScopesKey, v)
	}
	if len(list) > maxLowered {
		return wire.Errorf(wire.ErrInvalidArgument, "%s has at most %d scopes, got %d", wire.ScopesKey, maxLowered, len(list))
	}
	r.lowered = true
	for _, e := range list {
		text, _ := e.(string)
		scope, err := trust.ParseScope(text)
		if err != nil {
			return wire.Errorf(wire.ErrInvalidArgument, "%v", err)
		}
		r.scopes = append(r.scopes, scope)
	}
	return nil
}

// maxLowered is how many scopes a session may list at HELLO.
const maxLowered = 64

// list is the scopes that the session kept, as they travel.
func (r *rights) list() []any { return anyOf(r.scopes) }

// check is nil where the session may send msg. It may look at a disk.
func (r *rights) check(msg wamp.Message) error {
	role := r.who.Role
	rules, known := policy[role]
	uri, match := subject(msg)
	if !known || role == roleGuest && !r.devices.all { // nobody is one outside of tests
		return fmt.Errorf("%q is not for a peer that proves nothing", uri)
	}
	if r.lowered {
		rules = ownersOnly
	}
	action := actions[msg.MessageType()]
	rule := rules[msg.MessageType()]
	for _, space := range rule.reserved {
		if covers(space, uri, match) {
			return fmt.Errorf("%q is reserved: %s", uri, rule.why)
		}
	}
	switch {
	case role == roleDevice && action == trust.Register && match != wamp.MatchExact:
		return fmt.Errorf("%q is a pattern: a device registers exact URIs only", uri)
	case role == roleDevice && !r.devices.grants(r.who.Device, action, uri, match):
		r.deny(action, uri)
		return fmt.Errorf("%q is not granted to this device", uri)
	case r.lowered && !r.kept(action, uri, match):
		r.deny(action, uri)
		return fmt.Errorf("%q is not granted to this session, which has lowered its rights", uri)
	}
	return nil
}

// deny has a denial noted in the audit log.
func (r *rights) deny(action trust.Action, uri string) {
	scopes := make([]string, len(r.scopes))
	for i, s := range r.scopes {
		scopes[i] = string(s)
	}
	r.devices.refuse(denial{r.who.AuthID, action, uri, strings.Join(scopes, ",")})
}

// kept reports whether a lowered session has kept the right to an action.
func (r *rights) kept(action trust.Action, uri, match string) bool {
	return action == trust.Call && uri == wire.Describe || r.scopes.Allow(action, uri, match)
}

// shows reports whether the session may know of an entry of the catalogue.
func (r *rights) shows(entry map[string]any) bool {
	action := trust.Call
	if entry["kind"] == "topic" {
		action = trust.Subscribe
	}
	uri, _ := entry["uri"].(string)
	return (r.who.Role != roleDevice || r.devices.grants(r.who.Device, action, uri, wamp.MatchExact)) &&
		(!r.lowered || r.kept(action, uri, wamp.MatchExact))
}

// ownersName is whom a procedure belongs to that a session of the owner, or of the
// daemon, has registered.
const ownersName = "owner"

// owner is whom the procedures belong to that the session registers.
func (r *rights) owner() string {
	if r.who.Role == roleDevice && !r.devices.all {
		return r.who.AuthID
	}
	return ownersName
}

// shares reports whether a device may join a registration of somebody else.
func (r *rights) shares(procedure wamp.URI) bool {
	return r.devices.grants(r.who.Device, trust.Share, string(procedure), wamp.MatchExact)
}

// rightsOf are those of the session that made a call to the daemon, as the dealer says
// them: the session itself may have left.
func (d *devices) rightsOf(call *session.Invocation) rights {
	r := rights{devices: d, who: Identity{AuthID: call.AuthID, Role: call.AuthRole}}
	r.who.Device, _ = trust.ParseID(call.AuthID)
	if call.Scopes != nil {
		_ = r.lower(call.Scopes) // they were read at HELLO
	}
	return r
}

// actions are the messages that a device needs a scope for.
var actions = map[wamp.MessageType]trust.Action{
	wamp.CALL: trust.Call, wamp.REGISTER: trust.Register, wamp.PUBLISH: trust.Publish, wamp.SUBSCRIBE: trust.Subscribe,
}

// subject is the URI that a message is about, and how it is compared.
func subject(msg wamp.Message) (uri, match string) {
	switch m := msg.(type) {
	case *wamp.Register:
		return string(m.Procedure), matchOf(m.Options)
	case *wamp.Publish:
		return string(m.Topic), wamp.MatchExact
	case *wamp.Call:
		return string(m.Procedure), wamp.MatchExact
	case *wamp.Subscribe:
		return string(m.Topic), matchOf(m.Options)
	}
	return "", wamp.MatchExact
}

func matchOf(options wamp.Dict) string {
	if match, ok := options["match"].(string); ok {
		return match
	}
	return wamp.MatchExact
}

// covers reports whether uri, or something that it could match, is in a space:
// a URI, or with a dot at its end all that is below it and its name as well.
func covers(space, uri, match string) bool {
	switch match {
	case wamp.MatchPrefix:
		return strings.HasPrefix(space, uri) || within(space, uri)
	case wamp.MatchWildcard:
		mine, theirs := strings.Split(strings.TrimSuffix(space, "."), "."), strings.Split(uri, ".")
		for i := range min(len(mine), len(theirs)) {
			if theirs[i] != "" && theirs[i] != mine[i] {
				return false
			}
		}
		return true
	}
	return within(space, uri)
}

// within reports whether uri is in a space.
func within(space, uri string) bool {
	name := strings.TrimSuffix(space, ".")
	return uri == name || name != space && strings.HasPrefix(uri, space)
}
