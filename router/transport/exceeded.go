package transport

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/deskconn/dconn/router/wire"
)

// The names of Limits: what goes over one of them says so by its name.
const (
	LimitHandshake = "handshake"
	LimitMessage   = "message"
	LimitGreeting  = "door_bytes"
	LimitDepth     = "depth"
	LimitValues    = "values" // maxValues
	LimitQueue     = "queue"
	LimitStall     = "stall"
	LimitBacklog   = "backlog"
	LimitKeepalive = "keepalive"
	LimitAssembly  = "message_time"
)

// fault is what is said to the peer that sent what is not accepted.
func (c *Conn) fault(err error) error {
	long, isLong := errors.AsType[*TooLongError](err)
	switch {
	case isLong && long.Limit < c.lim.Message:
		return wire.Over(wire.ErrLimit, LimitGreeting, "limit %s: %v before WELCOME", LimitGreeting, err)
	case isLong:
		return wire.Over(wire.ErrLimit, LimitMessage, "%v", err)
	case errors.Is(err, errDepth):
		return wire.Over(wire.ErrLimit, LimitDepth, "a message is %v: at most %d levels", errDepth, c.lim.Depth)
	case errors.Is(err, errMany):
		return wire.Over(wire.ErrLimit, LimitValues, "more than %d values in one message", c.decoder.values)
	}
	return violation(err)
}

// slow is why a peer is cut off for which too much waits.
func (c *Conn) slow() *wire.Error {
	return wire.Over(wire.ErrSlowConsumer, LimitQueue,
		"cut off for reading too slowly: at most %d bytes may wait for one session", c.lim.Queue)
}

// unwritten is why what waits could not be written.
func (c *Conn) unwritten(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.Over(wire.ErrSlowConsumer, LimitStall, "the other end has read nothing for %v", c.lim.Stall)
	}
	return fmt.Errorf("write: %w", err)
}

// silent is why a peer is given up from which nothing came for so long. Only the
// router says so: at a client's end the connection is lost.
func (c *Conn) silent(long time.Duration) error {
	const format = "nothing was heard for %v, not even the answer to a ping"
	if c.guard == nil {
		return fmt.Errorf(format, long)
	}
	return wire.Over(wire.ErrNetworkFailure, LimitKeepalive, format+" after %v", long, c.lim.Keepalive)
}

// unfinished is why a peer is given up whose message does not arrive.
func (c *Conn) unfinished() error {
	return wire.Over(wire.ErrLimit, LimitAssembly, "a message did not arrive whole within %v", c.lim.Assembly)
}

// unshaken is why there was no handshake.
func unshaken(err error, lim Limits) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.Over(wire.ErrTimeout, LimitHandshake, "no rawsocket handshake within %v", lim.Handshake)
	}
	return fmt.Errorf("rawsocket handshake: %w", err)
}
