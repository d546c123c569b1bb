package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// actor does something random, and in the end lets others finish.
type actor interface {
	step()
	// settle answers what is open until no call is.
	settle()
	// last publishes an acknowledged event, after which all is known.
	last()
	leave()
}

const (
	endTopic  = "end.of.model"
	endMarker = "end"
)

var (
	modelTopics   = []string{"org.m.a", "org.m.b", "org.m.a.x", "org.n.a"}
	modelPatterns = [][2]string{ // and how they match
		{"org.m.a", session.Exact}, {"org.m.b", session.Exact}, {"org.n.a", session.Exact}, {"org.m.c", session.Exact},
		{"org.m", session.Prefix}, {"org.m.a", session.Prefix}, {"org", session.Prefix},
		{"org..a", session.Wildcard}, {"org.m.", session.Wildcard}, {"org.m.a.", session.Wildcard},
	}
	modelProcedures = []string{"org.m.single", "org.m.shared", "org.m.other"}
)

// envInt is a number from the environment, for the long forms of tests.
func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// Random sessions subscribe, publish, register, call, cancel, answer, and leave
// at random: what they see is what the model allows. DCONN_MODEL_SEED repeats a
// round, DCONN_MODEL_ROUNDS makes more of them.
func TestModel(t *testing.T) {
	seed := envInt(t, "DCONN_MODEL_SEED", int(time.Now().UnixNano()&math.MaxInt32))
	for round := range envInt(t, "DCONN_MODEL_ROUNDS", 12) {
		t.Run(fmt.Sprintf("seed %d", seed+round), func(t *testing.T) { runModel(t, uint64(seed+round)) })
	}
}

func runModel(t *testing.T, seed uint64) {
	b, w := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits())), newWorld()
	rnd := rand.New(rand.NewPCG(seed, 0))
	members := 4 + rnd.IntN(6)
	var acting sync.WaitGroup
	actors := make([]actor, members)
	for i := range actors {
		acting.Go(func() { actors[i] = w.act(b, seed, i) })
	}
	acting.Wait()
	close(w.settling)
	for _, a := range actors {
		acting.Go(a.settle)
	}
	acting.Wait()
	for _, a := range actors {
		acting.Go(a.last)
	}
	acting.Wait()
	w.barrier(b, actors)
	w.mu.Lock()
	w.verify()
	for _, wrong := range w.wrong[:min(len(w.wrong), 10)] {
		t.Error(wrong)
	}
	t.Log(w.tally())
	w.mu.Unlock()
	for _, a := range actors {
		acting.Go(a.leave)
	}
	acting.Wait()
	for _, procedure := range modelProcedures {
		b.gone(procedure)
	}
	b.describesOnlyItsOwn()
}

// act is the life of one actor: sessions that come and go, and the last stays.
func (w *world) act(b *bench, seed uint64, place int) actor {
	rnd := rand.New(rand.NewPCG(seed, uint64(place)+1))
	for life := 0; ; life++ {
		id := 100*(life+1) + place
		var a actor
		switch codec := codecs[rnd.IntN(len(codecs))]; rnd.IntN(6) {
		case 0:
			a = w.newOwn(b, rnd, id)
		case 1, 2:
			a = w.newPolite(b, rnd, id, codec)
		default:
			a = w.newRaw(b, rnd, id, codec)
		}
		for range 50 + rnd.IntN(200) {
			a.step()
		}
		if life == 3 || rnd.IntN(2) == 0 {
			return a
		}
		a.leave()
	}
}

// stays is implemented by actors whose session has not ended.
type stays interface{ ended() <-chan struct{} }

// barrier waits until everything that was published has arrived.
func (w *world) barrier(b *bench, actors []actor) {
	if err := b.join(transport.CBOR).Publish(b.ctx(), endTopic, []any{endMarker}, nil, true); err != nil {
		b.t.Fatal(err)
	}
	for _, a := range actors {
		select {
		case <-a.(stays).ended():
		case <-b.ctx().Done():
			b.t.Error("a session still waits for events")
		}
	}
}

// describesOnlyItsOwn waits until no registration of a session is known.
func (b *bench) describesOnlyItsOwn() {
	b.t.Helper()
	for ctx := b.ctx(); len(b.router.directory.describe("")) != 3; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			b.t.Fatalf("describe still lists %v", b.router.directory.describe(""))
		}
	}
}

// settled waits until no call is open, and does something meanwhile.
func (w *world) settled(meanwhile func()) {
	for limit := time.Now().Add(patienceOfTests); ; time.Sleep(time.Millisecond) {
		meanwhile()
		w.mu.Lock()
		open := w.open()
		if open > 0 && time.Now().After(limit) {
			w.wrongf("%d calls never end", open)
			open = 0
		}
		w.mu.Unlock()
		if open == 0 {
			return
		}
	}
}
