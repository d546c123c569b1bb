package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gammazero/nexus/v3/wamp"
)

// wampConn is a client of WAMP over rawsocket that does no more than those of
// NATS and MQTT: what a router can do is not hidden by what a client does.
type wampConn struct {
	stream

	shaken bool                    // the answer to the handshake was read
	frame  []byte                  // the one that is read
	events map[uint64]func([]byte) // by subscription
	wanted map[uint64]func([]byte) // by the number of the request for one
}

func dialWAMP(ctx context.Context, network, address string) (Conn, error) {
	hello, err := helloOfWAMP(ctx)
	if err != nil {
		return nil, err
	}
	c := &wampConn{events: map[uint64]func([]byte){}, wanted: map[uint64]func([]byte){}}
	_, welcome := c.confirms.begin()
	if err := c.open(ctx, network, address, c.read); err != nil {
		return nil, err
	}
	err = c.put(func(b []byte) []byte { return append(b, hello...) })
	if err == nil {
		c.flush()
		_, err = received(ctx, welcome)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Frames of rawsocket by their first byte.
const (
	frameMessage = 0
	framePing    = 1
	framePong    = 2
)

// read takes one frame.
func (c *wampConn) read(r *bufio.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if !c.shaken {
		c.shaken = true
		if head[0] != 0x7f || head[1]&0x0f == 0 {
			return fmt.Errorf("wamp: the handshake was refused: %x", head)
		}
		return nil
	}
	kind, n := head[0], int(binary.BigEndian.Uint32(head[:])&(1<<24-1))
	c.frame = slices.Grow(c.frame[:0], n)[:n]
	if _, err := io.ReadFull(r, c.frame); err != nil {
		return err
	}
	switch kind {
	case frameMessage:
		m, err := readWAMP(c.frame)
		if err != nil {
			return err
		}
		return c.take(m)
	case framePing:
		head[0] = framePong
		return c.put(func(b []byte) []byte { return append(append(b, head[:]...), c.frame...) })
	}
	return nil
}

func (c *wampConn) take(m wampMessage) error {
	switch m.kind {
	case wamp.EVENT:
		if handle := c.events[m.request]; handle != nil {
			handle(m.payload)
		}
	case wamp.INVOCATION:
		return c.put(func(b []byte) []byte {
			return appendWAMP(b, wampRequest{kind: wamp.YIELD, number: m.request, payload: m.payload, argued: true})
		})
	case wamp.SUBSCRIBED:
		c.mu.Lock()
		c.events[m.object] = c.wanted[m.request]
		c.mu.Unlock()
		c.calls.end(m.request, answer{})
	case wamp.RESULT, wamp.REGISTERED, wamp.PUBLISHED:
		c.calls.end(m.request, answer{n: len(m.payload)})
	case wamp.ERROR:
		c.calls.end(m.request, answer{err: fmt.Errorf("%w: %s", ErrRefused, m.uri)})
	case wamp.WELCOME:
		c.confirms.end(1, answer{})
	case wamp.ABORT, wamp.GOODBYE:
		return fmt.Errorf("wamp: the router says %s: %q", m.kind, c.frame)
	}
	return nil
}

// ask sends a request and returns where its answer comes.
func (c *wampConn) ask(m wampRequest) (chan answer, error) {
	number, ch := c.calls.begin()
	m.number = number
	return ch, c.put(func(b []byte) []byte { return appendWAMP(b, m) })
}

// await sends a request and waits for its answer.
func (c *wampConn) await(ctx context.Context, m wampRequest) (int, error) {
	ch, err := c.ask(m)
	if err != nil {
		return 0, err
	}
	c.flush()
	return received(ctx, ch)
}

func (c *wampConn) Subscribe(ctx context.Context, topic string, handle func([]byte)) error {
	number, ch := c.calls.begin()
	err := c.put(func(b []byte) []byte {
		c.wanted[number] = handle
		return appendWAMP(b, wampRequest{kind: wamp.SUBSCRIBE, number: number, uri: topic})
	})
	if err != nil {
		return err
	}
	c.flush()
	_, err = received(ctx, ch)
	return err
}

func (c *wampConn) Publish(_ context.Context, topic string, payload []byte) error {
	number := c.calls.skip()
	err := c.put(func(b []byte) []byte {
		return appendWAMP(b, wampRequest{kind: wamp.PUBLISH, number: number, uri: topic, payload: payload, argued: true})
	})
	c.soon()
	return err
}

func (c *wampConn) PublishConfirmed(_ context.Context, topic string, payload []byte) (func(context.Context) error, error) {
	ch, err := c.ask(wampRequest{kind: wamp.PUBLISH, option: "acknowledge", uri: topic, payload: payload, argued: true})
	c.soon()
	return func(ctx context.Context) error {
		_, err := received(ctx, ch)
		return err
	}, err
}

func (c *wampConn) Serve(ctx context.Context, procedure string) error {
	_, err := c.await(ctx, wampRequest{kind: wamp.REGISTER, uri: procedure})
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("register %s: %w", procedure, err)
	}
	return err
}

func (c *wampConn) Call(ctx context.Context, procedure string, payload []byte) (int, error) {
	return c.await(ctx, wampRequest{kind: wamp.CALL, uri: procedure, payload: payload, argued: payload != nil})
}
