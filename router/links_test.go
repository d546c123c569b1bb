package router

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// interfaces are those of a machine with these addresses.
func interfaces(prefixes ...string) func() ([]net.Addr, error) {
	return func() (list []net.Addr, err error) {
		for _, p := range prefixes {
			ip, network, err := net.ParseCIDR(p)
			if err != nil {
				return nil, err
			}
			list = append(list, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return list, nil
	}
}

// An IPv6 address is in a network of ours if one of our interfaces is in it now.
func TestLinks(t *testing.T) {
	l := newLinks()
	now := time.Now()
	network := func(address string) string {
		if n := l.network(netip.MustParseAddr(address), now); n.IsValid() {
			return n.String()
		}
		return ""
	}
	check := func(cases map[string]string) {
		t.Helper()
		for address, want := range cases {
			if got := network(address); got != want {
				t.Errorf("%s is in %q, want %q", address, got, want)
			}
		}
	}
	l.addresses = interfaces("10.0.0.1/24", "fd00:5ec::1/64", "2001:db8::1/120", "2001:db8:7:1::1/56", "2001:db8:7:1::2/64", "3fff::1/20")
	check(map[string]string{
		"fe80::1": "fe80::/64", "fd00:5ec::b0b": "fd00:5ec::/64", "fd00:5ec:0:1::b0b": "", "2001:db8::77": "2001:db8::/64",
		"2001:db8::7777": "", "2001:db8:7:99::5": "2001:db8:7::/56", "3fff::2": "", "10.0.0.7": "", "2606:4700::1": "",
	})
	l.addresses = interfaces("fd00:1::1/64")
	now = now.Add(linksEvery / 2)
	check(map[string]string{"fd00:5ec::b0b": "fd00:5ec::/64", "fd00:1::7": ""})
	now = now.Add(linksEvery)
	check(map[string]string{"fd00:5ec::b0b": "", "fd00:1::7": "fd00:1::/64"})
	l.addresses = func() ([]net.Addr, error) { return nil, errors.New("too many open files") }
	now = now.Add(linksEvery)
	check(map[string]string{"fd00:1::7": "fd00:1::/64", "fe80::1": "fe80::/64"})
}

// lonely is a door that nobody listens at, on a link with fd00:5ec::/64, and its log.
func lonely(lim DoorLimits) (*door, *lines) {
	log := &lines{}
	d := newDoor(lim, nil, slog.New(slog.NewTextHandler(log, nil)))
	d.links.addresses = interfaces("10.0.0.1/24", "fd00:5ec::1/64")
	return d, log
}

// comes is a connection from an address.
func (d *door) comes(address string) *visitor {
	near, far := net.Pipe()
	_ = far.Close()
	tcp := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))
	return d.enter(elsewhere{near, tcp})
}

// A host that makes up addresses of its link may fail as often as eight hosts, and
// keeps out nobody who is elsewhere. The log names its network, now and then.
func TestMadeUpAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := DefaultDoorLimits()
		d, log := lonely(lim)
		admitted := 0
		const seconds = 60
		for i := range 500 * seconds {
			v := d.comes(fmt.Sprintf("fd00:5ec::bad:%x:%x", i>>16, i&0xffff))
			if v.barred == nil {
				admitted++
			}
			v.leave(false)
			time.Sleep(time.Second / 500)
		}
		each := int(time.Second / lim.Forgiven)
		least, most := failuresPerNetwork*each*seconds, failuresPerNetwork*(lim.Failures+each*seconds)
		if admitted < least || admitted > most {
			t.Errorf("%d of its connections were taken, want %d to %d", admitted, least, most)
		}
		if n := len(d.failures.of); n > lim.Addresses {
			t.Errorf("%d addresses are remembered", n)
		}
		for _, address := range []string{"10.0.0.7", "fe80::7", "2001:db8::7"} {
			v := d.comes(address)
			if v.barred != nil {
				t.Errorf("%s: %v", address, v.barred)
			}
			v.leave(true)
		}
		d.comes("fd00:5ec::6").leave(false) // the last that may, if it may
		if why := d.comes("fd00:5ec::7").barred; why == nil || !strings.Contains(why.Message(), "fd00:5ec::/64") {
			t.Errorf("another one of that network: %v", why)
		}
		if n := log.count("from=fd00:5ec::/64"); n < seconds/10-1 || n > seconds/10+1 || log.count("\n") != n {
			t.Errorf("the log says\n%s", log)
		}
		time.Sleep(lim.Deadline + time.Minute)
		if v := d.comes("fd00:5ec::7"); v.barred != nil {
			t.Errorf("a minute later: %v", v.barred)
		} else {
			v.leave(true)
		}
	})
}

// One network has a part of the places, and a browser elsewhere keeps its own.
func TestPlacesOfANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := DefaultDoorLimits()
		d, _ := lonely(lim)
		var browser []*visitor
		for range 6 {
			browser = append(browser, d.comes("10.0.0.7"))
		}
		for i := range 200 {
			d.comes(fmt.Sprintf("fd00:5ec::bad:%x", i))
			d.comes(fmt.Sprintf("fe80::bad:%x", i))
			time.Sleep(time.Millisecond)
		}
		d.mu.Lock()
		for network, n := range d.crowds {
			if n > placesPerNetwork*lim.PerAddress {
				t.Errorf("%v has %d places", network, n)
			}
		}
		if d.count > lim.Connections || len(d.crowds) != 2 {
			t.Errorf("%d wait, %v of them in networks", d.count, d.crowds)
		}
		d.mu.Unlock()
		for _, v := range browser {
			if why := v.sentAway(); why != nil {
				t.Errorf("the browser is sent away: %v", why)
			}
		}
		time.Sleep(lim.Deadline)
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.count != 0 || len(d.crowds)+len(d.waiting) != 0 {
			t.Errorf("at the end %d are counted, %v", d.count, d.crowds)
		}
	})
}

// knock comes and goes from an address, 50 times a second, until it is stopped.
func (s *street) knock(from string) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Second}
		for {
			if nc, err := d.Dial("tcp", s.address); err == nil {
				_, _ = nc.Write([]byte{0})
				_ = nc.Close()
			}
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(over); <-done }
}

// A host that knocks without end shuts out itself: not a paired device that comes to
// the same link with a new address, nor a machine that wants to be paired.
func TestKnockerOnOurLink(t *testing.T) {
	opts := DefaultOptions()
	opts.Certificate, opts.Trust = &server().Certificate, pairedStore(t, netip.Addr{})
	opts.from = func(nc net.Conn) netip.Addr { // 127.0.0.7 is fe80::7
		b := remote(nc).As4()
		return netip.MustParseAddr(fmt.Sprintf("fe80::%x", b[3]))
	}
	s := onStreetWith(t, opts)
	defer s.knock("127.0.0.3")()
	for limit := s.ctx(); s.log.count("from=fe80::3 failed=") == 0; time.Sleep(10 * time.Millisecond) {
		if limit.Err() != nil {
			t.Fatalf("it is not refused: %s", s.log)
		}
	}
	for range 5 {
		if msg, err := s.greetingOnce("127.0.0.9"); err != nil || msg.MessageType() != wamp.WELCOME {
			t.Errorf("the device hears %v, %v", msg, err)
		}
	}
	msg, err := s.greeting(outsider(), "127.0.0.10")
	if abort, ok := msg.(*wamp.Abort); err != nil || !ok || abort.Reason != wire.ErrAuthentication {
		t.Errorf("another machine hears %v, %v", msg, err)
	}
	refused := 0
	for range 10 { // one of its connections may pass now and then
		if _, err := s.greeting(outsider(), "127.0.0.3"); err != nil {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("who knocks is refused %d times of 10", refused)
	}
	if n := s.log.count("fail too often"); n > 1 {
		t.Errorf("%d lines in the log: %s", n, s.log)
	}
}

// The addresses that a device came from are reserved at once, as many as one has,
// for as long as it is paired.
func TestNewAddressIsReserved(t *testing.T) {
	store := pairedStore(t, netip.MustParseAddr("10.0.0.1"))
	d := newDevices(&Options{Trust: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}) }
	for i := range 3 * maxCame {
		if d.cameFrom(at(i)) {
			t.Errorf("%v is reserved before", at(i))
		}
		if err := d.met(device().id, at(i)); err != nil {
			t.Fatal(err)
		}
		for j := max(1, i-maxCame+1); j <= i; j++ { // the store has 0
			if !d.cameFrom(at(j)) {
				t.Errorf("after %v, %v is not reserved", at(i), at(j))
			}
		}
	}
	if d.cameFrom(at(maxCame)) || len(d.came[device().id]) > maxCame {
		t.Errorf("%v are reserved", d.came)
	}
	_ = d.met(outsider().id, at(99))
	if d.cameFrom(at(99)) {
		t.Error("the address of who is not paired is reserved")
	}
	err := store.Change(func(list *trust.Devices) error { list.Remove(device().id); return nil })
	if err != nil || d.cameFrom(at(3*maxCame-1)) {
		t.Errorf("reserved after revoking: %v", err)
	}
}
