package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// broker is a server of a few lines, for the clients of NATS and MQTT: who gets
// what, by topic.
type broker struct {
	mu   sync.Mutex
	subs map[string][]func(reply string, payload []byte)
}

func (b *broker) subscribe(topic string, deliver func(string, []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[topic] = append(b.subs[topic], deliver)
}

// publish reports whether anybody got it.
func (b *broker) publish(topic, reply string, payload []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, deliver := range b.subs[topic] {
		deliver(reply, payload)
	}
	return len(b.subs[topic]) > 0
}

// serve accepts until the test ends.
func (b *broker) serve(t *testing.T, talk func(*broker, net.Conn) error) (socket string) {
	b.subs = map[string][]func(string, []byte){}
	socket = filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = talk(b, nc) // ends with the client
				_ = nc.Close()
			}()
		}
	}()
	return socket
}

func talkNATS(b *broker, nc net.Conn) error {
	if _, err := io.WriteString(nc, "INFO {}\r\n"); err != nil {
		return err
	}
	for r := bufio.NewReader(nc); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		f := strings.Fields(line)
		switch f[0] {
		case "PING":
			// behind the lock, as what was published before it is
			b.mu.Lock()
			_, err = io.WriteString(nc, "PONG\r\n")
			b.mu.Unlock()
		case "SUB":
			sub := f[2]
			b.subscribe(f[1], func(reply string, payload []byte) {
				fmt.Fprintf(nc, "MSG %s %s %s %d\r\n%s\r\n", f[1], sub, reply, len(payload), payload)
			})
		case "PUB":
			err = b.natsPublish(nc, r, f[1:])
		}
		if err != nil {
			return err
		}
	}
}

// natsPublish delivers an answer to the inbox of its caller itself.
func (b *broker) natsPublish(nc net.Conn, r io.Reader, f []string) error {
	n, _ := decimal([]byte(f[len(f)-1]))
	payload := make([]byte, n+2)
	if _, err := io.ReadFull(r, payload); err != nil {
		return err
	}
	payload = payload[:n]
	reply := ""
	if len(f) == 3 {
		reply = f[1]
		answer := func(_ string, payload []byte) { fmt.Fprintf(nc, "MSG %s 1 %d\r\n%s\r\n", reply, len(payload), payload) }
		b.subscribe(reply, answer)
	}
	if !b.publish(f[0], reply, payload) && reply != "" {
		_, err := fmt.Fprintf(nc, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", reply)
		return err
	}
	return nil
}

func talkMQTT(b *broker, nc net.Conn) error {
	r := bufio.NewReader(nc)
	for {
		var packet []byte
		kind, body, err := readMQTT(r, &packet)
		if err != nil {
			return err
		}
		switch kind {
		case mqttConnect:
			_, err = nc.Write([]byte{mqttConnAck, 2, 0, 0})
		case mqttSubscribe:
			topic := string(body[4 : 4+binary.BigEndian.Uint16(body[2:])])
			b.subscribe(topic, func(_ string, payload []byte) { _, _ = nc.Write(appendPublish(nil, topic, nil, payload)) })
			_, err = nc.Write([]byte{mqttSubAck, 3, body[0], body[1], 0})
		case mqttPublish:
			topic, payload, _ := publishedMQTT(body)
			b.publish(string(topic), "", payload)
		}
		if err != nil {
			return err
		}
	}
}

func TestClients(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for protocol, talk := range map[string]func(*broker, net.Conn) error{NATS: talkNATS, MQTT: talkMQTT} {
		var b broker
		socket := b.serve(t, talk)
		for _, job := range []Job{
			{Kind: RPC, Callers: 3, Callees: 2, Window: 2, Size: 100},
			{Kind: RPC, Callers: 1, Callees: 1, Window: 1, Size: 100 << 10},
			{Kind: PubSub, Subscribers: 2, Window: 10, Size: stampBytes},
			{Kind: Idle, Sessions: 5},
		} {
			job.Protocol, job.Network, job.Address, job.Router, job.For = protocol, "unix", socket, os.Getpid(), 50*time.Millisecond
			got, err := Run(ctx, job)
			if err != nil || job.Kind != Idle && (got.Done == 0 || got.Done != got.Sent) {
				t.Errorf("%s, %s: %+v, %v, expected all that was sent", protocol, job.Kind, got, err)
			}
		}
	}
}

func TestNATSRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b broker
	c, err := dialNATS(ctx, "unix", b.serve(t, talkNATS))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(ctx, "nobody", nil); err == nil || !strings.Contains(err.Error(), ErrRefused.Error()) {
		t.Errorf("Call = %v, expected %v", err, ErrRefused)
	}
}
