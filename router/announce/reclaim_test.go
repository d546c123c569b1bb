package announce

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// rival has somebody claim the instance that was asked for, as often as it is asked
// about, and counts what we have sent.
func (w *wires) rival(long time.Duration) (sent int) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, s := range w.drain() {
			sent++
			for _, q := range s.msg.Question {
				if strings.HasPrefix(q.Name, "pi._deskconn") && !s.msg.Response {
					w.say(peer, answerOf(rr(w.t, "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.")))
				}
			}
		}
	}
	return sent
}

// alone lets time go by, in which nobody says anything.
func (w *wires) alone(long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Minute) {
		w.drain()
	}
}

// Whoever has said once that a name is his, and is not there to say it again, has us
// take another name for a minute.
func TestNameComesBack(t *testing.T) {
	for name, taken := range map[string]string{
		"the instance": "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.",
		"the host":     "dconn-abcdefghijklmnop.local. 120 IN A 10.0.0.7",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var names []string
				a, w := begin(t, Options{Name: "pi", Port: 7, Renamed: func(n string) { names = append(names, n) }}, link(1, lan))
				defer a.Close()
				time.Sleep(400 * time.Millisecond)
				w.say(peer, answerOf(rr(t, taken)))
				w.settled()
				if s := a.Status(); s.Conflicts != 1 || s.Name == "pi" && s.Host == "dconn-abcdefghijklmnop.local" {
					t.Fatalf("%+v", s)
				}
				w.alone(reclaimAfter + 10*time.Second)
				if s := a.Status(); s.Name != "pi" || s.Host != "dconn-abcdefghijklmnop.local" || len(s.Links) != 1 || s.Conflicts != 1 {
					t.Errorf("a minute later: %+v", s)
				}
				if name == "the instance" && (len(names) != 2 || names[1] != "pi") {
					t.Errorf("its owner is told %q", names)
				}
			})
		})
	}
}

// A name that is another machine's stays that one's, and is asked after less and
// less often, until it is gone.
func TestNameIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		w.rival(10 * time.Second)
		sent := w.rival(3 * time.Hour)
		if s := a.Status(); s.Name != "pi (2)" || s.Conflicts != 1 || len(s.Links) != 1 {
			t.Errorf("beside the other: %+v", s)
		}
		if most := probes * (5 + int(3*time.Hour/reclaimMost)); sent < probes*5 || sent > most {
			t.Errorf("%d messages in 3 h, at most %d", sent, most)
		}
		w.alone(reclaimMost + time.Minute)
		if s := a.Status(); s.Name != "pi" || len(s.Links) != 1 {
			t.Errorf("when that is gone: %+v", s)
		}
	})
}

// Whoever takes a name again and again, and lets it go, has us change ours now and
// then only.
func TestNameComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		const hours = 3
		for end := time.Now().Add(hours * time.Hour); time.Now().Before(end); {
			if a.Status().Name == "pi" { // settled or not
				w.say(peer, answerOf(rr(t, "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local.")))
				w.rival(2 * time.Second)
			}
			time.Sleep(time.Second)
			w.drain()
		}
		if n, most := a.Status().Conflicts, 5+int(hours*time.Hour/reclaimMost); n < 5 || n > most {
			t.Errorf("%d other names in %d h, at most %d", n, hours, most)
		}
		w.alone(reclaimMost + time.Minute)
		if s := a.Status(); s.Name != "pi" {
			t.Errorf("%+v", s)
		}
		a.Rename("po")
		w.alone(2 * time.Minute)
		if s := a.Status(); s.Name != "po" {
			t.Errorf("%+v", s)
		}
	})
}

// On another network the names that were asked for are tried soon.
func TestNameOnAnotherNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		w.rival(time.Hour)
		w.links = []mdns.Link{link(2, "10.2.0.1/24")}
		w.changed <- struct{}{}
		w.alone(2 * reclaimAfter)
		if s := a.Status(); s.Name != "pi" {
			t.Errorf("%+v", s)
		}
	})
}

// Nobody of another network takes a name from us, or has us say anything: so nobody
// who writes there in the name of somebody else.
func TestOffLinkHasNoSay(t *testing.T) {
	const off = "192.0.2.1"
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		taken := answerOf(rr(t, "pi._deskconn._tcp.local. 120 IN SRV 0 0 7 other.local."), rr(t, "dconn-abcdefghijklmnop.local. 120 IN A 10.0.0.7"))
		time.Sleep(400 * time.Millisecond)
		w.say(off+":5353", taken)
		if n := len(w.settled()); n > probes+len(announcements) {
			t.Errorf("%d messages to begin with", n)
		}
		time.Sleep(time.Hour) // its records were last sent to all long ago
		w.say(off+":5353", taken)
		const unicast = dns.ClassINET | mdns.Flush
		for _, port := range []string{":5353", ":40000"} {
			for _, class := range []uint16{dns.ClassINET, unicast} {
				w.say(off+port, ask(class, "_deskconn._tcp.local.", dns.TypePTR))
				w.say(off+port, ask(class, "pi._deskconn._tcp.local.", dns.TypeANY, "dconn-abcdefghijklmnop.local.", dns.TypeANY))
				w.say(off+port, ask(class, "_services._dns-sd._udp.local.", dns.TypePTR))
			}
		}
		time.Sleep(5 * time.Second)
		if all := w.drain(); len(all) > 0 {
			t.Errorf("it says %v", all)
		}
		if s := a.Status(); s.Name != "pi" || s.Conflicts != 0 || len(s.Links) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Whoever announces the id of this machine under a name of his own has not shown its
// key: nothing is made of it.
func TestOurIDElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a, w := begin(t, Options{Name: "pi", Port: 7, Log: slog.New(slog.NewTextHandler(&log, nil))}, link(1, lan))
		w.settled()
		for range 100 {
			w.say(peer, answerOf(
				rr(t, "_deskconn._tcp.local. 4500 IN PTR copy._deskconn._tcp.local."), rr(t, "copy._deskconn._tcp.local. 120 IN SRV 0 0 7 copy.local."),
				rr(t, `copy._deskconn._tcp.local. 4500 IN TXT "id=ABCDEFGHIJKLMNOP" "p=1" "v=1"`), rr(t, "copy.local. 120 IN A 10.0.0.9"),
			))
		}
		if all := w.drain(); len(all) > 0 || a.Status().Conflicts != 0 {
			t.Errorf("it says %v, %+v", all, a.Status())
		}
		a.Close()
		if log.Len() > 0 {
			t.Errorf("the log says %s", &log)
		}
	})
}

// A storm of answers and goodbyes, fifty thousand records, is answered by nothing and
// leaves nothing to do.
func TestStormOfRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, w := begin(t, Options{Name: "pi", Port: 7}, link(1, lan))
		defer a.Close()
		w.settled()
		for round := range 500 {
			m := answerOf()
			for i := range 100 { // as many as fit
				h := dns.RR_Header{Name: "_deskconn._tcp.local.", Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: uint32(i % 2 * 120)}
				m.Answer = append(m.Answer, &dns.PTR{Hdr: h, Ptr: strings.Repeat("x", 1+(round+i)%60) + "._deskconn._tcp.local."})
			}
			w.say(peer, m)
		}
		if all := w.drain(); len(all) > 0 {
			t.Errorf("it says %d things", len(all))
		}
		a.order(func() {
			if n := len(a.agenda.jobs); n > 0 {
				t.Errorf("%d jobs wait", n)
			}
		})
	})
}
