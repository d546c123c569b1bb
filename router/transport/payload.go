package transport

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"
)

// Payload is the arguments of a message on its way through the router, as their
// sender encoded them: checked as if they had been decoded, so that they harm
// no receiver, but decoded only for a session of the daemon's own or for
// another serializer. nexus carries it as the only one of a message's Arguments.
type Payload struct {
	// Sender tells who published or called, as details of an EVENT or INVOCATION.
	Sender *Details

	codec Codec
	depth int
	count int    // elements of the message in raw, up to 2
	raw   []byte // as they stand in the message

	foreign string // names a value that only codec has, "" if there is none
	opaque  bool   // raw is a byte string in the place of the arguments

	carrier [1]any   // what Arguments points to
	inline  [40]byte // where raw is, if it is short

	making sync.Mutex
	forms  [len(codecs)]atomic.Pointer[Payload] // for other serializers, once somebody needed them
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

// Empty reports whether there are no arguments.
func (p *Payload) Empty() bool { return p.count == 0 }

// Portable reports whether every serializer can represent the payload. If not, Prepare
// says which receivers it is not for.
func (p *Payload) Portable() bool { return p.foreign == "" }

// unsupported is an *UnsupportedValueError where c cannot represent the payload.
func (p *Payload) unsupported(c Codec) error {
	switch {
	case p.opaque:
		return &UnsupportedValueError{Value: p.foreign}
	case p.foreign != "" && p.codec != c:
		return &UnsupportedValueError{Serializer: c.Name(), Value: p.foreign}
	}
	return nil
}

// shortBytes is how long a payload may be to be encoded anywhere, in bytes.
const shortBytes = 4 << 10

// Len is how many bytes it has.
func (p *Payload) Len() int { return len(p.raw) }

// Short reports whether the payload costs little to encode for any serializer.
func (p *Payload) Short() bool { return len(p.raw) <= shortBytes }

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
	case *wamp.Event:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Yield:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Error:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Invocation:
		return &m.Arguments, &m.ArgumentsKw
	case *wamp.Result:
		return &m.Arguments, &m.ArgumentsKw
	}
	return nil, nil
}

// payload reads what is left of a message of so many bytes: a list, a dict, or
// neither.
func (d *decoder) payload(whole int, own bool) (wamp.List, error) {
	p := &Payload{codec: d.codec, depth: d.depth}
	for p.count < 2 {
		more, err := d.elements.more()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		e, err := d.elements.raw()
		if err != nil {
			return nil, err
		}
		p.foreign = cmp.Or(p.foreign, e.foreign)
		// Not for a few bytes of much: what is counted is what is held.
		if !p.add(e.encoded, e.empty, own && 2*cap(e.encoded) >= whole) {
			return nil, errType
		}
	}
	p.carrier[0] = p
	return p.carrier[:], nil
}

// add keeps the next element, if it has the right type: a list, then a dict.
// null stands for an empty one.
func (p *Payload) add(encoded []byte, empty any, own bool) bool {
	switch empty.(type) {
	case nil:
		v := []any{any([]any{}), any(map[string]any{})}[p.count]
		encoded, _ = p.codec.Append(nil, v)
	case []any:
		if p.count != 0 {
			return false
		}
	case map[string]any:
		if p.count != 1 {
			return false
		}
	default:
		if p.count != 0 || !isBytes(p.codec, encoded) {
			return false
		}
		p.opaque, p.foreign = true, "a byte string in the place of the arguments"
	}
	switch {
	case p.count == 0 && own:
		p.raw = encoded
	case p.count == 0 && cap(encoded) <= len(p.inline):
		p.raw = append(p.inline[:0], encoded...)
	case p.count == 0:
		p.raw = append(make([]byte, 0, cap(encoded)), encoded...) // for both, where one follows the other
	case follows(p.raw, encoded):
		p.raw = p.raw[:len(p.raw)+len(encoded)]
	default:
		p.raw = append(p.codec.appendNext(slices.Clip(p.raw)), encoded...)
	}
	p.count++
	return true
}

// isBytes reports whether a value is a byte string.
func isBytes(c Codec, encoded []byte) bool {
	v, err := c.Decode(encoded, 1)
	_, is := v.([]byte)
	return err == nil && is
}

// follows reports whether b stands right behind a, in the same memory.
func follows(a, b []byte) bool {
	return cap(a) > len(a) && len(b) > 0 && &a[:len(a)+1][len(a)] == &b[0]
}

func (p *Payload) decode() (args wamp.List, kwargs wamp.Dict, err error) {
	if p.opaque {
		return nil, nil, p.unsupported(p.codec)
	}
	e := p.codec.newElements()
	whole := p.codec.closeList(append(p.codec.openList(nil, p.count), p.raw...))
	if err := e.open(whole, p.depth, 0); err != nil || p.count == 0 {
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
	if err := p.unsupported(c); err != nil {
		return nil, err
	}
	if p.codec == c {
		return p, nil
	}
	form := &p.forms[index(c)]
	p.making.Lock() // once for all who want it
	defer p.making.Unlock()
	if o := form.Load(); o != nil {
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
	form.Store(o)
	return o, nil
}

// appendTo ends a message with the payload. One that is long it returns as it
// is, unless something must follow.
func (p *Payload) appendTo(b []byte) (head, long []byte) {
	if p.count > 0 {
		b = p.codec.appendNext(b)
		if end := p.codec.closeList(nil); len(p.raw) >= longBytes && len(end) == 0 {
			return b, p.raw
		}
		b = append(b, p.raw...)
	}
	return p.codec.closeList(b), nil
}
