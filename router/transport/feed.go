package transport

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// feed is what one end receives: a channel that is closed once no more comes,
// although several goroutines give to it.
type feed struct {
	ch       chan wamp.Message
	deaf     chan struct{} // closed when nobody reads ch any more
	deafOnce sync.Once

	mu   sync.RWMutex // taken to close ch
	over bool
}

func newFeed(ahead int) feed {
	return feed{ch: make(chan wamp.Message, ahead), deaf: make(chan struct{})}
}

// give waits until there is room for msg. It is false once nobody reads, or
// when ctx ends.
func (f *feed) give(ctx context.Context, msg wamp.Message) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.over {
		return false
	}
	select {
	case f.ch <- msg: // without a look at the other channels
		return true
	default:
	}
	select {
	case f.ch <- msg:
		return true
	case <-f.deaf:
	case <-ctx.Done():
	}
	return false
}

// hasRoom is a guess: others may be faster.
func (f *feed) hasRoom() bool { return len(f.ch) < cap(f.ch) }

func (f *feed) turnDeaf() { f.deafOnce.Do(func() { close(f.deaf) }) }

// end closes the channel. What is in it can still be read.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.over = true
		close(f.ch)
	}
}

// inbox is the channel that nexus sends to. nexus drops what finds it full, and
// says so to nobody. Therefore whoever asks for it waits until its reader has
// caught up, which never waits itself: a burst costs time, and no message.
type inbox struct {
	ch   chan wamp.Message
	late atomic.Bool // patience ran out, and the reader has not caught up since
}

const (
	// inboxSize is how many messages nexus may be ahead. Each of its goroutines
	// adds one after it has found inboxRoom free.
	inboxSize = 64
	// inboxRoom is for more goroutines than nexus has that send to one session:
	// its broker, its dealer, and the handler of that session.
	inboxRoom = 16
	// patience is how long nexus is held up for a reader that does not run: on a
	// machine that is that busy, everybody waits.
	patience = 2 * time.Second
)

func newInbox() inbox { return inbox{ch: make(chan wamp.Message, inboxSize)} }

// Send is the channel for one message.
func (b *inbox) Send() chan<- wamp.Message {
	if len(b.ch) > inboxSize-inboxRoom {
		b.awaitRoom()
	}
	return b.ch
}

func (b *inbox) awaitRoom() {
	if b.late.Load() {
		return
	}
	limit := time.Now().Add(patience)
	for tries := 0; len(b.ch) > inboxSize-inboxRoom; tries++ {
		switch {
		case tries < 100: // mostly the reader is about to run
			runtime.Gosched()
		case time.Now().Before(limit):
			time.Sleep(20 * time.Microsecond)
		default:
			b.late.Store(true)
			return
		}
	}
}
