package commands

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// answerAs has a machine shake hands at an address, with a key of its own, and says
// what it announces of its id.
func answerAs(t *testing.T, address string) (at netip.AddrPort, hint string) {
	t.Helper()
	identity, err := trust.OpenIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{identity.Certificate()}, NextProtos: []string{wire.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _ = nc.(*tls.Conn).Handshake(); _ = nc.Close() }()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort(), strings.ReplaceAll(identity.ID().String(), "-", "")[:wire.IDHint]
}

// Whoever adds his address to what a machine announces is not paired with in its
// place, whether his is the first or not.
func TestPairAtProvenAddress(t *testing.T) {
	home, err := client.OpenHome(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pi, hint := answerAs(t, "127.0.0.9:0")
	evil, other := answerAs(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), pi.Port()).String())
	nobody := netip.MustParseAddr("127.0.0.2")
	for _, c := range []struct {
		id        string
		addresses []netip.Addr
		want      []string
	}{
		{hint, []netip.Addr{evil.Addr(), nobody, pi.Addr()}, []string{pi.String()}},
		{hint, []netip.Addr{evil.Addr(), nobody}, []string{netip.AddrPortFrom(nobody, pi.Port()).String()}},
		{hint, []netip.Addr{evil.Addr()}, nil},
		{other, []netip.Addr{evil.Addr(), pi.Addr()}, []string{evil.String()}},
		{"", []netip.Addr{pi.Addr()}, []string{pi.String()}},
	} {
		o := &pairOptions{there: "pi"}
		got, err := o.proven(t.Context(), home, browse.Machine{Name: "pi", ID: c.id, Port: pi.Port(), Addresses: c.addresses})
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%v: %v, %v; want %v", c.addresses, got, err, c.want)
		}
	}
}

func TestNamesakes(t *testing.T) {
	o := &pairOptions{there: "pi"}
	for name, want := range map[string]bool{"pi": true, "Pi": true, "pi (2)": true, "PI (17)": true, "pi (x)": false, "pi (2": false, "pi 2": false, "pi (2) (3)": false, "po": false} {
		m := browse.Machine{Name: name, Port: 1, Addresses: addressesOf("10.0.0.9"), Pairing: true}
		if got := o.meant(m); got != want {
			t.Errorf("%q is meant: %v", name, got)
		}
		m.Pairing = false
		if o.meant(m) {
			t.Errorf("%q shows no code", name)
		}
	}
}
