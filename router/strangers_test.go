package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// strangers do what people and programs do at an open port that is not theirs.
var strangers = []func(nc net.Conn, hello string){
	func(net.Conn, string) {}, // silent
	func(nc net.Conn, _ string) { _, _ = nc.Write([]byte{0}); _ = nc.Close() },
	func(nc net.Conn, _ string) { _ = nc.(*net.TCPConn).SetLinger(0); _ = nc.Close() },
	func(nc net.Conn, hello string) { _, _ = io.WriteString(nc, hello[:len(hello)/2]) },
	func(nc net.Conn, hello string) { _, _ = io.WriteString(nc, hello) },
	func(nc net.Conn, _ string) { _, _ = io.WriteString(nc, rawHello) },
	func(nc net.Conn, _ string) { _, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: ") },
	func(nc net.Conn, _ string) { // another machine, which sends half a HELLO
		tc := tls.Client(nc, outsider().config(wire.ALPN))
		_, _ = io.WriteString(tc, "\x7f\xf1\x00\x00\x00\x00\x10\x00[1,")
	},
	func(nc net.Conn, _ string) { // a browser, half way through a request
		tc := tls.Client(nc, (*machine)(nil).config("http/1.1"))
		_, _ = io.WriteString(tc, "GET / HTTP/1.1\r\nHost: ")
	},
}

// stranger comes again and again from an address of its own, until ctx ends.
func (s *street) stranger(ctx context.Context, number int, hello string) {
	from := net.IPv4(127, 1, byte(number>>8), byte(number))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 5 * time.Second}
	pause := func() {
		select {
		case <-time.After(500*time.Millisecond + rand.N(2*time.Second)):
		case <-ctx.Done():
		}
	}
	for pause(); ctx.Err() == nil; pause() {
		nc, err := d.DialContext(ctx, "tcp", s.address)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(3 * time.Second))
		strangers[rand.N(len(strangers))](nc, hello)
		_, _ = io.Copy(io.Discard, nc)
		stop()
		_ = nc.Close()
	}
}

// worker does something over and over until ctx ends, and notes how long it takes.
type worker struct {
	name  string
	do    func(ctx context.Context) error
	took  []time.Duration
	wrong error
}

func (w *worker) work(ctx context.Context) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		began := time.Now()
		err := w.do(once)
		cancel()
		w.took = append(w.took, time.Since(began))
		w.wrong = errors.Join(w.wrong, err)
		time.Sleep(20 * time.Millisecond)
	}
}

func answer80(ctx context.Context, s *session.Session) error {
	r, err := s.Call(ctx, "org.deskconn.test.set", []any{80}, nil)
	if err == nil && (len(r.Args) != 1 || r.Args[0] != int64(80)) {
		err = fmt.Errorf("the answer is %v", r.Args)
	}
	return err
}

// joinOnce joins as the device, by a connection of its own.
func (s *street) joinOnce(ctx context.Context) (*session.Session, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	tc := transport.TLSClient(nc, device().config(wire.ALPN))
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	conn, err := transport.Dial(tc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		return nil, err
	}
	return session.Join(ctx, conn, "test")
}

// A thousand strangers at the port cost a paired device and the owner no error and
// little time, and the daemon a bounded part of its memory and log; when they have
// gone nothing of them is left. DCONN_STRANGERS is for how many seconds they come.
func TestThousandStrangers(t *testing.T) {
	seconds := envInt(t, "DCONN_STRANGERS", 5)
	const many = 1000
	const longest = 15 * time.Second // on a machine with a lot else to do
	opts := DefaultOptions()
	opts.Certificate, opts.Trust = &server().Certificate, pairedStore(t, netip.Addr{})
	s := onStreetWith(t, opts)
	outsider()
	hello := replayed(t)

	standing, err := s.joinOnce(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	owner := s.join(transport.CBOR)
	files, goroutines, heap := openFiles(t), runtime.NumGoroutine(), heapInUse()

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for number := range many {
		all.Go(func() { s.stranger(ctx, number, hello) })
	}
	workers := []*worker{
		{name: "the device's session", do: func(ctx context.Context) error { return answer80(ctx, standing) }},
		{name: "the owner's session", do: func(ctx context.Context) error { return answer80(ctx, owner) }},
		{name: "the device, anew", do: func(ctx context.Context) error {
			joined, err := s.joinOnce(ctx)
			if err != nil {
				return err
			}
			defer joined.Leave(ctx)
			return answer80(ctx, joined)
		}},
		{name: "the owner, anew", do: func(ctx context.Context) error {
			joined := s.join(transport.CBOR)
			defer joined.Leave(ctx)
			return answer80(ctx, joined)
		}},
	}
	for _, w := range workers {
		all.Go(func() { w.work(ctx) })
	}
	most := uint64(0)
	for ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		s.withinLimits()
		most = max(most, heapInUse())
	}
	all.Wait()
	for _, w := range workers {
		slices.Sort(w.took)
		n := len(w.took)
		t.Logf("%s: %d times, half of them within %v, 99 %% within %v, all within %v", w.name, n, w.took[n/2], w.took[n*99/100], w.took[n-1])
		if w.wrong != nil {
			t.Errorf("%s: %v", w.name, w.wrong)
		}
		if w.took[n-1] > longest || w.took[n/2] > time.Second {
			t.Errorf("%s: that is too long", w.name)
		}
	}
	t.Logf("the heap had %d MiB, and at most %d", heap>>20, most>>20)
	if most > heap+128<<20 {
		t.Error("that is too much")
	}
	// one line in ten seconds for each limit of the door, and for who is refused
	if n := strings.Count(s.log.String(), "\n"); n > 8*(1+seconds/10) {
		t.Errorf("%d lines in the log:\n%s", n, s.log)
	}
	s.emptied()
	s.forgotten(files, goroutines)
	if err := answer80(s.ctx(), standing); err != nil {
		t.Errorf("after that: %v", err)
	}
	standing.Leave(s.ctx())
}

// withinLimits insists that no more wait at the door than may, nor are remembered.
func (s *street) withinLimits() {
	s.t.Helper()
	d := s.router.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count > d.lim.Connections || d.kept > d.lim.Reserved || len(d.failures.of) > d.lim.Addresses {
		s.t.Errorf("%d wait, %d at reserved addresses; %d addresses are remembered", d.count, d.kept, len(d.failures.of))
	}
}

// forgotten waits until there are no more files and goroutines than there were.
func (s *street) forgotten(files, goroutines int) {
	s.t.Helper()
	for ctx := s.ctx(); openFiles(s.t.(*testing.T)) > files+4 || runtime.NumGoroutine() > goroutines+4; time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			s.t.Fatalf("%d open files, %d before; %d goroutines, %d before", openFiles(s.t.(*testing.T)), files, runtime.NumGoroutine(), goroutines)
		}
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
