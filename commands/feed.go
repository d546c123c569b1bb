package commands

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/deskconn/dconn/router/session"
)

// feed publishes the lines of an input: publish --lines.
//
// Only every receiptEvery-th event asks for an acknowledgment, and the last one
// before the input pauses or ends: it vouches for those before it.
type feed struct {
	*publishOptions

	session *session.Session
	lines   *lineReader
	held    *event // read, and sent once it is known whether another follows
	unsaid  int    // sent since the last receipt was asked for
	receipt *session.Receipt
	counter counter
	bad     int // lines that could not be sent
}

type event struct {
	line   int
	args   []any
	kwargs map[string]any
}

const receiptEvery = 256

func runFeed(ctx context.Context, o *publishOptions) error {
	input, s, err := o.byLines(ctx, o.streams, &o.target)
	if err != nil {
		return err
	}
	defer leave(s)
	f := &feed{publishOptions: o, session: s, lines: input, counter: counter{to: o.streams}}
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	select {
	case err = <-ended:
		return err
	case <-s.Done(): // while stdin says nothing
		return s.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *feed) run(ctx context.Context) error {
	defer f.counter.clear()
	for {
		if f.lines.idle() {
			if err := f.send(ctx, true); err != nil {
				return err
			}
		}
		e, err := f.next()
		if err != nil {
			return f.end(ctx, err)
		}
		if err := f.send(ctx, f.unsaid >= receiptEvery); err != nil {
			return err
		}
		f.held = e
	}
}

// next reads the next event. A line that is none is said and counted.
func (f *feed) next() (*event, error) {
	for {
		line, err := f.lines.next()
		if err != nil {
			return nil, err
		}
		if f.jsonLines && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		e := &event{line: f.lines.number}
		if f.jsonLines {
			e.args, e.kwargs, err = f.lines.parse(line)
		} else {
			e.args = make([]any, 1)
			if e.args[0], err = f.word(string(line)); err != nil {
				err = e.wrong(err)
			}
		}
		if err == nil {
			return e, nil
		}
		f.refuse(err)
	}
}

func (f *feed) refuse(err error) {
	f.bad++
	f.say("%s", explain(err, "").Message)
}

// wrong names the line of e in err.
func (e *event) wrong(err error) error {
	return usage("line %d: %s", e.line, explain(err, "").Message)
}

// send publishes the event that was held back, if one was.
func (f *feed) send(ctx context.Context, receipt bool) error {
	e := f.held
	if e == nil {
		return nil
	}
	f.held = nil
	f.counter.add()
	var err error
	if receipt && !f.noAck {
		err = f.acknowledged(ctx, e)
	} else {
		f.unsaid++
		err = f.session.Publish(ctx, f.uri, e.args, e.kwargs, false)
	}
	if unsendable(err) {
		f.refuse(e.wrong(err))
		return nil
	}
	return err
}

// acknowledged asks for a receipt, once the one before has come: the router is
// never more than two rounds behind.
func (f *feed) acknowledged(ctx context.Context, e *event) error {
	if err := f.await(ctx); err != nil {
		return err
	}
	receipt, err := f.session.PublishAcknowledged(ctx, f.uri, e.args, e.kwargs)
	if err == nil {
		f.receipt, f.unsaid = &receipt, 0
	}
	return err
}

func (f *feed) await(ctx context.Context) error {
	if f.receipt == nil {
		return nil
	}
	ctx, cancel := within(ctx, time.Duration(f.wait))
	defer cancel()
	_, err := f.receipt.Wait(ctx)
	f.receipt = nil
	return err
}

// end sends what is left, and says what could not be sent.
func (f *feed) end(ctx context.Context, why error) error {
	if err := f.send(ctx, true); err != nil {
		return err
	}
	if err := f.await(ctx); err != nil {
		return err
	}
	switch {
	case !errors.Is(why, io.EOF):
		return why
	case f.bad > 0:
		return usage("%d of %d lines could not be sent", f.bad, f.lines.number)
	}
	return nil
}
