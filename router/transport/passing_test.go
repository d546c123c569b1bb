package transport

import (
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
)

// BenchmarkPassing reads a PUBLISH and writes the EVENT that comes of it, all that a
// router's end does for one but to move bytes.
func BenchmarkPassing(b *testing.B) {
	for _, c := range []Codec{JSON, MsgPack, CBOR} {
		b.Run(c.Name(), func(b *testing.B) {
			published, _, err := encode(c, nil, &wamp.Publish{
				Request: 1 << 20, Options: wamp.Dict{}, Topic: "org.example.topic", Arguments: wamp.List{"sixteen bytes it"},
			})
			if err != nil {
				b.Fatal(err)
			}
			d := decoder{codec: c, elements: c.newElements(), depth: 32, packed: true}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				msg, err := d.decode(published, false)
				if err != nil {
					b.Fatal(err)
				}
				out, _, err = encode(c, out[:0], &Event{Subscription: 1 << 50, Publication: 1 << 50, Payload: PayloadOf(msg)})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
