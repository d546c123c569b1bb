//go:build netns

package net

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// machine is a row of dconn discover -o json, or an event of --watch.
type machine struct {
	Event, Name, ID, Host string
	Addresses             []string
	Port                  int
	Paired                *string
	Verified              *bool
	Ambiguous, Pairing    bool
	Latency               *float64 `json:"latency_ms"`
}

// hint is what the machine with the n-th id announces of it.
func hint(n int) string {
	return strings.ReplaceAll(trust.ID{byte(n)}.String(), "-", "")[:wire.IDHint]
}

var idA, idB, idC = hint(1), hint(2), hint(3)

// families leaves the host only those that are named.
func (h *host) families(of string) {
	h.lab.Helper()
	if !strings.Contains(of, "v6") {
		h.shell("echo 1 >/proc/sys/net/ipv6/conf/e0/disable_ipv6")
	}
	if !strings.Contains(of, "v4") {
		h.lab.ip("-n", h.space, "addr", "flush", "dev", "e0", "scope", "global")
	}
	h.wait("an address that may be used", "ip addr show dev e0 | grep -q 'inet' && ! ip addr show dev e0 tentative | grep -q inet")
}

// shell runs a line there.
func (h *host) shell(line string) string {
	h.lab.Helper()
	out, err := h.command(context.Background(), "sh", "-c", line).CombinedOutput()
	if err != nil {
		h.lab.Fatalf("%s: %s: %v: %s", h.name, line, err, out)
	}
	return string(out)
}

// wait waits until a line succeeds.
func (h *host) wait(what, line string) {
	h.lab.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if h.command(context.Background(), "sh", "-c", line).Run() == nil {
			return
		}
	}
	h.lab.Fatalf("%s: no %s", h.name, what)
}

// announcer is a process that announces, and takes orders.
type announcer struct {
	*process
	orders io.Writer
}

func (h *host) announce(name, id string, port int) announcer {
	h.lab.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		h.lab.Fatal(err)
	}
	h.lab.Cleanup(func() { _, _ = r.Close(), w.Close() })
	a := announcer{orders: w, process: h.launch(func(ctx context.Context) *exec.Cmd {
		cmd := h.role(ctx, "announce", name, fmt.Sprint(port), id)
		cmd.Stdin = r
		return cmd
	})}
	a.line(0)
	return a
}

// avahi is a command beside an avahi-daemon there.
func (h *host) avahi(ctx context.Context, words ...string) *exec.Cmd {
	cmd := h.command(ctx, "./avahi.sh", append([]string{h.name}, words...)...)
	cmd.Cancel = func() error { return cmd.Process.Kill() } // unshare ignores SIGTERM
	return cmd
}

// publish has avahi announce a service of ours there.
func (h *host) publish(name string, words ...string) *process {
	h.lab.Helper()
	p := h.launch(func(ctx context.Context) *exec.Cmd {
		return h.avahi(ctx, append([]string{"avahi-publish", "-s", name, "_deskconn._tcp"}, words...)...)
	})
	p.says("Established")
	return p
}

// discover is what dconn discover finds.
func (h *host) discover(args ...string) (found []machine) {
	h.lab.Helper()
	out := h.must(append([]string{"discover", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		h.lab.Fatalf("%v: %s", err, out)
	}
	return found
}

func find(l *lab, list []machine, name string) machine {
	l.Helper()
	for _, m := range list {
		if m.Name == name {
			return m
		}
	}
	l.Errorf("%s is not among %+v", name, list)
	return machine{}
}

// watcher follows dconn discover --watch.
type watcher struct {
	*process
	read int
}

func (h *host) watch() *watcher {
	h.lab.Helper()
	return &watcher{process: h.start("discover", "--watch")}
}

// next waits for an event that is wanted.
func (w *watcher) next(what string, wanted func(machine) bool) machine {
	w.lab.Helper()
	for {
		var m machine
		line := w.line(w.read)
		w.read++
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			w.lab.Fatalf("%v: %s", err, line)
		}
		if wanted(m) {
			return m
		}
		w.lab.Logf("before %s: %s", what, line)
	}
}

func (w *watcher) event(kind, name string) machine {
	w.lab.Helper()
	return w.next(kind+" "+name, func(m machine) bool { return m.Event == kind && m.Name == name })
}

// Whatever the families, ours find ours, avahi finds ours, and ours find what
// avahi announces, on another host or beside us.
func TestMatrix(t *testing.T) {
	for families, want := range map[string]func(addresses []string) bool{
		"v4":    func(a []string) bool { return slices.Equal(a, []string{"10.99.0.1"}) },
		"v6":    func(a []string) bool { return len(a) == 1 && isLinkLocal(a[0]) },
		"v4 v6": func(a []string) bool { return len(a) == 2 && a[0] == "10.99.0.1" && isLinkLocal(a[1]) },
	} {
		t.Run(families, func(t *testing.T) {
			l := newLab(t)
			a, b, c := l.host("a"), l.host("b"), l.host("c")
			for _, h := range []*host{a, b, c} {
				h.families(families)
			}
			a.announce("Küche. 1", idA, 5020)
			m := find(l, b.discover("-n", "1", "-W", "10"), "Küche. 1")
			if !want(m.Addresses) || m.ID != idA || m.Port != 5020 || m.Latency == nil || m.Paired != nil {
				t.Errorf("%+v", m)
			}
			if own := find(l, a.discover("-n", "1", "-W", "10"), "Küche. 1"); !slices.Equal(own.Addresses, m.Addresses) {
				t.Errorf("on its own host %+v", own)
			}
			c.seesByAvahi(m)
			a.publish("beside", "7071", "v=1", "id="+idB)
			c.publish("from avahi", "7070", "v=1", "id="+idB, "p=1")
			all := b.discover("-n", "3", "-W", "10", "--require", "3")
			find(l, all, "Küche. 1")
			find(l, all, "beside")
			if p := find(l, all, "from avahi"); p.ID != idB || p.Port != 7070 || !p.Pairing || len(p.Addresses) == 0 {
				t.Errorf("%+v", p)
			}
		})
	}
}

func isLinkLocal(a string) bool { return strings.HasPrefix(a, "fe80::") && strings.HasSuffix(a, "%e0") }

// seesByAvahi insists that avahi's own commands find m.
func (h *host) seesByAvahi(m machine) {
	h.lab.Helper()
	out, err := h.avahi(context.Background(), "sh", "-c", "avahi-browse -rpt _deskconn._tcp; avahi-resolve -n "+m.Host+"; avahi-browse -pt _services._dns-sd._udp").CombinedOutput()
	if err != nil {
		h.lab.Fatalf("%v: %s", err, out)
	}
	address, _, _ := strings.Cut(m.Addresses[0], "%")
	for _, want := range []string{`;K\195\188che\.\0321;_deskconn._tcp;local;` + m.Host + ";" + address + ";5020;", `"id=` + idA + `"`, m.Host + "\t"} {
		if !strings.Contains(string(out), want) {
			h.lab.Errorf("avahi does not show %s: %s", want, out)
		}
	}
}

// A watch sees machines come, change, and go, in time.
func TestWatch(t *testing.T) {
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4 v6")
	b.families("v4 v6")
	w := b.watch()
	p := a.announce("pi", idA, 5020)
	w.event("found", "pi")

	order := func(line string) { _, _ = fmt.Fprintln(p.orders, line) }
	order("pairing on")
	if m := w.event("changed", "pi"); !m.Pairing {
		t.Errorf("%+v", m)
	}
	order("pause")
	w.event("gone", "pi")
	order("resume")
	w.event("found", "pi")
	order("rename po")
	w.next("po for pi", func(m machine) bool { return m.Name == "po" })

	// another lease
	began := time.Now()
	a.addAddress("10.99.0.77")
	l.ip("-n", a.space, "addr", "del", a.address+"/24", "dev", "e0")
	a.addAddress("10.99.0.77")
	w.next("the new address", func(m machine) bool { return m.Name == "po" && slices.Contains(m.Addresses, "10.99.0.77") })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a new address is seen after %v", took)
	}
	w.next("the end of the old one", func(m machine) bool { return m.Name == "po" && !slices.Contains(m.Addresses, "10.99.0.1") })

	// a cable, pulled and plugged
	l.ip("-n", a.space, "link", "set", "e0", "down")
	l.ip("-n", a.space, "link", "set", "e0", "up")
	a.addAddress("10.99.0.78")
	w.next("the address after that", func(m machine) bool { return m.Name == "po" && slices.Contains(m.Addresses, "10.99.0.78") })

	// the watcher moves
	l.ip("-n", b.space, "link", "set", "e0", "down")
	w.event("gone", "po")
	l.ip("-n", b.space, "link", "set", "e0", "up")
	w.event("found", "po")

	// the other end of its cable
	l.ip("-n", l.space("S"), "link", "set", "p2", "down")
	w.event("gone", "po")
	l.ip("-n", l.space("S"), "link", "set", "p2", "up")
	w.event("found", "po")

	p.kill(syscall.SIGTERM)
	w.event("gone", "po")
	if _, err := p.texts(); !strings.Contains(err, "closed within") {
		t.Errorf("the announcer said %q", err)
	}
	_ = w.cmd.Process.Signal(syscall.SIGINT)
	w.ends(-1) // of the signal
}

// Of two machines with one name the second takes another, and says so; so does
// the second daemon of one machine.
func TestNameIsTaken(t *testing.T) {
	l := newLab(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	for _, h := range []*host{a, b, c} {
		h.families("v4 v6")
	}
	a.announce("pi", idA, 5020)
	if name := b.announce("pi", idB, 5020).line(0); name != "pi (2)" {
		t.Errorf("the second is %q", name)
	}
	third := b.announce("pi", idC, 5021)
	third.says("renamed to pi (2)")
	if name := third.line(0); name != "pi (3)" {
		t.Errorf("the third is %q", name)
	}
	all := c.discover("-n", "3", "-W", "10")
	if a, b := find(l, all, "pi (2)"), find(l, all, "pi (3)"); a.Port != 5020 || b.Port != 5021 || a.Addresses[0] != b.Addresses[0] {
		t.Errorf("%+v", all)
	}
}

// Ours and avahi's take no name from each other, whoever comes first.
func TestNameIsAvahis(t *testing.T) {
	l := newLab(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	for _, h := range []*host{a, b, c} {
		h.families("v4 v6")
	}
	a.publish("Küche", "7070", "v=1", "id="+idA)
	if name := b.announce("Küche", idB, 5020).line(0); name != "Küche (2)" {
		t.Errorf("ours is %q", name)
	}
	b.announce("pi", idC, 5021)
	late := a.publish("pi", "7071", "v=1", "id="+idA)
	late.until("another name", func(out, err string) bool { return strings.Contains(out+err, "pi #2") })
	all := c.discover("-n", "4", "-W", "10")
	for _, name := range []string{"Küche", "Küche (2)", "pi", "pi #2"} {
		find(l, all, name)
	}
}

// Two that begin at the same moment do not end with one name.
func TestNameIsContested(t *testing.T) {
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4")
	b.families("v4")
	start := func(h *host, id string) *process {
		return h.launch(func(ctx context.Context) *exec.Cmd { return h.role(ctx, "announce", "pi", "5020", id) })
	}
	first, second := start(a, idA), start(b, idB)
	names := []string{first.line(0), second.line(0)}
	slices.Sort(names)
	if !slices.Equal(names, []string{"pi", "pi (2)"}) {
		t.Errorf("they are %q", names)
	}
}

func TestCrowd(t *testing.T) {
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4 v6")
	b.families("v4 v6")
	p := a.launch(func(ctx context.Context) *exec.Cmd { return a.role(ctx, "many", "50") })
	p.line(0)
	began := time.Now()
	all := b.discover("-n", "50")
	if len(all) != 50 {
		t.Errorf("%d of 50 within 2 s", len(all))
	}
	t.Logf("50 machines after %v", time.Since(began).Round(time.Millisecond))
}

// Whoever claims the id of a device is shown with its name, and a mark until it has
// shown the key; one who is paired with nobody is shown as such.
func TestLyingID(t *testing.T) {
	l := newLab(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	for _, h := range []*host{a, b, c} {
		h.families("v4")
	}
	id := trust.ID{4}
	store, err := trust.OpenStore(filepath.Join(c.dir, "state", "dconn"))
	if err != nil {
		t.Fatal(err)
	}
	err = store.Change(func(list *trust.Devices) error {
		list.Add(&trust.Device{ID: id, Name: "kitchen", Scopes: trust.Scopes{}, Paired: time.Now().UTC()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a.announce("pi", id.String(), 5020)
	a.announce("stranger", idB, 5021)
	if m := c.discover("--paired", "-n", "1", "-W", "10")[0]; m.Name != "pi" || m.Paired == nil || *m.Paired != "kitchen" || m.Ambiguous || m.Verified == nil || *m.Verified {
		t.Errorf("%+v", m)
	}
	if table := c.must("discover", "--paired", "-n", "1"); !strings.Contains(table, "kitchen ?") {
		t.Errorf("one that only says so is shown as %s", table)
	}
	b.announce("liar", id.String(), 6666)
	all := c.discover("-n", "3", "-W", "10")
	if s := find(l, all, "stranger"); s.Paired != nil {
		t.Errorf("%+v", s)
	}
	if one, two := find(l, all, "pi"), find(l, all, "liar"); !one.Ambiguous || !two.Ambiguous || one.Port == two.Port {
		t.Errorf("%+v", all)
	}
	if table := c.must("discover", "-n", "3"); strings.Count(table, "kitchen ?") != 2 {
		t.Errorf("%s", table)
	}
	c.fails(3, "0 of 1 machines", "discover", "--paired", "--require", "1", "--state", c.dir+"/other", "-W", "1")
}

// Whoever takes every name keeps a machine from none for longer than it is there,
// and is not allowed to make it send without end.
func TestRival(t *testing.T) {
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4 v6")
	b.families("v4 v6")
	rival := b.launch(func(ctx context.Context) *exec.Cmd { return b.role(ctx, "rival") })
	rival.line(0)
	before := a.packets()
	p := a.launch(func(ctx context.Context) *exec.Cmd { return a.role(ctx, "announce", "pi", "5020", idA) })
	p.says("renamed to pi (9)")
	if n := a.packets() - before; n > 200 {
		t.Errorf("%d packets until then", n)
	}
	rival.kill(syscall.SIGKILL)
	if name := p.line(0); !strings.HasPrefix(name, "pi (") {
		t.Errorf("it is %q", name)
	}
}

// A machine that announces without end neither stops nor fills anybody, and
// nothing of it reaches a terminal.
func TestHostileAnnouncer(t *testing.T) {
	l := newLab(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	for _, h := range []*host{a, b, c} {
		h.families("v4 v6")
	}
	p := a.announce("pi", idA, 5020)
	liar := c.launch(func(ctx context.Context) *exec.Cmd { return c.role(ctx, "liar") })
	liar.line(0)
	late := a.launch(func(ctx context.Context) *exec.Cmd { return a.role(ctx, "announce", "late", "5021", idB) })
	watch := b.watch()
	pid := fmt.Sprint(p.cmd.Process.Pid)
	// how many arrive depends on the machine, and so does how many of these are
	// complete when the time is over
	look := func() (full bool, took time.Duration) {
		began, worked := time.Now(), cpu(t, pid)
		o := b.dconn("discover", "-W", "3")
		took = time.Since(began)
		if o.code != 0 || took > 5*time.Second {
			t.Errorf("exit code %d after %v: %s", o.code, took, o.err)
		}
		t.Logf("an announcer works %v in %v of the attack", cpu(t, pid)-worked, took.Round(time.Millisecond))
		if strings.ContainsFunc(o.out+o.err, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x202e }) {
			t.Errorf("a control character is shown")
		}
		rows := strings.Count(o.out, "\n") - 1
		t.Logf("%d rows, %s", rows, o.err)
		if rows < 100 || rows > 1000 {
			t.Errorf("%d rows, %s", rows, o.err)
		}
		return rows >= 900 || !strings.Contains(o.err, "more are announced"), took
	}
	full, took := look()
	late.line(0) // it settles all the same
	for who, process := range map[string]*process{"an announcer": p.process, "a late one": late, "a watch": watch.process} {
		if rss := residentKiB(t, process.cmd.Process.Pid); rss > 64<<10 {
			t.Errorf("%s has %d KiB", who, rss)
		}
	}
	if out, _ := watch.texts(); strings.Count(out, "\n") > 1500 {
		t.Errorf("a watch has printed %d lines in %v", strings.Count(out, "\n"), took)
	}
	for again := 0; again < 2 && !full; again++ { // a busy machine
		full, _ = look()
	}
	if !full {
		t.Error("more are announced, it says, and has not looked at a thousand")
	}
	before := time.Now()
	p.kill(syscall.SIGTERM)
	if took := time.Since(before); took > 2*time.Second {
		t.Errorf("it ends after %v", took)
	}
}

// Whoever announces, or looks around, leaves no goroutine and no file behind.
func TestLeavesNothing(t *testing.T) {
	a := newLab(t).host("a")
	a.families("v4 v6")
	p := a.launch(func(ctx context.Context) *exec.Cmd { return a.role(ctx, "churn") })
	p.ends(0)
	if out, _ := p.texts(); out[:strings.Index(out, "\n")] != strings.TrimSpace(out)[strings.LastIndex(strings.TrimSpace(out), "\n")+1:] {
		t.Errorf("goroutines and files: %s", out)
	}
}

// What keeps multicast away is named.
func TestBlocked(t *testing.T) {
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4")
	b.families("v4")
	b.shell("nft add table inet t && nft 'add chain inet t out { type filter hook output priority 0; }' && nft add rule inet t out udp dport 5353 drop")
	b.fails(8, "no question could be sent", "discover", "-W", "1")
	a.announce("pi", idA, 5020)
	b.shell("nft flush ruleset; nft add table inet t && nft 'add chain inet t in { type filter hook input priority 0; policy drop; }' && nft add rule inet t in udp dport 5353 accept")
	if all := b.discover("-n", "1", "-W", "5"); len(all) != 1 {
		t.Errorf("behind a firewall that lets mDNS through: %v", all)
	}
	b.shell("nft flush ruleset; nft add table inet t && nft 'add chain inet t in { type filter hook input priority 0; policy drop; }'")
	b.fails(3, "0 of 1 machines", "discover", "-W", "1", "--require", "1")
	l.ip("-n", b.space, "link", "set", "e0", "down")
	b.fails(8, "e0 is down", "discover")
	b.fails(8, "sudo ip link set e0 up", "discover", "--watch")
}
