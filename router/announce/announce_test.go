package announce

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

const testID = "ABCDEFG-HIJKLMN-OPQRSTU"

// sent is a message that an Announcer sent.
type sent struct {
	after time.Duration // since the start
	to    netip.AddrPort
	msg   *dns.Msg
}

// wires is the network of a test.
type wires struct {
	t       *testing.T
	began   time.Time
	links   []mdns.Link
	packets chan<- mdns.Packet
	changed chan struct{}
	out     chan sent
	closed  int
	refuse  error
}

type plug struct{ w *wires }

func (p plug) Send(m *dns.Msg) error { return p.Reply(m, netip.AddrPort{}) }
func (p plug) Reply(m *dns.Msg, to netip.AddrPort) error {
	b, err := m.Pack()
	if err != nil {
		p.w.t.Errorf("cannot be sent: %v", err)
		return err
	}
	got := mdns.Parse(b)
	if got == nil {
		p.w.t.Errorf("cannot be read: %v", m)
		return nil
	}
	p.w.out <- sent{time.Since(p.w.began), to, got}
	return nil
}
func (p plug) Close() { p.w.closed++ }

func link(index int, prefixes ...string) mdns.Link {
	l := mdns.Link{Place: mdns.Place{Index: index, Family: mdns.IPv4}, Name: fmt.Sprintf("e%d", index)}
	for _, p := range prefixes {
		l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func begin(t *testing.T, opts Options, links ...mdns.Link) (*Announcer, *wires) {
	t.Helper()
	w := &wires{t: t, began: time.Now(), links: links, changed: make(chan struct{}, 1), out: make(chan sent, 1000)}
	if opts.ID == "" {
		opts.ID = testID
	}
	opts.Log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	a, err := start(ctx, stop, opts, network{
		links: func() ([]mdns.Link, error) {
			if len(w.links) == 0 {
				return nil, &mdns.NoLinkError{}
			}
			return w.links, nil
		},
		listen: func(_ mdns.Link, p chan<- mdns.Packet) (socket, error) {
			w.packets = p
			return plug{w}, w.refuse
		},
		changed: w.changed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, w
}

// drain is what was sent by now.
func (w *wires) drain() (all []sent) {
	synctest.Wait()
	for {
		select {
		case s := <-w.out:
			all = append(all, s)
		default:
			return all
		}
	}
}

// settled waits until all is announced.
func (w *wires) settled() []sent {
	time.Sleep(5 * time.Second)
	return w.drain()
}

// say has somebody send a message on the first link.
func (w *wires) say(from string, m *dns.Msg) {
	w.t.Helper()
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		w.t.Fatal(err)
	}
	w.packets <- mdns.Packet{Place: w.links[0].Place, From: netip.MustParseAddrPort(from), Msg: mdns.Parse(b)}
	synctest.Wait()
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func answerOf(rrs ...dns.RR) *dns.Msg {
	return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: rrs}
}

func ask(class uint16, pairs ...any) *dns.Msg {
	m := &dns.Msg{}
	for i := 0; i < len(pairs); i += 2 {
		m.Question = append(m.Question, dns.Question{Name: pairs[i].(string), Qtype: pairs[i+1].(uint16), Qclass: class})
	}
	return m
}

func text(m *dns.Msg) string {
	var b strings.Builder
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		b.WriteString(strings.ReplaceAll(rr.String(), "\t", " ") + "\n")
	}
	return b.String()
}

const lan, peer, stranger = "10.0.0.1/24", "10.0.0.9:5353", "10.0.0.9:40000"

func TestProbesAndThenAnnouncesThrice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "Küche. (2)", Port: 5020}, link(1, lan, "fe80::1/64"))
		all := w.settled()
		if len(all) != probes+len(announcements) {
			t.Fatalf("%d messages: %v", len(all), all)
		}
		for i, s := range all[:probes] {
			if s.msg.Response || len(s.msg.Ns) != 2 || i > 0 && s.after-all[i-1].after != probeWait {
				t.Errorf("probe %d after %v: %v", i, s.after, s.msg)
			}
		}
		if all[0].after > probeWait || all[probes].after-all[probes-1].after != probeWait {
			t.Errorf("probes begin after %v, announcements after %v", all[0].after, all[probes].after)
		}
		got := text(all[probes].msg)
		for _, want := range []string{
			`_deskconn._tcp.local. 450 IN PTR K\195\188che\.\ \(2\)._deskconn._tcp.local.`,
			`IN SRV 0 0 5020 dconn-abcdefghijklmnop.local.`,
			`IN TXT "id=ABCDEFGHIJKLMNOP" "p=0" "v=1"`,
			`dconn-abcdefghijklmnop.local. 120 IN A 10.0.0.1`, `IN AAAA fe80::1`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("announced\n%s\nwithout %s", got, want)
			}
		}
		if s := a.Status(); s.Name != "Küche. (2)" || !slices.Equal(s.Links, []string{"e1"}) {
			t.Errorf("%+v", s)
		}
		before := time.Now()
		a.Close()
		if took := time.Since(before); took > time.Second {
			t.Errorf("closing took %v", took)
		}
		bye := w.drain()
		if len(bye) != 2 || bye[0].msg.Answer[0].Header().Ttl != 0 || w.closed != 1 {
			t.Errorf("goodbye %v, %d sockets closed", bye, w.closed)
		}
	})
}

func TestAnswers(t *testing.T) {
	const service, instance, host = "_deskconn._tcp.local.", `K\195\188che._deskconn._tcp.local.`, "dconn-abcdefghijklmnop.local."
	in, unicast := uint16(dns.ClassINET), uint16(dns.ClassINET|mdns.Flush)
	known := ask(in, service, dns.TypePTR)
	known.Answer = []dns.RR{rr(t, `_deskconn._tcp.local. 400 IN PTR K\195\188che._deskconn._tcp.local.`)}
	faded := ask(in, service, dns.TypePTR)
	faded.Answer = []dns.RR{rr(t, `_deskconn._tcp.local. 100 IN PTR K\195\188che._deskconn._tcp.local.`)}
	many := &dns.Msg{}
	for range 400 {
		many.Question = append(many.Question, dns.Question{Name: service, Qtype: dns.TypePTR, Qclass: in})
	}
	for _, c := range []struct {
		name  string
		from  string
		query *dns.Msg
		to    string        // "" is to all
		want  string        // "" is no answer
		by    time.Duration // at the latest
	}{
		{"the type, to all after a moment", peer, ask(in, service, dns.TypePTR), "", "IN PTR K", 120 * time.Millisecond},
		{"in other letters", peer, ask(in, strings.ToUpper(service), dns.TypePTR), "", "IN PTR K", 120 * time.Millisecond},
		{"a resolver, at once", stranger, ask(in, service, dns.TypePTR), stranger, " 10 IN SRV 0 0 7", 0},
		{"to one that asks for it", peer, ask(unicast, instance, dns.TypeSRV), peer, "IN SRV 0 0 7", 0},
		{"the instance", peer, ask(in, instance, dns.TypeANY), "", `"p=0"`, 0},
		{"the host", peer, ask(in, host, dns.TypeA), "", "IN A 10.0.0.1", 0},
		{"an address it has none of", peer, ask(in, host, dns.TypeAAAA), "", "NSEC " + host + " A", 0},
		{"the types", peer, ask(in, "_services._dns-sd._udp.local.", dns.TypePTR), "", "PTR " + service, 120 * time.Millisecond},
		{"400 questions, once", peer, many, "", "IN PTR K", 120 * time.Millisecond},
		{"an old answer", peer, faded, "", "IN PTR K", 120 * time.Millisecond},
		{"what is known", peer, known, "", "", 0},
		{"another instance", peer, ask(in, "x."+service, dns.TypeANY), "", "", 0},
		{"another class", peer, ask(dns.ClassCHAOS, service, dns.TypePTR), "", "", 0},
		{"another network", "192.0.2.1:40000", ask(in, service, dns.TypePTR), "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, w := begin(t, Options{Name: "Küche", Port: 7}, link(1, lan))
				defer a.Close()
				w.settled()
				asked := time.Since(w.began)
				w.say(c.from, c.query)
				time.Sleep(3 * time.Second)
				all := w.drain()
				if c.want == "" {
					if len(all) > 0 {
						t.Errorf("answered %v", all)
					}
					return
				}
				if len(all) != 1 || !strings.Contains(text(all[0].msg), c.want) {
					t.Fatalf("answered %v, want one with %s", all, c.want)
				}
				if got := all[0]; (c.to == "") != !got.to.IsValid() || c.to != "" && got.to.String() != c.to || got.after-asked > c.by {
					t.Errorf("to %v after %v, want to %q by %v", got.to, got.after-asked, c.to, c.by)
				}
			})
		})
	}
}

// What a resolver of ordinary DNS gets is what it asked for.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		w.settled()
		q := ask(dns.ClassINET, "dconn-abcdefghijklmnop.local.", dns.TypeA)
		q.Id = 77
		w.say(stranger, q)
		all := w.drain()
		if len(all) != 1 || all[0].msg.Id != 77 || !slices.Equal(all[0].msg.Question, q.Question) {
			t.Errorf("%v", all)
		}
	})
}

// However often it is asked, it tells all at most once a second, and single ones
// at most so often.
func TestAnswersAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		w.settled()
		for range 1000 {
			w.say(peer, ask(dns.ClassINET, "_deskconn._tcp.local.", dns.TypePTR))
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(w.drain()); n < 5 || n > 11 {
			t.Errorf("%d answers to all in 10 s", n)
		}
		for range 3000 {
			w.say(stranger, ask(dns.ClassINET, "_deskconn._tcp.local.", dns.TypePTR))
			time.Sleep(time.Millisecond)
			if len(w.out) > 900 {
				break
			}
		}
		if n := len(w.drain()); n > 4*repliesPerSecond {
			t.Errorf("%d answers to one in 3 s", n)
		}
	})
}

// An instance that is another machine's becomes "pi (2)", which is said.
func TestConflict(t *testing.T) {
	for name, taken := range map[string]string{
		"its place": "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.",
		"its port":  "PI._deskconn._tcp.local. 120 IN SRV 0 0 8 dconn-abcdefghijklmnop.local.",
		"its id":    `pi._deskconn._tcp.local. 450 IN TXT "id=QQQQQQQQQQQQQQQQ" "p=0" "v=1"`,
		"its host":  "dconn-abcdefghijklmnop.local. 120 IN A 10.0.0.7",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := make(chan string, 10)
				a, w := begin(t, Options{Name: "pi", Port: 7, Renamed: func(n string) { names <- n }}, link(1, lan))
				defer a.Close()
				time.Sleep(400 * time.Millisecond)
				w.say(peer, answerOf(rr(t, taken)))
				all := w.settled()
				s := a.Status()
				if name == "its host" {
					if s.Name != "pi" || s.Host != "dconn-abcdefghijklmnop-2.local" {
						t.Errorf("%+v", s)
					}
					return
				}
				if s.Name != "pi (2)" || len(names) != 1 || <-names != "pi (2)" || s.Conflicts != 1 {
					t.Errorf("%+v, %d names were told", s, len(names))
				}
				if last := text(all[len(all)-1].msg); !strings.Contains(last, `pi\ \(2\)._deskconn`) {
					t.Errorf("announced %s", last)
				}
			})
		})
	}
}

// Nobody who says the same is another machine.
func TestNoConflict(t *testing.T) {
	for name, heard := range map[string]string{
		"the same place":        "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 dconn-abcdefghijklmnop.local.",
		"an open window":        `pi._deskconn._tcp.local. 450 IN TXT "id=ABCDEFGHIJKLMNOP" "p=1" "v=1"`,
		"an address of ours":    "dconn-abcdefghijklmnop.local. 120 IN A 10.0.0.1",
		"one of another link's": "dconn-abcdefghijklmnop.local. 120 IN A 10.2.0.1",
		"a goodbye":             "pi._deskconn._tcp.local. 0 IN SRV 0 0 7 other.local.",
		"another instance":      "pi2._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan), link(2, "10.2.0.1/24"))
				defer a.Close()
				time.Sleep(400 * time.Millisecond)
				w.say(peer, answerOf(rr(t, heard)))
				w.settled()
				w.say(peer, answerOf(rr(t, heard)))
				if s := a.Status(); s.Conflicts != 0 || len(s.Links) != 2 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Whoever takes every name that it tries does not make it flood the network.
func TestConflictsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		count := 0
		for range 600 { // a minute
			taken := fmt.Sprintf(`%s._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.`, strings.NewReplacer(" ", `\ `, "(", `\(`, ")", `\)`).Replace(a.Status().Name))
			w.say(peer, answerOf(rr(t, taken)))
			time.Sleep(100 * time.Millisecond)
			count += len(w.drain())
		}
		s := a.Status()
		if s.Conflicts < manyClashes || s.Conflicts > manyClashes+15 || count > 150 {
			t.Errorf("%+v, %d messages", s, count)
		}
		a.order(func() {
			if len(a.agenda.jobs) > 100 {
				t.Errorf("%d jobs wait", len(a.agenda.jobs))
			}
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if s := a.Status(); len(s.Links) != 1 {
			t.Errorf("after the attack: %+v", s)
		}
	})
}

// Two that begin at the same time with one name: one of them waits.
func TestProbingTogether(t *testing.T) {
	for port, wait := range map[int]bool{6: false, 8: true} {
		synctest.Test(t, func(t *testing.T) {
			a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
			defer a.Close()
			time.Sleep(300 * time.Millisecond)
			other, err := newRecords(said{name: "pi", host: "dconn-abcdefghijklmnop", id: "ABCDEFGHIJKLMNOP", port: port}, link(1, lan))
			if err != nil {
				t.Fatal(err)
			}
			w.say(peer, other.probe())
			time.Sleep(1100 * time.Millisecond)
			if waits := len(a.Status().Links) == 0; waits != wait {
				t.Errorf("against port %d it waits: %v", port, waits)
			}
		})
	}
}

// Addresses and links are followed.
func TestFollowsTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7})
		defer a.Close()
		if all := w.settled(); len(all) > 0 {
			t.Fatalf("sent %v without a link", all)
		}
		w.links = []mdns.Link{link(1, lan)}
		w.changed <- struct{}{}
		if all := w.settled(); len(all) != 6 {
			t.Fatalf("a new link: %v", all)
		}
		w.links = []mdns.Link{link(1, "10.0.0.77/24")}
		w.changed <- struct{}{}
		all := w.settled()
		if len(all) != 3 || !strings.Contains(text(all[0].msg), "IN A 10.0.0.77") || strings.Contains(text(all[0].msg), "10.0.0.1\n") {
			t.Fatalf("a new address: %v", all)
		}
		w.changed <- struct{}{}
		if all := w.settled(); len(all) > 0 {
			t.Errorf("nothing new: %v", all)
		}
		w.links = nil
		w.changed <- struct{}{}
		w.settled()
		if s := a.Status(); w.closed != 1 || len(s.Links) != 0 {
			t.Errorf("a lost link: %+v, %d closed", s, w.closed)
		}
	})
}

func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		a, w := begin(t, Options{Name: "pi", Port: 7, Renamed: func(n string) { names = append(names, n) }}, link(1, lan))
		defer a.Close()
		w.settled()
		a.SetPairing(true)
		a.SetPairing(true)
		if all := w.settled(); len(all) != 3 || !strings.Contains(text(all[0].msg), `"p=1"`) || !a.Status().Pairing {
			t.Errorf("a window: %v", all)
		}
		a.Rename("po")
		if all := w.settled(); len(all) != 7 || all[0].msg.Answer[0].Header().Ttl != 0 || a.Status().Name != "po" || len(names) != 1 {
			t.Errorf("another name: %v, %v", all, names)
		}
		a.Pause()
		if all := w.settled(); len(all) != 1 || all[0].msg.Answer[0].Header().Ttl != 0 || w.closed != 1 || !a.Status().Paused {
			t.Errorf("a pause: %v", all)
		}
		w.changed <- struct{}{}
		if all := w.settled(); len(all) != 0 {
			t.Errorf("while paused: %v", all)
		}
		a.Resume()
		if all := w.settled(); len(all) != 6 {
			t.Errorf("after it: %v", all)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Name: "a", ID: testID}, {Name: "a", Port: 65536, ID: testID}, {Name: "a", Port: 1, ID: "short"}} {
		if _, err := start(t.Context(), func() {}, o, network{}); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	long := strings.Repeat("ü", 60)
	for name, want := range map[string]string{"": "dconn", "\x1b[31m": "[31m", "a\u202eb\n": "ab", long: strings.Repeat("ü", 28)} {
		if got := CleanName(name); got != want || len(got)+len(" (999)") > mdns.MaxLabel {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}
