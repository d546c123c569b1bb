package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
)

// A random session played to stock nexus and to our router gets the same answers
// from both, but for the differences that differences() lists. One operation
// follows the other: before the next, everything that it has caused is heard and
// compared. DCONN_DIFFER_SEED repeats a play, DCONN_DIFFER_PLAYS makes more of
// them, DCONN_DIFFER_OPERATIONS longer ones.
func TestDifferential(t *testing.T) {
	seed := envInt(t, "DCONN_DIFFER_SEED", int(time.Now().UnixNano()&math.MaxInt32))
	plays, length := 60, envInt(t, "DCONN_DIFFER_OPERATIONS", 90)
	if testing.Short() {
		plays = 10
	}
	plays = envInt(t, "DCONN_DIFFER_PLAYS", plays)
	allowed := allowedAmong(false)
	for i := range plays {
		t.Run(fmt.Sprintf("seed %d", seed+i), func(t *testing.T) { playSeed(t, uint64(seed+i), length, allowed, false) })
	}
	for _, d := range allowed {
		t.Logf("%6d times: %s", d.times, d.name)
		if d.times == 0 && plays >= 60 {
			t.Logf("never seen: %s", d.name)
		}
	}
}

// Two stock routers differ in nothing: what the test sees comes from the routers,
// not from the moment. All features are played.
func TestDifferentialTwins(t *testing.T) {
	seed := envInt(t, "DCONN_DIFFER_SEED", int(time.Now().UnixNano()&math.MaxInt32))
	plays := 6
	if testing.Short() {
		plays = 2
	}
	for i := range envInt(t, "DCONN_DIFFER_PLAYS", plays) {
		t.Run(fmt.Sprintf("seed %d", seed+i), func(t *testing.T) {
			playSeed(t, uint64(seed+i), envInt(t, "DCONN_DIFFER_OPERATIONS", 90), allowedAmong(true), true)
		})
	}
}

// The comparison sees a message that is missing, comes twice, is another or comes too
// early; messages of different streams have no order.
func TestDifferentialCompares(t *testing.T) {
	result := func(part int) *canonical {
		return &canonical{kind: wamp.RESULT, request: "7", details: wamp.Dict{"progress": true}, args: []any{part}, stream: "caller"}
	}
	other := result(0)
	other.details["progress"] = false
	p := &play{allowed: differences()}
	for name, c := range map[string]struct {
		stock, ours []*canonical
		fine        bool
	}{
		"nothing":         {nil, nil, true},
		"equal":           {[]*canonical{result(0), result(1)}, []*canonical{result(0), result(1)}, true},
		"missing":         {[]*canonical{result(0), result(1)}, []*canonical{result(0)}, false},
		"twice":           {[]*canonical{result(0)}, []*canonical{result(0), result(0)}, false},
		"another order":   {[]*canonical{result(0), result(1)}, []*canonical{result(1), result(0)}, false},
		"another detail":  {[]*canonical{result(0)}, []*canonical{other}, false},
		"one of our own":  {nil, []*canonical{result(0)}, false},
		"another message": {[]*canonical{result(0)}, []*canonical{{kind: wamp.ERROR, request: "CALL 7"}}, false},
	} {
		if wrong := p.differs(&hearing{play: p, o: &operation{}}, c.stock, c.ours); (wrong == "") != c.fine {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}

func playSeed(t *testing.T, seed uint64, length int, allowed []*difference, twins bool) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	script := make([]uint64, length)
	for i := range script {
		script[i] = rnd.Uint64()
	}
	if wrong := playOnce(t, script, allowed, twins); wrong != "" {
		t.Errorf("seed %d:\n%s", seed, shrink(t, script, wrong, twins))
	}
}

// shrink leaves operations out of a script as long as it still fails, and returns
// how the shortest one fails.
func shrink(t *testing.T, script []uint64, wrong string, twins bool) string {
	limit := time.Now().Add(20 * time.Second)
	for size := len(script) / 2; size > 0 && time.Now().Before(limit); {
		shorter := false
		for at := 0; at < len(script) && time.Now().Before(limit); {
			less := slices.Delete(slices.Clone(script), at, min(at+size, len(script)))
			again := ""
			t.Run("shorter", func(t *testing.T) { again = playOnce(t, less, allowedAmong(twins), twins) })
			if again == "" {
				at += size
				continue
			}
			script, wrong, shorter = less, again, true
		}
		if !shorter || size > len(script) {
			size /= 2
		}
	}
	return wrong
}

// play is one random session at both routers.
type play struct {
	t       *testing.T
	rnd     *rand.Rand
	routers [2]*playedRouter // stock, ours
	actors  []*playActor     // by number of their sessions
	allowed []*difference
	twins   bool     // ours is stock as well
	said    []string // what was done, and heard
	tokens  int
	mu      sync.Mutex // held while messages are made: both routers get theirs at once
}

// playActor is what both routers know of a session.
type playActor struct {
	left    bool
	plain   bool // it does not announce call_canceling as a callee
	subs    []string
	regs    []string
	calls   []*openCall
	invoked []*openInvocation
}

type openCall struct {
	request   uint64
	procedure string
	token     string
	more      bool // a progressive call that is not complete
	timed     bool
	canceled  string
	callee    *playActor // nil before the INVOCATION
	reg       string
}

type openInvocation struct {
	name     string
	progress bool // is asked for
	more     bool // is to come
}

// playOnce plays a script to fresh routers. Each number of it is one operation,
// so that it stays about the same when others are left out.
func playOnce(t *testing.T, script []uint64, allowed []*difference, twins bool) string {
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	ours := attended(t, "ours", b.path)
	identity := asOurs{}
	identity.authID, _ = ours.witness.welcome.Details["authid"].(string)
	identity.role, _ = ours.witness.welcome.Details["authrole"].(string)
	if twins {
		ours = attended(t, "the other stock", startStock(t, identity).path)
	}
	stock := attended(t, "stock", startStock(t, identity).path)
	stock.isStock, ours.isStock = true, twins
	p := &play{t: t, routers: [2]*playedRouter{stock, ours}, allowed: allowed, twins: twins}
	t.Cleanup(p.cut)
	for i := range 3 {
		if wrong := p.perform(p.join(i == 2)); wrong != "" {
			return wrong
		}
	}
	for _, n := range script {
		p.rnd = rand.New(rand.NewPCG(n, 0))
		o := p.next()
		if o == nil {
			continue
		}
		if wrong := p.perform(o); wrong != "" {
			return wrong
		}
	}
	return ""
}

// cut ends all sessions.
func (p *play) cut() {
	for _, r := range p.routers {
		for _, s := range append(slices.Clone(r.sessions), r.witness) {
			s.conn.Abandon()
		}
	}
}

// perform has both routers do o, and compares what they say.
func (p *play) perform(o *operation) string {
	var both sync.WaitGroup
	for _, r := range p.routers {
		both.Go(func() { r.perform(p, o); r.settle(o.by) })
	}
	both.Wait()
	if o.random {
		if wrong := p.answerRandom(o); wrong != "" {
			return p.failure(o, wrong)
		}
	}
	wrong := p.compare(o)
	for _, pause := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond} {
		if wrong == "" {
			break
		}
		time.Sleep(pause) // a difference that goes away is none
		for _, r := range p.routers {
			r.settle(o.by)
		}
		if wrong = p.compare(o); wrong == "" {
			p.t.Logf("heard late: %s", o.text)
		}
	}
	if wrong != "" {
		return p.failure(o, wrong)
	}
	for _, r := range p.routers {
		for _, s := range r.sessions {
			s.heard = nil
		}
	}
	return ""
}

func (p *play) failure(o *operation, wrong string) string {
	return fmt.Sprintf("%s\n%s\n%s", strings.Join(p.said, "\n"), o.text, wrong)
}

// compare says what the routers have answered differently, and if nothing notes
// what it means for what comes next.
func (p *play) compare(o *operation) string {
	for _, d := range p.allowed {
		d.found = 0
	}
	stock, ours := p.routers[0].heard(o.by, o.leaves), p.routers[1].heard(o.by, o.leaves)
	text, wrong := []string{o.text}, ""
	for i := range stock {
		c := &hearing{play: p, o: o, session: i}
		if difference := p.differs(c, stock[i], ours[i]); difference != "" {
			wrong += fmt.Sprintf("session S%d:\n%s\n", i+1, difference)
		}
		for _, m := range ours[i] {
			text = append(text, fmt.Sprintf("      S%d hears %s", i+1, m))
		}
	}
	if wrong == "" {
		wrong = p.counted()
	}
	if wrong != "" {
		return wrong
	}
	p.said = append(p.said, strings.Join(text, "\n"))
	for i := range stock {
		p.note(o, i, stock[i], ours[i])
	}
	for _, d := range p.allowed {
		d.times += d.found
		d.found = 0
	}
	return ""
}
