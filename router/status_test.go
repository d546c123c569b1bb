package router

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// The status shows each session with what it has open and has carried.
func TestStatusOfSessions(t *testing.T) {
	b := start(t)
	owner := b.join(transport.CBOR)
	conn := b.raw(transport.MsgPack, wamp.Dict{"roles": everyRole["roles"], "agent": "some/1"})
	b.send(conn, &wamp.Register{Request: 1, Procedure: "org.t.r"}, &wamp.Subscribe{Request: 2, Topic: "org.t.s"})
	b.receive(conn)
	b.receive(conn)
	b.send(conn, &wamp.Call{Request: 3, Procedure: "org.deskconn.test.slow"})
	b.send(conn, &wamp.Call{Request: 4, Procedure: "org.deskconn.test.set", Arguments: wamp.List{1}})
	b.receive(conn) // the other call has arrived before

	rows := b.status(owner, "sessions")
	if len(rows) != 2 {
		t.Fatalf("got %v, want two sessions", rows)
	}
	row := rows[1]
	for key, want := range map[string]any{
		"agent": "some/1", "authid": b.router.ledger.joined()[1].identity.AuthID, "transport": "unix", "serializer": "msgpack",
		"messages_in": int64(5), "messages_out": int64(4), "queue": int64(0),
		"calls": int64(1), "registrations": int64(1), "subscriptions": int64(1), "rate_in": 0.0, "rate_out": 0.0,
	} {
		if row[key] != want {
			t.Errorf("%s is %#v, want %#v", key, row[key], want)
		}
	}
	for _, key := range []string{"id", "bytes_in", "bytes_out"} {
		if n, _ := row[key].(int64); n < 100 {
			t.Errorf("%s is %v", key, row[key])
		}
	}
	if since, err := time.Parse(time.RFC3339, row["since"].(string)); err != nil || time.Since(since) > time.Minute {
		t.Errorf("since is %v: %v", row["since"], err)
	}
}

func TestStatusOfDaemon(t *testing.T) {
	opts := DefaultOptions()
	opts.Name, opts.Version, opts.Log = "desk", "1.2", start(t).router.log
	b := startWith(t, opts)
	b.router.Rename("kitchen")
	result, err := b.join(transport.CBOR).Call(b.ctx(), wire.Status, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	daemon := result.Args[0].(map[string]any)["daemon"].(map[string]any)
	for key, want := range map[string]any{
		"name": "kitchen", "version": "1.2", "pid": int64(os.Getpid()), "sessions": int64(1), "connects": int64(1), "waiting": int64(0),
	} {
		if daemon[key] != want {
			t.Errorf("%s is %#v, want %#v", key, daemon[key], want)
		}
	}
	if _, err := b.join(transport.CBOR).Call(b.ctx(), wire.Status, []any{1}, nil); err == nil {
		t.Error("an argument is taken")
	}
}

// A session is named by how it came, and what is no session yet is counted.
func TestStatusOfStreet(t *testing.T) {
	s := onStreet(t, patientDoor())
	owner := s.join(transport.CBOR)
	s.visit("127.0.0.1", transport.CBOR)
	s.send(s.surf(transport.JSON), &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	s.walk("127.0.0.1", rawHello)
	s.await(owner, "sessions", "transport", "tcp", "calls", 0)
	s.await(owner, "sessions", "transport", "ws", "calls", 0)
	result, err := owner.Call(s.ctx(), wire.Status, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	daemon := result.Args[0].(map[string]any)["daemon"].(map[string]any)
	if daemon["sessions"] != int64(3) || daemon["waiting"] != int64(1) {
		t.Errorf("got %v, want 3 sessions and one that waits", daemon)
	}
}

// Every way a session ends has its reason.
func TestEndings(t *testing.T) {
	for reason, leave := range map[string]func(*bench){
		endNormal: func(b *bench) { b.join(transport.CBOR).Leave(b.ctx()) },
		endLost:   func(b *bench) { b.raw(transport.CBOR, everyRole).Abandon() },
		"protocol_violation": func(b *bench) {
			b.send(b.raw(transport.CBOR, everyRole), &wamp.Hello{Realm: wire.Realm})
		},
		"no_such_realm": func(b *bench) { b.send(b.link(transport.CBOR), &wamp.Hello{Realm: "nope"}) },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			leave(b)
			b.await(b.join(transport.CBOR), "ended", "reason", reason, "count", 1)
		})
	}
}

// Whoever is there when the daemon stops, its session ends with the daemon.
func TestEndedByShutdown(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	b.router.Close()
	drain(conn)
	b.router.ledger.mu.Lock()
	defer b.router.ledger.mu.Unlock()
	if n := b.router.ledger.ended[endShutdown]; n != 1 || len(b.router.ledger.open) != 0 {
		t.Errorf("got %v, %d accounts are open; want one %s", b.router.ledger.ended, len(b.router.ledger.open), endShutdown)
	}
}

// A line about a limit names who met it as the connection does. What a peer says about
// itself is in none.
func TestLimitsAreLoggedByAuthID(t *testing.T) {
	var log strings.Builder
	l := newLedger(slog.New(slog.NewTextHandler(&log, nil)))
	a := l.begin(Identity{AuthID: "uid:1000", Role: roleOwner})
	a.hears(&wamp.Hello{Details: wamp.Dict{"agent": "planted", "authid": "planted"}})
	a.welcome(7)
	a.hit(transport.LimitQueue, "too much")
	a.end(over(transport.LimitQueue, "too much again"), false)
	if text := log.String(); !strings.Contains(text, "peer=uid:1000") || strings.Contains(text, "planted") {
		t.Errorf("the log says %q", text)
	}
	for name := range l.hits {
		if name != transport.LimitQueue {
			t.Errorf("a counter is named %q", name)
		}
	}
}
