package commands

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

const (
	// lookUpFor is how long a machine is looked for by its name.
	lookUpFor = 3 * time.Second
	// namesakes is how long others have to say that it is their name too: one whose
	// name was just taken by another settles for a new one meanwhile.
	namesakes = time.Second
)

// direct finds out whether a word is a host or the name of a machine.
func (o *pairOptions) direct(word string) error {
	o.there = word
	if !strings.ContainsAny(word, ".:[") && word != "localhost" && word != "" {
		return nil
	}
	address, _ := client.ParseAddress(word)
	if address == "" {
		return usage("not a HOST[:PORT]: %q", word).hint("dconn pair 192.168.1.20")
	}
	o.there, o.at = address, []string{address}
	return nil
}

// lookUp finds the addresses of the machine of that name that has a pairing window
// open: as the daemon here knows them, or else by looking around.
func (o *pairOptions) lookUp(ctx context.Context, home *client.Home) ([]string, error) {
	known, looked := warm(ctx, o.socket)
	found := slices.DeleteFunc(known, func(m browse.Machine) bool { return !o.meant(m) })
	var err error
	if len(found) == 0 || looked < namesakes {
		found, err = o.lookAround(ctx, found)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !slices.ContainsFunc(found, o.named):
		return nil, o.notFound(found, err)
	case len(found) > 1:
		return nil, usage("%s could be %s", o.there, strings.Join(whereabouts(found), " or ")).hint("dconn pair HOST:PORT")
	}
	return o.proven(ctx, home, found[0])
}

// notFound says that no machine of the name is there; found are its namesakes.
func (o *pairOptions) notFound(found []browse.Machine, err error) error {
	f := &failure{Code: exitUnreachable, Message: o.there + ": no machine on this network that is called so has its pairing window open"}
	if err != nil {
		f.Message += ": " + explain(err, "").Message
	}
	if len(found) > 0 {
		return f.hint("there is %s", strings.Join(whereabouts(found), " and "))
	}
	return f.hint("its address does without this: dconn pair HOST[:PORT], which dconn pair shows there")
}

// meant reports whether m shows a code, and is of the name that was asked for, or of
// one that a machine takes when another has that name.
func (o *pairOptions) meant(m browse.Machine) bool {
	return m.Pairing && m.Port != 0 && len(m.Addresses) > 0 && (o.named(m) || o.namesake(m))
}

func (o *pairOptions) named(m browse.Machine) bool { return strings.EqualFold(m.Name, o.there) }

// namesake reports whether m has the name that was asked for and a number: whoever
// announces the name of a machine has it take such a one.
func (o *pairOptions) namesake(m browse.Machine) bool {
	at := strings.LastIndex(m.Name, " (")
	if at < 0 || !strings.EqualFold(m.Name[:at], o.there) {
		return false
	}
	number, closed := strings.CutSuffix(m.Name[at+2:], ")")
	_, err := strconv.ParseUint(number, 10, 16)
	return closed && err == nil
}

// lookAround adds to those that are known who announces himself now.
func (o *pairOptions) lookAround(ctx context.Context, known []browse.Machine) (found []browse.Machine, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpFor)
	defer cancel()
	found = known
	_, err = browse.Browse(ctx, func(e browse.Event) bool {
		found = slices.DeleteFunc(found, func(m browse.Machine) bool { return m.Key() == e.Machine.Key() })
		if e.Kind != browse.Gone && o.meant(e.Machine) {
			found = append(found, e.Machine)
			if o.named(e.Machine) {
				time.AfterFunc(namesakes, cancel)
			}
		}
		return true
	})
	return found, err
}

// proven are the addresses of a machine at which it shows the key of the id that it
// announces: anybody can add an address to what is announced. If there is none, those
// where nothing answers are left, for the error to say so.
func (o *pairOptions) proven(ctx context.Context, home *client.Home, m browse.Machine) ([]string, error) {
	addresses := addressesTo(m)
	if len(m.ID) != wire.IDHint {
		return addresses, nil
	}
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	shown := make([]answered, len(addresses))
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() { shown[i] = whoIsAt(ctx, home, address, m.ID) })
	}
	all.Wait()
	var by [3][]string
	for i, address := range addresses {
		by[shown[i]] = append(by[shown[i]], address)
	}
	switch {
	case len(by[byItself]) > 0:
		return by[byItself], nil
	case len(by[byNobody]) > 0:
		return by[byNobody], nil
	}
	return nil, (&failure{Code: exitUnreachable, Message: fmt.Sprintf("%s: the machine at %s has not the key of the id that it announces", o.there, addresses[0])}).
		hint("dconn pair HOST:PORT, with the address that dconn pair shows there")
}

// proveWithin is how long the machine at an address may take to show whose key it has.
const proveWithin = time.Second

// answered says who answers at an address.
type answered int

const (
	byNobody answered = iota
	byItself
	byOthers
)

// whoIsAt says whether the machine of an id answers at an address, of which hint is
// the beginning.
func whoIsAt(ctx context.Context, home *client.Home, address, hint string) answered {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return byNobody
	}
	defer func() { _ = nc.Close() }()
	tc := tls.Client(nc, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{wire.ALPN}, Certificates: []tls.Certificate{home.Identity.Certificate()},
		InsecureSkipVerify: true, // its key is all that is asked for
	})
	if tc.HandshakeContext(ctx) != nil || !trust.IDOf(tc.ConnectionState().PeerCertificates[0]).HasPrefix(hint) {
		return byOthers
	}
	return byItself
}

// addressesTo are where a machine says that it is, IPv4 first: a link-local address
// of IPv6 is good on one link only.
func addressesTo(m browse.Machine) []string {
	m.Addresses = slices.SortedStableFunc(slices.Values(m.Addresses), func(a, b netip.Addr) int {
		return a.Unmap().BitLen() - b.Unmap().BitLen()
	})
	return m.HostPorts()
}

func whereabouts(found []browse.Machine) []string {
	var list []string
	for _, m := range found {
		list = append(list, fmt.Sprintf("%s (%s)", m.Name, addressesTo(m)[0]))
	}
	slices.Sort(list)
	return list
}
