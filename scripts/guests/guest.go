package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deskconn/dconn/router/wire"
	"github.com/deskconn/dconn/scripts/bench/bare"
)

// What the guest does in so many sessions each, at once. It is a little more than a
// device may have.
var habits = []struct {
	name     string
	sessions int
	do       func(*bare.Peer) error
}{
	{"holds patterns", 6, holdPatterns},
	{"holds topics", 2, holdTopics},
	{"floods calls", 4, floodCalls},
	{"calls and does not read", 3, callDeaf},
	{"floods what is refused", 3, floodRefused},
	{"never finishes a message", 5, neverFinish},
	{"sends long messages", 2, sendLong},
	{"subscribes and unsubscribes", 2, flicker},
	{"comes and goes", 4, comeAndGo},
	{"subscribes, and vanishes", 2, vanish},
}

// beGuest works until stdin ends.
func beGuest(state, address, only string) error {
	pem := filepath.Join(state, "identity.pem")
	identity, err := tls.LoadX509KeyPair(pem, pem)
	if err != nil {
		return err
	}
	for _, h := range habits {
		if !strings.Contains(h.name, only) {
			continue
		}
		for range h.sessions {
			go func() {
				for {
					p, err := join(identity, address)
					if err == nil {
						_ = h.do(p)
						_ = p.Close()
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func join(identity tls.Certificate, address string) (*bare.Peer, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, &tls.Config{
		InsecureSkipVerify: true, // whoever serves is attacked
		Certificates:       []tls.Certificate{identity}, NextProtos: []string{wire.ALPN},
	})
	if err != nil {
		return nil, err
	}
	p := bare.Over(nc)
	if err := p.Join(); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

const (
	openCall  = "org.deskconn.system.name"
	openTopic = "org.deskconn.brightness."
)

// deep is a wildcard that is dear to compare.
func deep(n int) string {
	part := fmt.Sprintf("s%d", n)
	return openTopic + strings.Repeat(part+".", 6) + part
}

func holdPatterns(p *bare.Peer) error {
	for n := range 1100 {
		if err := p.Say(bare.Message{bare.Subscribe, n + 1, map[string]any{"match": "wildcard"}, deep(n)}); err != nil {
			return err
		}
	}
	return hold(p, 5*time.Second)
}

func holdTopics(p *bare.Peer) error {
	for n := range 1100 {
		if err := p.Say(bare.Message{bare.Subscribe, n + 1, bare.None, deep(n)}); err != nil {
			return err
		}
	}
	return hold(p, 5*time.Second)
}

// hold reads what comes for a while, and then hangs up.
func hold(p *bare.Peer, while time.Duration) error {
	_ = p.SetReadDeadline(time.Now().Add(while))
	_, err := io.Copy(io.Discard, p)
	return err
}

// floodCalls has a thousand calls in flight, and reads the answers.
func floodCalls(p *bare.Peer) error {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	return forever(p, func(n int) []bare.Message { return []bare.Message{{bare.Call, n, bare.None, openCall}} })
}

// callDeaf asks for much, and reads nothing.
func callDeaf(p *bare.Peer) error {
	return forever(p, func(n int) []bare.Message { return []bare.Message{{bare.Call, n, bare.None, wire.Describe}} })
}

func floodRefused(p *bare.Peer) error {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	return forever(p, func(n int) []bare.Message {
		return []bare.Message{
			{bare.Register, 4*n + 1, bare.None, "org.example.not.granted"},
			{bare.Publish, 4*n + 2, map[string]any{"acknowledge": true}, "org.example.not.granted"},
			{bare.Unsubscribe, 4*n + 3, 4711},
			{bare.Call, 4*n + 4, bare.None, "org.example.not.granted"},
		}
	})
}

// neverFinish promises 4 MiB, sends half of it, and then a byte a second.
func neverFinish(p *bare.Peer) error {
	if _, err := p.Write(append([]byte{0, 0x3f, 0xff, 0xff, '['}, make([]byte, 2<<20)...)); err != nil {
		return err
	}
	for {
		if _, err := p.Write([]byte{' '}); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

func sendLong(p *bare.Peer) error {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	long := strings.Repeat("[],", 300_000) + "[]" // dear to decode
	return forever(p, func(n int) []bare.Message {
		return []bare.Message{{bare.Call, n, bare.None, openCall, []any{raw(`[` + long + `]`)}}}
	})
}

// raw is JSON as it is.
type raw string

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func flicker(p *bare.Peer) error {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	return forever(p, func(n int) []bare.Message {
		return []bare.Message{
			{bare.Subscribe, 2*n + 1, bare.None, deep(n % 100)}, {bare.Unsubscribe, 2*n + 2, n},
		}
	})
}

func comeAndGo(*bare.Peer) error { return nil }

func vanish(p *bare.Peer) error {
	for n := range 200 {
		if err := p.Say(bare.Message{bare.Subscribe, n + 1, map[string]any{"match": []string{"exact", "wildcard"}[n%2]}, deep(n)}); err != nil {
			return err
		}
	}
	time.Sleep(200 * time.Millisecond)
	return nil
}

// forever sends messages, numbered from 1, until the session ends.
func forever(p *bare.Peer, make func(n int) []bare.Message) error {
	for n := 1; ; n++ {
		if err := p.Say(make(n)...); err != nil {
			return err
		}
	}
}
