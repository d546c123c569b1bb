package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// runIdle measures the router before and after sessions join that do nothing.
// Nor does this end of them do anything: they are but connections. The router
// has For to tidy up after the last came.
func runIdle(ctx context.Context, job Job) (r Result, err error) {
	greet, err := job.greeter(ctx)
	if err != nil {
		return r, err
	}
	if err := pause(ctx, job.For/2); err != nil {
		return r, err
	}
	if r.Before, _, err = rig.Memory(job.Router); err != nil {
		return r, err
	}
	var all []net.Conn
	defer func() {
		for _, nc := range all {
			_ = nc.Close()
		}
	}()
	for i := range job.Sessions {
		nc, err := job.greeted(ctx, greet)
		if err != nil {
			return r, fmt.Errorf("session %d: %w", i+1, err)
		}
		all = append(all, nc)
	}
	if err := pause(ctx, job.For); err != nil {
		return r, err
	}
	r.After, r.Peak, err = rig.Memory(job.Router)
	return r, err
}

// greeted is the connection of a session.
func (j Job) greeted(ctx context.Context, greet func(net.Conn) error) (net.Conn, error) {
	nc, err := (&net.Dialer{Timeout: Patience}).DialContext(ctx, j.Network, j.Address)
	if err != nil {
		return nil, err
	}
	if err = nc.SetDeadline(time.Now().Add(Patience)); err == nil {
		err = greet(nc)
	}
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return nc, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// greeter is what makes a session of a connection.
func (j Job) greeter(ctx context.Context) (func(net.Conn) error, error) {
	switch j.Protocol {
	case WAMP, Session:
		hello, err := helloOfWAMP(ctx)
		return func(nc net.Conn) error { return greetWAMP(nc, hello) }, err
	case NATS:
		return greetNATS, nil
	case MQTT:
		n := 0
		return func(nc net.Conn) error {
			n++
			return greetMQTT(nc, fmt.Sprint("idle", n))
		}, nil
	}
	return nil, fmt.Errorf("unknown protocol: %q", j.Protocol)
}

// helloOfWAMP is what our own sessions send first: the handshake and HELLO.
func helloOfWAMP(ctx context.Context) ([]byte, error) {
	near, far := net.Pipe()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := far.SetDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	joined := make(chan struct{})
	go func() {
		_, _ = joinSession(ctx, near)
		close(joined)
	}()
	defer func() {
		_ = far.Close()
		<-joined
	}()
	head := make([]byte, 4+4)
	if _, err := io.ReadFull(far, head); err != nil {
		return nil, err
	}
	body, err := readFrameBody(far, head[4:])
	return append(head, body...), err
}

// readFrameBody reads what the head of a rawsocket frame announces.
func readFrameBody(r io.Reader, head []byte) ([]byte, error) {
	body := make([]byte, binary.BigEndian.Uint32(head)&(1<<24-1))
	_, err := io.ReadFull(r, body)
	return body, err
}

func greetWAMP(nc net.Conn, hello []byte) error {
	if _, err := nc.Write(hello); err != nil {
		return err
	}
	head := make([]byte, 4+4)
	if _, err := io.ReadFull(nc, head); err != nil {
		return err
	}
	body, err := readFrameBody(nc, head[4:])
	if err != nil {
		return err
	}
	if m, err := readWAMP(body); err != nil || m.kind != wamp.WELCOME {
		return fmt.Errorf("expected WELCOME, got %q", body)
	}
	return nil
}

func greetNATS(nc net.Conn) error {
	if _, err := io.WriteString(nc, natsHello+"PING\r\n"); err != nil {
		return err
	}
	for r := bufio.NewReader(nc); ; {
		switch line, err := r.ReadString('\n'); {
		case err != nil:
			return err
		case strings.HasPrefix(line, "PONG"):
			return nil
		case !strings.HasPrefix(line, "INFO "):
			return fmt.Errorf("expected PONG, got %q", line)
		}
	}
}

func greetMQTT(nc net.Conn, name string) error {
	if _, err := nc.Write(appendConnect(nil, name)); err != nil {
		return err
	}
	var keep []byte
	kind, body, err := readMQTT(bufio.NewReader(nc), &keep)
	if err != nil {
		return err
	}
	return refusedMQTT(kind, body)
}
