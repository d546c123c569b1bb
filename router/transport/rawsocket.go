package transport

import (
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
	// Magic is the first byte of a rawsocket connection.
	Magic = 0x7f

	magic     = Magic
	headBytes = 4

	// maxFrame is what the 24 bits of a frame's length can say.
	maxFrame = 1<<24 - 1
)

// The serializers by their number in the handshake.
var codecs = [...]Codec{1: JSON, 2: MsgPack, 3: CBOR}

// index is where codecs has c.
func index(c Codec) int {
	for i, other := range codecs {
		if other == c {
			return i
		}
	}
	return 0 // not reached
}

// Handshake errors a server answers, by their number.
const (
	refuseSerializer = 1
	refuseLength     = 2
	refuseReserved   = 3
	refuseCount      = 4
)

var refusals = [...]string{
	refuseSerializer: "serializer unsupported",
	refuseLength:     "maximum message length unacceptable",
	refuseReserved:   "use of reserved bits",
	refuseCount:      "maximum connection count reached",
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

// rawsocket is the framing of a connection whose own half of the handshake is
// done.
type rawsocket struct {
	in    *source
	greet func(reply []byte) error // judges the other half, on a client's end
}

func (f *rawsocket) read(accepts *accepted) (kind byte, payload []byte, own bool, err error) {
	if f.greet != nil {
		reply, _, err := f.in.next(headBytes)
		if err != nil {
			return 0, nil, false, fmt.Errorf("rawsocket handshake: %w", err)
		}
		if err := f.greet(reply); err != nil {
			return 0, nil, false, err
		}
		f.greet = nil
	}
	head, _, err := f.in.next(headBytes)
	if err != nil {
		return 0, nil, false, err
	}
	kind = head[0]
	n := int(binary.BigEndian.Uint32(head) & maxFrame)
	if kind > framePong {
		return 0, nil, false, fmt.Errorf("unknown frame type %d", kind)
	}
	if limit := int(accepts.now.Load()); n > limit {
		return 0, nil, false, &TooLongError{Size: n, Limit: limit}
	}
	if n > f.in.waiting() {
		f.in.in.begin()
	}
	payload, own, err = f.in.next(n)
	f.in.in.complete()
	return kind, payload, own, noEOF(err)
}

func (f *rawsocket) headroom() int { return headBytes }

func (f *rawsocket) seal(b []byte, at int, kind byte, more int) []byte {
	n := len(b) - at - headBytes + more
	binary.BigEndian.PutUint32(b[at:], uint32(kind)<<24|uint32(n))
	return b
}

// farewell adds nothing: a rawsocket has no word for the end.
func (f *rawsocket) farewell(b []byte, _ error) []byte { return b }

// Dial performs the client's half of the handshake on nc and starts the
// connection. It does not wait for the server's half: that is read before the
// first message, so that HELLO can travel with the handshake. That of TLS must be
// over.
func Dial(nc net.Conn, codec Codec, lim Limits) (*Conn, error) {
	if v := veilOf(nc); v != nil && !v.tls.ConnectionState().HandshakeComplete {
		return nil, errors.New("rawsocket: the TLS handshake is not over")
	}
	number := byte(0)
	for i, c := range codecs {
		if c == codec {
			number = byte(i)
		}
	}
	in := newEar(nc)
	f := &rawsocket{in: newSource(in)}
	c := newConn(in, f, codec, lim, nil)
	c.waits(c.out.append([]byte{magic, lengthCode(lim.Message)<<4 | number, 0, 0}))
	f.greet = func(reply []byte) error {
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
	go c.read()
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
		return nil, unshaken(err, lim)
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
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	in := newEar(nc)
	c := newConn(in, &rawsocket{in: newSource(in)}, codecs[number], lim, guard)
	c.peerLimit.Store(int64(codeLength(hello[1] >> 4)))
	c.serve(guard, []byte{magic, lengthCode(lim.Message)<<4 | number, 0, 0})
	return c, nil
}

func refuse(nc net.Conn, code byte) error {
	_, _ = nc.Write([]byte{magic, code << 4, 0, 0})
	return fmt.Errorf("rawsocket handshake: %s", refusals[code])
}

// RefuseCount answers the handshake on nc, whether it is complete or not, with
// the error "maximum connection count reached".
func RefuseCount(nc net.Conn) error { return refuse(nc, refuseCount) }

// TooLongError says that a message exceeds what one end accepts, in bytes. Size
// is 0 where nobody knows it.
type TooLongError struct{ Size, Limit int }

// Error says the limit, and the size where it is known.
func (e *TooLongError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("a message exceeds the limit of %d bytes", e.Limit)
	}
	return fmt.Sprintf("a message of %d bytes exceeds the limit of %d bytes", e.Size, e.Limit)
}

func (f *rawsocket) begun() bool { return f.in.waiting() > 0 }
