package router

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	gorilla "github.com/gorilla/websocket"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// surf is a websocket on which nothing was said yet.
func (s *street) surf(c transport.Codec) *transport.Conn {
	s.t.Helper()
	conn, err := transport.DialWebsocket(s.ctx(), s.walk("127.0.0.1", ""), "ws://"+s.address+websocketPath, c, transport.DefaultLimits())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	return conn
}

// A websocket is a peer like any other, with the same limits at the door.
func TestWebsocketPeer(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		s := onStreet(t, patientDoor())
		conn := s.surf(c)
		s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		welcome, ok := s.receive(conn).(*wamp.Welcome)
		if !ok || welcome.Details["authrole"] != roleGuest || welcome.Details["authid"] != "tcp:127.0.0.1" {
			t.Fatalf("got %+v", welcome)
		}
		s.emptied() // who has joined waits no more
		s.answers(conn)
		s.refused(conn, &wamp.Call{Request: 2, Procedure: "wamp.session.list"}, wire.ErrNotAuthorized)
		s.send(conn, &wamp.Call{Request: 3, Procedure: "org.t.none", Arguments: wamp.List{strings.Repeat("x", 1<<20)}})
		if e, ok := s.receive(conn).(*wamp.Error); !ok || e.Error != wire.ErrNoSuchProcedure {
			t.Errorf("a long message after WELCOME: %+v", e)
		}
		long := s.surf(c)
		s.send(long, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": everyRole["roles"], "x": strings.Repeat("x", 9<<10)}})
		s.aborted(long, wire.ErrLimit)
	})
}

// After the upgrade the deadline still holds, and is said as WAMP says it.
func TestWebsocketDeadline(t *testing.T) {
	lim := patientDoor()
	lim.Deadline = 300 * time.Millisecond
	s := onStreet(t, lim)
	conn := s.surf(transport.JSON)
	abort, ok := s.receive(conn).(*wamp.Abort)
	if message, _ := abort.Details["message"].(string); !ok || abort.Reason != wire.ErrLimit || !strings.Contains(message, "door_deadline") {
		t.Errorf("got %+v", abort)
	}
}

// upgradeHead is that of a websocket, but for its subprotocol.
const upgradeHead = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

func TestWebsocketRefused(t *testing.T) {
	s := onStreet(t, patientDoor())
	upgrade := "GET /ws HTTP/1.1\r\n" + upgradeHead
	for _, c := range []struct {
		request string
		status  int
	}{
		{upgrade + "Host: " + s.address + "\r\n", http.StatusBadRequest}, // no subprotocol
		{upgrade + "Host: " + s.address + "\r\nSec-WebSocket-Protocol: wamp.2.flatbuffers\r\n", http.StatusBadRequest},
		{upgrade + "Host: attacker.example\r\nSec-WebSocket-Protocol: wamp.2.json\r\n", http.StatusForbidden},
		{upgrade + "Host: " + s.address + "\r\nOrigin: http://attacker.example\r\nSec-WebSocket-Protocol: wamp.2.json\r\n", http.StatusForbidden},
		{"GET /ws HTTP/1.1\r\nHost: " + s.address + "\r\n", http.StatusBadRequest},
		{"POST /ws HTTP/1.1\r\nHost: " + s.address + "\r\n", http.StatusBadRequest},
	} {
		got := s.hears(s.walk("127.0.0.1", c.request+"\r\n"))
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%q gets %q, want %d", c.request, got, c.status)
		}
	}
	own := upgrade + "Host: " + s.address + "\r\nOrigin: http://" + s.address + "\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
	nc := s.walk("127.0.0.1", own)
	answer := make([]byte, 12)
	if _, err := nc.Read(answer); err != nil || string(answer) != "HTTP/1.1 101" {
		t.Errorf("a page of our own gets %q, %v", answer, err)
	}
}

// A page is told that the daemon goes down, by GOODBYE and by the close code.
func TestWebsocketGoingAway(t *testing.T) {
	s := onStreet(t, patientDoor())
	d := gorilla.Dialer{Subprotocols: []string{"wamp.2.json"}}
	ws, resp, err := d.DialContext(s.ctx(), "ws://"+s.address+websocketPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = resp.Body.Close(), ws.Close() }()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	_ = ws.WriteMessage(gorilla.TextMessage, []byte(`[1,"deskconn",{"roles":{"caller":{}}}]`))
	if _, b, err := ws.ReadMessage(); err != nil || !strings.HasPrefix(string(b), "[2,") {
		t.Fatalf("got %s, %v, want WELCOME", b, err)
	}
	go s.router.Close()
	if _, b, err := ws.ReadMessage(); err != nil || !strings.Contains(string(b), "wamp.close.system_shutdown") {
		t.Errorf("got %s, %v, want GOODBYE", b, err)
	}
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
		t.Errorf("got %v, want 1001", err)
	}
}
