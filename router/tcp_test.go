package router

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func TestListenTCP(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.0.0.2:0", ":0", "0.0.0.0:0"} {
		ln, err := ListenTCP(address, 5)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = ln.Close()
	}
	for _, address := range []string{"tcp://127.0.0.1:0", "localhost:5020", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", ":x", ":", "", "none", "::1:80", "pi:1"} {
		ln, err := ListenTCP(address, 5)
		refused, ok := errors.AsType[*AddressError](err)
		if !ok || refused.Address != address {
			t.Errorf("%q: %v", address, err)
		}
		if err == nil {
			_ = ln.Close()
		}
	}
}

// A port that is taken leads to the next, no further than asked for.
func TestListenTCPNext(t *testing.T) {
	var held []net.Listener
	defer func() {
		for _, ln := range held {
			_ = ln.Close()
		}
	}()
	first, err := ListenTCP("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	held = append(held, first)
	port := first.Addr().(*net.TCPAddr).Port
	if port > 65000 {
		t.Skip("no room above the port")
	}
	if ln, err := ListenTCP(first.Addr().String(), 0); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the same port again: %v, %v", ln, err)
	}
	for last := port; last < port+3; {
		ln, err := ListenTCP(first.Addr().String(), 100)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, ln)
		got := ln.Addr().(*net.TCPAddr).Port
		if got <= last || got > port+100 {
			t.Errorf("after %d comes %d", last, got)
		}
		last = got
	}
	if ln, err := ListenTCP(first.Addr().String(), 1); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the ports from %d to %d are taken", port, port+1)) {
		if err == nil { // somebody else has freed it
			_ = ln.Close()
			return
		}
		t.Error(err)
	}
}

// A stranger is a device: it may use what is offered, and is nobody's owner.
func TestStrangerIsADevice(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		s := onStreet(t, patientDoor())
		conn, err := transport.Dial(s.walk("127.0.0.1", ""), c, transport.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Abandon(); drain(conn) })
		s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{
			"roles": everyRole["roles"], "authid": "uid:0", "authrole": roleOwner, "authmethods": wamp.List{wire.AuthPeerCred},
		}})
		d := s.receive(conn).(*wamp.Welcome).Details
		if d["authid"] != "tcp:127.0.0.1" || d["authrole"] != roleGuest || d["authmethod"] != wire.AuthAnonymous {
			t.Errorf("WELCOME %v", d)
		}
		s.answers(conn)
		s.send(conn, &wamp.Call{Request: 2, Procedure: wire.Describe})
		if r, ok := s.receive(conn).(*wamp.Result); !ok || len(r.Arguments[0].([]any)) != 3 {
			t.Errorf("describe answers %+v", r)
		}
		ack := wamp.Dict{"acknowledge": true}
		s.refused(conn, &wamp.Call{Request: 3, Procedure: "wamp.session.list"}, wire.ErrNotAuthorized)
		s.refused(conn, &wamp.Register{Request: 4, Procedure: "org.deskconn.mine"}, wire.ErrNotAuthorized)
		s.refused(conn, &wamp.Publish{Request: 5, Topic: "org.deskconn.test.on_x", Options: ack}, wire.ErrNotAuthorized)
		s.refused(conn, &wamp.Subscribe{Request: 6, Topic: "wamp.session.on_join"}, wire.ErrNotAuthorized)
		s.refused(conn, &wamp.Subscribe{Request: 7, Topic: "wam", Options: wamp.Dict{"match": "prefix"}}, wire.ErrNotAuthorized)
		s.refused(conn, &wamp.Subscribe{Request: 8, Topic: "..on_join", Options: wamp.Dict{"match": "wildcard"}}, wire.ErrNotAuthorized)
		s.send(conn, &wamp.Register{Request: 9, Procedure: "org.t.mine"})
		if _, ok := s.receive(conn).(*wamp.Registered); !ok {
			t.Error("a device may register what is not reserved")
		}
		s.refused(conn, &wamp.Subscribe{Request: 10, Topic: "org.t."}, wire.ErrInvalidURI)
		s.send(conn, &wamp.Publish{Request: 11, Topic: "org.t.topic", Options: ack})
		if _, ok := s.receive(conn).(*wamp.Published); !ok {
			t.Error("a device may publish what is not reserved")
		}
	})
}

// What is no protocol of ours is closed, at most with an alert of TLS.
func TestForeignProtocols(t *testing.T) {
	s := onStreet(t, patientDoor())
	for name, words := range map[string]string{
		"TLS":     "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + strings.Repeat("x", 244),
		"garbage": "\x00\x01\x02", "SSH is letters, and no HTTP": "SSH-2.0-x\r\n", "high": "\xff", "newline": "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := s.hears(s.walk("127.0.0.1", words))
			if name == "TLS" && strings.HasPrefix(got, "\x15\x03\x01\x00\x02\x02") {
				return
			}
			if isHTTP := strings.HasPrefix(got, "HTTP/1.1 400 "); got != "" && !isHTTP || isHTTP != (words[0] == 'S') {
				t.Errorf("it is told %q", got)
			}
		})
	}
	s.answers(s.visit("127.0.0.1", transport.CBOR))
}

func TestHTTP(t *testing.T) {
	s := onStreet(t, patientDoor())
	s.router.opts.Origins = []string{"https://paired.example"}
	_, port, _ := net.SplitHostPort(s.address)
	head := func(path string, more ...string) string {
		return "GET " + path + " HTTP/1.1\r\n" + strings.Join(more, "\r\n") + "\r\n\r\n"
	}
	for _, c := range []struct {
		request, status, text string
	}{
		{head("/", "Host: "+s.address), "404", "/ws"},
		{head("/ws/x", "Host: localhost:"+port), "404", "/ws"},
		{head("/", "Host: LOCALHOST:"+port), "404", ""},
		{head("/", "Host: [::1]:"+port), "404", ""},
		{head("/", "Host: "+s.address, "Origin: http://"+s.address), "404", ""},
		{head("/", "Host: "+s.address, "Origin: https://paired.example"), "404", ""},
		{"POST / HTTP/1.1\r\nHost: " + s.address + "\r\nContent-Length: 5\r\n\r\nhello", "404", ""},
		{"GET / HTTP/1.0\r\nHost: " + s.address + "\r\n\r\n", "404", ""},
		{head("/ws", "Host: attacker.example"), "403", "Host"},
		{head("/ws", "Host: attacker.example:"+port), "403", "Host"},
		{head("/ws", "Host: localhost.attacker.example:"+port), "403", "Host"},
		{head("/ws", "Host: 127.0.0.1"), "403", "Host"},
		{head("/ws", "Host: 127.0.0.1:1"), "403", "Host"},
		{head("/ws", "Host: 10.0.0.1:"+port), "403", "Host"},
		{head("/ws", "Host:"), "403", "Host"},
		{head("http://attacker.example/ws", "Host: "+s.address), "403", "Host"},
		{head("/ws"), "400", ""},
		{head("/ws", "Host: "+s.address, "Host: localhost:"+port), "400", ""},
		{head("/ws", "Host: "+s.address, "Origin: http://attacker.example"), "403", "Origin"},
		{head("/ws", "Host: "+s.address, "Origin: null"), "403", "Origin"},
		{head("/ws", "Host: "+s.address, "Origin: "), "403", "Origin"},
		{head("/ws", "Host: "+s.address, "Origin: http://localhost:1"), "403", "Origin"},
		{head("/ws", "Host: "+s.address, "Origin: http://"+s.address+".attacker.example"), "403", "Origin"},
		{head("/ws", "Host: "+s.address, "Origin: http://"+s.address, "Origin: http://attacker.example"), "403", "Origin"},
		{head("/", "Host: "+s.address, "X: "+strings.Repeat("x", 20<<10)), "431", "limit door_bytes: the head of a request exceeds the limit of 8192 bytes"},
		{"GET / HTTP/1.1\r\nX:" + strings.Repeat(" ", 8<<10), "431", "door_bytes"},
		{head("/", "Host: "+s.address, "X: "+strings.Repeat("x", 8000)), "404", ""},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", ""},
	} {
		got := s.hears(s.walk("127.0.0.1", c.request))
		status, _, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 "), " ")
		if c.status == "" {
			if strings.HasPrefix(got, "HTTP/1.1 2") || len(got) > 1000 {
				t.Errorf("%.80q gets %q", c.request, got)
			}
			continue
		}
		if strings.HasPrefix(got, "HTTP/1.0 ") {
			status, _, _ = strings.Cut(strings.TrimPrefix(got, "HTTP/1.0 "), " ")
		}
		if status != c.status || !strings.Contains(got, c.text) || strings.Contains(got, "attacker") {
			t.Errorf("%.120q gets %q, want %s with %q", c.request, got, c.status, c.text)
		}
	}
	s.await(s.join(transport.CBOR), "limits", "limit", "door_bytes", "hits", 2)
	if n := s.log.count("limit=door_bytes"); n != 1 {
		t.Errorf("%d lines in the log, want one", n)
	}
}

// Requests after the first are not answered: each comes through the door.
func TestHTTPOneRequest(t *testing.T) {
	s := onStreet(t, patientDoor())
	request := "GET / HTTP/1.1\r\nHost: " + s.address + "\r\n\r\n"
	if got := s.hears(s.walk("127.0.0.1", request+request)); strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("two requests at once get %q", got)
	}
}

// Close is bounded, whatever hangs at the door and behind it.
func TestCloseWithStrangers(t *testing.T) {
	s := onStreet(t, patientDoor())
	s.visit("127.0.0.1", transport.CBOR)
	for _, words := range []string{
		"", "\x7f", "\x7f\xf1", rawHello, rawHello + "\x00\x00\x10\x00[1", "G", "GET / HTTP/1.1\r\nHost: x\r\n",
		"POST / HTTP/1.1\r\nHost: " + s.address + "\r\nContent-Length: 100\r\n\r\nhel",
		"\x16\x03\x01", "\x00", "GET /ws HTTP/1.1\r\nHost: " + s.address + "\r\nSec-WebSocket-Protocol: wamp.2.json\r\n" + upgradeHead + "\r\n", rawHello + jsonFrame(`[1,"deskconn",{"roles":{"caller":{}}}]`),
	} {
		for range 5 {
			s.walk("127.0.0.1", words)
		}
	}
	time.Sleep(100 * time.Millisecond) // until most of that is read
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.router.Close()
	}()
	select {
	case <-closed:
	case <-time.After(shutdown + 5*time.Second):
		t.Fatal("Close hangs")
	}
	s.emptied()
	if nc, err := net.Dial("tcp", s.address); err == nil {
		_ = nc.Close()
		t.Error("the port is still open")
	}
}

// Without WELCOME a connection costs nothing that stays.
func TestStrangersLeaveNothing(t *testing.T) {
	s := onStreet(t, patientDoor())
	before := openFiles(t)
	for i := range 200 {
		nc := s.walk("127.0.0.1", []string{"", "\x7f", rawHello, "GET", "x", "GET / HTTP/1.1\r\n\r\n", "\x00", rawHello + jsonFrame("[1]")}[i%8])
		if i%3 == 0 {
			_ = nc.(*net.TCPConn).SetLinger(0)
		}
		_ = nc.Close()
	}
	s.emptied()
	for ctx := s.ctx(); openFiles(t) > before+4; time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("%d open files, %d before", openFiles(t), before)
		}
	}
	if got := fmt.Sprint(s.router.directory.describe("")); strings.Count(got, "uri:") != 3 {
		t.Errorf("describe lists %s", got)
	}
}
