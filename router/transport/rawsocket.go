package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// WAMP rawsocket, section "RawSocket Transport" of the WAMP specification: a
// handshake of four octets each way, then frames with a head of four octets.
const (
	magic     = 0x7f
	headBytes = 4

	// maxFrame is what the 24 bits of a frame's length can say.
	maxFrame = 1<<24 - 1
)

// The serializers by their number in the handshake.
var codecs = [...]Codec{1: JSON, 2: MsgPack, 3: CBOR}

// Handshake errors a server answers, by their number.
const (
	refuseSerializer = 1
	refuseLength     = 2
	refuseReserved   = 3
)

var refusals = [...]string{
	refuseSerializer: "serializer unsupported",
	refuseLength:     "maximum message length unacceptable",
	refuseReserved:   "use of reserved bits",
	4:                "maximum connection count reached",
}

// lengthCode is the largest length code of the handshake, 2^(9+code), that
// does not exceed limit bytes.
func lengthCode(limit int) byte {
	code := byte(0)
	for code < 15 && codeLength(code+1) <= limit {
		code++
	}
	return code
}

// codeLength is what a length code stands for; a frame has one byte less than
// the largest.
func codeLength(code byte) int { return min(1<<(9+int(code)), maxFrame) }

// rawsocket is the framing of a connection that has shaken hands.
type rawsocket struct {
	r     *bufio.Reader
	greet func(io.Reader) error // the rest of the handshake, on a client's end
}

func newRawsocket(nc net.Conn) *rawsocket {
	return &rawsocket{r: bufio.NewReaderSize(nc, 4<<10)}
}

func (f *rawsocket) read(buf []byte, limit int) (kind byte, payload []byte, err error) {
	if greet := f.greet; greet != nil {
		f.greet = nil
		if err := greet(f.r); err != nil {
			return 0, nil, err
		}
	}
	return readFrame(f.r, buf, limit)
}

func (f *rawsocket) headroom() int { return headBytes }

func (f *rawsocket) seal(b []byte, at int, kind byte) []byte {
	n := len(b) - at - headBytes
	binary.BigEndian.PutUint32(b[at:], uint32(kind)<<24|uint32(n))
	return b
}

// farewell adds nothing: a rawsocket has no word for the end.
func (f *rawsocket) farewell(b []byte, _ error) []byte { return b }

// Dial performs the client's half of the handshake on nc and starts the
// connection. It does not wait for the server's half: that is read before the
// first message, so that HELLO can travel with the handshake.
func Dial(nc net.Conn, codec Codec, lim Limits) (*Conn, error) {
	number := byte(0)
	for i, c := range codecs {
		if c == codec {
			number = byte(i)
		}
	}
	f := newRawsocket(nc)
	c := newConn(nc, f, codec, lim)
	c.queue = append(c.queue, magic, lengthCode(lim.Message)<<4|number, 0, 0)
	f.greet = func(r io.Reader) error {
		var reply [4]byte
		if _, err := io.ReadFull(r, reply[:]); err != nil {
			return fmt.Errorf("rawsocket handshake: %w", err)
		}
		switch {
		case reply[0] != magic:
			return violation(fmt.Errorf("rawsocket handshake: not a WAMP rawsocket (first octet %#x, expected %#x)", reply[0], magic))
		case reply[1]&0x0f == 0:
			return fmt.Errorf("rawsocket handshake: %s", refusal(reply[1]>>4))
		case reply[1]&0x0f != number:
			return violation(errors.New("rawsocket handshake: the router chose another serializer"))
		}
		c.peerLimit.Store(int64(codeLength(reply[1] >> 4)))
		return nil
	}
	c.start()
	return c, nil
}

func refusal(code byte) string {
	if int(code) < len(refusals) && refusals[code] != "" {
		return refusals[code]
	}
	return fmt.Sprintf("refused with code %d", code)
}

// Accept performs the server's half of the handshake on nc within
// lim.Handshake and starts the connection behind guard. The caller closes nc
// on error.
func Accept(nc net.Conn, lim Limits, guard Guard) (*Conn, error) {
	if err := nc.SetDeadline(time.Now().Add(lim.Handshake)); err != nil {
		return nil, err
	}
	var hello [4]byte
	if _, err := io.ReadFull(nc, hello[:]); err != nil {
		return nil, fmt.Errorf("rawsocket handshake: %w", err)
	}
	number := hello[1] & 0x0f
	switch {
	case hello[0] != magic:
		return nil, fmt.Errorf("rawsocket handshake: first octet %#x, expected %#x", hello[0], magic)
	case hello[2] != 0 || hello[3] != 0:
		return nil, refuse(nc, refuseReserved)
	case number == 0 || int(number) >= len(codecs):
		return nil, refuse(nc, refuseSerializer)
	}
	reply := []byte{magic, lengthCode(lim.Message)<<4 | number, 0, 0}
	if _, err := nc.Write(reply); err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	c := newConn(nc, newRawsocket(nc), codecs[number], lim)
	c.guard = guard
	c.peerLimit.Store(int64(codeLength(hello[1] >> 4)))
	c.start()
	return c, nil
}

func refuse(nc net.Conn, code byte) error {
	_, _ = nc.Write([]byte{magic, code << 4, 0, 0})
	return fmt.Errorf("rawsocket handshake: %s", refusals[code])
}

// readFrame reads one frame. The payload is valid until the next call. A
// frame longer than limit bytes is an error before any of it is read.
func readFrame(r io.Reader, buf []byte, limit int) (kind byte, payload []byte, err error) {
	var h [headBytes]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(h[:]) & maxFrame)
	if h[0] > framePong {
		return 0, nil, fmt.Errorf("unknown frame type %d", h[0])
	}
	if n > limit {
		return 0, nil, &TooLongError{Size: n, Limit: limit}
	}
	if buf, err = readBody(r, buf[:0], n); err != nil {
		return 0, nil, err
	}
	return h[0], buf, nil
}

// readBody reads n bytes in steps, so that a head that promises much costs no
// memory before the bytes arrive.
func readBody(r io.Reader, buf []byte, n int) ([]byte, error) {
	const step = 64 << 10
	for len(buf) < n {
		old := len(buf)
		buf = append(buf, make([]byte, min(n-old, max(step, old)))...)
		if _, err := io.ReadFull(r, buf[old:]); err != nil {
			return buf, io.ErrUnexpectedEOF
		}
	}
	return buf, nil
}

// TooLongError says that a message exceeds what one end accepts, in bytes.
type TooLongError struct{ Size, Limit int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("a message of %d bytes exceeds the limit of %d bytes", e.Size, e.Limit)
}
