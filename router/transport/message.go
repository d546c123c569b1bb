// Package transport carries WAMP messages between two ends of a connection:
// framing, serializers, limits and queues. Conn serves both ends; Peer is the
// form the router wants.
package transport

import (
	"fmt"

	"github.com/gammazero/nexus/v3/wamp"
)

// maxElements is how many elements a message has after its type, at most.
const maxElements = 6

// fields says where the elements of a message go, in the order of the WAMP
// specification, after its type. The last `optional` may be left out: they are
// the arguments. n is -1 for what is no message.
func fields(msg wamp.Message, at *[maxElements]any) (n, optional int) {
	switch m := msg.(type) {
	case *wamp.Hello:
		*at = [maxElements]any{&m.Realm, &m.Details}
		return 2, 0
	case *wamp.Welcome:
		*at = [maxElements]any{&m.ID, &m.Details}
		return 2, 0
	case *wamp.Abort:
		*at = [maxElements]any{&m.Details, &m.Reason}
		return 2, 0
	case *wamp.Challenge:
		*at = [maxElements]any{&m.AuthMethod, &m.Extra}
		return 2, 0
	case *wamp.Authenticate:
		*at = [maxElements]any{&m.Signature, &m.Extra}
		return 2, 0
	case *wamp.Goodbye:
		*at = [maxElements]any{&m.Details, &m.Reason}
		return 2, 0
	case *wamp.Error:
		*at = [maxElements]any{&m.Type, &m.Request, &m.Details, &m.Error, &m.Arguments, &m.ArgumentsKw}
		return 6, 2
	case *wamp.Publish:
		*at = [maxElements]any{&m.Request, &m.Options, &m.Topic, &m.Arguments, &m.ArgumentsKw}
		return 5, 2
	case *wamp.Published:
		*at = [maxElements]any{&m.Request, &m.Publication}
		return 2, 0
	case *wamp.Subscribe:
		*at = [maxElements]any{&m.Request, &m.Options, &m.Topic}
		return 3, 0
	case *wamp.Subscribed:
		*at = [maxElements]any{&m.Request, &m.Subscription}
		return 2, 0
	case *wamp.Unsubscribe:
		*at = [maxElements]any{&m.Request, &m.Subscription}
		return 2, 0
	case *wamp.Unsubscribed:
		*at = [maxElements]any{&m.Request}
		return 1, 0
	case *wamp.Event:
		*at = [maxElements]any{&m.Subscription, &m.Publication, &m.Details, &m.Arguments, &m.ArgumentsKw}
		return 5, 2
	case *wamp.Call:
		*at = [maxElements]any{&m.Request, &m.Options, &m.Procedure, &m.Arguments, &m.ArgumentsKw}
		return 5, 2
	case *wamp.Cancel:
		*at = [maxElements]any{&m.Request, &m.Options}
		return 2, 0
	case *wamp.Result:
		*at = [maxElements]any{&m.Request, &m.Details, &m.Arguments, &m.ArgumentsKw}
		return 4, 2
	case *wamp.Register:
		*at = [maxElements]any{&m.Request, &m.Options, &m.Procedure}
		return 3, 0
	case *wamp.Registered:
		*at = [maxElements]any{&m.Request, &m.Registration}
		return 2, 0
	case *wamp.Unregister:
		*at = [maxElements]any{&m.Request, &m.Registration}
		return 2, 0
	case *wamp.Unregistered:
		*at = [maxElements]any{&m.Request}
		return 1, 0
	case *wamp.Invocation:
		*at = [maxElements]any{&m.Request, &m.Registration, &m.Details, &m.Arguments, &m.ArgumentsKw}
		return 5, 2
	case *wamp.Interrupt:
		*at = [maxElements]any{&m.Request, &m.Options}
		return 2, 0
	case *wamp.Yield:
		*at = [maxElements]any{&m.Request, &m.Options, &m.Arguments, &m.ArgumentsKw}
		return 4, 2
	}
	return -1, 0
}

// encode adds the bytes of msg to b. A long payload at its end is returned as
// it is instead: nobody may write to it.
func encode(c Codec, b []byte, msg wamp.Message) (head, long []byte, err error) {
	if m, ok := msg.(*Event); ok {
		return encodeEvent(c, b, m)
	}
	var at [maxElements]any
	n, optional := fields(msg, &at)
	if n < 0 {
		return nil, nil, fmt.Errorf("not a WAMP message: %T", msg)
	}
	if optional > 0 {
		if p := payloadOf(*at[n-optional].(*wamp.List)); p != nil {
			return encodeWith(c, b, msg, at[:n-optional], p)
		}
	}
	for ; optional > 0 && isEmpty(at[n-1]); optional-- {
		n--
	}
	b, err = encodeHead(c, b, msg, at[:n], n)
	return c.closeList(b), nil, err
}

// encodeHead adds the elements at, of n in all after the type of msg.
func encodeHead(c Codec, b []byte, msg wamp.Message, at []any, n int) ([]byte, error) {
	b = c.appendInt(c.openList(b, n+1), int64(msg.MessageType()))
	var err error
	for _, p := range at {
		b = c.appendNext(b)
		switch p := p.(type) {
		case *wamp.ID:
			b = c.appendInt(b, int64(*p))
		case *wamp.MessageType:
			b = c.appendInt(b, int64(*p))
		case *wamp.URI:
			b = c.appendText(b, string(*p))
		case *string:
			b = c.appendText(b, *p)
		case *wamp.List:
			b, err = c.Append(b, []any(*p))
		case *wamp.Dict:
			b, err = c.Append(b, map[string]any(*p))
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// encodeWith adds a message whose arguments are p.
func encodeWith(c Codec, b []byte, msg wamp.Message, at []any, p *Payload) (head, long []byte, err error) {
	if p, err = p.in(c); err != nil {
		return nil, nil, err
	}
	if b, err = encodeHead(c, b, msg, at, len(at)+p.count); err != nil {
		return nil, nil, err
	}
	head, long = p.appendTo(b)
	return head, long, nil
}

// ComplexError says that a message is more than the other end decodes, though
// it is not too long: it would end the whole session there.
type ComplexError struct{ Why error }

// Error says what the other end would not decode.
func (e *ComplexError) Error() string { return fmt.Sprintf("a message cannot be sent: %v", e.Why) }

// sendable refuses what decode refuses.
func sendable(msg wamp.Message, depth int) error {
	var at [maxElements]any
	n, _ := fields(msg, &at)
	values := n
	for _, p := range at[:max(n, 0)] {
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
	if *values++; *values > maxValues-spareValues {
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
