//go:build netns

package net

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/trust"
)

// move gives the host another address in the place of the one it has.
func (h *host) move(address string) {
	h.lab.Helper()
	h.lab.ip("-n", h.space, "addr", "del", h.address+"/24", "dev", "e0")
	h.addAddress(address)
	h.address = address
}

// called insists that a device is reached, and that it is the one meant; it returns
// how long that took.
func (h *host) called(device string, args ...string) time.Duration {
	h.lab.Helper()
	began := time.Now()
	name := h.must(append([]string{"call", "-d", device}, append(args, ".system.name")...)...)
	took := time.Since(began)
	if name != device {
		h.lab.Errorf("%s is called, and %q answers", device, name)
	}
	return took
}

// drop adds rules to the firewall of the host: its chains are in and out.
func (h *host) drop(rules ...string) {
	h.lab.Helper()
	h.shell("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; }'; nft 'add chain inet t out { type filter hook output priority 0; }'")
	for _, r := range rules {
		h.shell("nft add rule inet t " + r)
	}
}

// remembered changes what the host knows of its first device.
func (h *host) remembered(change func(*trust.Device)) {
	h.lab.Helper()
	store, err := trust.OpenStore(filepath.Join(h.dir, "state", "dconn"))
	if err == nil {
		err = store.Change(func(list *trust.Devices) error { change((*list)[0]); return nil })
	}
	if err != nil {
		h.lab.Fatal(err)
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// A device is found where it is now, and whoever has its old address is not taken
// for it.
func TestAddressIsAnothers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	daemon := desk.serve()
	laptop.pair(desk)
	desk.move("10.99.0.77")
	laptop.called("desk") // the old one is nobody's
	if first := laptop.devices()[0].Addresses[0]; first != "10.99.0.77:5020" {
		t.Errorf("it was reached last at %s", first)
	}
	desk.move("10.99.0.78")
	evil.serve()
	evil.move("10.99.0.77")
	laptop.shell("ip neigh flush all")
	laptop.called("desk")
	daemon.kill(syscall.SIGTERM)
	evil.move("10.99.0.78")
	laptop.shell("ip neigh flush all")
	laptop.fails(6, "another machine is there now", "call", "-d", "desk", ".system.name")
	laptop.fails(7, "expected desk", "call", "-d", "desk", "--address", evil.address, ".system.name")
	if log := evil.must("audit", "-o", "json"); strings.Contains(log, "paired") {
		t.Errorf("%s", log)
	}
	desk.serve("--listen", ":6020")
	laptop.called("desk")
	if first := laptop.devices()[0].Addresses[0]; !strings.HasSuffix(first, ":6020") {
		t.Errorf("on another port it was reached last at %s", first)
	}
}

// A machine that is paired, and has claimed the address of another in its pairing, is not
// taken for that one where the address is given by hand.
func TestClaimedAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	daemon := desk.serve("--no-announce")
	evil.serve("--no-announce")
	laptop.pair(desk)
	evil.shell("ip addr add " + desk.address + "/32 dev lo") // which nobody on the wire sees
	laptop.pair(evil)
	if claims := laptop.must("devices", "show", "evil"); !strings.Contains(claims, desk.address) {
		t.Errorf("evil has claimed nothing: %s", claims)
	}
	laptop.called("desk", "--address", desk.address)
	daemon.kill(syscall.SIGTERM)
	l.ip("-n", desk.space, "addr", "del", desk.address+"/24", "dev", "e0")
	evil.shell("ip addr del " + desk.address + "/32 dev lo")
	evil.addAddress(desk.address)
	laptop.shell("ip neigh flush all")
	laptop.fails(7, "expected desk", "call", "-d", desk.address, ".system.name")
	laptop.called("evil")
}

// Where nobody answers at the addresses that are known, whatever their number, it
// takes half a second to find the right one.
func TestStaleAddress(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk)
	desk.addAddress("10.99.0.77")
	desk.drop("in ip daddr " + desk.address + " tcp dport 5020 drop")
	var good, one, all []time.Duration
	for range 7 {
		laptop.remembered(func(d *trust.Device) { d.Address = []string{"10.99.0.77:5020"} })
		good = append(good, laptop.called("desk"))
		laptop.remembered(func(d *trust.Device) { d.Address = []string{desk.address + ":5020"} })
		one = append(one, laptop.called("desk"))
		laptop.remembered(func(d *trust.Device) {
			d.Address = []string{"10.99.0.77:5020"} // which comes last
			for n := range 7 {
				d.Reached(fmt.Sprintf("10.99.0.%d:5020", 200+n))
			}
		})
		all = append(all, laptop.called("desk"))
	}
	t.Logf("from its start, a call takes %v at a good address, %v where the only one known is stale, %v where 7 more go before the right one", median(good), median(one), median(all))
	if median(one) > 500*time.Millisecond || median(all) > 500*time.Millisecond {
		t.Errorf("that is too long")
	}
}

// A laptop that comes to another network, and back, tries there what is there.
func TestOtherNetwork(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	l.bridge("br1")
	desk.plug("e1", "q1", "br1", "10.99.1.1")
	desk.serve()
	laptop.pair(desk)
	goTo := func(bridge, address string) {
		l.ip("-n", l.space("S"), "link", "set", laptop.port, "master", bridge)
		laptop.move(address)
		laptop.shell("ip route add default dev e0; ip neigh flush all") // a way to everywhere
	}
	goTo("br1", "10.99.1.2")
	laptop.called("desk")
	if a := laptop.devices()[0].Addresses; !slices.Equal(a, []string{"10.99.1.1:5020", "10.99.0.1:5020"}) {
		t.Errorf("it is known at %v", a)
	}
	goTo("br0", "10.99.0.2")
	laptop.drop("out ip daddr 10.99.1.1 counter", "out udp dport 5353 drop") // by what it remembers alone
	laptop.called("desk")
	if seen := laptop.shell("nft list ruleset"); !strings.Contains(seen, "daddr 10.99.1.1 counter packets 0") {
		t.Errorf("the address in the other network was tried: %s", seen)
	}
}

// Where there is no IPv4 a device is found by its link-local address, and what is
// remembered of that does no harm where the interface has another name.
func TestLinkLocalDevice(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk)
	desk.families("v6")
	laptop.families("v6")
	laptop.called("desk")
	first := laptop.devices()[0].Addresses[0]
	if !strings.HasPrefix(first, "[fe80::") || !strings.HasSuffix(first, "%e0]:5020") {
		t.Errorf("it was reached at %s", first)
	}
	laptop.drop("out udp dport 5353 drop")
	laptop.called("desk")
	laptop.shell("nft flush ruleset; ip link set e0 down; ip link set e0 name wlan0; ip link set wlan0 up")
	laptop.wait("an address that may be used", "ip addr show dev wlan0 | grep -q inet6 && ! ip addr show dev wlan0 tentative | grep -q inet6")
	laptop.called("desk")
	if again := laptop.devices()[0].Addresses[0]; !strings.HasSuffix(again, "%wlan0]:5020") {
		t.Errorf("then it was reached at %s", again)
	}
}

// Without multicast there is the last address, and what is given by hand.
func TestFiltered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk)
	laptop.drop("out udp dport 5353 drop", "in udp dport 5353 drop", "in udp sport 5353 drop")
	laptop.called("desk")
	laptop.fails(8, "sudo nft list ruleset", "discover", "-W", "1")
	desk.move("10.99.0.77")
	laptop.shell("ip neigh flush all")
	laptop.fails(6, "10.99.0.1:5020", "call", "-d", "desk", ".system.name")
	laptop.called("desk", "--address", desk.address)
	laptop.called("desk")
	laptop.shell("nft flush ruleset")
	laptop.drop("in udp dport 5353 drop", "in udp sport 5353 drop")
	if o := laptop.dconn("discover", "-W", "1"); o.code != 0 || !strings.Contains(o.err, "does this network let multicast through?") {
		t.Errorf("%+v", o)
	}
}

// A program that stood still for a while has lost nothing.
func TestPaused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk, "--allow", "subscribe:org.news")
	p := laptop.start("subscribe", "-d", "desk", "--reconnect", "--on-ready", "echo subscribed >&2", "org.news")
	p.says("subscribed")
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	for n := range 3 {
		desk.must("publish", "org.news", fmt.Sprint(n))
		time.Sleep(time.Second) // it is about time that passes
	}
	laptop.addAddress("10.99.0.77") // and what has happened meanwhile is no loss either
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	for n := range 3 {
		if line := p.line(n); line != fmt.Sprint(n) {
			t.Errorf("event %d is %q", n, line)
		}
	}
	if _, err := p.texts(); strings.Contains(err, "again") {
		t.Errorf("%s", err)
	}
}

// What the daemon here knows is shown at once.
func TestFirstRow(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.serve("--no-announce")
	laptop.wait("machine", "dconn discover -W 1 --require 1")
	rows := func(env string) (all []time.Duration) {
		for range 15 {
			began := time.Now()
			o := laptop.with([]string{env}, "discover", "--watch", "-n", "1", "-W", "5")
			if all = append(all, time.Since(began)); !strings.Contains(o.out, `"desk"`) {
				t.Fatalf("%+v", o)
			}
		}
		return all
	}
	warm, cold := median(rows("A=")), median(rows("XDG_RUNTIME_DIR="+os.TempDir()))
	t.Logf("first row, from the start of the program to its end: %v with a daemon that knows, %v without", warm, cold)
	if warm > 20*time.Millisecond {
		t.Errorf("it takes too long")
	}
}

// To call a device where it was before costs no more than to be told where it is.
func TestKnownAddress(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk)
	var known, given, more []time.Duration
	for n := range 40 {
		a, b := time.Duration(0), time.Duration(0)
		if n%2 == 0 {
			a, b = laptop.called("desk"), laptop.called("desk", "--address", desk.address)
		} else {
			b = laptop.called("desk", "--address", desk.address)
			a = laptop.called("desk")
		}
		known, given, more = append(known, a), append(given, b), append(more, a-b)
	}
	t.Logf("a call takes %v at the address that is known, %v at one that is given; the median of 40 differences is %v", median(known), median(given), median(more))
	if median(more) > time.Millisecond {
		t.Errorf("that is too much")
	}
}
