package load

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
)

// natsConn is a client of NATS, as its documentation "NATS Client Protocol"
// has it.
type natsConn struct {
	stream

	pongs   uint64              // so far
	inbox   string              // what the subject of an answer begins with
	body    []byte              // of the message that is read
	handles []func(natsMessage) // by the number of the subscription, from 1
}

func dialNATS(ctx context.Context, network, address string) (Conn, error) {
	c := &natsConn{inbox: "_INBOX." + rand.Text() + "."}
	if err := c.open(ctx, network, address, c.read); err != nil {
		return nil, err
	}
	// every client has its inbox: the answers to all its calls
	err := c.put(func(b []byte) []byte { return append(b, natsHello...) })
	if err == nil {
		err = c.listen(ctx, c.inbox+"*", c.answered)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

const natsHello = `CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"0","name":"` + agent +
	`","protocol":1,"echo":true,"headers":true,"no_responders":true}` + "\r\n"

// read takes one message.
func (c *natsConn) read(r *bufio.Reader) error {
	m, err := readNATS(r, &c.body)
	if err != nil {
		return err
	}
	switch m.op {
	case "MSG", "HMSG":
		c.mu.Lock()
		var handle func(natsMessage)
		if m.sub < uint64(len(c.handles)) {
			handle = c.handles[m.sub]
		}
		c.mu.Unlock()
		if handle != nil {
			handle(m)
		}
	case "PING":
		return c.put(func(b []byte) []byte { return append(b, "PONG\r\n"...) })
	case "PONG":
		c.pongs++
		c.confirms.end(c.pongs, answer{})
	case "-ERR":
		return fmt.Errorf("nats: %s", m.text)
	}
	return nil
}

// listen subscribes, and waits until the server knows.
func (c *natsConn) listen(ctx context.Context, subject string, handle func(natsMessage)) error {
	err := c.put(func(b []byte) []byte {
		if len(c.handles) == 0 {
			c.handles = append(c.handles, nil)
		}
		c.handles = append(c.handles, handle)
		return fmt.Appendf(b, "SUB %s %d\r\n", subject, len(c.handles)-1)
	})
	if err != nil {
		return err
	}
	wait, err := c.ping()
	if err != nil {
		return err
	}
	return wait(ctx)
}

// ping asks for an answer, which comes after what the server was sent before.
func (c *natsConn) ping() (wait func(context.Context) error, err error) {
	_, ch := c.confirms.begin()
	err = c.put(func(b []byte) []byte { return append(b, "PING\r\n"...) })
	c.soon()
	return func(ctx context.Context) error {
		_, err := received(ctx, ch)
		return err
	}, err
}

func (c *natsConn) Subscribe(ctx context.Context, topic string, handle func([]byte)) error {
	return c.listen(ctx, topic, func(m natsMessage) { handle(m.body) })
}

func (c *natsConn) Publish(_ context.Context, topic string, payload []byte) error {
	err := c.put(func(b []byte) []byte { return appendPub(b, topic, "", 0, payload) })
	c.soon()
	return err
}

func (c *natsConn) PublishConfirmed(ctx context.Context, topic string, payload []byte) (func(context.Context) error, error) {
	if err := c.Publish(ctx, topic, payload); err != nil {
		return nil, err
	}
	return c.ping()
}

func (c *natsConn) Serve(ctx context.Context, procedure string) error {
	return c.listen(ctx, procedure, func(m natsMessage) {
		_ = c.put(func(b []byte) []byte { return appendPub(b, string(m.reply), "", 0, m.body) })
	})
}

func (c *natsConn) Call(ctx context.Context, procedure string, payload []byte) (int, error) {
	number, ch := c.calls.begin()
	if err := c.put(func(b []byte) []byte { return appendPub(b, procedure, c.inbox, number, payload) }); err != nil {
		return 0, err
	}
	c.flush()
	return received(ctx, ch)
}

// answered takes what came to the inbox.
func (c *natsConn) answered(m natsMessage) {
	number, err := strconv.ParseUint(strings.TrimPrefix(string(m.subject), c.inbox), 10, 64)
	if err != nil {
		return // nobody's
	}
	a := answer{n: len(m.body)}
	if m.noResponders {
		a = answer{err: fmt.Errorf("%w: no responders", ErrRefused)}
	}
	c.calls.end(number, a)
}

// appendPub adds a PUB message, whose reply subject is inbox and number, if
// there is one.
func appendPub(b []byte, subject, inbox string, number uint64, payload []byte) []byte {
	b = append(append(b, "PUB "...), subject...)
	b = append(b, ' ')
	if inbox != "" {
		b = strconv.AppendUint(append(b, inbox...), number, 10)
		b = append(b, ' ')
	}
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(append(b, "\r\n"...), payload...)
	return append(b, "\r\n"...)
}
