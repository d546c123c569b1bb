package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/gammazero/nexus/v3/wamp"
)

// lockstepConn is a WAMP client whose caller writes a CALL and reads its RESULT itself,
// as the two ends of a ping-pong do: no time goes by between two goroutines of the
// client. It has nothing but calls, one at a time.
type lockstepConn struct {
	Conn

	nc      net.Conn
	r       *bufio.Reader
	request uint64
	out, in []byte
}

func dialLockstep(ctx context.Context, network, address string) (Conn, error) {
	hello, err := helloOfWAMP(ctx)
	if err != nil {
		return nil, err
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &lockstepConn{nc: nc, r: bufio.NewReader(nc)}
	if err := c.join(hello); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// join sends hello, with the handshake before it, and reads the answers to both.
func (c *lockstepConn) join(hello []byte) error {
	if _, err := c.nc.Write(hello); err != nil {
		return err
	}
	var handshake [4]byte
	if _, err := io.ReadFull(c.r, handshake[:]); err != nil {
		return err
	}
	m, err := c.read()
	if err == nil && m.kind != wamp.WELCOME {
		err = fmt.Errorf("wamp: the router answers HELLO with %s: %q", m.kind, c.in)
	}
	return err
}

// read reads one frame, which must be a message.
func (c *lockstepConn) read() (wampMessage, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return wampMessage{}, err
	}
	if head[0] != frameMessage {
		return wampMessage{}, fmt.Errorf("wamp: expected a message, got a frame of type %d", head[0])
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	c.in = slices.Grow(c.in[:0], n)[:n]
	if _, err := io.ReadFull(c.r, c.in); err != nil {
		return wampMessage{}, err
	}
	return readWAMP(c.in)
}

// Call is one round trip.
func (c *lockstepConn) Call(_ context.Context, procedure string, payload []byte) (int, error) {
	c.request++
	c.out = appendWAMP(c.out[:0], wampRequest{kind: wamp.CALL, number: c.request, uri: procedure, payload: payload, argued: payload != nil})
	if _, err := c.nc.Write(c.out); err != nil {
		return 0, err
	}
	m, err := c.read()
	switch {
	case err != nil:
		return 0, err
	case m.request != c.request:
		return 0, fmt.Errorf("wamp: %s %d does not answer call %d", m.kind, m.request, c.request)
	case m.kind == wamp.ERROR:
		return 0, fmt.Errorf("%w: %s", ErrRefused, m.uri)
	}
	return len(m.payload), nil
}

func (c *lockstepConn) Close() { _ = c.nc.Close() }
