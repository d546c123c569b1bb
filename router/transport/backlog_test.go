package transport

import (
	"testing"
	"time"

	"github.com/deskconn/dconn/router/wire"
)

// slowReader is a connection for which about so many bytes wait, beside what the
// kernel takes.
func slowReader(t *testing.T, lim Limits, bytes int) (*Conn, farEnd) {
	t.Helper()
	conn, client := accept(t, lim, 15, nil)
	stalled := 0
	for i := 0; stalled < 10 || conn.Stats().Queue < bytes; {
		if conn.Stats().Queue >= bytes { // until the writer is stuck
			stalled++
			time.Sleep(5 * time.Millisecond)
			continue
		}
		stalled = 0
		if err := conn.Send(t.Context(), event(i, 4000)); err != nil {
			t.Fatal(err)
		}
		i++
	}
	return conn, client
}

// Over the budget of all the longest queue ends, and no other; what is read or
// ended does not count any more.
func TestBacklog(t *testing.T) {
	lim := testLimits()
	lim.Queue = 8 << 20
	lim.Backlog = NewBacklog(LimitBacklog, "all sessions", 1<<20, nil)
	small, smallClient := slowReader(t, lim, 200<<10)
	long, longClient := slowReader(t, lim, 600<<10)
	other, otherClient := slowReader(t, lim, 400<<10)
	all := receiveAll(t, longClient)
	wait(t, long.Done(), "the end of the longest queue")
	exceeds(t, long.Err(), wire.ErrSlowConsumer, LimitBacklog)
	if n, rest := inOrder(t, all); n == 0 {
		t.Error("no event came before the GOODBYE")
	} else {
		slowConsumer(t, rest)
	}
	for conn, client := range map[*Conn]farEnd{small: smallClient, other: otherClient} {
		if err := conn.Err(); err != nil {
			t.Errorf("another queue was ended too: %v", err)
		}
		conn.Close()
		_ = client.Close()
		wait(t, conn.Done(), "the end of a connection")
	}
	lim.Backlog.mu.Lock()
	defer lim.Backlog.mu.Unlock()
	if lim.Backlog.waiting != 0 || len(lim.Backlog.held) != 0 {
		t.Errorf("%d bytes wait on %d connections that have ended", lim.Backlog.waiting, len(lim.Backlog.held))
	}
}

// Whoever reads at last may be written to without end.
func TestBacklogOfReaders(t *testing.T) {
	lim := testLimits()
	lim.Queue = 512 << 10
	lim.Backlog = NewBacklog(LimitBacklog, "all sessions", 1<<20, nil)
	conn, client := accept(t, lim, 15, nil)
	go func() {
		for i := range 2000 {
			_ = conn.Send(t.Context(), event(i, 4000))
		}
		conn.Close()
	}()
	if n, rest := inOrder(t, receiveAll(t, client)); n != 2000 || len(rest) != 0 {
		t.Errorf("got %d events and %v, want 2000 and nothing else", n, rest)
	}
}
