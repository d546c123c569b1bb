package transport

import "sync/atomic"

// framing is how messages, pings and pongs stand in the byte stream.
type framing interface {
	// read reads one frame. The payload is valid until the next call; where own,
	// it is the caller's for good. A frame that is longer than accepts.now when
	// its head has arrived is a *TooLongError before more than that is read of
	// it, and one that is longer than accepts.most before any is.
	read(accepts *accepted) (kind byte, payload []byte, own bool, err error)
	// begun reports whether more than the last frame may have been read.
	begun() bool
	// headroom is how many bytes are left free before a payload for its head.
	headroom() int
	// seal completes the frame that starts at b[at:], with its headroom, and
	// returns b, in which the frame may have become shorter. more bytes of its
	// payload follow elsewhere, never on a client's end.
	seal(b []byte, at int, kind byte, more int) []byte
	// farewell adds to b what is said last on a connection that ends with why.
	farewell(b []byte, why error) []byte
}

// accepted is how many bytes one frame may have.
type accepted struct {
	now  atomic.Int64
	most int // that now may become
}

// The kinds of frames, by their number in rawsocket.
const (
	frameMessage = 0
	framePing    = 1
	framePong    = 2
)

// maxHeadroom is the largest headroom of a framing.
const maxHeadroom = 14
