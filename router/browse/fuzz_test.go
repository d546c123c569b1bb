package browse

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// FuzzPackets feeds packets to what a browse does with them: each may be split
// in two by a byte that says where.
func FuzzPackets(f *testing.F) {
	for _, m := range seeds(f) {
		f.Add(m, uint8(0))
		f.Add(m, uint8(100))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		b := &browser{places: map[mdns.Place]*place{}, cache: newCache(), report: newReport(func(Event) bool { return true })}
		for _, at := range []mdns.Place{v4, v6} {
			p := &place{link: link(at.Index, at.Family), ask: &quiet{}, listen: &quiet{}}
			b.places[at] = p
		}
		now := time.Now()
		split := min(int(cut)*len(data)/256, len(data))
		for i, part := range [][]byte{data[:split], data[split:], data} {
			m := mdns.Parse(part)
			if m == nil {
				continue
			}
			at := []mdns.Place{v4, v6}[i%2]
			b.cache.learn(mdns.Packet{Place: at, Msg: m, Asked: i == 1}, now, 0, b.report.touch)
			now = now.Add(time.Second)
			b.question(now)
			b.resolve(now)
			b.cache.sweep(now, b.report.touch)
			b.report.flush(now, b.machines)
		}
		if len(b.cache.names) > len(b.cache.services) || len(b.cache.hosts) > 2*mdns.MaxMessage {
			t.Errorf("%d names, %d instances, %d hosts", len(b.cache.names), len(b.cache.services), len(b.cache.hosts))
		}
		for _, machines := range b.report.shown {
			for _, m := range machines {
				if m.Name != mdns.Clean(m.Name) || m.Port == 0 || len(m.Addresses) == 0 || len(m.Instance) > mdns.MaxLabel {
					t.Errorf("shown: %+v", m)
				}
			}
		}
		b.cache.sweep(now.Add(48*time.Hour), b.report.touch)
		if !b.cache.empty() || len(b.cache.hosts)+len(b.cache.names) > 0 {
			t.Errorf("left: %+v", b.cache)
		}
	})
}

type quiet struct{}

func (quiet) Send(m *dns.Msg) error {
	_, err := m.Pack()
	return err
}
func (quiet) Close() {}

// seeds are the packets in testdata/packets, as they were on a wire.
func seeds(f *testing.F) (all [][]byte) {
	files, err := filepath.Glob("testdata/packets/*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no packets: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}
