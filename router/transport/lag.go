package transport

import "time"

// A session for which half of its budget waits has its publishers wait as well, if it
// has read something while the second quarter came: who reads, but more slowly than
// they publish, loses nothing and is not cut off. Who does not read holds up nobody.
const (
	lagBytes    = 64 << 10               // that is something
	lagRead     = 256 << 10              // this renews the patience
	lagPatience = 250 * time.Millisecond // in all
	lagSilence  = 100 * time.Millisecond // with who has stopped
	lagPause    = 200 * time.Microsecond // between two looks
	lagLook     = time.Millisecond       // what one look counts at most
)

// LagStep is how many bytes a publisher may publish without a look at who lags.
func (p *Peer) LagStep() int { return p.queueLimit() / 256 }

// Lags reports whether a publisher should call AwaitRoom.
func (p *Peer) Lags() bool {
	waiting, read := p.standing()
	if waiting <= p.queueLimit()/4 {
		p.abreast.Store(read)
		p.renew(read)
	}
	return waiting > p.queueLimit()/2 && p.patience.Load() > 0 && read >= p.abreast.Load()+lagBytes
}

// AwaitRoom waits until the session lags no more, or until patience with it has run
// out. Then nobody waits for it until little waits. Where the machine is so busy that
// this end itself does not run, that is not held against the session.
func (p *Peer) AwaitRoom() {
	_, read := p.standing()
	last, silent := time.Now(), time.Duration(0)
	for p.Lags() {
		time.Sleep(lagPause)
		now := time.Now()
		waited := min(now.Sub(last), lagLook)
		last = now
		p.patience.Add(-int64(waited))
		silent += waited
		_, more := p.standing()
		if more != read {
			silent, read = 0, more
		}
		if read-p.renewed.Load() >= lagRead {
			p.renew(read)
		}
		if silent > lagSilence {
			p.patience.Store(0)
		}
	}
}

// renew is for who has read so many bytes by now.
func (p *Peer) renew(read int64) {
	p.renewed.Store(read)
	p.patience.Store(int64(lagPatience))
}
