package transport

import "io"

// source reads a stream through a buffer that it holds only while something is
// in it: an idle connection holds none.
type source struct {
	in  *ear
	buf *[]byte
	pos int // where in buf what was not yet returned begins

	try func(fd uintptr) bool // s.readNow, bound once
	got int                   // bytes of the last try
	err error
}

func newSource(in *ear) *source {
	s := &source{in: in}
	s.try = s.readNow
	return s
}

// next reads n bytes. They are valid until the next call; where own, they are
// the caller's for good.
func (s *source) next(n int) (b []byte, own bool, err error) {
	if n > bufferBytes {
		b, err = s.long(n)
		return b, true, err
	}
	for s.waiting() < n {
		if err := s.fill(); err != nil {
			if err == io.EOF && s.waiting() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, false, err
		}
	}
	if n == 0 {
		return nil, false, nil
	}
	s.pos += n
	return (*s.buf)[s.pos-n : s.pos], false, nil
}

// waiting is how many bytes are in the buffer.
func (s *source) waiting() int {
	if s.buf == nil {
		return 0
	}
	return len(*s.buf) - s.pos
}

// long reads more than the buffer holds, in steps, so that a head that promises
// much costs no memory before the bytes arrive.
func (s *source) long(n int) ([]byte, error) {
	if err := s.in.take(n); err != nil {
		return nil, err
	}
	const step = 256 << 10
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		if s.waiting() > 0 {
			had := min(s.waiting(), cap(b)-len(b))
			b = append(b, (*s.buf)[s.pos:s.pos+had]...)
			s.pos += had
			continue
		}
		got, err := io.ReadFull(s.in, b[len(b):cap(b)])
		if b = b[:len(b)+got]; err != nil {
			return nil, noEOF(err)
		}
	}
	return b, nil
}

// noEOF is err in the middle of a frame.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill waits until more is in the buffer.
func (s *source) fill() error {
	switch {
	case s.waiting() == 0:
		s.release()
	case s.pos > 0:
		s.in.begin()
		*s.buf = append((*s.buf)[:0], (*s.buf)[s.pos:]...)
		s.pos = 0
	}
	s.in.drained()
	for {
		if s.in.raw == nil {
			s.hold()
			s.took(s.in.Conn.Read(s.free()))
		} else if err := s.in.raw.Read(s.try); err != nil {
			s.got, s.err = 0, err
		}
		if again, err := s.in.after(s.got, s.err); !again {
			return err
		}
	}
}

func (s *source) free() []byte { return (*s.buf)[len(*s.buf):cap(*s.buf)] }

// took notes what a read brought. An error that came with something comes again.
func (s *source) took(n int, err error) {
	*s.buf = (*s.buf)[:len(*s.buf)+n]
	if s.got, s.err = n, err; n > 0 {
		s.err = nil
	}
}

func (s *source) readNow(fd uintptr) (ready bool) {
	s.hold()
	n, err := s.in.readNow(fd, s.free())
	if err == error(errAgain{}) {
		s.in.paused()
		if s.waiting() == 0 {
			s.release()
		}
		return false
	}
	s.took(n, err)
	return true
}

func (s *source) hold() {
	if s.buf == nil {
		s.buf, s.pos = buffers.Get().(*[]byte), 0
	}
}

func (s *source) release() {
	if s.buf != nil {
		recycle(s.buf)
		s.buf, s.pos = nil, 0
	}
}
