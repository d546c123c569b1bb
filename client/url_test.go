package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// foreignRouter is a WAMP router of somebody else's; its URLs are returned.
func foreignRouter(t *testing.T) []string {
	t.Helper()
	r, err := nexus.NewRouter(&nexus.Config{RealmConfigs: []*nexus.RealmConfig{
		{URI: "elsewhere", AnonymousAuth: true},
	}}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	path := filepath.Join(t.TempDir(), "sock")
	urls := []string{"unix://" + path}
	listen := func(scheme string, serve func(network, address string) (io.Closer, error), network, address string) {
		t.Helper()
		ln, err := serve(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		if network == "tcp" {
			urls = append(urls, scheme+address)
		}
	}
	raw := nexus.NewRawSocketServer(r).ListenAndServe
	web := func(_, address string) (io.Closer, error) { return nexus.NewWebsocketServer(r).ListenAndServe(address) }
	listen("", raw, "unix", path)
	listen("tcp://", raw, "tcp", freeAddress(t))
	listen("ws://", web, "tcp", freeAddress(t))
	return urls
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Calls and events pass through the router of somebody else, over each of its
// transports and in each serializer.
func TestForeignRouter(t *testing.T) {
	for _, url := range foreignRouter(t) {
		for _, codec := range []transport.Codec{transport.JSON, transport.MsgPack, transport.CBOR} {
			t.Run(url[:strings.Index(url, ":")]+"/"+codec.Name(), func(t *testing.T) {
				ctx := testContext(t)
				p, err := parseURL(url)
				if err != nil {
					t.Fatal(err)
				}
				conn, err := p.connect(ctx, codec)
				if err != nil {
					t.Fatal(err)
				}
				s, err := session.JoinRealm(ctx, conn, "elsewhere", "test")
				if err != nil {
					t.Fatal(err)
				}
				defer s.Leave(ctx)
				through(t, ctx, url, s)
			})
		}
	}
}

// through sends calls and events from a second session to s, and back.
func through(t *testing.T, ctx context.Context, url string, s *session.Session) {
	t.Helper()
	other, err := DialURL(ctx, url, "elsewhere", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Leave(ctx)
	// the router may not have heard yet that the session before has left
	echo := fmt.Sprintf("org.test.echo.n%d", s.ID())
	err = s.Register(ctx, echo, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args, Kwargs: call.Kwargs}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan *session.Event, 10)
	if err := s.Subscribe(ctx, "org.test.topic", session.Exact, func(e *session.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 200, 100000} {
		text := strings.Repeat("ü", size)
		r, err := other.Call(ctx, echo, []any{text, 80}, map[string]any{"k": true})
		if err != nil || len(r.Args) != 2 || r.Args[0] != text || r.Args[1] != int64(80) || r.Kwargs["k"] != true {
			t.Errorf("%d characters: got %.100v, %v", size, r, err)
		}
		if err := other.Publish(ctx, "org.test.topic", []any{text}, nil, true); err != nil {
			t.Error(err)
		}
		select {
		case e := <-events:
			if len(e.Args) != 1 || e.Args[0] != text {
				t.Errorf("event of %d characters: got %.100v", size, e.Args)
			}
		case <-ctx.Done():
			t.Fatal("no event")
		}
	}
}

// What a router refuses, and what is no router, is said in words.
func TestDialURLErrors(t *testing.T) {
	urls := foreignRouter(t)
	dead := freeAddress(t)
	for _, row := range []struct{ url, realm, want string }{
		{"tcp://" + dead, "r", "tcp://" + dead + ": no answer: connection refused"},
		{"rs://" + dead, "r", "rs://" + dead + ": no answer: connection refused"},
		{"ws://" + dead + "/ws", "r", "ws://" + dead + "/ws: no answer: connection refused"},
		{"unix:///nowhere/sock", "r", "unix:///nowhere/sock: no answer: no such file or directory"},
		{urls[1], "nobodys.realm", "the router has no realm nobodys.realm"},
		{urls[2], "nobodys.realm", "the router has no realm nobodys.realm"},
		{strings.Replace(urls[1], "tcp", "ws", 1), "elsewhere", "no answer"},
	} {
		err := refused(t, row.url, row.realm)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s, realm %s: got %v, want an error with %q", row.url, row.realm, err, row.want)
		}
	}
	err := refused(t, urls[2], "nobodys.realm")
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.URI != string(wamp.ErrNoSuchRealm) {
		t.Errorf("got %v, want %s", err, wamp.ErrNoSuchRealm)
	}
}

// refused returns why a router lets nobody into a realm. Stock nexus v3.3.0
// closes a connection at random before or after its ABORT is sent
// (transport/rawsocketpeer.go, Close), so a connection that was lost is asked
// for again.
func refused(t *testing.T, url, realm string) error {
	t.Helper()
	for range 20 {
		s, err := DialURL(testContext(t), url, realm, "test")
		if err == nil {
			s.Leave(testContext(t))
			return nil
		}
		if !strings.Contains(err.Error(), "the connection was lost") {
			return err
		}
	}
	return errors.New("lost 20 connections in a row")
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]place{
		"unix:///run/x/sock":       {network: "unix", address: "/run/x/sock"},
		"tcp://pi:5020":            {network: "tcp", address: "pi:5020"},
		"tcp://pi:5020/":           {network: "tcp", address: "pi:5020"},
		"rs://[::1]:5020":          {network: "tcp", address: "[::1]:5020"},
		"ws://pi/ws":               {network: "tcp", address: "pi:80", web: true},
		"ws://[fe80::1]/":          {network: "tcp", address: "[fe80::1]:80", web: true},
		"ws://127.0.0.1:8080/a?b=": {network: "tcp", address: "127.0.0.1:8080", web: true},
	} {
		want.url = text
		if got, err := parseURL(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"wss://pi/ws":                         "wss is not supported yet",
		"tcps://pi:1":                         "tcps is not supported yet",
		"rss://pi:1":                          "rss is not supported yet",
		"http://pi/":                          "a router has unix:///PATH",
		"pi:5020":                             "a router has unix:///PATH",
		"":                                    "a router has unix:///PATH",
		"tcp://pi":                            "a rawsocket is tcp://HOST:PORT",
		"tcp://:5020":                         "a rawsocket is tcp://HOST:PORT",
		"rs://pi:1/path":                      "a rawsocket is rs://HOST:PORT",
		"tcp://pi:1?x":                        "a rawsocket is tcp://HOST:PORT",
		"tcp://pi:x":                          "not a URL",
		"tcp://127.0.0.1:99999":               "a port is from 1 to 65535, got 99999",
		"ws://pi:0/ws":                        "a port is from 1 to 65535, got 0",
		"ws://127.0.0.1:80:80/ws":             "a host has one port",
		"tcp://::1:80":                        "a host has one port",
		"unix://run/x":                        "three slashes",
		"unix://":                             "three slashes",
		"unix:x":                              "three slashes",
		"ws:///path":                          "a websocket is ws://HOST",
		"ws://me@pi/":                         "neither a user",
		"ws://pi/#x":                          "neither a user",
		"unix:///" + strings.Repeat("x", 120): "at most 107 bytes",
	} {
		if err := CheckURL(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}
