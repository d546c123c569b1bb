package transport

import "time"

// A session for which half of its budget waits has its publishers wait as well, if it
// has read something while the second quarter came: who reads, but more slowly than
// they publish, loses nothing and is not cut off. Who does not read holds up nobody.
const (
	lagBytes    = 64 << 10               // that is something
	lagPatience = 250 * time.Millisecond // with who reads
	lagSilence  = 100 * time.Millisecond // with who has stopped
	lagPause    = 200 * time.Microsecond // between two looks
)

// LagStep is how many bytes a publisher may publish without a look at who lags.
func (p *Peer) LagStep() int { return p.lim.Queue / 256 }

// Lags reports whether a publisher should call AwaitRoom.
func (p *Peer) Lags() bool {
	waiting, read := p.standing()
	if waiting <= p.lim.Queue/4 {
		p.abreast.Store(read)
	}
	if waiting <= p.lim.Queue/2 {
		p.givenUp.Store(false)
		return false
	}
	return !p.givenUp.Load() && read >= p.abreast.Load()+lagBytes
}

// AwaitRoom waits until the session lags no more, or until patience with it has run
// out. Then nobody waits for it until it has caught up.
func (p *Peer) AwaitRoom() {
	began := time.Now()
	heard := began
	_, before := p.standing()
	for ; p.Lags(); time.Sleep(lagPause) {
		now := time.Now()
		if _, read := p.standing(); read != before {
			heard, before = now, read
		}
		if now.Sub(began) > lagPatience || now.Sub(heard) > lagSilence {
			p.givenUp.Store(true)
		}
	}
}

// standing is how many bytes wait, and how many the socket has taken so far.
func (c *Conn) standing() (waiting int, read int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.sent.Bytes
	}
	return c.pending, c.sent.Bytes
}
