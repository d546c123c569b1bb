package transport

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/gammazero/nexus/v3/wamp"
)

// decoder reads the messages of one connection.
type decoder struct {
	codec    Codec
	elements elements
	depth    int
	packed   bool // arguments stay a Payload
	values   int  // that a message may hold, 0 for maxValues
}

// errUnknownType is the error of a well-formed message of an unknown type. Its
// receiver ignores it: the peer may speak a newer WAMP.
var errUnknownType = errors.New("unknown message type")

// decode reads one message. The frame is checked strictly: right type, elements of the
// right types, none missing. A dict may be null. Elements that follow the known ones
// are checked and ignored. Where own, a payload may keep data.
func (d *decoder) decode(data []byte, own bool) (wamp.Message, error) {
	e := d.elements
	defer e.close()
	spare := maxValues - cmp.Or(d.values, maxValues)
	if d.packed {
		spare += spareValues
	}
	if err := e.open(data, d.depth, spare); err != nil {
		return nil, err
	}
	code, err := e.integer()
	if err != nil || code < 0 {
		return nil, errors.New("a WAMP message begins with its type")
	}
	var msg wamp.Message
	if code <= math.MaxUint8 {
		msg = wamp.NewMessage(wamp.MessageType(code))
	}
	if msg == nil {
		if err := skipRest(e); err != nil {
			return nil, fmt.Errorf("a message of unknown type: %w", err)
		}
		return nil, errUnknownType
	}
	if err = d.fill(msg, len(data), own); err == nil {
		if err = readReason(e, msg); err == nil {
			err = skipRest(e)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", msg.MessageType(), err)
		}
	}
	if err != nil {
		return nil, err
	}
	return msg, nil
}

// fill reads the elements of msg, which has size bytes.
func (d *decoder) fill(msg wamp.Message, size int, own bool) error {
	e := d.elements
	var at [maxElements]any
	n, optional := fields(msg, &at)
	for i, p := range at[:n] {
		var err error
		if d.packed && i == n-optional {
			if *p.(*wamp.List), err = d.payload(size, own); err != nil {
				return fmt.Errorf("the arguments of %s: %w", msg.MessageType(), err)
			}
			break
		}
		more, err := e.more()
		if err == nil && !more {
			if i < n-optional {
				return fmt.Errorf("%s with %d elements", msg.MessageType(), i+1)
			}
			break
		}
		if err == nil {
			err = read(e, p)
		}
		if err != nil {
			return fmt.Errorf("element %d of %s: %w", i+1, msg.MessageType(), err)
		}
	}
	return nil
}

// readReason reads the arguments that ABORT and GOODBYE may have (WAMP specification,
// section "Session Close"). nexus has no field for them: a first text becomes the
// message in the details, if there is none.
func readReason(e elements, msg wamp.Message) error {
	var details wamp.Dict
	switch m := msg.(type) {
	case *wamp.Abort:
		details = m.Details
	case *wamp.Goodbye:
		details = m.Details
	default:
		return nil
	}
	if more, err := e.more(); err != nil || !more {
		return err
	}
	v, err := e.value()
	if err != nil {
		return err
	}
	if args, _ := v.([]any); len(args) > 0 && details["message"] == nil {
		if text, isText := args[0].(string); isText {
			details["message"] = text
		}
	}
	return nil
}

// skipRest checks the elements that are left, and that the message ends with them.
func skipRest(e elements) error {
	for {
		more, err := e.more()
		if err != nil || !more {
			return err
		}
		if err := e.skip(); err != nil {
			return err
		}
	}
}

// maxID is the largest WAMP id, 2^53 (WAMP specification, section "IDs").
const maxID = 1 << 53

// read reads the next element to where p points.
func read(e elements, p any) error {
	var err error
	switch p := p.(type) {
	case *wamp.ID:
		var i int64
		if i, err = e.integer(); i < 0 || i > maxID {
			return fmt.Errorf("an id is from 0 to 2^53, got %d", i)
		}
		*p = wamp.ID(i)
	case *wamp.MessageType:
		var i int64
		if i, err = e.integer(); i < 0 || i > math.MaxUint8 {
			return fmt.Errorf("unknown message type %d", i)
		}
		*p = wamp.MessageType(i)
	case *wamp.URI:
		var s string
		s, err = e.text()
		*p = wamp.URI(s)
	case *string:
		*p, err = e.text()
	case *wamp.List:
		var v any
		v, err = e.value()
		if b, isBytes := v.([]byte); isBytes { // a payload that the router did not look into
			*p = wamp.List{b}
		} else if v != nil {
			*p, err = as[[]any](v, err)
		}
	case *wamp.Dict:
		var v any
		if v, err = e.value(); v != nil {
			*p, err = as[map[string]any](v, err)
		} else {
			*p = wamp.Dict{} // nexus writes into some of them
		}
	}
	return err
}
