package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// attach connects to d as QEMU does.
func attach(t *testing.T, d *disk) net.Conn {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	served := make(chan net.Conn, 1)
	go func() {
		conn, _ := d.serve(l)
		served <- conn // open until the test ends, as it is for QEMU
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = (<-served).Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 28+nbdReserved)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// step is a request: F flushes, any other letter is written to a sector.
type step struct {
	letter byte
	sector int
}

func (s step) send(t *testing.T, conn net.Conn) {
	t.Helper()
	r, data := request{Magic: nbdRequest, Type: nbdFlush}, []byte(nil)
	if s.letter != 'F' {
		data = bytes.Repeat([]byte{s.letter}, sector)
		r.Type, r.Offset, r.Length = nbdWrite, uint64(s.sector*sector), sector
	}
	message, err := binary.Append(nil, binary.BigEndian, r)
	if err == nil {
		_, err = conn.Write(append(message, data...))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// letters has the first byte of each sector.
func letters(image []byte) (text string) {
	for at := 0; at < len(image); at += sector {
		text += string(image[at])
	}
	return text
}

// What was flushed lasts. The rest is lost or written, and so is the write in
// which the power is lost; a flush in which it is lost is none.
func TestDiskLosesItsCache(t *testing.T) {
	for _, c := range []struct {
		what          string
		lies          bool
		steps         []step // the last is not answered
		nothing, rest string // when nothing of the cache is written, and all
	}{
		{"a write", false, []step{{'a', 1}}, "----", "-a--"},
		{"a write that was flushed", false, []step{{'a', 1}, {'F', 0}, {'b', 2}}, "-a--", "-ab-"},
		{"a flush that is not answered", false, []step{{'a', 1}, {'F', 0}, {'b', 1}, {'F', 0}}, "-a--", "-b--"},
		{"a disk that lies", true, []step{{'a', 1}, {'F', 0}, {'b', 2}}, "----", "-ab-"},
	} {
		d := newDisk(bytes.Repeat([]byte{'-'}, 4*sector))
		d.lies = c.lies
		d.cutAt(int64(len(c.steps)))
		conn := attach(t, d)
		for i, s := range c.steps {
			s.send(t, conn)
			if i == len(c.steps)-1 {
				break
			}
			if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil {
				t.Fatalf("%s: request %d: %v", c.what, i, err)
			}
		}
		<-d.off
		none, _ := d.remains(0)
		all, lost := d.remains(1)
		if letters(none) != c.nothing || letters(all) != c.rest || lost != 0 {
			t.Errorf("%s: %s and %s, want %s and %s", c.what, letters(none), letters(all), c.nothing, c.rest)
		}
	}
}
