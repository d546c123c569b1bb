package transport

import (
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"
)

// Event is the EVENT that comes of a PUBLISH, with its payload as it is on its way
// through the router.
type Event struct {
	Subscription wamp.ID
	Publication  wamp.ID
	Details      *Details // nil is none
	Payload      *Payload
}

// MessageType implements wamp.Message.
func (*Event) MessageType() wamp.MessageType { return wamp.EVENT }

// Details are those of many messages: they are encoded once for each serializer.
type Details struct {
	dict    wamp.Dict
	encoded [len(codecs)]atomic.Pointer[[]byte]
}

// NewDetails keeps d, which holds nothing that a serializer cannot say and is not
// changed any more.
func NewDetails(d wamp.Dict) *Details { return &Details{dict: d} }

// Dict is not to be written to.
func (d *Details) Dict() wamp.Dict { return d.dict }

var noDetails = NewDetails(nil)

// in is their encoding in c.
func (d *Details) in(c Codec) ([]byte, error) {
	if d == nil {
		d = noDetails
	}
	known := &d.encoded[index(c)]
	if b := known.Load(); b != nil {
		return *b, nil
	}
	b, err := c.Append(nil, map[string]any(d.dict))
	if err == nil {
		known.Store(&b)
	}
	return b, err
}

// encodeEvent is encode for what goes to many.
func encodeEvent(c Codec, b []byte, m *Event) (head, long []byte, err error) {
	p, err := m.Payload.in(c)
	if err != nil {
		return nil, nil, err
	}
	details, err := m.Details.in(c)
	if err != nil {
		return nil, nil, err
	}
	b = c.appendInt(c.openList(b, 4+p.count), int64(wamp.EVENT))
	b = c.appendInt(c.appendNext(b), int64(m.Subscription))
	b = c.appendInt(c.appendNext(b), int64(m.Publication))
	head, long = p.appendTo(append(c.appendNext(b), details...))
	return head, long, nil
}
