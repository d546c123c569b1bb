package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// scripted is a connection whose calls end as answers say, the last for ever.
type scripted struct {
	Conn
	answers []func(context.Context) (int, error)
}

func (s *scripted) Call(ctx context.Context, _ string, _ []byte) (int, error) {
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return next(ctx)
}

func answered(n int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return n, err }
}

func silent(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestWork(t *testing.T) {
	refused := fmt.Errorf("%w: busy", ErrRefused)
	for name, c := range map[string]struct {
		answers []func(context.Context) (int, error)
		want    Result
		failure string
	}{
		"answered, refused, lost": {
			[]func(context.Context) (int, error){answered(3, nil), answered(0, refused), answered(3, nil), silent},
			Result{Sent: 4, Done: 2, Refused: 1, Lost: 1, Note: "no answer"}, "",
		},
		"wrong answer": {
			[]func(context.Context) (int, error){answered(2, nil)},
			Result{Sent: 1}, "the answer to a call has 2 bytes, expected 3",
		},
		"connection lost": {
			[]func(context.Context) (int, error){answered(3, nil), answered(0, io.EOF)},
			Result{Sent: 2, Done: 1}, "EOF",
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		r := &rpc{payload: make([]byte, 3), answer: 3, began: time.Now()}
		r.work(ctx, &scripted{answers: c.answers}, "p", time.Hour)
		cancel()
		r.result.Took = 0
		if r.result != c.want || int64(len(r.times)) != c.want.Done {
			t.Errorf("%s: %+v with %d times, expected %+v", name, r.result, len(r.times), c.want)
		}
		if got := fmt.Sprint(r.failed); (c.failure == "") != (r.failed == nil) || !strings.Contains(got, c.failure) {
			t.Errorf("%s: %v, expected %q", name, r.failed, c.failure)
		}
	}
}

func event(number uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, number), 0)
}

func TestSubscriberCounts(t *testing.T) {
	s := &subscriber{began: time.Now()}
	for _, number := range []uint64{1, 2, 4, timed, timed, 3} {
		s.handle(event(number))
	}
	s.handle([]byte("short"))
	if s.received.Load() != 4 || s.wrong.Load() != 3 || len(s.times) != 1 {
		t.Errorf("%d received, %d wrong, %d timed, expected 4, 3, 1", s.received.Load(), s.wrong.Load(), len(s.times))
	}
	arrived, _ := await([]*subscriber{s, s}, 8, time.Now())
	if arrived != 8 {
		t.Errorf("await = %d, expected 8", arrived)
	}
}

func TestQuantiles(t *testing.T) {
	var r Result
	times := make([]time.Duration, 1000)
	for i := range times {
		times[i] = time.Duration(1000 - i)
	}
	r.quantiles(times)
	if r.P50 != 501 || r.P90 != 901 || r.P99 != 991 || r.P999 != 1000 {
		t.Errorf("quantiles = %d, %d, %d, %d", r.P50, r.P90, r.P99, r.P999)
	}
	if r.quantiles(nil); r.P50 != 0 {
		t.Errorf("the median of nothing is %d", r.P50)
	}
}

func TestRequests(t *testing.T) {
	var r requests
	first, a := r.begin()
	_, b := r.begin()
	r.end(first, answer{n: 7})
	r.end(first, answer{n: 8}) // nobody waits any more
	r.fail(io.EOF)
	_, late := r.begin()
	for name, c := range map[string]struct {
		from chan answer
		want answer
	}{"answered": {a, answer{n: 7}}, "open": {b, answer{err: io.EOF}}, "late": {late, answer{err: io.EOF}}} {
		if n, err := received(context.Background(), c.from); n != c.want.n || !errors.Is(err, c.want.err) {
			t.Errorf("%s: %d, %v, expected %+v", name, n, err, c.want)
		}
	}
}

// anybody lets everybody in.
type anybody struct{}

func (anybody) AuthMethod() string { return wire.AuthPeerCred }
func (anybody) Authenticate(wamp.ID, wamp.Dict, wamp.Peer) (*wamp.Welcome, error) {
	return &wamp.Welcome{Details: wamp.Dict{"authid": "x", "authrole": "x", "authmethod": wire.AuthPeerCred}}, nil
}

// The loads as a whole.
func TestRun(t *testing.T) {
	r, err := router.NewRouter(&router.Config{RealmConfigs: []*router.RealmConfig{{
		URI: wire.Realm, AllowDisclose: true, Authenticators: []auth.Authenticator{anybody{}},
	}}}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	socket := filepath.Join(t.TempDir(), "s")
	server := router.NewRawSocketServer(r)
	server.OutQueueSize = 1 << 16 // a longer queue than there are events: it drops nothing
	ln, err := server.ListenAndServe("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, job := range []Job{
		{Protocol: WAMP, Kind: RPC, Callers: 3, Callees: 2, Window: 2, Size: 100},
		{Protocol: Session, Kind: RPC, Callers: 3, Callees: 2, Window: 2, Size: 100},
		{Protocol: WAMP, Kind: PubSub, Subscribers: 2, Window: 10, Size: stampBytes},
		{Protocol: Session, Kind: PubSub, Subscribers: 2, Window: 10, Size: stampBytes},
		{Protocol: WAMP, Kind: Idle, Sessions: 5},
	} {
		job.Network, job.Address, job.Router, job.For = "unix", socket, os.Getpid(), 50*time.Millisecond
		got, err := Run(ctx, job)
		switch {
		case err != nil:
			t.Errorf("%s, %s: %v", job.Protocol, job.Kind, err)
		case job.Kind == Idle && (got.Before <= 0 || got.After <= 0):
			t.Errorf("%s, %s: %+v, expected what the router takes", job.Protocol, job.Kind, got)
		case job.Kind != Idle && (got.Done == 0 || got.Done != got.Sent || got.Took < job.For/2 || got.Peak <= 0):
			t.Errorf("%s, %s: %+v, expected all that was sent", job.Protocol, job.Kind, got)
		}
	}
	c, err := dialWAMP(ctx, "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(ctx, "nobody", nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no_such_procedure") {
		t.Errorf("Call = %v, expected no such procedure, refused", err)
	}
	if err := c.Serve(ctx, "echo"); err != nil {
		t.Fatal(err)
	}
	one, err := Job{Protocol: Lockstep, Network: "unix", Address: socket}.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	for range 3 {
		if n, err := one.Call(ctx, "echo", make([]byte, 300)); err != nil || n != 300 {
			t.Errorf("in lockstep: Call = %d, %v, expected 300 bytes", n, err)
		}
		if _, err := one.Call(ctx, "nobody", nil); !errors.Is(err, ErrRefused) {
			t.Errorf("in lockstep: Call = %v, expected it refused", err)
		}
	}
	if _, err := Run(ctx, Job{Kind: PubSub, Size: 1}); err == nil {
		t.Error("events too short for their stamp: no error")
	}
}
