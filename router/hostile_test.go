package router

import (
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// shapes are the fields of each message after its type: i an id, o options or
// details, u a URI, a and k arguments, s text, t the type of a request.
var shapes = map[wamp.MessageType]string{
	wamp.HELLO: "uo", wamp.WELCOME: "io", wamp.ABORT: "ou", wamp.CHALLENGE: "so", wamp.AUTHENTICATE: "so", wamp.GOODBYE: "ou",
	wamp.ERROR: "tiouak", wamp.PUBLISH: "iouak", wamp.PUBLISHED: "ii", wamp.SUBSCRIBE: "iou", wamp.SUBSCRIBED: "ii",
	wamp.UNSUBSCRIBE: "ii", wamp.UNSUBSCRIBED: "i", wamp.EVENT: "iioak", wamp.CALL: "iouak", wamp.CANCEL: "io", wamp.RESULT: "ioak",
	wamp.REGISTER: "iou", wamp.REGISTERED: "ii", wamp.UNREGISTER: "ii", wamp.UNREGISTERED: "i", wamp.INVOCATION: "iioak",
	wamp.INTERRUPT: "io", wamp.YIELD: "ioak",
}

// asking are the messages that a router takes in a session; any other ends it.
var asking = []wamp.MessageType{
	wamp.PUBLISH, wamp.SUBSCRIBE, wamp.UNSUBSCRIBE, wamp.CALL, wamp.CALL, wamp.CANCEL, wamp.REGISTER, wamp.UNREGISTER, wamp.YIELD, wamp.ERROR,
}

var hostileURIs = []string{
	"", ".", "..", "a", "a..b", "org", "org.", "org.t", "org.t.h1", "org.t.h2", "org.t.h3", "org.t.h4", "org.t.h5", "org..h1", "ORG.T.H1",
	"org.t. ", "org.t.#", "org.t.\x00", "org.t.\u202e", "org.t.日本", strings.Repeat("x", 5000), strings.Repeat("x.", 500) + "x",
	ownProcedure, ownTopic, "org.deskconn.test.set", "org.deskconn.test.slow", "org.deskconn.test.fail", "org.deskconn.error.callee_lost",
	wire.Describe, "org.deskconn.", "org.deskconn.mine", "deskconn", "wamp", "wamp.", "wamp.mine", "wamp.close.normal", "wamp.error.canceled",
	"wamp.session.on_join", "wamp.session.on_leave", "wamp.session.count", "wamp.session.list", "wamp.session.get", "wamp.session.kill",
	"wamp.session.kill_all", "wamp.session.kill_by_authid", "wamp.session.kill_by_authrole", "wamp.session.modify_details",
	"wamp.session.add_testament", "wamp.session.flush_testaments", "wamp.registration.list", "wamp.registration.lookup",
	"wamp.registration.match", "wamp.registration.get", "wamp.registration.list_callees", "wamp.registration.count_callees",
	"wamp.registration.on_create", "wamp.registration.remove_callee", "wamp.subscription.list", "wamp.subscription.lookup",
	"wamp.subscription.match", "wamp.subscription.get", "wamp.subscription.list_subscribers", "wamp.subscription.count_suscribers",
	"wamp.subscription.get_events", "wamp.subscription.on_delete",
}

// busyURIs are where hostile sessions meet each other and ordinary ones.
var busyURIs = []string{"org.t.h1", "org.t.h2", "org.t.h3", "org.t.h4", ownProcedure, ownTopic, "org.deskconn.test.set"}

// plausible are values that options may really have.
var plausible = []any{
	true, false, "exact", "prefix", "wildcard", "single", "roundrobin", "random", "first", "last", "kill", "killnowait", "skip",
	"detached", "destroyed", "wamp", "x_a", "cbor", "owner", "daemon", int64(1), int64(1000),
}

// attacker says hostile things in sessions that come and go.
type attacker struct {
	b       *bench
	rnd     *rand.Rand
	request int64
	heard   struct {
		sync.Mutex
		ids   []int64 // that the router named
		kinds map[wamp.MessageType]int
	}
}

// Hostile messages of every type, from several sessions that come and go, while
// ordinary traffic runs and stays correct. DCONN_FUZZ_MESSAGES makes more of
// them, DCONN_FUZZ_SEED repeats them.
func TestHostileMessages(t *testing.T) {
	const attackers = 6
	messages := envInt(t, "DCONN_FUZZ_MESSAGES", 20000)
	seed := envInt(t, "DCONN_FUZZ_SEED", int(time.Now().UnixNano()&math.MaxInt32))
	t.Logf("DCONN_FUZZ_SEED=%d", seed)
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	ordinary := b.traffic()
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(context.Background())
	var background, attacking sync.WaitGroup
	background.Go(func() { b.keepsAnswering(ctx) })
	background.Go(func() { b.forgetEnded(ctx) })
	all := make([]*attacker, attackers)
	for i := range all {
		all[i] = &attacker{b: b, rnd: rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
		all[i].heard.kinds = map[wamp.MessageType]int{}
		attacking.Go(func() { all[i].attack(messages / attackers) })
	}
	attacking.Wait()
	ordinary.end()
	b.awaitMeta()
	stop()
	background.Wait()
	b.checkReach(all)
	for limit := b.ctx(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if limit.Err() != nil {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	if err := b.router.Check(b.ctx()); err != nil {
		t.Error(err)
	}
	t.Logf("meanwhile %d calls and %d events", ordinary.calls.Load(), ordinary.events.Load())
}

// keepsAnswering checks the router again and again.
func (b *bench) keepsAnswering(ctx context.Context) {
	for ctx.Err() == nil {
		check, cancel := context.WithTimeout(context.Background(), patienceOfTests)
		if err := b.router.Check(check); err != nil {
			b.t.Errorf("while others are hostile: %v", err)
		}
		cancel()
		time.Sleep(10 * time.Millisecond)
	}
}

// forgetEnded takes what the capability tells of its ended calls.
func (b *bench) forgetEnded(ctx context.Context) {
	for {
		select {
		case <-b.ended:
		case <-ctx.Done():
			return
		}
	}
}

// checkReach: attacks that are turned away at the door prove nothing.
func (b *bench) checkReach(all []*attacker) {
	kinds := map[wamp.MessageType]int{}
	for _, a := range all {
		for k, n := range a.heard.kinds {
			kinds[k] += n
		}
	}
	for _, k := range []wamp.MessageType{
		wamp.ABORT, wamp.GOODBYE, wamp.ERROR, wamp.PUBLISHED, wamp.SUBSCRIBED, wamp.UNSUBSCRIBED, wamp.EVENT, wamp.RESULT,
		wamp.REGISTERED, wamp.UNREGISTERED, wamp.INVOCATION, wamp.INTERRUPT,
	} {
		if kinds[k] == 0 {
			b.t.Errorf("no hostile session ever got %s", k)
		}
	}
	b.t.Logf("hostile sessions heard %v", kinds)
}

// attack says n messages, in as many sessions as that takes.
func (a *attacker) attack(n int) {
	for n > 0 && !a.b.t.Failed() {
		w := a.b.wild(ways[a.rnd.IntN(len(ways))], codecs[a.rnd.IntN(len(codecs))])
		_ = w.nc.SetDeadline(time.Now().Add(3 * patienceOfTests))
		caughtUp := make(chan struct{}, 1)
		var listening sync.WaitGroup
		listening.Go(func() { defer close(caughtUp); a.listen(w, caughtUp) })
		_ = w.put(wamp.HELLO, wire.Realm, everyRole)
		<-caughtUp // WELCOME
		for life := a.rnd.IntN(1000); life > 0 && n > 0; life-- {
			n--
			_ = w.put(a.message()...)
			if life%20 == 0 { // else most is said after the router has hung up
				_ = w.put(wamp.UNREGISTER, catchUp, 0)
				if _, open := <-caughtUp; !open {
					break
				}
			}
		}
		a.end(w)
		listening.Wait()
		_ = w.nc.Close()
	}
}

// catchUp is a request that is refused at once.
const catchUp = 1 << 40

// end leaves in one of several ways.
func (a *attacker) end(w *wild) {
	switch a.rnd.IntN(4) {
	case 0:
		_ = w.put(wamp.GOODBYE, none, "wamp.close.normal")
		_ = w.put(wamp.GOODBYE, none, "wamp.close.normal")
	case 1:
		_ = w.put(wamp.HELLO, wire.Realm, everyRole)
	case 2:
		_, _ = w.nc.Write(w.encoded(a.message()...)[:3])
		fallthrough
	default:
		_ = w.nc.Close()
	}
}

// listen reads until the end, and keeps the ids it hears.
func (a *attacker) listen(w *wild, caughtUp chan<- struct{}) {
	for {
		m, err := w.next()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				a.b.t.Error("a hostile session is not ended")
			}
			return
		}
		if kindOf(m) == wamp.ERROR && m[2] == int64(catchUp) {
			caughtUp <- struct{}{}
			continue
		}
		if kindOf(m) == wamp.WELCOME {
			caughtUp <- struct{}{}
		}
		a.heard.Lock()
		a.heard.kinds[kindOf(m)]++
		for _, field := range m[1:min(len(m), 3)] {
			if id, ok := field.(int64); ok {
				a.heard.ids = append(a.heard.ids[max(0, len(a.heard.ids)-50):], id)
			}
		}
		a.heard.Unlock()
	}
}

// message is a message of a random type, or something like one.
func (a *attacker) message() []any {
	kind := pick(a.rnd, asking)
	lethal := a.rnd.IntN(200) == 0
	if lethal {
		kind = pick(a.rnd, slices.Collect(maps.Keys(shapes)))
	}
	m := []any{kind}
	for _, field := range shapes[kind] {
		m = append(m, a.field(field))
	}
	if n := len(m); shapes[kind][n-2] == 'k' {
		m = m[:n-a.rnd.IntN(3)]
	}
	if lethal && a.rnd.IntN(2) == 0 {
		switch i := a.rnd.IntN(len(m)); a.rnd.IntN(3) {
		case 0:
			m[i] = pick(a.rnd, junk)
		case 1:
			m = slices.Delete(m, i, len(m))
		case 2:
			m = append(m, pick(a.rnd, junk))
		}
	}
	return append([]any{}, m...)
}

func pick[T any](rnd *rand.Rand, from []T) T { return from[rnd.IntN(len(from))] }

func (a *attacker) field(kind rune) any {
	switch kind {
	case 'i':
		return a.id()
	case 'o':
		return a.options()
	case 'u':
		if a.rnd.IntN(2) == 0 {
			return pick(a.rnd, busyURIs)
		}
		return pick(a.rnd, hostileURIs)
	case 'a':
		return a.args()
	case 'k':
		return wamp.Dict{pick(a.rnd, junkOptions): a.value(), "publish_options": a.options()}
	case 't':
		return wamp.INVOCATION
	}
	return "signature"
}

// id is one that the router has named, one at the edge of what is allowed, or
// the next.
func (a *attacker) id() int64 {
	switch a.rnd.IntN(20) {
	case 0:
		return pick(a.rnd, []int64{0, 1, 1 << 31, 1<<53 - 1, 1 << 53})
	case 1, 2, 3, 4, 5, 6, 7, 8:
		a.heard.Lock()
		defer a.heard.Unlock()
		if len(a.heard.ids) > 0 {
			return pick(a.rnd, a.heard.ids)
		}
	}
	a.request++
	return a.request
}

func (a *attacker) options() wamp.Dict {
	options := wamp.Dict{}
	for range a.rnd.IntN(3) {
		options[pick(a.rnd, junkOptions)] = a.value()
	}
	if a.rnd.IntN(2) == 0 { // else a stranger hears little
		options[pick(a.rnd, []string{"acknowledge", "receive_progress"})] = true
	}
	return options
}

func (a *attacker) value() any {
	switch a.rnd.IntN(3) {
	case 0:
		return pick(a.rnd, junk)
	case 1:
		return wamp.List{a.id(), pick(a.rnd, plausible)}
	}
	return pick(a.rnd, plausible)
}

// args are odd, deep, long or an id that somebody may have.
func (a *attacker) args() any {
	switch a.rnd.IntN(200) {
	case 0:
		return wamp.List{strings.Repeat("x", 1<<a.rnd.IntN(20))}
	case 1:
		deep := any("x")
		for range a.rnd.IntN(31) { // one more ends the session
			deep = wamp.List{deep}
		}
		return wamp.List{deep}
	case 2:
		return append(wamp.List{}, make([]any, a.rnd.IntN(10000))...)
	}
	return wamp.List{a.value(), a.id(), pick(a.rnd, junk)}[:a.rnd.IntN(4)]
}
