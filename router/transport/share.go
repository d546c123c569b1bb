package transport

import (
	"sync/atomic"
	"time"
)

// Share is the fair share of one paired device: what its sessions take of the
// processors is counted together, and they rest together. A device is no company for
// itself.
type Share struct {
	number atomic.Int64 // of the device, among those of a Pace
	until  atomic.Int64 // when it has rested for all that it took, in ns
}

const (
	// mostShared bounds the rest of a device: one long message takes longer than the
	// messages of most do together.
	mostShared = 500 * time.Millisecond
	// greeting is what the handshake of a device takes at least.
	greeting = time.Millisecond
)

// of is the number of the device.
func (s *Share) of(p *Pace) int {
	if s.number.Load() == 0 {
		s.number.CompareAndSwap(0, p.known.Add(1))
	}
	return int(s.number.Load())
}

// rests is how long to rest now, where the device has just taken a third of more.
func (s *Share) rests(more time.Duration) time.Duration {
	now := time.Now().UnixNano()
	for {
		was := s.until.Load()
		until := min(max(was, now)+int64(more), now+int64(mostShared))
		if s.until.CompareAndSwap(was, until) {
			return time.Duration(until - now)
		}
	}
}

// Greets charges a device for a handshake, and has it rest while others ask. A device
// that comes and goes one connection after the other is not held up.
func (s *Share) Greets(p *Pace) {
	if s == nil || p == nil {
		return
	}
	rest := s.rests(3*greeting) - 3*greeting
	if rest > 0 && p.hasCompany(s.of(p), time.Now()) {
		time.Sleep(rest)
	}
}

// hasCompany reports whether somebody else has asked a moment ago.
func (p *Pace) hasCompany(number int, now time.Time) bool {
	return p.latest.Load() != int64(number) && now.UnixNano()-p.at.Load() < int64(company)
}
