package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
)

const sector = 512 // bytes that a disk writes wholly or not at all

// The network block device protocol, as far as QEMU needs it: the old handshake
// has nothing to negotiate.
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
const (
	nbdPassword  = 0x4e42444d41474943 // "NBDMAGIC"
	nbdOldstyle  = 0x00420281861253
	nbdHasFlush  = 1<<0 | 1<<2
	nbdRequest   = 0x25609513
	nbdReply     = 0x67446698
	nbdRead      = 0
	nbdWrite     = 1
	nbdLeave     = 2
	nbdFlush     = 3
	nbdReserved  = 124
	nbdMaxLength = 32 << 20
)

// disk is a disk with a cache that needs power. What is written goes into the
// cache, and a flush makes it last, whereas QEMU's own disks are files: the
// host's memory would keep for them what a guest forgot to flush.
type disk struct {
	data  []byte           // what the machine reads
	lasts []byte           // what outlives a loss of power
	cache map[int]struct{} // sectors of data that lasts does not have
	lies  bool             // it keeps nothing when it is flushed

	left atomic.Int64  // requests until the power is lost; 0 is never
	off  chan struct{} // closed when no more requests are served
}

func newDisk(image []byte) *disk {
	return &disk{data: slices.Clone(image), lasts: slices.Clone(image), cache: map[int]struct{}{}, off: make(chan struct{})}
}

// cutAt makes the nth request from now the last, which is not answered.
func (d *disk) cutAt(n int64) { d.left.Store(n) }

// remains is what is on the disk after the power was lost: each sector that was
// in the cache has been written with that chance, in whatever order, or is lost.
// d.off is closed.
func (d *disk) remains(chance float64) (image []byte, lost int) {
	image = slices.Clone(d.lasts)
	for s := range d.cache {
		if rand.Float64() >= chance {
			lost++
			continue
		}
		copy(image[s*sector:(s+1)*sector], d.data[s*sector:])
	}
	return image, lost
}

// serve serves the first who connects, until it leaves or the power is lost. In
// that case the connection stays open: a disk without power reports no error.
func (d *disk) serve(l net.Listener) (net.Conn, error) {
	defer close(d.off)
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	if err := d.greet(conn); err != nil {
		return conn, err
	}
	for {
		if more, err := d.answer(conn); err != nil || !more {
			return conn, err
		}
	}
}

func (d *disk) greet(w io.Writer) error {
	hello := binary.BigEndian.AppendUint64(nil, nbdPassword)
	hello = binary.BigEndian.AppendUint64(hello, nbdOldstyle)
	hello = binary.BigEndian.AppendUint64(hello, uint64(len(d.data)))
	hello = binary.BigEndian.AppendUint32(hello, nbdHasFlush)
	_, err := w.Write(append(hello, make([]byte, nbdReserved)...))
	return err
}

// request is what the machine asks of its disk.
type request struct {
	Magic  uint32
	Flags  uint16
	Type   uint16
	Handle uint64
	Offset uint64
	Length uint32
}

// answer serves one request, and says whether there may be more.
func (d *disk) answer(conn io.ReadWriter) (bool, error) {
	var r request
	if err := binary.Read(conn, binary.BigEndian, &r); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return false, err
	}
	last := d.left.Load() > 0 && d.left.Add(-1) == 0
	if r.Magic != nbdRequest || r.Length > nbdMaxLength || r.Offset+uint64(r.Length) > uint64(len(d.data)) {
		return false, fmt.Errorf("not a request for a disk of %d bytes: %+v", len(d.data), r)
	}
	reply := binary.BigEndian.AppendUint32(nil, nbdReply)
	reply = binary.BigEndian.AppendUint64(append(reply, 0, 0, 0, 0), r.Handle)
	at := d.data[r.Offset : r.Offset+uint64(r.Length)]
	switch r.Type {
	case nbdRead:
		reply = append(reply, at...)
	case nbdWrite:
		if _, err := io.ReadFull(conn, at); err != nil {
			return false, err
		}
		for s := int(r.Offset / sector); s*sector < int(r.Offset)+len(at); s++ {
			d.cache[s] = struct{}{}
		}
	case nbdFlush:
		if !last && !d.lies {
			d.flush()
		}
	case nbdLeave:
		return false, nil
	default:
		return false, fmt.Errorf("not a request that was offered: %+v", r)
	}
	if last {
		return false, nil
	}
	_, err := conn.Write(reply)
	return true, err
}

func (d *disk) flush() {
	for s := range d.cache {
		copy(d.lasts[s*sector:(s+1)*sector], d.data[s*sector:])
	}
	clear(d.cache)
}
