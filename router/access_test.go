package router

import (
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

func TestPolicy(t *testing.T) {
	subscribe := func(topic wamp.URI, match string) wamp.Message {
		return &wamp.Subscribe{Topic: topic, Options: wamp.Dict{"match": match}}
	}
	for _, c := range []struct {
		msg           wamp.Message
		owner, device bool
	}{
		{&wamp.Call{Procedure: wire.Describe}, true, true},
		{&wamp.Call{Procedure: "org.deskconn.brightness.set"}, true, true},
		{&wamp.Call{Procedure: "org.x.y"}, true, true},
		{&wamp.Call{Procedure: "wamp.session.list"}, true, false},
		{&wamp.Call{Procedure: "wamp"}, true, false},
		{&wamp.Call{Procedure: "wampx.session"}, true, true},
		{&wamp.Call{Procedure: "org.deskconn.status"}, true, false},
		{&wamp.Call{Procedure: "org.deskconn.status.x"}, true, true},
		{&wamp.Call{Procedure: "org.deskconn.pair"}, true, false},
		{&wamp.Register{Procedure: "org.x.y"}, true, true},
		{&wamp.Register{Procedure: "org.deskconn"}, false, false},
		{&wamp.Register{Procedure: "org.deskconn.x"}, false, false},
		{&wamp.Register{Procedure: "org.deskconnx.x"}, true, true},
		{&wamp.Register{Procedure: "wamp.x"}, false, false},
		{&wamp.Publish{Topic: "org.x.y"}, true, true},
		{&wamp.Publish{Topic: "org.deskconn.brightness.on_changed"}, true, false},
		{&wamp.Publish{Topic: "wamp.session.on_join"}, false, false},
		{subscribe("org.x.y", "exact"), true, true},
		{subscribe("org.deskconn.brightness.on_changed", "exact"), true, true},
		{subscribe("wamp.session.on_join", "exact"), true, false},
		{subscribe("org.", "prefix"), true, true},
		{subscribe("wax", "prefix"), true, true},
		{subscribe("", "prefix"), true, false},
		{subscribe("wa", "prefix"), true, false},
		{subscribe("wamp", "prefix"), true, false},
		{subscribe("wamp.session.on_j", "prefix"), true, false},
		{subscribe("org..on_changed", "wildcard"), true, true},
		{subscribe("wamp..on_join", "wildcard"), true, false},
		{subscribe("..on_join", "wildcard"), true, false},
		{subscribe("", "wildcard"), true, false},
		{&wamp.Register{Procedure: "org.", Options: wamp.Dict{"match": "prefix"}}, false, false},
		{&wamp.Register{Procedure: "org.x.", Options: wamp.Dict{"match": "prefix"}}, true, true},
		{&wamp.Register{Procedure: "org..x", Options: wamp.Dict{"match": "wildcard"}}, false, false},
		{&wamp.Register{Procedure: "org.x.", Options: wamp.Dict{"match": "wildcard"}}, true, true},
	} {
		for role, want := range map[string]bool{roleDaemon: true, roleOwner: c.owner, roleGuest: c.device, "": false, "trusted": false} {
			r := rights{devices: newDevices(&Options{admitAll: true}), who: Identity{Role: role}}
			if why := r.check(c.msg); why == nil != want {
				t.Errorf("%q may %s %+v: %v, want %v", role, c.msg.MessageType(), c.msg, why, want)
			}
		}
	}
}

// A pattern that nexus would match with a reserved topic is refused.
func TestPatternsOfDevices(t *testing.T) {
	topics := []wamp.URI{"wamp.session.on_join", "wamp.registration.on_create", "wamp.a", "wamp.a.b.c.d"}
	patterns := []wamp.URI{"", ".", "..", "...", "w", "wamp", "wamp.", ".a", "wamp.a", "wamp.a.", "..on_join", "wamp..on_join", "wamp.session.", "org", "org.", "org..", "wampx", "....d"}
	for _, topic := range topics {
		for _, p := range patterns {
			if topic.PrefixMatch(p) && !covers(wire.Meta, string(p), "prefix") {
				t.Errorf("the prefix %q matches %s and is allowed", p, topic)
			}
			if topic.WildcardMatch(p) && !covers(wire.Meta, string(p), "wildcard") {
				t.Errorf("the pattern %q matches %s and is allowed", p, topic)
			}
		}
	}
}
