package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/browse"
)

const (
	// lookUpFor is how long a machine is looked for by its name.
	lookUpFor = 3 * time.Second
	// namesakes is how long others have to say that it is their name too.
	namesakes = 500 * time.Millisecond
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
func (o *pairOptions) lookUp(ctx context.Context) ([]string, error) {
	known, _ := warm(ctx, o.socket)
	found := slices.DeleteFunc(known, func(m browse.Machine) bool { return !o.meant(m) })
	var err error
	if len(found) == 0 {
		found, err = o.lookAround(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(found) == 1:
		return addressesTo(found[0]), nil
	case len(found) > 1:
		return nil, usage("%s could be %s", o.there, strings.Join(whereabouts(found), " or ")).hint("dconn pair HOST:PORT")
	}
	f := &failure{Code: exitUnreachable, Message: o.there + ": no machine on this network that is called so has its pairing window open"}
	if err != nil {
		f.Message += ": " + explain(err, "").Message
	}
	return nil, f.hint("its address does without this: dconn pair HOST[:PORT], which dconn pair shows there")
}

// meant reports whether m is of the name that was asked for, and shows a code.
func (o *pairOptions) meant(m browse.Machine) bool {
	return m.Pairing && m.Port != 0 && len(m.Addresses) > 0 && strings.EqualFold(m.Name, o.there)
}

func (o *pairOptions) lookAround(ctx context.Context) (found []browse.Machine, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpFor)
	defer cancel()
	_, err = browse.Browse(ctx, func(e browse.Event) bool {
		found = slices.DeleteFunc(found, func(m browse.Machine) bool { return m.Key() == e.Machine.Key() })
		if e.Kind != browse.Gone && o.meant(e.Machine) {
			found = append(found, e.Machine)
			time.AfterFunc(namesakes, cancel)
		}
		return true
	})
	return found, err
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
