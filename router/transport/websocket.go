package transport

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/deskconn/dconn/router/wire"
)

// websocket is the framing of RFC 6455. gorilla reads, because there is much to
// check. Written frames are completed where they stand in the queue: they leave
// together with others, and nothing that is read ever waits for a write.
type websocket struct {
	in     *gorilla.Conn
	sock   *readOnly
	data   int // opcode of messages
	client bool
	held   *[]byte      // the last message
	code   atomic.Int32 // to close with, where reading told
}

func newWebsocket(in *gorilla.Conn, sock *readOnly, codec Codec, client bool) *websocket {
	f := &websocket{in: in, sock: sock, data: gorilla.BinaryMessage, client: client}
	if codec == JSON {
		f.data = gorilla.TextMessage
	}
	in.SetCloseHandler(func(int, string) error { return nil }) // farewell answers
	return f
}

// serve makes c the connection whose framing f is.
func (f *websocket) serve(c *Conn) {
	f.in.SetPingHandler(func(payload string) error { return c.pong([]byte(payload)) })
}

// readOnly is the socket as gorilla sees it: what it wants to write is kept.
type readOnly struct {
	*ear
	written []byte
}

func (r *readOnly) Write(b []byte) (int, error) {
	r.written = append(r.written, b...)
	return len(b), nil
}

// SetWriteDeadline does nothing: deadlines are up to the Conn.
func (r *readOnly) SetWriteDeadline(time.Time) error { return nil }

func (r *readOnly) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// taken returns what was to be written.
func (r *readOnly) taken() []byte {
	b := r.written
	r.written = nil
	return b
}

// partedError ends a connection that the peer has closed in good order: it
// waits for the answer to that.
type partedError struct{ error }

// read reads one message. Pings are answered on the way, and pongs dropped.
func (f *websocket) read(accepts *accepted) (kind byte, payload []byte, own bool, err error) {
	payload, err = f.next(accepts)
	return frameMessage, payload, false, err
}

func (f *websocket) next(accepts *accepted) ([]byte, error) {
	if f.held != nil {
		recycle(f.held)
		f.held = nil
	}
	f.in.SetReadLimit(int64(accepts.most)) // it cannot change while gorilla reads
	opcode, r, err := f.in.NextReader()
	limit := int(accepts.now.Load())
	if err != nil {
		return nil, f.failed(err, limit)
	}
	if opcode != f.data {
		return nil, f.refuse(gorilla.CloseUnsupportedData, "a message of this subprotocol is %s, got %s", opcodes[f.data], opcodes[opcode])
	}
	f.held = buffers.Get().(*[]byte)
	f.sock.begin()
	payload, err := readAll(io.LimitReader(r, int64(min(limit+1, bufferBytes))), *f.held)
	if err == nil && len(payload) == bufferBytes { // there is more, or may be
		if err = f.sock.take(limit); err == nil {
			payload, err = readAll(io.LimitReader(r, int64(limit+1-bufferBytes)), payload)
		}
	}
	f.sock.complete()
	*f.held = payload
	if err == nil && len(payload) > limit {
		err = gorilla.ErrReadLimit
	}
	if err != nil {
		return nil, f.failed(err, limit)
	}
	if opcode == gorilla.TextMessage && !utf8.Valid(payload) {
		return nil, f.refuse(gorilla.CloseInvalidFramePayloadData, "%v", errUTF8)
	}
	return payload, nil
}

var opcodes = map[int]string{gorilla.TextMessage: "text", gorilla.BinaryMessage: "binary"}

// readAll reads r to its end. Memory grows with what has arrived.
func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(512, len(buf)))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

func (f *websocket) refuse(code int32, format string, a ...any) error {
	f.code.Store(code)
	return wire.Errorf(wire.ErrProtocolViolation, "websocket: "+format, a...)
}

// failed explains why gorilla reads no more.
func (f *websocket) failed(err error, limit int) error {
	closed, isClosed := errors.AsType[*gorilla.CloseError](err)
	switch {
	case errors.Is(err, gorilla.ErrReadLimit):
		f.code.Store(gorilla.CloseMessageTooBig)
		return &TooLongError{Limit: limit}
	case len(f.sock.written) > 0: // it wanted to close: the peer broke the rules
		f.code.Store(gorilla.CloseProtocolError)
		return violation(err)
	case !isClosed:
		return err
	}
	switch f.code.Store(int32(closed.Code)); closed.Code {
	case gorilla.CloseAbnormalClosure: // gorilla's name for EOF
		return io.EOF
	case gorilla.CloseNormalClosure, gorilla.CloseGoingAway, gorilla.CloseNoStatusReceived:
		return &partedError{io.EOF}
	}
	return &partedError{fmt.Errorf("the peer closed the websocket: %d %s", closed.Code, cmp.Or(closed.Text, "without a reason"))}
}

// Heads of frames: RFC 6455, section 5.2.
const (
	finBit   = 0x80
	maskBit  = 0x80
	length16 = 126
	length64 = 127
)

func (f *websocket) headroom() int {
	if f.client {
		return 14
	}
	return 10
}

func (f *websocket) opcode(kind byte) byte {
	switch kind {
	case framePing:
		return gorilla.PingMessage
	case framePong:
		return gorilla.PongMessage
	}
	return byte(f.data)
}

func (f *websocket) seal(b []byte, at int, kind byte, more int) []byte {
	return f.frame(b[:at], f.opcode(kind), b[at+f.headroom():], more)
}

// frame adds a frame to b, but for the last more bytes of its payload. The
// others may lie there already, behind the headroom.
func (f *websocket) frame(b []byte, opcode byte, payload []byte, more int) []byte {
	mask := byte(0)
	if f.client {
		mask = maskBit
	}
	b = append(b, finBit|opcode)
	switch n := len(payload) + more; {
	case n < length16:
		b = append(b, mask|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, mask|length16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|length64), uint64(n))
	}
	if f.client {
		key := rand.Uint32()
		b = binary.LittleEndian.AppendUint32(b, key)
		maskAll(payload, key)
	}
	return append(b, payload...)
}

func maskAll(b []byte, key uint32) {
	for wide := uint64(key)<<32 | uint64(key); len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * (i % 4)))
	}
}

// farewell adds a close frame.
func (f *websocket) farewell(b []byte, why error) []byte {
	code := int(f.code.Load())
	if code == 0 {
		code = closeCode(why)
	}
	return f.frame(b, gorilla.CloseMessage, gorilla.FormatCloseMessage(code, ""), 0)
}

// closeCode is what ends a connection that this end closes: what is wrong stands
// in the ABORT or GOODBYE before it.
func closeCode(why error) int {
	fault, isFault := errors.AsType[*wire.Error](why)
	switch {
	case isFault && fault.URI == wire.ErrProtocolViolation:
		return gorilla.CloseProtocolError
	case isFault:
		return gorilla.ClosePolicyViolation
	case errors.Is(why, errGoingAway):
		return gorilla.CloseGoingAway
	}
	return gorilla.CloseNormalClosure
}

// begun is true: gorilla does not tell.
func (f *websocket) begun() bool { return true }
