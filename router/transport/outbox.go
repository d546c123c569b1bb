package transport

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Sizes of buffers, in bytes.
const (
	bufferBytes = 16 << 10 // of a new one
	spareBytes  = 64 << 10 // a longer one is not used again
	roomBytes   = 1 << 10  // a buffer with less left is as good as full
	longBytes   = 16 << 10 // a payload from this on is written from where it is
)

// buffers are those that are used again: a connection holds one only while
// something is in it.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, bufferBytes)
	return &b
}}

func recycle(b *[]byte) {
	if cap(*b) <= spareBytes {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// outbox is what waits to be written: whole frames, short ones one after
// another in a buffer, long payloads where they are.
type outbox struct {
	tail   *[]byte     // the buffer that is filled, nil if there is none
	full   net.Buffers // what goes before it
	joined []bool      // of each in full, whether it ends a frame that was begun before
	spent  []*[]byte   // the buffers in full
}

// open returns the buffer for the next frame.
func (o *outbox) open() []byte {
	if o.tail != nil && cap(*o.tail)-len(*o.tail) < roomBytes {
		o.close()
	}
	if o.tail == nil {
		o.tail = buffers.Get().(*[]byte)
	}
	return *o.tail
}

// close puts the buffer behind the others.
func (o *outbox) close() {
	o.full, o.joined = append(o.full, *o.tail), append(o.joined, false)
	o.spent = append(o.spent, o.tail)
	o.tail = nil
}

// add keeps the buffer that open returned, with a frame at its end, whose
// payload ends with long.
func (o *outbox) add(b, long []byte) {
	*o.tail = b
	if len(long) > 0 {
		o.close()
		o.full, o.joined = append(o.full, long), append(o.joined, true)
	}
}

// append adds bytes that are no message, and says how many.
func (o *outbox) append(b []byte) int {
	if len(b) > 0 {
		o.add(append(o.open(), b...), nil)
	}
	return len(b)
}

// drop throws away what there is, and says how many bytes that was.
func (o *outbox) drop() int {
	n := 0
	for !o.empty() {
		chunk := len(o.chunk())
		n += chunk
		o.wrote(chunk)
	}
	return n
}

// abridge throws away all but the end of a frame whose beginning was written, and
// says how many bytes that was.
func (o *outbox) abridge() int {
	n := 0
	for i, chunk := range o.full {
		if i > 0 || !o.joined[0] {
			n += len(chunk)
		}
	}
	if o.tail != nil {
		n += len(*o.tail)
	}
	if len(o.full) > 0 && o.joined[0] {
		*o = outbox{full: o.full[:1], joined: o.joined[:1]}
	} else {
		*o = outbox{}
	}
	return n
}

func (o *outbox) empty() bool { return o.tail == nil && len(o.full) == 0 }

// take returns what there is, and leaves nothing.
func (o *outbox) take() outbox {
	t := *o
	*o = outbox{}
	return t
}

// chunk is the first of what is left.
func (o *outbox) chunk() []byte {
	if len(o.full) > 0 {
		return o.full[0]
	}
	return *o.tail
}

// maxVector is how many chunks go into one system call.
const maxVector = 64

// writeNow writes what the socket fd takes now, in as few system calls as can
// be. It says how many bytes those were.
func (o *outbox) writeNow(fd int) (n int, err error) {
	for !o.empty() && err == nil {
		var wrote int
		if len(o.full) == 0 {
			wrote, err = writeNow(fd, *o.tail)
		} else {
			if o.tail != nil {
				o.close()
			}
			wrote, err = unix.Writev(fd, o.full[:min(len(o.full), maxVector)])
		}
		if err == unix.EINTR {
			err = nil
		}
		wrote = max(wrote, 0)
		n += wrote
		o.wrote(wrote)
	}
	if err == unix.EAGAIN {
		err = nil
	}
	return n, err
}

// wrote drops the first n bytes, and gives the buffers back with the last.
func (o *outbox) wrote(n int) {
	for len(o.full) > 0 && n >= len(o.full[0]) {
		n -= len(o.full[0])
		o.full[0] = nil
		o.full, o.joined = o.full[1:], o.joined[1:]
	}
	switch {
	case len(o.full) > 0:
		o.full[0] = o.full[0][n:]
		return
	case o.tail != nil && n < len(*o.tail):
		o.close() // the buffer itself must not move
		o.full[0] = o.full[0][n:]
		return
	}
	if o.tail != nil {
		recycle(o.tail)
	}
	for _, b := range o.spent {
		recycle(b)
	}
	*o = outbox{}
}
