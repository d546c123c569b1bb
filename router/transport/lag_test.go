package transport

import (
	"testing"
	"time"
)

// steps is a link whose session reads so many bytes between two looks.
type steps struct {
	link

	read, step int64
}

func (s *steps) queueLimit() int { return 8 << 20 }

func (s *steps) standing() (waiting int, read int64) {
	s.read += s.step
	return s.queueLimit(), s.read
}

// A publisher waits for a session that reads slowly, and soon not for one that has
// stopped, though it had read before.
func TestAwaitRoomEnds(t *testing.T) {
	for name, row := range map[string]struct {
		step        int64
		least, most time.Duration
	}{
		"stopped":   {0, lagSilence / 2, lagPatience},
		"trickling": {1, lagSilence, 4 * lagPatience},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPeer(&steps{read: lagBytes, step: row.step}, func() {})
			p.patience.Store(int64(lagPatience))
			began := time.Now()
			ended := make(chan struct{})
			go func() {
				p.AwaitRoom()
				close(ended)
			}()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Fatal("the publisher waits for ever")
			}
			if took := time.Since(began); took < row.least || took > row.most {
				t.Errorf("waited %v, expected %v to %v", took, row.least, row.most)
			}
			if p.Lags() {
				t.Error("the next publisher waits again")
			}
		})
	}
}
