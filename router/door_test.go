package router

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// patientDoor never closes within a test; each test then tightens one limit.
func patientDoor() DoorLimits {
	return DoorLimits{
		Connections: 1 << 20, PerAddress: 1 << 20, Reserved: 1 << 20, Deadline: time.Minute, Bytes: 8 << 10,
		Failures: 1 << 20, Forgiven: time.Second, Addresses: 100,
	}
}

// street is a bench whose router listens on TCP as well.
type street struct {
	*bench
	address string
	log     *lines
}

// lines is a log that is read by a test.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) count(of string) int { return strings.Count(l.String(), of) }

func onStreet(t *testing.T, lim DoorLimits) *street {
	t.Helper()
	opts := DefaultOptions()
	opts.Door = lim
	return onStreetWith(t, opts)
}

func onStreetWith(t *testing.T, opts Options) *street {
	t.Helper()
	log := &lines{}
	opts.Log = slog.New(slog.NewTextHandler(log, nil))
	s := startWith(t, opts).street()
	s.log = log
	t.Cleanup(func() { s.router.Close(); s.emptied() })
	return s
}

// street has the router listen on TCP as well.
func (b *bench) street() *street {
	b.t.Helper()
	ln, err := ListenTCP("127.0.0.1:0", 0)
	if err != nil {
		b.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.router.Serve(ln) }()
	b.t.Cleanup(func() {
		b.router.Close()
		if err := <-served; err != nil {
			b.t.Errorf("Serve: %v", err)
		}
	})
	return &street{bench: b, address: ln.Addr().String()}
}

// emptied waits until nobody is counted at the door.
func (s *street) emptied() {
	s.t.Helper()
	d := s.router.door
	for limit := s.ctx(); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		count, addresses := d.count+d.kept+d.silent, len(d.waiting)
		d.mu.Unlock()
		if count == 0 && addresses == 0 {
			return
		}
		if limit.Err() != nil {
			s.t.Fatalf("%d connections are still counted, of %d addresses", count, addresses)
		}
	}
}

// walk connects from an address of this machine and says words.
func (s *street) walk(from string, words string) net.Conn {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.DialContext(s.ctx(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	if _, err := io.WriteString(nc, words); err != nil {
		s.t.Fatal(err)
	}
	return nc
}

// hears is all that comes back until the end.
func (s *street) hears(nc net.Conn) string {
	s.t.Helper()
	if err := nc.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		s.t.Fatalf("the connection does not end; it said %q", all)
	}
	return string(all)
}

// visit joins from an address, by hand.
func (s *street) visit(from string, c transport.Codec) *transport.Conn {
	s.t.Helper()
	conn, err := transport.Dial(s.walk(from, ""), c, transport.DefaultLimits())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	if msg := s.receive(conn); msg.MessageType() != wamp.WELCOME {
		s.t.Fatalf("got %s %+v, want WELCOME", msg.MessageType(), msg)
	}
	return conn
}

const (
	rawHello = "\x7f\xf1\x00\x00" // rawsocket, JSON
	rawReply = "\x7f\xd1\x00\x00" // 4 MiB, JSON
	rawFull  = "\x7f\x40\x00\x00" // maximum connection count reached
)

// jsonFrame is a rawsocket frame.
func jsonFrame(message string) string {
	n := len(message)
	return string([]byte{0, byte(n >> 16), byte(n >> 8), byte(n)}) + message
}

// Whatever a peer does that never comes to WELCOME, it is ended in time, and
// told why where its protocol has a word for it.
func TestDoorDeadline(t *testing.T) {
	lim := patientDoor()
	lim.Deadline = 300 * time.Millisecond
	s := onStreet(t, lim)
	for name, c := range map[string]struct{ words, drip, prefix, holds string }{
		"silent":                {"", "", "", ""},
		"half a handshake":      {"\x7f\xf1", "", rawFull, ""},
		"no HELLO":              {rawHello, "", rawReply, "door_deadline"},
		"half a frame":          {rawHello + "\x00\x00\x10\x00[1,", "", rawReply, "door_deadline"},
		"pings":                 {rawHello, "\x01\x00\x00\x00", rawReply, "door_deadline"},
		"a byte at a time":      {rawHello + "\x00\x00\x10\x00", " ", rawReply, "door_deadline"},
		"half a request":        {"GET / HTTP/1.1\r\nHost: x\r\n", "", "HTTP/1.1 503 ", "door_deadline"},
		"a request by and by":   {"GET / HTTP/1.1\r\nX: ", "x", "HTTP/1.1 503 ", "door_deadline"},
		"the first byte of GET": {"G", "", "HTTP/1.1 503 ", "door_deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := s.walk("127.0.0.1", c.words)
			if c.drip != "" {
				go func() {
					for {
						if _, err := io.WriteString(nc, c.drip); err != nil {
							return
						}
						time.Sleep(20 * time.Millisecond)
					}
				}()
			}
			got := s.hears(nc)
			if !strings.HasPrefix(got, c.prefix) || !strings.Contains(got, c.holds) || c.prefix == "" && got != "" {
				t.Errorf("it is told %q, want %q and %q", got, c.prefix, c.holds)
			}
		})
	}
}

// The oldest of an address makes room for its next one.
func TestDoorPerAddress(t *testing.T) {
	lim := patientDoor()
	lim.PerAddress = 3
	s := onStreet(t, lim)
	other := s.walk("127.0.0.2", rawHello)
	var mine []net.Conn
	for i, words := range []string{"", "\x7f", rawHello, "GET / HT"} {
		mine = append(mine, s.walk("127.0.0.1", words))
		s.known("127.0.0.1", min(i+1, lim.PerAddress))
	}
	if got := s.hears(mine[0]); got != "" {
		t.Errorf("a silent one is told %q", got)
	}
	s.walk("127.0.0.1", "")
	if got := s.hears(mine[1]); got != rawFull {
		t.Errorf("one in the handshake is told %q", got)
	}
	s.walk("127.0.0.1", "")
	if got := s.hears(mine[2]); !strings.HasPrefix(got, rawReply) || !strings.Contains(got, "[3,") || !strings.Contains(got, "door_per_address") {
		t.Errorf("one before HELLO is told %q", got)
	}
	s.walk("127.0.0.1", "")
	if got := s.hears(mine[3]); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "door_per_address") {
		t.Errorf("one in a request is told %q", got)
	}
	if _, err := io.WriteString(other, jsonFrame(`[1,"deskconn",{"roles":{"caller":{}}}]`)); err != nil {
		t.Fatal(err)
	}
	welcome := make([]byte, 64)
	if _, err := io.ReadFull(other, welcome); err != nil || !strings.Contains(string(welcome), "[2,") {
		t.Errorf("the other address hears %q, %v", welcome, err)
	}
	s.await(s.join(transport.CBOR), "limits", "limit", "door_per_address", "hits", 4)
	if n := s.log.count("limit=door_per_address"); n != 1 {
		t.Errorf("%d lines in the log, want one", n)
	}
}

// known waits until the door counts n connections of an address whose protocol
// it has understood, as far as there is a first byte.
func (s *street) known(from string, n int) {
	s.t.Helper()
	d := s.router.door
	for limit := s.ctx(); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		count := len(d.waiting[origin{Prefix: netip.PrefixFrom(netip.MustParseAddr(from), 32)}])
		d.mu.Unlock()
		if count == n {
			break
		}
		if limit.Err() != nil {
			s.t.Fatalf("%d connections of %s are counted, want %d", count, from, n)
		}
	}
	time.Sleep(50 * time.Millisecond) // for the bytes that were sent
}

// A thousand connections of one address disturb no other, nor those that have
// joined.
func TestDoorCrowd(t *testing.T) {
	lim := DefaultDoorLimits()
	lim.PerAddress, lim.Connections = 1000, 16
	s := onStreet(t, lim)
	early := s.visit("127.0.0.1", transport.CBOR)
	var crowd sync.WaitGroup
	for range 4 {
		crowd.Go(func() {
			for range 250 {
				nc, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = nc.Close() })
			}
		})
	}
	for i := range 20 {
		conn := s.visit("127.0.0.2", codecs[i%len(codecs)])
		s.answers(conn)
	}
	crowd.Wait()
	s.answers(s.visit("127.0.0.2", transport.CBOR))
	s.answers(early)
	s.router.door.mu.Lock()
	if n := s.router.door.count; n > lim.Connections {
		t.Errorf("%d connections wait, at most %d may", n, lim.Connections)
	}
	s.router.door.mu.Unlock()
	if n := s.log.count("door_connections"); n < 1 || n > 5 {
		t.Errorf("%d lines in the log for the crowd", n)
	}
}

// answers proves that a joined peer is served.
func (s *street) answers(conn *transport.Conn) {
	s.t.Helper()
	s.send(conn, &wamp.Call{Request: 1, Procedure: "org.deskconn.test.set", Arguments: wamp.List{80}})
	if r, ok := s.receive(conn).(*wamp.Result); !ok || r.Arguments[0] != int64(80) {
		s.t.Errorf("a joined peer gets %+v", r)
	}
}

// Who fails too often is refused for a while; who succeeds is never counted.
func TestDoorFailures(t *testing.T) {
	lim := patientDoor()
	lim.Failures, lim.Forgiven = 3, 1000*time.Hour
	s := onStreet(t, lim)
	early := s.visit("127.0.0.1", transport.CBOR)
	for range 3 * lim.Failures {
		conn := s.visit("127.0.0.1", transport.JSON)
		conn.Abandon()
	}
	for i, words := range []string{"\x00", rawHello + jsonFrame(`[1,"other",{}]`), "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"} {
		s.hears(s.walk("127.0.0.1", words))
		s.failed(i + 1)
	}
	if got := s.hears(s.walk("127.0.0.1", rawHello)); got != rawFull {
		t.Errorf("rawsocket is told %q", got)
	}
	eager, err := transport.Dial(s.walk("127.0.0.1", ""), transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	s.send(eager, &wamp.Hello{Realm: wire.Realm, Details: everyRole}) // with the handshake, as dconn does
	if drain(eager); !strings.Contains(fmt.Sprint(eager.Err()), "maximum connection count reached") {
		t.Errorf("who says HELLO at once is told %v", eager.Err())
	}
	if got := s.hears(s.walk("127.0.0.1", "GET / HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n")); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "door_failures") {
		t.Errorf("HTTP is told %q", got)
	}
	s.answers(early)
	s.answers(s.visit("127.0.0.2", transport.CBOR))
	owner := s.join(transport.CBOR)
	s.await(owner, "limits", "limit", "door_failures", "hits", 3)
	s.await(owner, "ended", "reason", "limit", "count", 3)
	if n := s.log.count("limit=door_failures"); n != 1 {
		t.Errorf("%d lines in the log, want one", n)
	}
}

// failed waits until n failures of 127.0.0.1 are noted.
func (s *street) failed(n int) {
	s.t.Helper()
	d := s.router.door
	for limit := s.ctx(); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		a := d.failures.of[netip.MustParsePrefix("127.0.0.1/32")]
		noted := a != nil && a.left < float64(d.lim.Failures-n)+0.5
		d.mu.Unlock()
		if noted {
			return
		}
		if limit.Err() != nil {
			s.t.Fatalf("%d failures are not noted: %+v", n, a)
		}
	}
}

func TestDoorForgives(t *testing.T) {
	lim := DoorLimits{Failures: 20, Forgiven: time.Second / 5, Addresses: 3}
	l := newAllowances(lim.Failures, lim.Forgiven, lim.Addresses)
	now := time.Now()
	at := func(i int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", i)) }
	for i := range lim.Failures {
		if !l.mayFail(at(1), now) {
			t.Fatalf("refused after %d failures", i)
		}
		l.fail(at(1), now)
	}
	l.fail(at(1), now) // below nothing there is no debt
	for after, want := range map[time.Duration]bool{0: false, 150 * time.Millisecond: false, 200 * time.Millisecond: true} {
		if l.mayFail(at(1), now.Add(after)) != want {
			t.Errorf("%v later: %v, want %v", after, !want, want)
		}
	}
	for i := range 200 {
		l.fail(at(2+i), now.Add(time.Second))
		if len(l.of) > lim.Addresses {
			t.Fatalf("%d addresses are remembered", len(l.of))
		}
	}
	if l.of[at(1)] == nil {
		t.Error("the address that failed most is forgotten")
	}
	l.fail(at(250), now.Add(time.Hour))
	if len(l.of) != 1 {
		t.Errorf("after an hour %d addresses are remembered", len(l.of))
	}
}

func TestAddressOf(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "::ffff:10.1.2.3": "10.1.2.3/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%lo": "fe80::/64",
	} {
		tcp := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))
		if got := addressOf(remote(elsewhere{remote: tcp})).String(); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}

// elsewhere is a connection of which only the other end is known.
type elsewhere struct {
	net.Conn
	remote net.Addr
}

func (e elsewhere) RemoteAddr() net.Addr { return e.remote }

// Before WELCOME little may be said, afterwards as much as to anybody.
func TestDoorBytes(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		s := onStreet(t, patientDoor())
		conn, err := transport.Dial(s.walk("127.0.0.1", ""), c, transport.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 9<<10)
		s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": everyRole["roles"], "x": long}})
		if abort, ok := s.receive(conn).(*wamp.Abort); !ok || abort.Details[wire.LimitKey] != "door_bytes" {
			t.Errorf("got %+v", abort)
		}
		drain(conn)
		s.await(s.join(transport.CBOR), "limits", "limit", "door_bytes", "hits", 1)
		joined := s.visit("127.0.0.1", c)
		s.send(joined, &wamp.Call{Request: 1, Procedure: "org.t.none", Arguments: wamp.List{strings.Repeat("x", 1<<20)}})
		if e, ok := s.receive(joined).(*wamp.Error); !ok || e.Error != wire.ErrNoSuchProcedure {
			t.Errorf("after WELCOME: %+v", e)
		}
	})
}
