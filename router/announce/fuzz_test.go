package announce

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// FuzzPackets feeds packets to one who probes, and to one who announces.
func FuzzPackets(f *testing.F) {
	r, err := newRecords(said{name: "pi", host: "dconn-abc", id: "ABCDEFGHIJKLMNOP", port: 7}, link(1, lan))
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []*dns.Msg{r.probe(), r.goodbye(), r.reply(kindAll), ask(dns.ClassINET, r.service, dns.TypePTR), ask(dns.ClassANY, r.instance, dns.TypeANY)} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(mdns.Number), true)
		f.Add(b, uint16(40000), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, port uint16, settled bool) {
		m := mdns.Parse(data)
		if m == nil {
			return
		}
		out := 0
		p := &place{link: link(1, lan), socket: counter{&out}, records: r, settled: settled}
		a := &Announcer{
			opts: Options{Log: slog.New(slog.DiscardHandler)}, places: map[mdns.Place]*place{p.link.Place: p},
			name: naming{wanted: "pi", host: "dconn-abc"}, said: said{id: "ABCDEFGHIJKLMNOP", port: 7},
		}
		a.agenda.init()
		a.receive(mdns.Packet{Place: p.link.Place, From: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), port), Msg: m})
		if out > 1 || len(a.agenda.jobs) > 1 {
			t.Errorf("one packet makes %d, and %d jobs", out, len(a.agenda.jobs))
		}
	})
}

type counter struct{ n *int }

func (c counter) Send(m *dns.Msg) error {
	*c.n++
	_, err := m.Pack()
	return err
}
func (c counter) Reply(m *dns.Msg, _ netip.AddrPort) error { return c.Send(m) }
func (counter) Close()                                     {}
