package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// slowly takes what is written when it is told to.
type slowly struct {
	take chan struct{}
	got  bytes.Buffer
	err  error
}

func (s *slowly) Write(b []byte) (int, error) {
	<-s.take
	if s.err != nil {
		return 0, s.err
	}
	return s.got.Write(b)
}

func TestSpool(t *testing.T) {
	t.Run("keeps the order", func(t *testing.T) {
		var got bytes.Buffer
		s := newSpool(&got, func(error) {})
		var want bytes.Buffer
		for i := range 100000 {
			line := fmt.Appendf(nil, "line %d\n", i)
			want.Write(line)
			if _, err := s.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := s.close(10 * time.Second); left != 0 || err != nil {
			t.Fatalf("%d bytes left, %v", left, err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Error("what was written is not what was said")
		}
	})
	t.Run("flushes a lone record", func(t *testing.T) {
		r, w := io.Pipe()
		s := newSpool(w, func(error) {})
		_, _ = s.Write([]byte("one\n"))
		b := make([]byte, 10)
		if n, err := r.Read(b); err != nil || string(b[:n]) != "one\n" {
			t.Errorf("read %q, %v", b[:n], err)
		}
		_, _ = s.close(time.Second)
	})
	t.Run("is bounded", func(t *testing.T) {
		w := &slowly{take: make(chan struct{})}
		s := newSpool(w, func(error) {})
		full := make(chan struct{})
		go func() {
			for range 100 {
				_, _ = s.Write(make([]byte, 64<<10))
			}
			close(full)
		}()
		select {
		case <-full:
			t.Error("6 MiB were taken though nobody reads")
		case <-time.After(50 * time.Millisecond):
		}
		if s.mu.Lock(); s.pending > maxSpool+64<<10 {
			t.Errorf("%d bytes wait", s.pending)
		}
		s.mu.Unlock()
		close(w.take)
		<-full
		_, _ = s.close(10 * time.Second)
	})
	t.Run("reports an error, and lets nobody hang", func(t *testing.T) {
		w := &slowly{take: make(chan struct{}), err: errors.New("disk full")}
		s := newSpool(w, func(error) {})
		close(w.take)
		for range 1000 {
			if _, err := s.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		if _, err := s.close(10 * time.Second); !errors.Is(err, w.err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("gives up on a reader that reads nothing", func(t *testing.T) {
		w := &slowly{take: make(chan struct{})}
		s := newSpool(w, func(error) {})
		_, _ = s.Write(make([]byte, 1000))
		if left, err := s.close(10 * time.Millisecond); left != 1000 || err != nil {
			t.Errorf("%d bytes left, %v", left, err)
		}
		close(w.take)
		<-s.done
	})
}
