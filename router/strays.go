package router

import (
	"context"
	"slices"
	"time"

	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
)

// inDoubt is how long a device may take to show that it still can be reached.
const inDoubt = time.Second

// watchAddresses doubts the sessions of devices at addresses that this machine has
// no more, until ctx ends: nobody else could register meanwhile what they have
// registered. While it has none at all, they may come back.
func (r *Router) watchAddresses(ctx context.Context) {
	changed, err := mdns.Watch(ctx)
	if err != nil {
		r.log.Warn("addresses are not watched", "error", err)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		links, err := mdns.Links()
		if err != nil {
			continue
		}
		for _, conn := range r.ledger.ofDevices(func(a *account) bool {
			at := addrOf(a.conn.LocalAddr())
			return !slices.ContainsFunc(links, func(l mdns.Link) bool { return l.Has(at) })
		}) {
			conn.Doubt(inDoubt)
		}
	}
}

// doubtOthers doubts the sessions that a device has from other addresses than the
// one that it comes from now: it may have left them, and wants back what they have
// registered.
func (r *Router) doubtOthers(now *account) {
	if now.identity.Device == (trust.ID{}) {
		return
	}
	from := addrOf(now.conn.RemoteAddr())
	for _, conn := range r.ledger.ofDevices(func(a *account) bool {
		return a.identity.Device == now.identity.Device && addrOf(a.conn.RemoteAddr()) != from
	}) {
		conn.Doubt(inDoubt)
	}
}

// ofDevices are the connections of devices that which wants.
func (l *ledger) ofDevices(which func(*account) bool) (list []*transport.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		if a.conn != nil && a.identity.Device != (trust.ID{}) && which(a) {
			list = append(list, a.conn)
		}
	}
	return list
}
