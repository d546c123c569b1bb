package transport

import (
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"
)

// Payload is the arguments of a message on its way through the router, as their
// sender encoded them: checked as if they had been decoded, so that they harm
// no receiver, but decoded only for a session of the daemon's own or for
// another serializer. nexus carries it as the only one of a message's Arguments.
type Payload struct {
	// Publisher tells a subscriber who published, as details of its EVENT.
	Publisher wamp.Dict

	codec Codec
	depth int
	count int    // elements of the message in raw, up to 2
	raw   []byte // as they stand in the message

	carrier  [1]any                    // what Arguments points to
	other    atomic.Pointer[Payload]   // the same in another serializer
	lastHead atomic.Pointer[eventHead] // of the last EVENT with this payload
}

// eventHead is what stands before the payload in the message of an EVENT. It is
// the same for all subscribers to one subscription who are told as much, so
// it is encoded once.
type eventHead struct {
	codec        Codec
	subscription wamp.ID
	details      int // how many
	bytes        []byte
}

// payloadOf is the payload that args carry, or nil.
func payloadOf(args wamp.List) *Payload {
	if len(args) != 1 {
		return nil
	}
	p, _ := args[0].(*Payload)
	return p
}

// PayloadOf is what a message that came through a guarded Conn has as its
// arguments, nil where they were decoded.
func PayloadOf(msg wamp.Message) *Payload {
	if args, _ := arguments(msg); args != nil {
		return payloadOf(*args)
	}
	return nil
}

// Unpack decodes the payload of msg, if it has one, into its arguments.
func Unpack(msg wamp.Message) error {
	args, kwargs := arguments(msg)
	if args == nil {
		return nil
	}
	p := payloadOf(*args)
	if p == nil {
		return nil
	}
	var err error
	*args, *kwargs, err = p.decode()
	return err
}

// arguments is where a message that carries some has them.
func arguments(msg wamp.Message) (args *wamp.List, kwargs *wamp.Dict) {
	switch m := msg.(type) {
	case *wamp.Publish:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Call:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Yield:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Error:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Event:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Invocation:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Result:
		return &m.Arguments, &m.ArgumentsKw
	}
	return nil, nil
}

// readPayload reads what is left of a message: a list, a dict, or neither.
func readPayload(c Codec, e elements, depth int) (wamp.List, error) {
	p := &Payload{codec: c, depth: depth}
	for p.count < 2 {
		more, err := e.more()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		encoded, empty, err := e.raw()
		if err != nil {
			return nil, err
		}
		if !p.add(encoded, empty) {
			return nil, errType
		}
	}
	p.carrier[0] = p
	return p.carrier[:], nil
}

// add copies the next element, if it has the right type: a list, then a dict.
// null stands for an empty one.
func (p *Payload) add(encoded []byte, empty any) bool {
	switch empty.(type) {
	case nil:
	case []any:
		if p.count != 0 {
			return false
		}
	case map[string]any:
		if p.count != 1 {
			return false
		}
	default:
		return false
	}
	if p.count == 0 {
		p.raw = make([]byte, 0, cap(encoded)) // room for both
	} else {
		p.raw = p.codec.appendNext(p.raw)
	}
	switch {
	case empty != nil:
		p.raw = append(p.raw, encoded...)
	case p.count == 0:
		p.raw = p.codec.closeList(p.codec.openList(p.raw, 0))
	default:
		p.raw, _ = p.codec.Append(p.raw, map[string]any{})
	}
	p.count++
	return true
}

func (p *Payload) decode() (args wamp.List, kwargs wamp.Dict, err error) {
	e := p.codec.newElements()
	whole := p.codec.closeList(append(p.codec.openList(nil, p.count), p.raw...))
	if err := e.open(whole, p.depth); err != nil || p.count == 0 {
		return nil, nil, err
	}
	list, err := as[[]any](e.value())
	if err != nil || p.count == 1 {
		return list, nil, err
	}
	dict, err := as[map[string]any](e.value())
	return list, dict, err
}

// in is the payload in the serializer c.
func (p *Payload) in(c Codec) (*Payload, error) {
	if p.codec == c {
		return p, nil
	}
	if o := p.other.Load(); o != nil && o.codec == c {
		return o, nil
	}
	args, kwargs, err := p.decode()
	if err != nil {
		return nil, err
	}
	o := &Payload{codec: c, depth: p.depth, count: p.count}
	if p.count > 0 {
		if o.raw, err = c.Append(o.raw, []any(args)); err != nil {
			return nil, err
		}
	}
	if p.count > 1 {
		if o.raw, err = c.Append(c.appendNext(o.raw), map[string]any(kwargs)); err != nil {
			return nil, err
		}
	}
	p.other.Store(o)
	return o, nil
}

// appendTo ends a message with the payload.
func (p *Payload) appendTo(b []byte) []byte {
	if p.count > 0 {
		b = append(p.codec.appendNext(b), p.raw...)
	}
	return p.codec.closeList(b)
}
