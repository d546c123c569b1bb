package browse

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// Nobody can have us connect to where he may not himself: another network, or
// this machine. What this machine announces is there.
func TestAddressesOfTheLinkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4), link(1, mdns.IPv6))
		defer s.end()
		elsewhere := []string{"192.0.2.1", "10.0.1.9", "169.254.7.7", "2001:db8::1", "fd01::9", "10.0.0.1", "10.0.0.200", "fd00::1", "fe80::1"}
		s.hear(v4, records("pi", append(elsewhere, "10.0.0.9", "fd00::9")...)...)
		s.expect(`found "pi" ABCDEFGHIJKLM [10.0.0.9 fd00::9 169.254.7.7] 5020 false`)
		s.hearFrom("10.0.0.66", v4, records("liar", "192.0.2.1", "10.0.0.1", "10.0.0.200")...)
		s.hearFrom("fe80::66", v6, records("liar", "2001:db8::1", "fe80::1", "fd00::1")...)
		s.hearFrom("192.0.2.1", v4, records("stranger", "10.0.0.7")...)
		s.expect()
		s.hearFrom("10.0.0.1", v4, records("here", "10.0.0.1", "10.0.0.200")...)
		s.expect(`found "here" ABCDEFGHIJKLM [10.0.0.1 10.0.0.200] 5020 false`)
		for i := range s.links { // another network, on the same link
			s.links[i].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24"), netip.MustParsePrefix("fd00::1/64")}
		}
		s.changed <- struct{}{}
		told := s.told()
		slices.Sort(told)
		want := []string{`changed "pi" ABCDEFGHIJKLM [fd00::9 169.254.7.7] 5020 false`, `gone "here" ABCDEFGHIJKLM [10.0.0.1 10.0.0.200] 5020 false`}
		if !slices.Equal(told, want) {
			t.Errorf("on another network: %v", told)
		}
	})
}

// answering has machines answer what is asked about pi, as mDNS has them: each a
// second after it last did at the soonest. It counts the questions.
func (s *scene) answering(long time.Duration, machines map[string][]string) (questions int) {
	last := map[string]time.Time{}
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		asked := s.asked()
		questions += len(asked)
		about := slices.ContainsFunc(asked, func(q question) bool { return strings.HasPrefix(strings.ToLower(q.msg.Question[0].Name), "pi.") })
		for from, says := range machines {
			if about && time.Since(last[from]) > time.Second {
				last[from] = time.Now()
				s.hearFrom(from, v4, says...)
			}
		}
	}
	return questions
}

// Whoever announces the name of a machine stands beside it, and does not take its
// place: not by its name, nor its id, nor both, nor by saying goodbye for it.
func TestImpostors(t *testing.T) {
	const pi = `"pi" ABCDEFGHIJKLM [10.0.0.9] 5020 false`
	for name, c := range map[string]struct {
		from, to string // of what the machine announces
		want     []string
	}{
		"another id":        {"id=" + id, "id=QQQQQQQ", []string{"found " + pi, `found "pi" QQQQQQQ [10.0.0.66] 5020 false`}},
		"another port":      {" 5020 ", " 6666 ", []string{"found " + pi, `found "pi" ABCDEFGHIJKLM [10.0.0.66] 6666 false`}},
		"another host":      {"pi.local.", "evil.local.", []string{"found " + pi, `changed "pi" ABCDEFGHIJKLM [10.0.0.9 10.0.0.66] 5020 false`}},
		"another address":   {"", "", []string{"found " + pi, `changed "pi" ABCDEFGHIJKLM [10.0.0.9 10.0.0.66] 5020 false`}},
		"and nothing of it": {"pi", "PI", []string{"found " + pi, `changed "pi" ABCDEFGHIJKLM [10.0.0.9 10.0.0.66] 5020 false`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := look(t, time.Hour, link(1, mdns.IPv4))
				defer s.end()
				real, evil := records("pi", "10.0.0.9"), records("pi", "10.0.0.66")
				for i := range evil {
					if c.from != "" {
						evil[i] = strings.ReplaceAll(evil[i], c.from, c.to)
					}
				}
				s.hear(v4, real...)
				time.Sleep(10 * time.Second)
				s.hearFrom("10.0.0.66", v4, evil...)
				s.answering(10*time.Second, map[string][]string{"10.0.0.9": real, "10.0.0.66": evil})
				told := s.told()
				for i := range told { // both are there all the time, but for the host name
					told[i] = strings.ReplaceAll(told[i], `"PI"`, `"pi"`)
				}
				if told = slices.Compact(told); len(told) < len(c.want) || !slices.Equal(told[:len(c.want)], c.want) || strings.Contains(strings.Join(told, "\n"), "gone") {
					t.Fatalf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(c.want, "\n"))
				}
				s.hearFrom("10.0.0.77", v4, "_deskconn._tcp.local. 0 IN PTR pi._deskconn._tcp.local.", "pi.local. 0 IN A 10.0.0.9")
				s.hearFrom("10.0.0.77", v4, "pi.local. 120 IN A 10.0.0.77")
				if n := s.answering(2*doubtFor, map[string][]string{"10.0.0.9": real, "10.0.0.66": evil}); n > 4 {
					t.Errorf("asked %d times", n)
				}
				if told := strings.Join(s.told(), "\n"); strings.Contains(told, "gone") || strings.Contains(told, "10.0.0.77") {
					t.Errorf("after a stranger's goodbye: %s", told)
				}
			})
		})
	}
}

// A machine that has another address now is not at the old one, which is not there
// to say so.
func TestMachineMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4))
		defer s.end()
		s.hear(v4, records("pi", "10.0.0.9")...)
		time.Sleep(10 * time.Second)
		s.told()
		moved := map[string][]string{"10.0.0.10": records("pi", "10.0.0.10")}
		s.hearFrom("10.0.0.10", v4, moved["10.0.0.10"]...)
		s.answering(doubtFor+time.Second, moved)
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.9 10.0.0.10] 5020 false`, `changed "pi" ABCDEFGHIJKLM [10.0.0.10] 5020 false`)

		// of one that says its address only it is asked what else there is
		time.Sleep(10 * time.Second)
		s.asked()
		s.hearFrom("10.0.0.11", v4, "pi.local. 120 IN A 10.0.0.11")
		s.answering(doubtFor+time.Second, map[string][]string{"10.0.0.11": records("pi", "10.0.0.11")})
		s.expect(`changed "pi" ABCDEFGHIJKLM [10.0.0.10 10.0.0.11] 5020 false`, `changed "pi" ABCDEFGHIJKLM [10.0.0.11] 5020 false`)
	})
}

// Of those who announce one name a few are looked at, the latest.
func TestManyImpostors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, time.Hour, link(1, mdns.IPv4))
		defer s.end()
		for i := range 200 {
			at := fmt.Sprintf("10.0.0.%d", 2+i%250)
			for _, r := range records("pi", at) {
				s.hearFrom(at, v4, strings.ReplaceAll(r, " 5020 ", fmt.Sprintf(" %d ", 6000+i)))
			}
			time.Sleep(20 * time.Millisecond)
		}
		there := 0
		for _, line := range s.told() {
			switch kind, _, _ := strings.Cut(line, " "); kind {
			case "found":
				there++
			case "gone":
				there--
			}
		}
		if there < 1 || there > maxClaims {
			t.Errorf("%d are there", there)
		}
	})
}

// counter is a socket that counts.
type counter struct{ sent *int }

func (c counter) Send(*dns.Msg) error { *c.sent++; return nil }
func (counter) Close()                {}

// Whatever is announced and taken back without end, what is kept of it, what is told
// and what is asked for it are bounded; so is the time that ten thousand records take.
func TestGoodbyeStorm(t *testing.T) {
	sent, events := 0, 0
	b := &browser{
		places: map[mdns.Place]*place{}, cache: newCache(),
		report: newReport(func(Event) bool { events++; return true }),
	}
	p := &place{link: link(1, mdns.IPv4), ask: counter{&sent}, listen: counter{&sent}, wait: longest, next: time.Now().Add(time.Hour)}
	b.places[v4] = p
	from := netip.MustParseAddrPort("10.0.0.66:5353")
	counts := b.counts(p.link, from.Addr())
	hear := func(now time.Time, all []dns.RR) {
		for part := range slices.Chunk(all, 500) {
			b.cache.learn(mdns.Packet{Place: v4, From: from, Msg: &dns.Msg{Answer: part}}, counts, now, 0, b.report.touch)
		}
	}
	h := func(name string, kind uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	announced := func(round, many int) (all, byes []dns.RR) {
		for i := range many {
			instance := fmt.Sprintf("m%d-%d._deskconn._tcp.local.", round, i)
			host := fmt.Sprintf("h%d-%d.local.", round, i)
			all = append(all, &dns.PTR{Hdr: h(service, dns.TypePTR, 120), Ptr: instance})
			byes = append(byes, &dns.PTR{Hdr: h(service, dns.TypePTR, 0), Ptr: instance})
			if i%2 == 0 { // of the others something is missing
				all = append(all, &dns.SRV{Hdr: h(instance, dns.TypeSRV, 120), Port: uint16(1 + i), Target: host},
					&dns.TXT{Hdr: h(instance, dns.TypeTXT, 120), Txt: []string{"id=ABCDEFG", "p=1"}},
					&dns.A{Hdr: h(host, dns.TypeA, 120), A: []byte{10, 0, 0, byte(2 + i%200)}})
			}
		}
		return all, byes
	}
	began, now := time.Now(), time.Now()
	const rounds, seconds = 10, 150
	dirty, shown, records := 0, 0, 0
	var goodbye []dns.RR
	for round := range rounds * seconds {
		many := 150
		if round%(20*rounds) == 0 {
			many = 4000 // 10,000 records at once
		}
		all, byes := announced(round, many)
		records += len(all) + len(byes)
		hear(now, goodbye)
		hear(now, all)
		goodbye = byes
		b.resolve(now)
		b.cache.sweep(now, b.report.touch)
		b.report.flush(now, b.machines)
		now = now.Add(time.Second / rounds)
		if len(b.cache.names) > MaxMachines || len(b.cache.services) > maxClaims*MaxMachines || len(b.cache.hosts) > maxClaims*MaxMachines || len(b.cache.beyond) > maxBeyond {
			t.Fatalf("in round %d: %d names, %d instances, %d hosts, %d beyond", round, len(b.cache.names), len(b.cache.services), len(b.cache.hosts), len(b.cache.beyond))
		}
		dirty, shown = max(dirty, len(b.report.dirty)), max(shown, len(b.report.shown))
	}
	if dirty > maxDirty || shown > maxShown {
		t.Errorf("%d names to be told of, %d that were", dirty, shown)
	}
	if most := asksPerSecond * (seconds + 2); sent > most {
		t.Errorf("%d questions in %d s, at most %d", sent, seconds, most)
	}
	if most := burst + perSecond*(seconds+1); events > most {
		t.Errorf("%d events in %d s, at most %d", events, seconds, most)
	}
	each := time.Since(began) / time.Duration(records)
	t.Logf("%d records took %v, %v each; %d questions, %d events; %d names at most to be told of, %d that were", records, time.Since(began), each, sent, events, dirty, shown)
	if each > 100*time.Microsecond {
		t.Error("that is too long")
	}
	for range 2 * maxShown { // it is over
		now = now.Add(time.Second)
		b.cache.sweep(now, b.report.touch)
		b.report.flush(now, b.machines)
	}
	if !b.cache.empty() || len(b.cache.hosts)+len(b.cache.names)+len(b.report.dirty)+len(b.report.shown) > 0 {
		t.Errorf("left: %d instances, %d hosts, %d to be told of, %d that were", len(b.cache.services), len(b.cache.hosts), len(b.report.dirty), len(b.report.shown))
	}
}
