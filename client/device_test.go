package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/trust"
)

// An address has one form, however it is typed.
func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.2":                 "10.0.0.2:5020",
		"10.0.0.2:05020":           "10.0.0.2:5020",
		"::ffff:10.0.0.2":          "10.0.0.2:5020",
		"[FD00:0:0::9]:6000":       "[fd00::9]:6000",
		"Pi.Local":                 "pi.local:5020",
		"fe80::1%eth0":             "[fe80::1%eth0]:5020",
		"[fe80:0000::0001%eth0]:7": "[fe80::1%eth0]:7",
	} {
		if got, ok := ParseAddress(text); got != want || !ok {
			t.Errorf("%s is %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"pi", "10.0.0.2:0", "10.0.0.2:x", "a b.c", "10.0.0.2:70000"} {
		if got, ok := ParseAddress(text); ok {
			t.Errorf("%s is taken for the address %q", text, got)
		}
	}
}

// testHome knows these devices.
func testHome(t *testing.T, devices ...*trust.Device) *Home {
	t.Helper()
	home, err := OpenHome(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	err = home.Store.Change(func(list *trust.Devices) error {
		for _, d := range devices {
			d.Paired = time.Now()
			list.Add(d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return home
}

// Who may answer at an address that is given by hand: the device that proved its key
// there, or that the owner says is there. What another device claims changes nothing.
func TestRecognise(t *testing.T) {
	pi, evil, stranger := trust.ID{1}, trust.ID{2}, trust.ID{3}
	const reached, fixed, claimed, unknown = "10.0.0.2:5020", "10.0.0.9:5020", "10.0.0.4:5020", "10.0.0.8:5020"
	home := testHome(t,
		&trust.Device{ID: pi, Name: "pi", Address: []string{reached}, Fixed: fixed},
		&trust.Device{ID: evil, Name: "evil", Address: []string{"10.0.0.3:5020"}, Claimed: []string{reached, fixed, claimed}})
	for _, c := range []struct {
		address string
		who     trust.ID
		other   bool // an IdentityError, that pi is expected
		unknown bool // a NotPairedError
	}{
		{reached, pi, false, false}, {reached, evil, true, false}, {reached, stranger, true, false},
		{fixed, pi, false, false}, {fixed, evil, true, false},
		{claimed, evil, false, false}, {claimed, pi, false, false}, {claimed, stranger, false, true},
		{unknown, evil, false, false}, {unknown, stranger, false, true},
	} {
		err := (&callee{home: home, label: c.address, byHand: true}).recognise(c.address, c.who)
		e, other := errors.AsType[*IdentityError](err)
		_, notPaired := errors.AsType[*NotPairedError](err)
		if other != c.other || notPaired != c.unknown || err != nil && !c.other && !c.unknown {
			t.Errorf("%s, %v: %v", c.address, c.who.Short(), err)
		}
		if other && (e.Want != pi || e.Got != c.who) {
			t.Errorf("%s, %v: %v", c.address, c.who.Short(), err)
		}
	}
}

// An address that is known to be that of two devices names neither.
func TestAddressOfTwo(t *testing.T) {
	home := testHome(t,
		&trust.Device{ID: trust.ID{1}, Name: "pi", Address: []string{"127.0.0.1:1"}},
		&trust.Device{ID: trust.ID{2}, Name: "evil", Address: []string{"127.0.0.1:2", "127.0.0.1:1"}})
	_, err := home.DialDevice(context.Background(), "127.0.0.1:1", "", "test")
	two, ok := errors.AsType[*AmbiguousError](err)
	if !ok || len(two.Devices) != 2 {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"127.0.0.1:2", "pi"} {
		if _, err := home.DialDevice(context.Background(), text, "127.0.0.1:1", "test"); err == nil || errors.As(err, &two) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What a machine says in its pairing is noted as a claim. The address that the user gave
// with the code is that machine's, and no other's.
func TestPairingNotesAddresses(t *testing.T) {
	theirs := pairing.Introduction{Name: "evil", Addresses: []string{"10.0.0.2:5020", "pi.local:5020", "10.0.0.3:5020"}}
	for _, byHand := range []bool{false, true} {
		pi := &trust.Device{ID: trust.ID{1}, Name: "pi", Address: []string{"10.0.0.2:5020", "10.0.0.3:5020"}}
		list := trust.Devices{pi}
		Pairing{Name: "evil", at: "10.0.0.3:5020", ByHand: byHand}.note(&list, trust.ID{2}, theirs)
		evil := list.ByID(trust.ID{2})
		if !slices.Equal(evil.Address, []string{"10.0.0.3:5020"}) || !slices.Equal(evil.Claimed, []string{"10.0.0.2:5020"}) {
			t.Errorf("reached %v, claimed %v", evil.Address, evil.Claimed)
		}
		if at := list.At("10.0.0.2:5020"); !slices.Equal(at, trust.Devices{pi}) {
			t.Errorf("the claimed address is that of %v", at)
		}
		if at := list.At("10.0.0.3:5020"); byHand != slices.Equal(at, trust.Devices{evil}) {
			t.Errorf("by hand %v: the address of the pairing is that of %v", byHand, at)
		}
	}
}
