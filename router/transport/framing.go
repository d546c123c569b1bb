package transport

// framing is how messages, pings and pongs stand in the byte stream.
type framing interface {
	// read reads one frame. The payload is valid until the next call; where own,
	// it is the caller's for good. A frame longer than limit bytes is a
	// *TooLongError before any of it is read.
	read(limit int) (kind byte, payload []byte, own bool, err error)
	// headroom is how many bytes are left free before a payload for its head.
	headroom() int
	// seal completes the frame that starts at b[at:], with its headroom, and
	// returns b, in which the frame may have become shorter. more bytes of its
	// payload follow elsewhere, never on a client's end.
	seal(b []byte, at int, kind byte, more int) []byte
	// farewell adds to b what is said last on a connection that ends with why.
	farewell(b []byte, why error) []byte
}

// The kinds of frames, by their number in rawsocket.
const (
	frameMessage = 0
	framePing    = 1
	framePong    = 2
)

// maxHeadroom is the largest headroom of a framing.
const maxHeadroom = 14
