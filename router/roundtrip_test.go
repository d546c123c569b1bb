package router

import (
	"slices"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// BenchmarkRoundTrip makes one call by each way in turn, so that they meet the same
// moments of the machine, and reports the median of each.
func BenchmarkRoundTrip(b *testing.B) {
	r := start(b)
	took := make([][]time.Duration, len(ways))
	sessions := make([]*session.Session, len(ways))
	for i, y := range ways {
		sessions[i] = r.joinBy(y, transport.CBOR)
	}
	for b.Loop() {
		for i, s := range sessions {
			began := time.Now()
			if _, err := s.Call(b.Context(), "org.deskconn.test.set", []any{80}, nil); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	for i, y := range ways {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Nanoseconds()), y.name+"-ns/call")
	}
}
