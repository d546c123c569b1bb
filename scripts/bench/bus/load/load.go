// Package load is the program that loads a router, the same for each protocol.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The kinds of load.
const (
	RPC    = "rpc"
	PubSub = "pubsub"
	Idle   = "idle" // sessions that do nothing
)

// Job is one run against a router that has nothing else to do.
type Job struct {
	Kind     string
	Protocol string // one of those that Dial knows
	Network  string // of the router's address: unix, tcp
	Address  string
	Router   int // its process
	Awake    int // the process of KeepAwake, 0 if there is none

	Callers, Callees int           // of RPC; each callee has a procedure
	Procedure        string        // of RPC without callees: one that the router answers, called without a payload
	Subscribers      int           // of PubSub, which has one publisher
	Window           int           // calls in flight of each caller, or events that nobody has confirmed
	Sessions         int           // of Idle
	Size             int           // bytes of payload, of PubSub stampBytes at least
	For              time.Duration // how long calls or events are sent, or idle sessions watched
}

// Result is what a run found. Sent is Done, Lost and Refused together.
type Result struct {
	Sent    int64
	Done    int64 // calls answered, or events delivered
	Lost    int64
	Refused int64 // calls answered with an error
	Took    time.Duration

	P50, P90, P99, P999 time.Duration // of a call, or of an event to its arrival

	RouterCPU, LoadCPU time.Duration
	Others             float64 // what part of the machine other programs took
	Peak               int64   // resident bytes of the router

	Before, After int64 // resident bytes of the router, of Idle

	Note string // why something was lost or refused, if anybody said so
}

// Patience is how long after the end of a run what is still missing may come.
const Patience = 5 * time.Second

// Run does a job.
func Run(ctx context.Context, job Job) (Result, error) {
	switch job.Kind {
	case RPC:
		return runRPC(ctx, job)
	case PubSub:
		return runPubSub(ctx, job)
	case Idle:
		return runIdle(ctx, job)
	}
	return Result{}, fmt.Errorf("unknown kind of load: %q", job.Kind)
}

// Conn is the connection of one client. It may be used by many goroutines,
// Subscribe, Serve and PublishConfirmed by one.
type Conn interface {
	// Subscribe has handle called with the payload of each event of a topic,
	// which is valid until it returns, in order, by one goroutine.
	Subscribe(ctx context.Context, topic string, handle func(payload []byte)) error
	// Publish publishes an event, and waits for nothing.
	Publish(ctx context.Context, topic string, payload []byte) error
	// PublishConfirmed does so too; what it returns waits until the router has
	// taken that event and all that were published before.
	PublishConfirmed(ctx context.Context, topic string, payload []byte) (wait func(context.Context) error, err error)
	// Serve answers each call of a procedure with its payload.
	Serve(ctx context.Context, procedure string) error
	// Call returns the length of the answer; a payload that is nil is no argument.
	// Its error is ErrRefused if there will be none.
	Call(ctx context.Context, procedure string, payload []byte) (int, error)
	// Err is why the connection ended, nil while it lives.
	Err() error
	Close()
}

// ErrRefused marks the error that answers a call.
var ErrRefused = errors.New("refused")

// errClosed is the error of a connection that this end closed.
var errClosed = errors.New("connection closed")

// Protocols by the name they have in a Job.
const (
	WAMP    = "wamp"
	Session = "session" // WAMP as dconn's own commands speak it
	NATS    = "nats"
	MQTT    = "mqtt"
	Raw     = "raw" // a ping-pong with Echo

	Lockstep = "lockstep" // WAMP, where the caller reads the answer itself
)

func (j Job) dial(ctx context.Context) (Conn, error) {
	switch j.Protocol {
	case WAMP:
		return dialWAMP(ctx, j.Network, j.Address)
	case Session:
		return dialSession(ctx, j.Network, j.Address)
	case NATS:
		return dialNATS(ctx, j.Network, j.Address)
	case MQTT:
		return dialMQTT(ctx, j.Network, j.Address)
	case Lockstep:
		return dialLockstep(ctx, j.Network, j.Address)
	case Raw:
		return dialRaw(ctx, j.Network, j.Address)
	}
	return nil, fmt.Errorf("unknown protocol: %q", j.Protocol)
}

// dialMany returns those that it connected with an error, too.
func (j Job) dialMany(ctx context.Context, n int) (all []Conn, err error) {
	for range n {
		c, err := j.dial(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(all []Conn) {
	var closed sync.WaitGroup
	for _, c := range all {
		closed.Go(c.Close)
	}
	closed.Wait()
}

// procedure is what the callee with that number offers. A router may not have heard
// yet that the callees of another job have left.
func (job Job) procedure(i int) string {
	return fmt.Sprintf("org.example.bench.%s.n%d", job.Protocol, i)
}

const topic = "org.example.bench.topic"
