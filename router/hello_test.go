package router

import (
	"fmt"
	"os"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func TestHello(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		other := b.link(c)
		b.send(other, &wamp.Hello{Realm: "realm1", Details: everyRole})
		b.aborted(other, wire.ErrNoSuchRealm)
		old := b.link(c)
		b.send(old, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": wamp.Dict{}, wire.ProtocolKey: 99}})
		b.aborted(old, wire.ErrProtocolViolation)
		rude := b.link(c)
		b.send(rude, &wamp.Call{Request: 1, Procedure: "a.b"})
		b.aborted(rude, wire.ErrProtocolViolation)
		twice := b.raw(c, everyRole)
		b.send(twice, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		b.aborted(twice, wire.ErrProtocolViolation)
		odd := b.raw(c, everyRole)
		b.send(odd, &wamp.Welcome{ID: 1})
		b.aborted(odd, wire.ErrProtocolViolation)
	})
}

// Who a peer is comes from the kernel, whatever HELLO says.
func TestHelloPlantsNothing(t *testing.T) {
	b := start(t)
	conn := b.link(transport.CBOR)
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{
		"roles": everyRole["roles"], "authid": "daemon", "authrole": "daemon", "authmethods": wamp.List{"anonymous"},
		"transport": wamp.Dict{"auth": wamp.Dict{"identity": "x"}}, "session": 1, "x": "y",
	}})
	welcome := b.receive(conn).(*wamp.Welcome)
	want := fmt.Sprintf("uid:%d", os.Geteuid())
	if welcome.Details["authid"] != want || welcome.Details["authrole"] != roleOwner || welcome.Details["authmethod"] != wire.AuthPeerCred {
		t.Errorf("WELCOME %v", welcome.Details)
	}
	result, err := b.join(transport.CBOR).Call(b.ctx(), "wamp.session.get", []any{welcome.ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	details := result.Args[0].(map[string]any)
	if details["authid"] != want || details["x"] != nil || details["session"] != int64(welcome.ID) {
		t.Errorf("session details %v", details)
	}
}

// A HELLO of junk is answered or ends its connection, and nothing else.
func TestJunkHello(t *testing.T) {
	b := start(t)
	for _, v := range junk {
		for _, details := range []wamp.Dict{
			{"roles": v}, {"roles": wamp.Dict{"caller": v}}, {"roles": wamp.Dict{"caller": wamp.Dict{"features": v}}},
			{"roles": wamp.Dict{"caller": wamp.Dict{}}, "authmethods": v, "agent": v, "authextra": v, wire.ProtocolKey: v},
		} {
			conn := b.link(transport.CBOR)
			b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: details})
			switch m := b.receive(conn).(type) {
			case *wamp.Welcome, *wamp.Abort:
			default:
				t.Errorf("HELLO %v was answered with %s", details, m.MessageType())
			}
			conn.Abandon()
			drain(conn)
		}
	}
	b.alive()
}
