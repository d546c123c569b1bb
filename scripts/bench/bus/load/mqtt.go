package load

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
)

// mqttConn is a client of MQTT 3.1.1 that sends with QoS 0. MQTT 3 knows no
// calls: where the answer goes is part of the payload, as is which call it
// answers. Nor does it confirm with QoS 0: the client sends itself something,
// which a broker that keeps the order brings back after it has taken the rest.
type mqttConn struct {
	stream

	replies, echoes string                  // topics
	acks            requests                // of CONNECT and SUBSCRIBE, by their order
	acked           uint64                  // so far
	echoing         bool                    // the topic is subscribed to
	body            []byte                  // of the packet that is read
	handles         map[string]func([]byte) // by topic
}

// Packet types of MQTT, with their flags.
const (
	mqttConnect   = 0x10
	mqttConnAck   = 0x20
	mqttPublish   = 0x30
	mqttSubscribe = 0x82
	mqttSubAck    = 0x90
)

func dialMQTT(ctx context.Context, network, address string) (Conn, error) {
	name := strings.ToLower(rand.Text()[:20])
	c := &mqttConn{replies: "replies/" + name, echoes: "echoes/" + name, handles: map[string]func([]byte){}}
	if err := c.open(ctx, network, address, c.read); err != nil {
		return nil, err
	}
	err := c.acknowledged(ctx, func(b []byte, _ uint64) []byte { return appendConnect(b, name) })
	if err == nil {
		// every client has a topic for the answers to all its calls
		err = c.Subscribe(ctx, c.replies, c.answered)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// read takes one packet.
func (c *mqttConn) read(r *bufio.Reader) error {
	kind, body, err := readMQTT(r, &c.body)
	if err != nil {
		return err
	}
	switch kind {
	case mqttConnAck, mqttSubAck:
		c.acked++
		c.acks.end(c.acked, answer{err: refusedMQTT(kind, body)})
	case mqttPublish:
		topic, payload, err := publishedMQTT(body)
		if err != nil {
			return err
		}
		c.mu.Lock()
		handle := c.handles[string(topic)]
		c.mu.Unlock()
		if handle != nil {
			handle(payload)
		}
	}
	return nil
}

// acknowledged sends what add appends, given the number of the request, and
// waits for its acknowledgment. One at a time may wait.
func (c *mqttConn) acknowledged(ctx context.Context, add func([]byte, uint64) []byte) error {
	number, ch := c.acks.begin()
	if err := c.put(func(b []byte) []byte { return add(b, number) }); err != nil {
		return err
	}
	c.flush()
	_, err := received(ctx, ch)
	return err
}

func (c *mqttConn) Subscribe(ctx context.Context, topic string, handle func([]byte)) error {
	c.mu.Lock()
	c.handles[topic] = handle
	c.mu.Unlock()
	return c.acknowledged(ctx, func(b []byte, number uint64) []byte {
		b = appendMQTTHead(b, mqttSubscribe, 2+2+len(topic)+1)
		b = binary.BigEndian.AppendUint16(b, uint16(number))
		return append(appendMQTTText(b, topic), 0) // QoS
	})
}

func (c *mqttConn) Publish(_ context.Context, topic string, payload []byte) error {
	err := c.put(func(b []byte) []byte { return appendPublish(b, topic, nil, payload) })
	c.soon()
	return err
}

func (c *mqttConn) PublishConfirmed(ctx context.Context, topic string, payload []byte) (func(context.Context) error, error) {
	if !c.echoing {
		err := c.Subscribe(ctx, c.echoes, func(number []byte) {
			if len(number) == 8 {
				c.confirms.end(binary.BigEndian.Uint64(number), answer{})
			}
		})
		if err != nil {
			return nil, err
		}
		c.echoing = true
	}
	number, ch := c.confirms.begin()
	err := c.put(func(b []byte) []byte {
		return appendPublish(appendPublish(b, topic, nil, payload), c.echoes, nil, binary.BigEndian.AppendUint64(nil, number))
	})
	c.soon()
	return func(ctx context.Context) error {
		_, err := received(ctx, ch)
		return err
	}, err
}

// A call is its number of 8 bytes, the length of the topic of the answer in
// one, that topic, and the payload. The answer is the number and the payload.
func (c *mqttConn) Serve(ctx context.Context, procedure string) error {
	return c.Subscribe(ctx, procedure, func(call []byte) {
		if len(call) < 9 || len(call) < 9+int(call[8]) {
			return
		}
		number, replies, payload := call[:8], call[9:9+call[8]], call[9+call[8]:]
		_ = c.put(func(b []byte) []byte { return appendPublish(b, string(replies), number, payload) })
	})
}

func (c *mqttConn) Call(ctx context.Context, procedure string, payload []byte) (int, error) {
	number, ch := c.calls.begin()
	head := append(binary.BigEndian.AppendUint64(make([]byte, 0, 64), number), byte(len(c.replies)))
	head = append(head, c.replies...)
	if err := c.put(func(b []byte) []byte { return appendPublish(b, procedure, head, payload) }); err != nil {
		return 0, err
	}
	c.flush()
	return received(ctx, ch)
}

func (c *mqttConn) answered(payload []byte) {
	if len(payload) >= 8 {
		c.calls.end(binary.BigEndian.Uint64(payload), answer{n: len(payload) - 8})
	}
}

// refusedMQTT is the error in the body of a CONNACK or SUBACK.
func refusedMQTT(kind byte, body []byte) error {
	if kind == mqttConnAck && len(body) == 2 && body[1] == 0 || kind == mqttSubAck && len(body) == 3 && body[2] <= 2 {
		return nil
	}
	return fmt.Errorf("mqtt: refused: packet %#x %x", kind, body)
}
