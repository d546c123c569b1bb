package load

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// rawSize is the message of a ping-pong, in bytes.
const rawSize = 64

// rawConn sends a message and reads the one that comes back: the least that two
// processes can do for one call. It has nothing but calls.
type rawConn struct {
	Conn

	nc      net.Conn
	message [rawSize]byte
}

func dialRaw(ctx context.Context, network, address string) (Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &rawConn{nc: nc}, nil
}

// Call is one round trip, of whatever it is asked to call.
func (c *rawConn) Call(context.Context, string, []byte) (int, error) {
	if _, err := c.nc.Write(c.message[:]); err != nil {
		return 0, err
	}
	return io.ReadFull(c.nc, c.message[:])
}

func (c *rawConn) Close() { _ = c.nc.Close() }

// Echo is the other end: it sends back what each connection sends, until ctx
// ends.
func Echo(ctx context.Context, network, address string) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var echoes sync.WaitGroup
	defer echoes.Wait()
	for {
		nc, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		echoes.Go(func() { echo(ctx, nc) })
	}
}

// echo ends with its connection.
func echo(ctx context.Context, nc net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	defer func() { _ = nc.Close() }()
	var message [rawSize]byte
	for {
		if _, err := io.ReadFull(nc, message[:]); err != nil {
			return
		}
		if _, err := nc.Write(message[:]); err != nil {
			return
		}
	}
}
