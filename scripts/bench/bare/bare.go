// Package bare is a WAMP peer of a few lines, rawsocket and JSON by hand: it
// does what no client library would, and owes nothing to ours.
package bare

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Types of messages.
const (
	Hello        = 1
	Welcome      = 2
	Goodbye      = 6
	Error        = 8
	Publish      = 16
	Subscribe    = 32
	Subscribed   = 33
	Unsubscribe  = 34
	Unsubscribed = 35
	Event        = 36
	Call         = 48
	Result       = 50
	Register     = 64
	Registered   = 65
	Unregister   = 66
	Unregistered = 67
	Invocation   = 68
	Yield        = 70
)

// patience is how long a peer waits for anything.
const patience = 60 * time.Second

// None is an empty dict.
var None = map[string]any{}

// Message is one on the wire: its type, and what belongs to it. Numbers that
// were heard are float64.
type Message []any

// Is says whether a message is of that type.
func (m Message) Is(kind int) bool { return len(m) > 0 && m[0] == float64(kind) }

// Text is the i-th part, if it is a text.
func (m Message) Text(i int) string {
	if i >= len(m) {
		return ""
	}
	s, _ := m[i].(string)
	return s
}

// Peer is one connection. It reads only when it is told to.
type Peer struct {
	net.Conn

	in *bufio.Reader
}

// Connect connects to a unix socket and says nothing.
func Connect(socket string) (*Peer, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return Over(nc), nil
}

// Over is a peer that has connected by nc and says nothing.
func Over(nc net.Conn) *Peer { return &Peer{Conn: nc, in: bufio.NewReaderSize(nc, 512)} }

// Greet says the handshake and HELLO, and does not wait.
func (p *Peer) Greet() error {
	hello := frame(nil, Message{Hello, "deskconn", map[string]any{"roles": map[string]any{
		"caller": None, "callee": None, "publisher": None, "subscriber": None,
	}}})
	return p.write(append([]byte{0x7f, 0xf1, 0, 0}, hello...))
}

// Join connects to a unix socket and becomes a session.
func Join(socket string) (*Peer, error) {
	p, err := Connect(socket)
	if err != nil {
		return nil, err
	}
	if err := p.Join(); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// Join becomes a session.
func (p *Peer) Join() error {
	if err := p.Greet(); err != nil {
		return err
	}
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(p.in, make([]byte, 4)); err != nil {
		return err
	}
	_, err := p.Await(Welcome)
	return err
}

// Say sends messages in one write.
func (p *Peer) Say(msgs ...Message) error {
	var b []byte
	for _, m := range msgs {
		b = frame(b, m)
	}
	return p.write(b)
}

// SayHalf sends the first half of a message.
func (p *Peer) SayHalf(m Message) error {
	b := frame(nil, m)
	return p.write(b[:len(b)/2])
}

func (p *Peer) write(b []byte) error {
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	_, err := p.Write(b)
	return err
}

func frame(b []byte, m Message) []byte {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // of what this program made
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// Hear reads one message.
func (p *Peer) Hear() (Message, error) {
	_ = p.SetReadDeadline(time.Now().Add(patience))
	var head [4]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])&(1<<24-1))
	if _, err := io.ReadFull(p.in, body); err != nil {
		return nil, err
	}
	var m Message
	return m, json.Unmarshal(body, &m)
}

// Await reads one message, which must be of that type.
func (p *Peer) Await(kind int) (Message, error) {
	m, err := p.Hear()
	if err == nil && !m.Is(kind) {
		err = fmt.Errorf("got %.200v, want a message of type %d", m, kind)
	}
	return m, err
}

// HungUp says whether the other end has closed, without reading what it sent.
func (p *Peer) HungUp() bool {
	raw, err := p.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
	})
	return gone || err != nil
}
