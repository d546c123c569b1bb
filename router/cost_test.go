package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
)

// BenchmarkCost is the map of docs/reliability.md: what one message of the owner costs
// beside so many subscriptions of a device, and what it costs that the device leaves.
func BenchmarkCost(b *testing.B) {
	for _, match := range []string{wamp.MatchExact, wamp.MatchWildcard} {
		for _, n := range []int{0, 256, 1024, 4096} {
			name := fmt.Sprintf("beside %d %s subscriptions of a device: ", n, match)
			b.Run(name+"call", func(b *testing.B) {
				h := costs(b, n, match)
				for i := 0; b.Loop(); i++ {
					h.ask(h.owner, &wamp.Call{Request: wamp.ID(i + 1), Procedure: "org.deskconn.test.set", Arguments: wamp.List{1}})
				}
			})
			b.Run(name+"publish", func(b *testing.B) {
				h := costs(b, n, match)
				for i := 0; b.Loop(); i++ {
					h.ask(h.owner, &wamp.Publish{Request: wamp.ID(i + 1), Topic: "org.u.x", Options: wamp.Dict{"acknowledge": true}})
				}
			})
			b.Run(name+"subscribe and unsubscribe", func(b *testing.B) {
				h := costs(b, n, match)
				for i := 0; b.Loop(); i++ {
					m := h.ask(h.owner, &wamp.Subscribe{Request: wamp.ID(2*i + 1), Topic: "org.u.x"}).(*wamp.Subscribed)
					h.ask(h.owner, &wamp.Unsubscribe{Request: wamp.ID(2*i + 2), Subscription: m.Subscription})
				}
			})
			b.Run(name+"register and unregister", func(b *testing.B) {
				h := costs(b, n, match)
				for i := 0; b.Loop(); i++ {
					m := h.ask(h.owner, &wamp.Register{Request: wamp.ID(2*i + 1), Procedure: "org.u.x"}).(*wamp.Registered)
					h.ask(h.owner, &wamp.Unregister{Request: wamp.ID(2*i + 2), Registration: m.Registration})
				}
			})
			b.Run(name+"session with a call", func(b *testing.B) {
				h := costs(b, n, match)
				for b.Loop() {
					s := h.join(transport.CBOR)
					if _, err := s.Call(h.ctx(), "org.deskconn.test.set", []any{1}, nil); err != nil {
						b.Fatal(err)
					}
					s.Leave(h.ctx())
				}
			})
			b.Run(name+"the device leaves", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					h := costs(b, n, match)
					b.StartTimer()
					for _, guest := range h.theirs {
						guest.Abandon()
					}
					for h.router.ledger.hasDevices() || h.router.held[device().id].subscriptions.Held() > 0 {
						time.Sleep(100 * time.Microsecond)
					}
					h.ask(h.owner, &wamp.Subscribe{Request: 1, Topic: "org.u.after"}) // nexus has done with all before it
					b.StopTimer()
					h.router.Close()
					b.StartTimer()
				}
			})
		}
	}
}

// costing is a router with its owner and the sessions of a device.
type costing struct {
	*bench
	owner  *transport.Conn
	theirs []*transport.Conn
}

// costs has a device with n subscriptions.
func costs(b *testing.B, n int, match string) *costing {
	opts := guardedOptions()
	opts.Certificate = &server().Certificate
	opts.Trust = storeOf(b, &trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC(), Scopes: trust.Scopes{"subscribe:org.t"}})
	h := &costing{bench: startWith(b, opts)}
	h.owner = h.raw(transport.CBOR, everyRole)
	for at := 0; at < n; at += 1024 {
		guest := h.guests(device(), 1)[0]
		h.theirs = append(h.theirs, guest)
		for i := range min(n-at, 1024) {
			topic := wamp.URI(fmt.Sprintf("org.t.a%d..b%d", i, at))
			if match == wamp.MatchExact {
				topic = wamp.URI(fmt.Sprintf("org.t.a%d.b%d", i, at))
			}
			h.ask(guest, &wamp.Subscribe{Request: wamp.ID(i + 1), Topic: topic, Options: wamp.Dict{"match": match}})
		}
	}
	return h
}

// ask sends a request, and is its answer.
func (h *costing) ask(conn *transport.Conn, m wamp.Message) wamp.Message {
	h.t.Helper()
	h.send(conn, m)
	answer := h.receive(conn)
	if e, ok := answer.(*wamp.Error); ok {
		h.t.Fatalf("%+v is answered with %+v", m, e)
	}
	return answer
}
