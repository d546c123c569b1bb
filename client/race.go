package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

const (
	// stagger is how long an address may take before the next is tried beside it.
	stagger = 150 * time.Millisecond
	// searchFor is how long a device is looked for on the local network, where no
	// address that is known leads to it.
	searchFor = 2 * time.Second
	// maxAtOnce is how many addresses that are found are tried without waiting for
	// the others: anybody can announce the id of a device, at as many as he likes.
	maxAtOnce = 16
)

// search finds addresses, HOST:PORT, and hands each to found, until ctx ends.
type search func(ctx context.Context, found func(address string))

// lookFor looks on the local network for machines that claim to be the device: a
// hint, until one of them has shown its key.
func lookFor(id trust.ID) search {
	hint := strings.ReplaceAll(id.String(), "-", "")[:wire.IDHint]
	return func(ctx context.Context, found func(string)) {
		_, _ = browse.Browse(ctx, func(e browse.Event) bool {
			if e.Kind != browse.Gone && e.Machine.ID == hint {
				for _, address := range e.Machine.HostPorts() {
					found(address)
				}
			}
			return true
		})
	}
}

// candidates are the addresses of a device, the one that its owner has given first,
// wherever that is.
func candidates(d *trust.Device) []string {
	list := d.Candidates()
	if d.Fixed == "" {
		return nearFirst(list)
	}
	return append(list[:1], nearFirst(list[1:])...)
}

// nearFirst has those addresses first that are in a network this machine is in now:
// where it was before may be another one.
func nearFirst(addresses []string) []string {
	var near []netip.Prefix
	interfaces, _ := net.InterfaceAddrs()
	for _, a := range interfaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			near = append(near, p.Masked())
		}
	}
	rank := func(address string) int {
		at, err := netip.ParseAddrPort(address)
		if err == nil && !slices.ContainsFunc(near, func(p netip.Prefix) bool { return p.Contains(at.Addr().WithZone("")) }) {
			return 1
		}
		return 0
	}
	sorted := slices.Clone(addresses)
	slices.SortStableFunc(sorted, func(a, b string) int { return rank(a) - rank(b) })
	return sorted
}

// Meets reports whether the device of that name answers at one of the addresses: who
// has its key. It takes as long as ctx lets it.
func (h *Home) Meets(ctx context.Context, name string, addresses []string) bool {
	list, err := h.Store.Devices()
	if err != nil {
		return false
	}
	device, err := FindDevice(list, name)
	if err != nil {
		return false
	}
	who := &callee{home: h, label: name, device: device, addresses: addresses}
	link, err := who.race(ctx)
	if err != nil {
		return false
	}
	_ = link.Close()
	return true
}

// race tries the addresses, the first at once, the others and those that the search
// finds beside it, and takes the first that the device answers at. Where none does,
// the error is that of the first.
func (c *callee) race(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{callee: c, ctx: ctx, outcomes: make(chan outcome), tried: map[string]bool{}, queue: slices.Clone(c.addresses)}
	return r.run()
}

// race is one attempt to reach a device.
type race struct {
	*callee
	ctx      context.Context
	outcomes chan outcome
	tried    map[string]bool
	queue    []string // not tried yet
	running  int
	first    error // of the address that was tried first and failed
	rank     int   // of that address
	started  int
}

// outcome is what became of an address.
type outcome struct {
	link *link
	err  error
	rank int
}

// found tries an address that is announced now, before those that are remembered.
func (r *race) found(address string) {
	if r.tried[address] {
		return
	}
	rest := slices.DeleteFunc(r.queue, func(a string) bool { return a == address })
	r.queue = append([]string{address}, rest...)
	if r.running < maxAtOnce {
		r.next()
	}
}

// next tries the next address.
func (r *race) next() {
	if len(r.queue) == 0 {
		return
	}
	address, rank := r.queue[0], r.started
	r.queue = r.queue[1:]
	r.tried[address] = true
	r.running++
	r.started++
	go func() {
		l, err := r.reach(r.ctx, address)
		select {
		case r.outcomes <- outcome{l, err, rank}:
		case <-r.ctx.Done():
			if l != nil {
				_ = l.Close() // too late
			}
		}
	}()
}

func (r *race) run() (*link, error) {
	r.next()
	var found <-chan string
	var searched <-chan struct{}
	beside := time.NewTimer(stagger)
	defer beside.Stop()
	begin := func() {
		if r.search != nil && found == nil {
			found, searched = r.look()
		}
	}
	for {
		if r.running == 0 && len(r.queue) == 0 {
			begin()
			if searched == nil {
				return nil, r.failed()
			}
		}
		select {
		case o := <-r.outcomes:
			r.running--
			if o.err == nil {
				return o.link, nil
			}
			if r.first == nil || o.rank < r.rank {
				r.first, r.rank = o.err, o.rank
			}
			r.next()
		case address := <-found:
			r.found(address)
		case <-beside.C:
			begin()
			r.next()
			beside.Reset(stagger)
		case <-searched:
			searched = nil
			r.search = nil
		case <-r.ctx.Done():
			return nil, context.Cause(r.ctx)
		}
	}
}

// look begins the search.
func (r *race) look() (found <-chan string, over <-chan struct{}) {
	addresses, done := make(chan string), make(chan struct{})
	ctx, cancel := context.WithTimeout(r.ctx, searchFor)
	go func() {
		defer close(done)
		defer cancel()
		r.search(ctx, func(address string) {
			select {
			case addresses <- address:
			case <-ctx.Done():
			}
		})
	}()
	return addresses, done
}

func (r *race) failed() error {
	switch {
	case r.first != nil:
		return r.first
	case r.device != nil:
		return &UnreachableError{URL: r.label, Cause: fmt.Errorf("no address of it is known, and it is not found on this network")}
	}
	return &UnreachableError{URL: r.label, Cause: errors.New("no address")}
}
