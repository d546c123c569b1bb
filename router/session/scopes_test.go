package session_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// canned is a link to a router that answers HELLO with one message.
type canned struct {
	answer chan wamp.Message
	done   chan struct{}
	once   sync.Once

	mu   sync.Mutex
	sent []wamp.Message
}

func newCanned(answer wamp.Message) *canned {
	c := &canned{answer: make(chan wamp.Message, 1), done: make(chan struct{})}
	c.answer <- answer
	return c
}

func (c *canned) Send(_ context.Context, msg wamp.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, msg)
	return nil
}

func (c *canned) SendNow(ctx context.Context, msg wamp.Message) error { return c.Send(ctx, msg) }
func (c *canned) Receive(ctx context.Context) (wamp.Message, error) {
	select {
	case msg := <-c.answer:
		return msg, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.done:
		return nil, io.EOF
	}
}
func (c *canned) Done() <-chan struct{} { return c.done }
func (c *canned) Err() error            { return nil }
func (c *canned) Close()                { c.once.Do(func() { close(c.done) }) }

// heard checks that HELLO asks for scopes.
func (c *canned) heard(t *testing.T, scopes []string) {
	t.Helper()
	asked := wamp.List{}
	for _, scope := range scopes {
		asked = append(asked, scope)
	}
	if got := c.sent[0].(*wamp.Hello).Details[wire.ScopesKey]; !reflect.DeepEqual(got, asked) {
		t.Errorf("HELLO asks for %#v, want %#v", got, asked)
	}
}

// A session that gives up rights says so in HELLO, and has nothing to do with a
// router that does not confirm it.
func TestScopes(t *testing.T) {
	for _, row := range []struct {
		name   string
		scopes []string
		echo   any
		joined bool
	}{
		{"confirmed", []string{"brightness", "call:org.example"}, wamp.List{"call:org.example", "brightness"}, true},
		{"narrower", []string{"brightness", "system"}, []string{"system"}, true},
		{"nothing", nil, wamp.List{}, true},
		{"no echo", []string{"brightness"}, nil, false},
		{"no echo of nothing", nil, nil, false},
		{"wider", []string{"brightness"}, wamp.List{"brightness", "system"}, false},
		{"wider than nothing", nil, wamp.List{"system"}, false},
		{"no list", []string{"brightness"}, "brightness", false},
		{"no texts", []string{"brightness"}, wamp.List{int64(1)}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			welcome := &wamp.Welcome{ID: 7, Details: wamp.Dict{wire.ProtocolKey: wire.Protocol}}
			if row.echo != nil {
				welcome.Details[wire.ScopesKey] = row.echo
			}
			link := newCanned(welcome)
			s, err := session.Join(t.Context(), link, "test", session.WithScopes(row.scopes))
			link.heard(t, row.scopes)
			if row.joined {
				if err != nil {
					t.Fatal(err)
				}
				s.Leave(t.Context())
				return
			}
			if _, refused := errors.AsType[*session.NotLoweredError](err); !refused {
				t.Fatalf("got %v, want a NotLoweredError", err)
			}
			if _, left := link.sent[len(link.sent)-1].(*wamp.Goodbye); !left {
				t.Errorf("the last message is %s, want GOODBYE", link.sent[len(link.sent)-1].MessageType())
			}
			<-link.done
		})
	}
}

// Without the option nothing is asked for, and an echo means nothing.
func TestWithoutScopes(t *testing.T) {
	link := newCanned(&wamp.Welcome{ID: 7, Details: wamp.Dict{wire.ScopesKey: wamp.List{"system"}}})
	s, err := session.Join(t.Context(), link, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, asks := link.sent[0].(*wamp.Hello).Details[wire.ScopesKey]; asks {
		t.Error("HELLO asks for scopes")
	}
	s.Leave(t.Context())
}
