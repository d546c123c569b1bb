// Package transport carries WAMP messages between two ends of a connection:
// framing, serializers, limits and queues. Conn serves both ends; Peer is the
// form the router wants.
package transport

import (
	"errors"
	"fmt"
	"math"

	"github.com/gammazero/nexus/v3/wamp"
)

// fields lists where the elements of a message go, in the order of the WAMP
// specification, after its type. The last `optional` may be left out.
func fields(msg wamp.Message) (at []any, optional int) {
	switch m := msg.(type) {
	case *wamp.Hello:
		return []any{&m.Realm, &m.Details}, 0
	case *wamp.Welcome:
		return []any{&m.ID, &m.Details}, 0
	case *wamp.Abort:
		return []any{&m.Details, &m.Reason}, 0
	case *wamp.Challenge:
		return []any{&m.AuthMethod, &m.Extra}, 0
	case *wamp.Authenticate:
		return []any{&m.Signature, &m.Extra}, 0
	case *wamp.Goodbye:
		return []any{&m.Details, &m.Reason}, 0
	case *wamp.Error:
		return []any{&m.Type, &m.Request, &m.Details, &m.Error, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Publish:
		return []any{&m.Request, &m.Options, &m.Topic, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Published:
		return []any{&m.Request, &m.Publication}, 0
	case *wamp.Subscribe:
		return []any{&m.Request, &m.Options, &m.Topic}, 0
	case *wamp.Subscribed:
		return []any{&m.Request, &m.Subscription}, 0
	case *wamp.Unsubscribe:
		return []any{&m.Request, &m.Subscription}, 0
	case *wamp.Unsubscribed:
		return []any{&m.Request}, 0
	case *wamp.Event:
		return []any{&m.Subscription, &m.Publication, &m.Details, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Call:
		return []any{&m.Request, &m.Options, &m.Procedure, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Cancel:
		return []any{&m.Request, &m.Options}, 0
	case *wamp.Result:
		return []any{&m.Request, &m.Details, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Register:
		return []any{&m.Request, &m.Options, &m.Procedure}, 0
	case *wamp.Registered:
		return []any{&m.Request, &m.Registration}, 0
	case *wamp.Unregister:
		return []any{&m.Request, &m.Registration}, 0
	case *wamp.Unregistered:
		return []any{&m.Request}, 0
	case *wamp.Invocation:
		return []any{&m.Request, &m.Registration, &m.Details, &m.Arguments, &m.ArgumentsKw}, 2
	case *wamp.Interrupt:
		return []any{&m.Request, &m.Options}, 0
	case *wamp.Yield:
		return []any{&m.Request, &m.Options, &m.Arguments, &m.ArgumentsKw}, 2
	}
	return nil, 0
}

// encode adds the bytes of msg to b.
func encode(c Codec, b []byte, msg wamp.Message) ([]byte, error) {
	at, optional := fields(msg)
	if at == nil {
		return nil, fmt.Errorf("not a WAMP message: %T", msg)
	}
	for ; optional > 0 && isEmpty(at[len(at)-1]); optional-- {
		at = at[:len(at)-1]
	}
	elements := make([]any, 1, len(at)+1)
	elements[0] = int64(msg.MessageType())
	for _, p := range at {
		elements = append(elements, element(p))
	}
	return c.Append(b, elements)
}

// ComplexError says that a message is more than the other end decodes, though
// it is not too long: it would end the whole session there.
type ComplexError struct{ Why error }

func (e *ComplexError) Error() string { return fmt.Sprintf("a message cannot be sent: %v", e.Why) }

// sendable refuses what decode refuses.
func sendable(msg wamp.Message, depth int) error {
	at, _ := fields(msg)
	values := len(at)
	for _, p := range at {
		var err error
		switch p := p.(type) {
		case *wamp.List:
			err = measure([]any(*p), depth, &values)
		case *wamp.Dict:
			err = measure(map[string]any(*p), depth, &values)
		}
		if err == errDepth {
			err = fmt.Errorf("%w: more than %d levels", err, depth)
		}
		if err != nil {
			return &ComplexError{err}
		}
	}
	return nil
}

func measure(v any, depth int, values *int) error {
	if *values++; *values > maxValues {
		return errMany
	}
	switch v := plain(v).(type) {
	case []any:
		if depth <= 0 {
			return errDepth
		}
		for _, e := range v {
			if err := measure(e, depth-1, values); err != nil {
				return err
			}
		}
	case map[string]any:
		if depth <= 0 {
			return errDepth
		}
		*values += len(v)
		for _, e := range v {
			if err := measure(e, depth-1, values); err != nil {
				return err
			}
		}
	}
	return nil
}

func isEmpty(p any) bool {
	switch p := p.(type) {
	case *wamp.List:
		return len(*p) == 0
	case *wamp.Dict:
		return len(*p) == 0
	}
	return false
}

func element(p any) any {
	switch p := p.(type) {
	case *wamp.ID:
		return int64(*p)
	case *wamp.MessageType:
		return int64(*p)
	case *wamp.URI:
		return string(*p)
	case *string:
		return *p
	case *wamp.List:
		return append([]any{}, *p...)
	case *wamp.Dict:
		if *p == nil {
			return map[string]any{} // an empty dict, never null
		}
		return map[string]any(*p)
	}
	return nil
}

// decode reads one message, strictly: right type, right number of elements,
// each of the right type. A dict may be null.
func decode(c Codec, data []byte, depth int) (wamp.Message, error) {
	v, err := c.Decode(data, depth+1) // the message itself is a list
	if err != nil {
		return nil, err
	}
	elements, ok := v.([]any)
	if !ok || len(elements) == 0 {
		return nil, errors.New("a WAMP message is a list")
	}
	code, ok := elements[0].(int64)
	if !ok || code < 0 || code > math.MaxUint8 {
		return nil, fmt.Errorf("unknown message type %v", elements[0])
	}
	msg := wamp.NewMessage(wamp.MessageType(code))
	if msg == nil {
		return nil, fmt.Errorf("unknown message type %d", code)
	}
	at, optional := fields(msg)
	name, elements := msg.MessageType(), elements[1:]
	if len(elements) > len(at) || len(elements) < len(at)-optional {
		return nil, fmt.Errorf("%s with %d elements", name, len(elements)+1)
	}
	for i, e := range elements {
		if !assign(at[i], e) {
			return nil, fmt.Errorf("element %d of %s has the wrong type", i+1, name)
		}
	}
	return msg, nil
}

// maxID is the largest WAMP id, 2^53 (WAMP specification, section "IDs").
const maxID = 1 << 53

func assign(p, v any) bool {
	switch p := p.(type) {
	case *wamp.ID:
		i, ok := v.(int64)
		if !ok || i < 0 || i > maxID {
			return false
		}
		*p = wamp.ID(i)
	case *wamp.MessageType:
		i, ok := v.(int64)
		if !ok || i < 0 || i > math.MaxUint8 {
			return false
		}
		*p = wamp.MessageType(i)
	case *wamp.URI:
		s, ok := v.(string)
		*p = wamp.URI(s)
		return ok
	case *string:
		s, ok := v.(string)
		*p = s
		return ok
	case *wamp.List:
		l, ok := v.([]any)
		*p = l
		return ok || v == nil
	case *wamp.Dict:
		d, ok := v.(map[string]any)
		if d == nil {
			d = map[string]any{} // nexus writes into some of them
		}
		*p = d
		return ok || v == nil
	}
	return true
}
