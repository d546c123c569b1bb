package browse

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// scene is a network with a browser on it.
type scene struct {
	t       *testing.T
	links   []mdns.Link
	packets chan<- mdns.Packet
	changed chan struct{}
	mu      sync.Mutex // of sent and events
	sent    []question
	refuse  error // of Send
	held    error // of the port
	events  []Event
	enough  int
	stop    context.CancelFunc
	ended   chan struct{}
	stats   Stats
	err     error
	began   time.Time
}

// question is what the browser sent.
type question struct {
	after time.Duration
	at    mdns.Place
	alone bool
	msg   *dns.Msg
}

type plug struct {
	s     *scene
	at    mdns.Place
	alone bool
}

func (p plug) Send(m *dns.Msg) error {
	b, err := m.Pack()
	if err != nil {
		p.s.t.Error(err)
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.sent = append(p.s.sent, question{time.Since(p.s.began), p.at, p.alone, mdns.Parse(b)})
	return p.s.refuse
}
func (p plug) Close() {}

func link(index int, family mdns.Family) mdns.Link {
	return mdns.Link{
		Place: mdns.Place{Index: index, Family: family}, Name: fmt.Sprintf("e%d", index),
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fe80::1/64")},
	}
}

// look browses for that long, unless the scene is ended before.
func look(t *testing.T, long time.Duration, links ...mdns.Link) *scene {
	s := &scene{t: t, links: links, changed: make(chan struct{}, 1), ended: make(chan struct{}), began: time.Now()}
	s.start(long)
	return s
}

func (s *scene) start(long time.Duration) {
	ctx, stop := context.WithTimeout(s.t.Context(), long)
	s.stop = stop
	socketOf := func(alone bool) func(mdns.Link, chan<- mdns.Packet) (socket, error) {
		return func(l mdns.Link, p chan<- mdns.Packet) (socket, error) {
			s.packets = p
			if !alone && s.held != nil {
				return nil, s.held
			}
			return plug{s, l.Place, alone}, nil
		}
	}
	go func() {
		defer close(s.ended)
		s.stats, s.err = browse(ctx, func(e Event) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
			return len(s.events) != s.enough
		}, network{
			links: func() ([]mdns.Link, error) {
				if len(s.links) == 0 {
					return nil, &mdns.NoLinkError{}
				}
				return s.links, nil
			},
			listen: socketOf(false), ask: socketOf(true), changed: s.changed,
		})
	}()
	synctest.Wait()
}

func (s *scene) end() {
	s.stop()
	<-s.ended
}

// hear has the browser hear records, in presentation form, on a link.
func (s *scene) hear(at mdns.Place, records ...string) {
	s.t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			s.t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	s.hearMessage(at, m)
}

func (s *scene) hearMessage(at mdns.Place, m *dns.Msg) {
	s.t.Helper()
	b, err := m.Pack()
	if err != nil {
		s.t.Fatal(err)
	}
	from := "10.0.0.9:5353"
	if at.Family == mdns.IPv6 {
		from = "[fe80::9]:5353"
	}
	if got := mdns.Parse(b); got != nil {
		s.packets <- mdns.Packet{Place: at, From: netip.MustParseAddrPort(from), Msg: got}
	}
	synctest.Wait()
}

// told are the events since it was last asked, as one line each.
func (s *scene) told() (lines []string) {
	for _, e := range s.take() {
		m := e.Machine
		lines = append(lines, fmt.Sprintf("%s %q %s %v %d %v", e.Kind, m.Name, m.ID, m.Addresses, m.Port, m.Pairing))
	}
	return lines
}

// take are the events since it was last called.
func (s *scene) take() []Event {
	time.Sleep(2 * breath)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// asked are the questions since it was last called, but for those for the type.
func (s *scene) asked() (all []question) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	all = slices.DeleteFunc(s.sent, func(q question) bool { return q.msg.Question[0].Qtype == dns.TypePTR })
	s.sent = nil
	return all
}

func (s *scene) expect(want ...string) {
	s.t.Helper()
	if got := s.told(); !slices.Equal(got, want) {
		s.t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const id = "ABCDEFGHIJKLM"

// records are those of an instance.
func records(name string, addresses ...string) []string {
	all := []string{
		"_deskconn._tcp.local. 4500 IN PTR " + name + "._deskconn._tcp.local.",
		name + "._deskconn._tcp.local. 120 IN SRV 0 0 5020 " + name + ".local.",
		name + `._deskconn._tcp.local. 4500 IN TXT "id=` + id + `" "p=0" "v=1"`,
	}
	for _, a := range addresses {
		kind := "A"
		if strings.Contains(a, ":") {
			kind = "AAAA"
		}
		all = append(all, name+".local. 120 IN "+kind+" "+a)
	}
	return all
}

var v4, v6 = mdns.Place{Index: 1, Family: mdns.IPv4}, mdns.Place{Index: 1, Family: mdns.IPv6}

func TestOneMachineWhateverTheLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4), link(1, mdns.IPv6))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9", "fe80::9")...)
		s.expect(`found "pi" ABCDEFGHIJKLM [10.0.0.9 fe80::9%e1] 5020 false`)
		s.hear(v6, records("pi", "10.0.0.9", "fe80::9")...)
		s.expect()
		s.hear(v6, "pi.local. 120 IN AAAA fd00::9")
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.9 fd00::9 fe80::9%e1] 5020 false`)
	})
}

func TestQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, 15*time.Second, link(1, mdns.IPv4))
		time.Sleep(50 * time.Millisecond)
		s.hear(v4, records("pi", "10.0.0.9")...)
		s.hear(v4, "_deskconn._tcp.local. 10 IN PTR half._deskconn._tcp.local.")
		<-s.ended
		var times []time.Duration
		for _, q := range s.sent {
			if q.msg.Question[0].Qtype != dns.TypePTR {
				continue
			}
			times = append(times, q.after)
			if known := len(q.msg.Answer); len(times) == 1 && known != 0 || len(times) == 2 && known != 2 || len(times) == 5 && known != 1 {
				t.Errorf("question %d has %d known answers", len(times), known)
			}
			if q.alone != (len(times) == 1) {
				t.Errorf("question %d is of one that does not listen: %v", len(times), q.alone)
			}
		}
		want := []time.Duration{0, 100 * time.Millisecond, 1100 * time.Millisecond, 4100 * time.Millisecond, 13100 * time.Millisecond}
		if !slices.Equal(times, want) || s.err != nil {
			t.Errorf("asked at %v, want %v; %v", times, want, s.err)
		}
	})
}

// Another address is another network: it is asked there at once.
func TestAsksANewNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4))
		defer s.end()
		time.Sleep(10 * time.Minute)
		count := func() int {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.sent)
		}
		before := count()
		s.changed <- struct{}{}
		time.Sleep(time.Second)
		if n := count() - before; n != 0 {
			t.Errorf("asked %d times where nothing has changed", n)
		}
		s.links[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24")}
		s.changed <- struct{}{}
		time.Sleep(time.Second)
		if n := count() - before; n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// What is missing is asked for, of its owner alone first.
func TestResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4))
		defer s.end()
		all := records("pi", "10.0.0.9")
		s.hear(v4, all[0])
		time.Sleep(20 * time.Millisecond)
		if asked := s.asked(); len(asked) != 1 || !asked[0].alone || asked[0].msg.Question[0].Qtype != dns.TypeSRV {
			t.Fatalf("asked %v", asked)
		}
		time.Sleep(1200 * time.Millisecond)
		if asked := s.asked(); len(asked) != 1 || asked[0].alone {
			t.Fatalf("asked again %v", asked)
		}
		s.hear(v4, all[1:3]...)
		time.Sleep(20 * time.Millisecond)
		if asked := s.asked(); len(asked) != 1 || asked[0].msg.Question[0].Name != "pi.local." {
			t.Fatalf("asked %v", asked)
		}
		s.expect()
		s.hear(v4, all[3])
		s.expect(`found "pi" ABCDEFGHIJKLM [10.0.0.9] 5020 false`)
	})
}

// An instance that never says where it is is not asked for ever.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi")[0])
		time.Sleep(30 * time.Minute)
		if asked := s.asked(); len(asked) != maxAsked {
			t.Errorf("asked %d times", len(asked))
		}
	})
}

func TestGoodbyeAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9")...)
		s.told()
		s.hear(v4, "_deskconn._tcp.local. 0 IN PTR pi._deskconn._tcp.local.")
		time.Sleep(900 * time.Millisecond)
		s.expect()
		time.Sleep(400 * time.Millisecond)
		gone := `gone "pi" ABCDEFGHIJKLM [10.0.0.9] 5020 false`
		s.expect(gone)

		s.hear(v4, records("pi", "10.0.0.9")...)
		s.told()
		s.asked()
		time.Sleep(119 * time.Second)
		s.expect()
		if n := len(s.asked()); n < 2 {
			t.Errorf("asked %d times whether it is still there", n)
		}
		time.Sleep(2 * time.Second)
		s.expect(gone)

		s.hear(v4, records("pi", "10.0.0.9")...)
		s.told()
		time.Sleep(100 * time.Second)
		s.hear(v4, records("pi", "10.0.0.9")...)
		time.Sleep(100 * time.Second)
		s.expect()
	})
}

// An address that is no longer named goes; one of the other family stays.
func TestAddressesAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9", "fd00::9")...)
		s.told()
		time.Sleep(5 * time.Second)
		s.hear(v4, records("pi", "10.0.0.10")...)
		time.Sleep(2 * time.Second)
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.9 10.0.0.10 fd00::9] 5020 false`,
			`changed "pi" ABCDEFGHIJKLM [10.0.0.10 fd00::9] 5020 false`)
	})
}

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4), link(2, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9")...)
		s.told()
		s.hear(v4, `pi._deskconn._tcp.local. 4500 IN TXT "id=`+id+`" "p=1"`)
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.9] 5020 true`)
		s.hear(v4, "pi._deskconn._tcp.local. 120 IN SRV 0 0 5021 pi.local.")
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.9] 5021 true`)
		// another id is another machine
		s.hear(v4, `pi._deskconn._tcp.local. 4500 IN TXT "id=QQQQQQQ" "p=0"`)
		s.expect(`gone "pi" ABCDEFGHIJKLM [10.0.0.9] 5021 true`, `found "pi" QQQQQQQ [10.0.0.9] 5021 false`)
		// one name on two networks
		s.hear(mdns.Place{Index: 2, Family: mdns.IPv4}, records("pi", "10.0.0.99")...)
		s.expect(`found "pi" ABCDEFGHIJKLM [10.0.0.99] 5020 false`)
		s.links = s.links[:1]
		s.changed <- struct{}{}
		s.expect(`gone "pi" ABCDEFGHIJKLM [10.0.0.99] 5020 false`)
	})
}

// Two that claim one id stay two.
func TestLiarsStayApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9")...)
		s.expect(`found "pi" ABCDEFGHIJKLM [10.0.0.9] 5020 false`)
		s.hear(v4, records("liar", "10.0.0.66")...)
		s.expect(`found "liar" ABCDEFGHIJKLM [10.0.0.66] 5020 false`)
	})
}

func TestWhatIsDropped(t *testing.T) {
	for name, heard := range map[string][]string{
		"no port":         {records("pi")[0], "pi._deskconn._tcp.local. 120 IN SRV 0 0 0 pi.local.", records("pi")[2], "pi.local. 120 IN A 10.0.0.9"},
		"no address":      records("pi", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "ff02::1", "::"),
		"another service": {"_ipp._tcp.local. 4500 IN PTR pi._ipp._tcp.local.", "pi._ipp._tcp.local. 120 IN SRV 0 0 1 pi.local.", "pi.local. 120 IN A 10.0.0.9"},
		"the service as an instance": {"_deskconn._tcp.local. 4500 IN PTR _deskconn._tcp.local.",
			"_deskconn._tcp.local. 120 IN SRV 0 0 1 pi.local.", `_deskconn._tcp.local. 120 IN TXT "id=ABCD"`, "pi.local. 120 IN A 10.0.0.9"},
		"no text": slices.Delete(records("pi", "10.0.0.9"), 2, 3),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := look(t, time.Minute, link(1, mdns.IPv4))
				defer s.end()
				s.hear(v4, heard...)
				time.Sleep(5 * time.Second)
				s.expect()
			})
		})
	}
}

// What a machine says is shown without what would do something to a terminal;
// how it announced itself is kept.
func TestNamesAreCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4))
		defer s.end()
		for _, r := range records("EVIL", "10.0.0.9") {
			r = strings.ReplaceAll(r, "id="+id, "id="+id+"; rm")
			s.hear(v4, strings.ReplaceAll(r, "EVIL", `a\027[31m\226\128\174b\255\.\010`))
		}
		m := s.take()[0].Machine
		if m.Name != "a[31mb." || m.Instance != "a\x1b[31m\u202eb\xff.\n" || m.ID != "" || strings.ContainsRune(m.Host, 27) {
			t.Errorf("%q, as %q, id %q, on %q", m.Name, m.Instance, m.ID, m.Host)
		}
	})
}

// However many are announced, and however often they change, what is kept and
// what is told are bounded.
func TestFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Minute, link(1, mdns.IPv4))
		for i := range 10_000 {
			s.hear(v4, records(fmt.Sprintf("m%d", i), "10.0.0.9")...)
		}
		time.Sleep(2 * time.Second)
		if n := len(s.told()); n != MaxMachines {
			t.Errorf("%d machines", n)
		}
		for i := range 20_000 {
			s.hear(v4, fmt.Sprintf(`m%d._deskconn._tcp.local. 4500 IN TXT "id=ABCD" "p=%d"`, i%MaxMachines, i/MaxMachines%2))
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond) // 2 s in all
			}
		}
		synctest.Wait()
		if n := len(s.told()); n > 4*perSecond+burst/10 {
			t.Errorf("%d events in 2 s", n)
		}
		s.end()
		if s.stats.Beyond != 9000 || s.err != nil {
			t.Errorf("%+v, %v", s.stats, s.err)
		}
	})
}

// One instance that moves with each packet leaves nothing where it was.
func TestMovingInstance(t *testing.T) {
	c, now := newCache(), time.Now()
	for i := range 1000 {
		target := fmt.Sprintf("h%d.local.", i)
		m := &dns.Msg{Answer: []dns.RR{
			&dns.SRV{Hdr: dns.RR_Header{Name: "pi._deskconn._tcp.local.", Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: 120}, Port: 1, Target: target},
			&dns.A{Hdr: dns.RR_Header{Name: target, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 120}, A: []byte{10, 0, 0, 1}},
		}}
		c.learn(mdns.Packet{Place: v4, Msg: m}, now, 0, func(string) {})
		c.sweep(now, func(string) {})
	}
	if len(c.services) != 1 || len(c.hosts) != 1 {
		t.Errorf("%d instances on %d hosts", len(c.services), len(c.hosts))
	}
}

func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := look(t, time.Minute)
		<-none.ended
		if _, ok := errors.AsType[*mdns.NoLinkError](none.err); !ok {
			t.Errorf("without a link: %v", none.err)
		}
		s := &scene{t: t, links: []mdns.Link{link(1, mdns.IPv4)}, changed: make(chan struct{}), ended: make(chan struct{}), began: time.Now(), enough: 1}
		s.start(time.Hour)
		s.hear(v4, records("pi", "10.0.0.9")...)
		<-s.ended
		if s.err != nil || time.Since(s.began) > time.Second {
			t.Errorf("with enough: %v", s.err)
		}
		blocked := &scene{t: t, links: []mdns.Link{link(1, mdns.IPv4)}, changed: make(chan struct{}), ended: make(chan struct{}), began: time.Now(), refuse: errors.New("not permitted"), held: errors.New("in use")}
		blocked.start(3 * time.Second)
		<-blocked.ended
		if blocked.stats.Links != 0 || len(blocked.stats.Failed) != 2 || len(blocked.sent) != 3 {
			t.Errorf("blocked: %+v", blocked.stats)
		}
	})
}
