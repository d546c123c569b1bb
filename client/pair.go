package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// Pairing is what somebody who typed a pairing code wants.
type Pairing struct {
	Addresses []string // HOST:PORT; the first that answers is taken
	Secret    pairing.Secret
	Own       string // this machine's name
	Name      string // what to call the other here, "" for what it calls itself
	Agent     string
	// ByHand says that the user gave the address: with the code typed for it, that
	// settles whose address it is.
	ByHand bool

	at string // the address that answered
}

// Pair pairs this machine with the one at an address that shows a code, and comes
// back to it once to confirm. It returns that device, whose first address is the one
// that answered, and what this machine may do there. The errors of the exchange are
// those of package pairing.
func (h *Home) Pair(ctx context.Context, p Pairing) (trust.Device, []string, error) {
	nc, err := p.connect(ctx)
	if err != nil {
		return trust.Device{}, nil, err
	}
	id, theirs, err := h.exchange(ctx, nc, p)
	if err != nil {
		return trust.Device{}, nil, err
	}
	if p.Name == "" {
		p.Name = trust.PlainName(theirs.Name)
	}
	_, again := h.Store.Find(id)
	if err := h.Store.Change(func(list *trust.Devices) error { p.note(list, id, theirs); return nil }); err != nil {
		return trust.Device{}, nil, err
	}
	err = h.confirm(ctx, id, p)
	if refused, ok := errors.AsType[*wire.Error](err); ok && refused.URI == wire.ErrAuthentication && !again {
		return trust.Device{}, nil, errors.Join(err, h.Store.Change(func(list *trust.Devices) error {
			list.Remove(id)
			return nil
		}))
	}
	if err != nil {
		return trust.Device{}, nil, fmt.Errorf("%w: %s has the code, and has not confirmed the pairing: %w", ErrUnconfirmed, p.Name, err)
	}
	d, _ := h.Store.Find(id)
	return d, theirs.Scopes, nil
}

// ErrUnconfirmed says that the other machine took the code, but could not be reached
// again. Whether it lets this machine in shows when it can be.
var ErrUnconfirmed = errors.New("not confirmed yet")

// patience is how long an address may take to answer, where there is another.
const patience = 2 * time.Second

// connect takes the first address that answers.
func (p *Pairing) connect(ctx context.Context) (net.Conn, error) {
	first := error(&UnreachableError{URL: "pairing", Cause: errors.New("no address")})
	for i, address := range p.Addresses {
		try, cancel := ctx, context.CancelFunc(func() {})
		if i < len(p.Addresses)-1 {
			try, cancel = context.WithTimeoutCause(ctx, patience, &UnreachableError{URL: address, Cause: errors.New("it takes too long")})
		}
		nc, err := place{url: address, network: "tcp", address: address}.reach(try)
		cancel()
		if err == nil || ctx.Err() != nil {
			p.at = address
			return nc, err
		}
		if i == 0 {
			first = err
		}
	}
	return nil, first
}

// exchange runs this machine's half of dconn-pair/1.
func (h *Home) exchange(ctx context.Context, nc net.Conn, p Pairing) (trust.ID, pairing.Introduction, error) {
	var theirs pairing.Introduction
	defer func() { _ = nc.Close() }()
	tc := tls.Client(nc, h.tls(wire.ALPNPair, nil))
	if err := tc.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return trust.ID{}, theirs, context.Cause(ctx)
		}
		return trust.ID{}, theirs, &UnreachableError{URL: p.at, Cause: fmt.Errorf("no dconn answers there: %w", bare(err))}
	}
	c, err := pairing.NewChannel(tc, h.Identity.ID())
	if err != nil {
		return trust.ID{}, theirs, err
	}
	theirs, err = pairing.Join(ctx, c, p.Secret, pairing.Introduction{Name: p.Own})
	return trust.ID(c.Peer), theirs, err
}

// note adds who showed the code to what this machine knows. What that one may do
// here stays as it is: pairing gives in one direction.
func (p Pairing) note(list *trust.Devices, id trust.ID, theirs pairing.Introduction) {
	d := list.ByID(id)
	if d == nil {
		d = &trust.Device{ID: id, Name: p.Name, Scopes: trust.Scopes{}}
		list.Add(d)
	}
	if d.Paired.IsZero() {
		d.Paired, d.Pending = time.Now().UTC(), nil
	}
	for _, a := range slices.Backward(theirs.Addresses) {
		if at, err := netip.ParseAddrPort(a); err == nil { // nobody shall make us look up names
			d.Claim(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String())
		}
	}
	d.Reached(p.at)
	if p.ByHand {
		list.Settle(d, p.at)
	}
}

// confirm begins a session with the device that was just paired: only then does
// what it gives hold. A connection that fails is tried again while it still can.
func (h *Home) confirm(ctx context.Context, id trust.ID, p Pairing) error {
	ctx, cancel := context.WithTimeout(ctx, trust.PendingFor+10*time.Second) // by then it is settled
	defer cancel()
	for {
		s, err := h.DialDevice(ctx, id.String(), p.at, p.Agent)
		if err == nil {
			s.Leave(ctx)
			return nil
		}
		refused, isRefused := errors.AsType[*wire.Error](err)
		if isRefused && refused.URI == wire.ErrAuthentication {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
	}
}
