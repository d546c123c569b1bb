package load

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// sessionConn is a session of dconn's own, as its commands have it.
type sessionConn struct{ *session.Session }

// agent is what a session says it is.
const agent = "dconn-bench"

func dialSession(ctx context.Context, network, address string) (Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s, err := joinSession(ctx, nc)
	if err != nil {
		return nil, err
	}
	return sessionConn{s}, nil
}

func joinSession(ctx context.Context, nc net.Conn) (*session.Session, error) {
	limits := transport.DefaultLimits()
	limits.Message = 1<<24 - 1
	conn, err := transport.Dial(nc, transport.CBOR, limits)
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return session.Join(ctx, conn, agent)
}

func (c sessionConn) Subscribe(ctx context.Context, topic string, handle func([]byte)) error {
	return c.Session.Subscribe(ctx, topic, session.Exact, func(e *session.Event) { handle(payloadOf(e.Args)) })
}

// payloadOf is the only argument, nil if that is something else.
func payloadOf(args []any) []byte {
	if len(args) != 1 {
		return nil
	}
	b, _ := args[0].([]byte)
	return b
}

func (c sessionConn) Publish(ctx context.Context, topic string, payload []byte) error {
	return c.Session.Publish(ctx, topic, []any{payload}, nil, false)
}

func (c sessionConn) PublishConfirmed(ctx context.Context, topic string, payload []byte) (func(context.Context) error, error) {
	receipt, err := c.PublishAcknowledged(ctx, topic, []any{payload}, nil)
	return func(ctx context.Context) error {
		_, err := receipt.Wait(ctx)
		return err
	}, err
}

func (c sessionConn) Serve(ctx context.Context, procedure string) error {
	return c.Register(ctx, procedure, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	})
}

func (c sessionConn) Call(ctx context.Context, procedure string, payload []byte) (int, error) {
	result, err := c.Session.Call(ctx, procedure, []any{payload}, nil)
	if _, answered := errors.AsType[*wire.Error](err); answered && c.Session.Err() == nil {
		return 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return len(payloadOf(result.Args)), err
}

func (c sessionConn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c.Leave(ctx)
}
