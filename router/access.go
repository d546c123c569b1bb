package router

import (
	"errors"
	"fmt"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Identity is who the other end of a session is. It comes from the
// connection, never from what the peer says about itself.
type Identity struct {
	AuthID string // "uid:1000"
	Role   string
	Method string // WAMP authmethod
}

// Roles.
const (
	roleDaemon = "daemon" // the daemon's own sessions
	roleOwner  = "owner"  // may do everything that is not the daemon's
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

// authorizer is the policy: who may do what.
type authorizer struct{}

func (authorizer) Authorize(s *wamp.Session, msg wamp.Message) (bool, error) {
	switch s.Details["authrole"] {
	case roleDaemon:
		return true, nil
	case roleOwner:
		return ownerMay(msg)
	}
	return false, nil
}

func ownerMay(msg wamp.Message) (bool, error) {
	switch m := msg.(type) {
	case *wamp.Register:
		if wire.Reserved(string(m.Procedure)) {
			return false, fmt.Errorf("%s is reserved: only the daemon registers %s* and wamp.*", m.Procedure, wire.Namespace)
		}
	case *wamp.Publish:
		if wire.IsMeta(string(m.Topic)) {
			return false, fmt.Errorf("%s is reserved: only the router publishes wamp.*", m.Topic)
		}
	}
	return true, nil
}
