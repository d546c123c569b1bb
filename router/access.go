package router

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

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

// authorizer applies the policy, then what is granted to a device.
type authorizer struct {
	audience *audience
	devices  *devices
}

// Authorize implements nexus.Authorizer.
func (a authorizer) Authorize(s *wamp.Session, msg wamp.Message) (bool, error) {
	who := Identity{}
	who.Role, _ = s.Details["authrole"].(string)
	if who.Role == roleDevice {
		if g := a.audience.find(s.ID); g != nil { // it may have left
			who.Device = g.identity.Device
		}
	}
	err := a.judge(who, msg)
	return err == nil, err
}

// judge is nil where who may send msg.
func (a authorizer) judge(who Identity, msg wamp.Message) error {
	rules, known := policy[who.Role]
	uri, match := subject(msg)
	if !known || who.Role == roleGuest && !a.devices.all { // nobody is one outside of tests
		return fmt.Errorf("%q is not for whoever proves nothing", uri)
	}
	r := rules[msg.MessageType()]
	for _, space := range r.reserved {
		if covers(space, uri, match) {
			return fmt.Errorf("%q is reserved: %s", uri, r.why)
		}
	}
	if who.Role != roleDevice {
		return nil
	}
	action, isAction := actions[msg.MessageType()]
	if isAction && (who.Device == trust.ID{} || !a.devices.allow(who, action, uri, match)) {
		return fmt.Errorf("%q is not granted to this device", uri)
	}
	return nil
}

// actions are the messages that a device needs a scope for.
var actions = map[wamp.MessageType]trust.Action{
	wamp.CALL: trust.Call, wamp.REGISTER: trust.Register, wamp.PUBLISH: trust.Publish, wamp.SUBSCRIBE: trust.Subscribe,
}

// subject is the URI that a message is about, and how it is compared.
func subject(msg wamp.Message) (uri, match string) {
	switch m := msg.(type) {
	case *wamp.Register:
		return string(m.Procedure), wamp.MatchExact
	case *wamp.Publish:
		return string(m.Topic), wamp.MatchExact
	case *wamp.Call:
		return string(m.Procedure), wamp.MatchExact
	case *wamp.Subscribe:
		match, _ = m.Options["match"].(string)
		return string(m.Topic), match
	}
	return "", wamp.MatchExact
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
