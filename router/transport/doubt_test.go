package transport

import (
	"testing"
	"time"
)

// A peer that says nothing, while its kernel takes what is sent to it, is busy, and
// not gone.
func TestDoubtOfBusyPeer(t *testing.T) {
	for name, join := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server, u := join(t, testLimits())
			u.fallSilent()
			for _, c := range []*Conn{client, server} {
				c.Doubt(50 * time.Millisecond)
				select {
				case <-c.Done():
					t.Errorf("it has ended: %v", c.Err())
				case <-time.After(300 * time.Millisecond):
				}
			}
		})
	}
}
