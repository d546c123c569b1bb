package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/gammazero/nexus/v3/wamp"
)

// wampMessage is what a client needs of one of the router's.
type wampMessage struct {
	kind    wamp.MessageType
	request uint64 // or, of an EVENT, the subscription
	object  uint64 // subscription of SUBSCRIBED, registration of REGISTERED and INVOCATION
	uri     []byte // of an ERROR
	payload []byte // the only argument, as the text that a RESULT may have
}

// readWAMP reads a message in CBOR. What it holds lies in b.
func readWAMP(b []byte) (m wampMessage, err error) {
	c := cborReader{b: b}
	elements := c.length(cborList)
	m.kind = wamp.MessageType(c.number())
	switch m.kind {
	case wamp.EVENT, wamp.INVOCATION:
		m.request, m.object = c.number(), c.number()
		c.skip()
		m.payload = c.payload(elements-4, cborBytes)
	case wamp.RESULT:
		m.request = c.number()
		c.skip()
		m.payload = c.payload(elements-3, cborBytes, cborText)
	case wamp.SUBSCRIBED, wamp.REGISTERED, wamp.PUBLISHED:
		m.request, m.object = c.number(), c.number()
	case wamp.ERROR:
		c.skip()
		m.request = c.number()
		c.skip()
		m.uri = c.take(c.length(cborText))
	}
	if c.bad {
		err = fmt.Errorf("wamp: malformed message: %.100q", b)
	}
	return m, err
}

// Major types of CBOR, RFC 8949 section 3.1.
const (
	cborUint  = 0
	cborBytes = 2
	cborText  = 3
	cborList  = 4
	cborDict  = 5
)

// cborReader reads what the routers send: nothing of unknown length. Once
// something was wrong it is bad, and reads nothing.
type cborReader struct {
	b   []byte
	bad bool
}

func (c *cborReader) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}

func (c *cborReader) head() (major byte, n uint64) {
	first := c.take(1)
	if c.bad {
		return 0, 0
	}
	major, n = first[0]>>5, uint64(first[0]&0x1f)
	switch {
	case n < 24:
		return major, n
	case n > 27:
		c.bad = true
		return 0, 0
	}
	n, more := 0, c.take(1<<(n-24))
	for _, b := range more {
		n = n<<8 | uint64(b)
	}
	return major, n
}

// length is that of the next value, which must be of this type.
func (c *cborReader) length(want byte) uint64 {
	major, n := c.head()
	if major != want {
		c.bad = true
	}
	if c.bad {
		return 0
	}
	return n
}

func (c *cborReader) number() uint64 { return c.length(cborUint) }

func (c *cborReader) skip() {
	major, n := c.head()
	switch major {
	case cborBytes, cborText:
		c.take(n)
	case cborDict:
		n *= 2
		fallthrough
	case cborList:
		for ; n > 0 && !c.bad; n-- {
			c.skip()
		}
	}
}

// payload is the only element of a list, if there are elements left. It must be
// of one of these types.
func (c *cborReader) payload(left uint64, types ...byte) []byte {
	if left < 1 || left > 2 || c.length(cborList) != 1 {
		c.bad = true
	}
	major, n := c.head()
	if !slices.Contains(types, major) {
		c.bad = true
	}
	return c.take(n)
}

func appendCBOR(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendCBORText(b []byte, s string) []byte {
	return append(appendCBOR(b, cborText, uint64(len(s))), s...)
}

// wampRequest is a message to the router: its kind, its number, its only
// option, if there is one, which is true, and, where they are not nil, a URI
// and the only argument.
type wampRequest struct {
	kind    wamp.MessageType
	number  uint64
	option  string
	uri     string
	payload []byte
	argued  bool // there is a payload, if only an empty one
}

// appendWAMP adds a rawsocket frame.
func appendWAMP(b []byte, m wampRequest) []byte {
	at := len(b)
	n := uint64(3)
	if m.uri != "" {
		n++
	}
	if m.argued {
		n++
	}
	b = appendCBOR(append(b, 0, 0, 0, 0), cborList, n)
	b = appendCBOR(b, cborUint, uint64(m.kind))
	b = appendCBOR(b, cborUint, m.number)
	if m.option == "" {
		b = appendCBOR(b, cborDict, 0)
	} else {
		b = appendCBORText(appendCBOR(b, cborDict, 1), m.option)
		b = append(b, 0xf5) // true
	}
	if m.uri != "" {
		b = appendCBORText(b, m.uri)
	}
	if m.argued {
		b = appendCBOR(appendCBOR(b, cborList, 1), cborBytes, uint64(len(m.payload)))
		b = append(b, m.payload...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
