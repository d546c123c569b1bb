package transport

import (
	"strings"
	"testing"
)

// BenchmarkSkimming reads a PUBLISH of 64 KiB as a router does, of many shapes.
func BenchmarkSkimming(b *testing.B) {
	for name, args := range map[string]string{
		"text":    `["` + strings.Repeat("x", 64<<10) + `"]`,
		"texts":   `[` + strings.Repeat(`"sixteen bytes it",`, 3600) + `1]`,
		"escapes": `["` + strings.Repeat(`\n`, 32<<10) + `"]`,
		"utf-8":   `["` + strings.Repeat(`ü`, 32<<10) + `"]`,
		"ints":    `[` + strings.Repeat(`1234567,`, 8<<10) + `1]`,
		"digits":  `[` + strings.Repeat(`1,`, 32<<10) + `1]`,
		"floats":  `[` + strings.Repeat(`1.5e10,`, 9<<10) + `1]`,
		"lists":   `[` + strings.Repeat(`[],`, 21<<10) + `1]`,
		"dicts":   `[` + strings.Repeat(`{"name":"kitchen","value":80},`, 2200) + `1]`,
		"bools":   `[` + strings.Repeat(`true,`, 13<<10) + `1]`,
	} {
		v, err := JSON.Decode([]byte(args), testDepth)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range allCodecs {
			data := mustAppend(b, c, []any{int64(16), int64(1 << 20), map[string]any{}, "org.example.topic", v})
			b.Run(c.Name()+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				d := decoder{codec: c, elements: c.newElements(), depth: 32, packed: true}
				for b.Loop() {
					if _, err := d.decode(data, true); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
