package mdns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestParse(t *testing.T) {
	query := &dns.Msg{Question: []dns.Question{{Name: "a.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}
	good, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	set := func(at int, value byte) []byte {
		b := append([]byte{}, good...)
		b[at] = value
		return b
	}
	loop := append(append([]byte{}, good[:12]...), 0xc0, 12, 0, 12, 0, 1)
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"a query":               {good, true},
		"what stands behind it": {append(append([]byte{}, good...), 1, 2, 3), true},
		"nothing":               {nil, false},
		"half a head":           {good[:11], false},
		"a cut name":            {good[:16], false},
		"an update":             {set(2, 0x28), false},
		"an error":              {set(3, 3), false},
		"65,000 questions":      {set(4, 0xff), false},
		"a name in a loop":      {loop, false},
		"too long":              {append(append([]byte{}, good...), make([]byte, MaxMessage)...), false},
	} {
		if got := Parse(c.b) != nil; got != c.want {
			t.Errorf("%s: read %v, want %v", name, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		`Living\ Room\ TV._deskconn._tcp.local.`:           "Living Room TV",
		`Dr\.\ Who._deskconn._tcp.local.`:                  "Dr. Who",
		`K\195\188che._deskconn._tcp.local.`:               "Küche",
		`a\027b._deskconn._tcp.local.`:                     "a\x1bb",
		".":                                                "",
		strings.Repeat("x", 64) + "._deskconn._tcp.local.": "",
	} {
		if got := Label(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := Canonical("Küche (2)._x._tcp.local"); got != `K\195\188che\ \(2\)._x._tcp.local.` {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"pi": "pi", "a\x1b[31mb\n": "a[31mb", "\u202eevil\u2066": "evil", "x\xffy": "xy", " \t": "", "Küche 🍳": "Küche 🍳", "\u009b1m": "1m",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestLocal(t *testing.T) {
	l := Link{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")}}
	for address, want := range map[string]bool{
		"10.0.0.200": true, "10.0.1.1": false, "fe80::1%eth0": true, "fd00::2": true, "2001:db8::1": false, "169.254.1.1": true,
	} {
		if got := l.Local(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestUnfit(t *testing.T) {
	one := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}
	const up = net.FlagUp | net.FlagRunning | net.FlagMulticast
	for _, c := range []struct {
		flags    net.Flags
		prefixes []netip.Prefix
		want     string
	}{
		{up, one, ""},
		{net.FlagUp | net.FlagLoopback, one, "is the loopback"},
		{net.FlagMulticast, one, "is down"},
		{up | net.FlagPointToPoint, one, "is a point-to-point link"},
		{net.FlagUp | net.FlagMulticast, one, "has no carrier"},
		{net.FlagUp | net.FlagRunning, one, "does no multicast"},
		{up, nil, "has no address"},
	} {
		if got := unfit(net.Interface{Flags: c.flags}, c.prefixes); got != c.want {
			t.Errorf("%v: %q, want %q", c.flags, got, c.want)
		}
	}
}

// The kernel's tables can be read, and watching them ends.
func TestLinks(t *testing.T) {
	links, err := Links()
	if _, none := err.(*NoLinkError); err != nil && !none {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name == "lo" || len(l.Prefixes) == 0 {
			t.Errorf("%+v", l)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	changed, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	select {
	case <-changed:
		t.Error("something has changed")
	case <-time.After(10 * time.Millisecond):
	}
}

// However costly messages are, reading them takes a part of the time only.
func TestRation(t *testing.T) {
	var r ration
	now, worked := time.Now(), time.Duration(0)
	began := now
	for now.Sub(began) < time.Second {
		const took = 2 * time.Millisecond
		rest := r.spend(now, took)
		worked += took
		now = now.Add(took + max(rest, 0))
	}
	if worked < 100*time.Millisecond || worked > 250*time.Millisecond {
		t.Errorf("worked %v of a second", worked)
	}
	if rest := r.spend(now.Add(time.Minute), time.Microsecond); rest != 0 {
		t.Errorf("rests %v after a pause", rest)
	}
}

// A long name that a message repeats costs milliseconds: see ration.
func BenchmarkCostlyMessage(b *testing.B) {
	m := append([]byte{0, 0, 0x84, 0, 0, 0, 2, 0, 0, 0, 0, 0}, costlyName()...)
	m = append(m, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12)
	for range maxRecords - 1 {
		m = append(m, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12)
	}
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		if Parse(m) == nil {
			b.Fatal("cannot be read")
		}
	}
}

func costlyName() (name []byte) {
	for _, n := range []int{63, 63, 63, 60} {
		name = append(append(name, byte(n)), make([]byte, n)...)
	}
	return append(name, 0)
}
