package router

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// What becomes of a peer that disturbs: it may be cut off as a slow consumer
// where it asks for more than it can read on a busy machine.
const (
	unharmed = iota
	mayBeCut
	isCut
)

// disturbance is what one peer does to all the others. do begins it and
// returns.
type disturbance struct {
	name string
	do   func(d *disturber)
	ends int
}

// disturber is whoever disturbs, until stop ends.
type disturber struct {
	*yard

	stop    context.Context
	working sync.WaitGroup
	check   func() // after stop
}

var disturbances = []disturbance{
	{"stops reading", (*disturber).stopReading, isCut},
	{"stops reading results", (*disturber).stopReadingResults, isCut},
	{"reads one byte a second", (*disturber).readBytewise, isCut},
	{"sends half a frame", (*disturber).sendHalf, unharmed},
	{"floods calls", (*disturber).floodCalls, mayBeCut},
	{"floods publishes", (*disturber).floodPublishes, unharmed},
	{"answers what nobody asked", (*disturber).floodAnswers, unharmed},
	{"subscribes to everything", (*disturber).subscribeAll, mayBeCut},
	{"registers ten thousand times", (*disturber).registerOften, unharmed},
	{"churns connections", (*disturber).churn, unharmed},
}

// stopReading asks for every ordinary event and takes none.
func (d *disturber) stopReading() {
	conn, _ := d.rude(nil)
	d.send(conn, &wamp.Subscribe{Request: 1, Topic: sharedURI})
}

// stopReadingResults asks for more results than a queue holds.
func (d *disturber) stopReadingResults() {
	conn, _ := d.rude(nil)
	for i := range 100 {
		d.send(conn, &wamp.Call{Request: wamp.ID(i + 1), Procedure: echoURI, Arguments: wamp.List{strings.Repeat("x", 128<<10)}})
	}
}

// dripping reads one byte a second, once it is told to.
type dripping struct {
	net.Conn

	slow atomic.Bool
	stop context.Context
}

func (c *dripping) Read(b []byte) (int, error) {
	if !c.slow.Load() {
		return c.Conn.Read(b)
	}
	select {
	case <-time.After(time.Second):
	case <-c.stop.Done():
	}
	return c.Conn.Read(b[:1])
}

func (d *disturber) readBytewise() {
	var drip *dripping
	conn, _ := d.rude(func(nc net.Conn) net.Conn {
		drip = &dripping{Conn: nc, stop: d.stop}
		return drip
	})
	d.send(conn, &wamp.Subscribe{Request: 1, Topic: sharedURI})
	drip.slow.Store(true)
	d.working.Go(func() {
		<-d.stop.Done()
		conn.Abandon()
		drain(conn)
	})
}

// sendHalf leaves every kind of beginning unfinished.
func (d *disturber) sendHalf() {
	silent, err := d.gate.dial(d.ln)
	if err != nil {
		d.t.Fatal(err)
	}
	_, nc := d.rude(nil)
	if _, err := nc.Write(half); err != nil {
		d.t.Fatal(err)
	}
	d.check = func() { _ = silent.Close() }
}

// flood sends until it is stopped or cut off, and reads what comes back.
func (d *disturber) flood(next func(id wamp.ID) wamp.Message) {
	conn, _ := d.rude(nil)
	d.working.Go(func() { drain(conn) })
	begun := make(chan struct{})
	d.working.Go(func() {
		defer conn.Abandon() // Close would wait for a router that waits for its answers to be read
		for id := wamp.ID(1); d.stop.Err() == nil && conn.Send(d.stop, next(id)) == nil; id++ {
			if id == 100 {
				close(begun)
			}
		}
	})
	select {
	case <-begun:
	case <-conn.Done():
	}
}

// floodCalls calls a callee of its own far beyond the limit of calls in flight.
func (d *disturber) floodCalls() {
	err := d.polite().Register(d.ctx(), "org.t.flooded", func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.flood(func(id wamp.ID) wamp.Message {
		return &wamp.Call{Request: id, Procedure: "org.t.flooded", Arguments: wamp.List{id}}
	})
}

func (d *disturber) floodPublishes() {
	d.flood(func(id wamp.ID) wamp.Message {
		return &wamp.Publish{Request: id, Topic: "org.t.flood", Arguments: wamp.List{id}}
	})
}

// floodAnswers answers calls that nobody has made.
func (d *disturber) floodAnswers() {
	d.flood(func(id wamp.ID) wamp.Message {
		return &wamp.Yield{Request: id, Arguments: wamp.List{id}}
	})
}

// subscribeAll subscribes to everything there is, and reads it.
func (d *disturber) subscribeAll() {
	conn, _ := d.rude(nil)
	for i, topic := range []string{"", "org", "org.t", "org.t.topic", "wamp"} {
		d.send(conn, &wamp.Subscribe{Request: wamp.ID(2*i + 1), Topic: wamp.URI(topic), Options: wamp.Dict{"match": "prefix"}})
		d.send(conn, &wamp.Subscribe{Request: wamp.ID(2*i + 2), Topic: wamp.URI(topic + ".."), Options: wamp.Dict{"match": "wildcard"}})
	}
	events := 0
	context.AfterFunc(d.stop, conn.Close)
	d.working.Go(func() {
		for msg := range conn.Recv() {
			if msg.MessageType() == wamp.EVENT {
				events++
			}
		}
	})
	d.check = func() {
		if events == 0 {
			d.t.Error("it saw nothing")
		}
	}
}

// registerOften goes far over its limit.
func (d *disturber) registerOften() {
	const often = 10_000
	conn, _ := d.rude(nil)
	done, refused := 0, 0
	d.working.Go(func() {
		for done+refused < often {
			switch m := d.receive(conn).(type) {
			case *wamp.Registered:
				done++
			case *wamp.Error:
				if refused++; m.Error != wire.ErrLimit {
					d.t.Errorf("refused with %s", m.Error)
				}
			}
		}
	})
	d.working.Go(func() {
		for i := range often {
			d.send(conn, &wamp.Register{Request: wamp.ID(i + 1), Procedure: wamp.URI(fmt.Sprintf("org.t.often%d", i))})
		}
	})
	d.check = func() {
		if limit := DefaultSessionLimits().Registrations; done != limit || refused != often-limit {
			d.t.Errorf("%d registered and %d refused, want %d and %d", done, refused, limit, often-limit)
		}
	}
}

// churn comes and goes, each time in another way.
func (d *disturber) churn() {
	rounds := 0
	d.working.Go(func() {
		for ; d.stop.Err() == nil || rounds < 20; rounds++ {
			nc, err := d.gate.dial(d.ln)
			if err != nil {
				d.t.Error(err)
				return
			}
			d.comeAndGo(nc, rounds%5)
		}
	})
	d.check = func() { d.t.Log(rounds, "connections") }
}

func (d *disturber) comeAndGo(nc net.Conn, how int) {
	if how == 0 {
		_ = nc.Close()
		return
	}
	conn, err := transport.Dial(nc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		d.t.Error(err)
		return
	}
	_ = conn.Send(d.stop, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	if how > 1 {
		<-conn.Recv()
		_ = conn.Send(d.stop, &wamp.Subscribe{Request: 1, Topic: sharedURI})
		_ = conn.Send(d.stop, &wamp.Register{Request: 2, Procedure: "org.t.churn"})
	}
	switch how {
	case 2:
		_, _ = nc.Write(half)
	case 3:
		_ = conn.Send(d.stop, &wamp.Goodbye{Reason: wamp.CloseNormal, Details: wamp.Dict{}})
	}
	if how == 4 {
		conn.Close()
	} else {
		conn.Abandon()
	}
	drain(conn)
}
