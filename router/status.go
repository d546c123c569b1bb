package router

import (
	"cmp"
	"context"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// rateWindow is how long status watches the sessions to know their rates.
const rateWindow = 500 * time.Millisecond

// answerStatus tells the owner how the daemon is.
func (r *Router) answerStatus(ctx context.Context, call *session.Invocation) (session.Result, error) {
	if _, err := capabilities.Decode(nil, call.Args, call.Kwargs); err != nil {
		return session.Result{}, onWire(err)
	}
	before := r.ledger.stats()
	began := time.Now()
	select {
	case <-time.After(rateWindow):
	case <-ctx.Done():
		return session.Result{}, context.Cause(ctx)
	}
	sessions := r.ledger.sessions(before, time.Since(began))
	doc := map[string]any{
		"daemon": r.aboutDaemon(len(sessions)), "sessions": sessions,
		"limits": r.ledger.limits(r.opts), "ended": r.ledger.endings(),
	}
	return session.Result{Args: []any{doc}}, nil
}

func (r *Router) aboutDaemon(sessions int) map[string]any {
	name := r.called()
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return map[string]any{
		"name": name, "version": r.opts.Version, "pid": os.Getpid(),
		"uptime": time.Since(r.ledger.began).Seconds(), "goroutines": runtime.NumGoroutine(),
		"sessions": sessions, "connects": r.ledger.total, "waiting": r.ledger.waiting(),
	}
}

// waiting is how many connections are no session yet. l.mu is held.
func (l *ledger) waiting() (n int) {
	for a := range l.open {
		if a.session == 0 {
			n++
		}
	}
	return n
}

// called is the daemon's name.
func (r *Router) called() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

// Rename gives the daemon another name.
func (r *Router) Rename(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
	if r.announcer != nil {
		r.announcer.Rename(name)
	}
}

// joined are the accounts of the open sessions, the oldest first.
func (l *ledger) joined() []account {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []account
	for a := range l.open {
		if a.session != 0 {
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(a, b account) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.session, b.session))
	})
	return list
}

// stats are what the connections of the open sessions have carried so far.
func (l *ledger) stats() map[*transport.Conn]transport.Stats {
	stats := map[*transport.Conn]transport.Stats{}
	for _, a := range l.joined() {
		stats[a.conn] = a.conn.Stats()
	}
	return stats
}

// sessions lists the open sessions. Their rates are what they have carried since
// before, a while ago.
func (l *ledger) sessions(before map[*transport.Conn]transport.Stats, while time.Duration) []any {
	list := []any{}
	for _, a := range l.joined() {
		now, then := a.conn.Stats(), before[a.conn]
		rate := func(now, then int64) float64 { return math.Round(float64(now-then) / while.Seconds()) }
		calls, registrations, subscriptions := a.guard.holds()
		row := map[string]any{
			"id": int64(a.session), "authid": a.identity.AuthID, "agent": a.agent,
			"transport": now.Transport, "serializer": now.Serializer, "since": a.since.UTC().Format(time.RFC3339),
			"queue":       now.Queue,
			"messages_in": now.In.Messages, "messages_out": now.Out.Messages,
			"bytes_in": now.In.Bytes, "bytes_out": now.Out.Bytes,
			"rate_in":  rate(now.In.Messages, then.In.Messages),
			"rate_out": rate(now.Out.Messages, then.Out.Messages),
			"calls":    calls, "registrations": registrations, "subscriptions": subscriptions,
		}
		if scopes := a.narrow(); scopes != nil {
			row["scopes"] = scopes
		}
		list = append(list, row)
	}
	return list
}

// limits lists what can be set, its value, and how often it was exceeded; then
// what cannot be set and was exceeded.
func (l *ledger) limits(o Options) []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []any{}
	fixed := maps.Clone(l.hits)
	for _, limit := range Limits {
		v := limit.Of(&o)
		delete(fixed, limit.Name)
		list = append(list, map[string]any{
			"limit": limit.Name, "value": limit.Text(v), "hits": l.hits[limit.Name],
		})
	}
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		list = append(list, map[string]any{"limit": name, "value": "", "hits": fixed[name]})
	}
	return list
}

// endings lists how sessions ended, the most frequent reason first.
func (l *ledger) endings() []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	reasons := slices.SortedFunc(maps.Keys(l.ended), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.ended[b], l.ended[a]), cmp.Compare(a, b))
	})
	list := []any{}
	for _, reason := range reasons {
		list = append(list, map[string]any{"reason": reason, "count": l.ended[reason]})
	}
	return list
}

// holds is what the session has open now.
func (g *guard) holds() (calls, registrations, subscriptions int) {
	calls, registrations = g.calling.Open()
	return calls, registrations, g.listening.Subscriptions()
}
