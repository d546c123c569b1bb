package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/deskconn/dconn/router/session"
)

// batch is one run of call --lines.
type batch struct {
	*callOptions

	session *session.Session
	lines   *lineReader
	order   chan *lineCall // of the calls under way; closed after the last
	readErr error          // why it was the last, once order is closed
	counter counter
	last    int // line that was called
	failed  int
	worst   *failure
}

// lineCall is the call that one line asks for.
type lineCall struct {
	line   int
	args   []any
	kwargs map[string]any
	result session.Result
	err    error
	bad    bool // the line is no call: err says so, with its number
	done   chan struct{}
}

func runBatch(ctx context.Context, o *callOptions) error {
	input, s, err := o.byLines(ctx, o.streams, &o.target)
	if err != nil {
		return err
	}
	defer leave(s)
	b := &batch{
		callOptions: o, session: s, lines: input, counter: counter{to: o.streams},
		order: make(chan *lineCall, o.parallel-1),
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	return o.spooled(stop, func() error { return b.run(ctx) })
}

// run prints the outcome of each call, in the order of the lines.
func (b *batch) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer b.counter.clear()
	go b.start(ctx)
	for {
		select {
		case c, open := <-b.order:
			if !open {
				return b.end(b.readErr)
			}
			<-c.done
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := b.show(c); err != nil {
				return err
			}
		case <-b.session.Done(): // while stdin says nothing
			if len(b.order) == 0 {
				return b.end(b.session.Err())
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// start reads lines and starts their calls, as many at once as fit into order
// and one that is waited for.
func (b *batch) start(ctx context.Context) {
	defer close(b.order)
	for {
		c, err := b.next()
		if err == nil && b.session.Err() != nil {
			err = b.session.Err()
		}
		if err != nil {
			b.readErr = err
			return
		}
		select {
		case b.order <- c:
			go b.perform(ctx, c)
		case <-ctx.Done():
			return
		}
	}
}

// next reads the line of a call; one that is blank is none.
func (b *batch) next() (*lineCall, error) {
	for {
		line, err := b.lines.next()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		c := &lineCall{line: b.lines.number, done: make(chan struct{})}
		if c.args, c.kwargs, err = b.lines.parse(line); err != nil {
			c.err, c.bad = err, true
		}
		return c, nil
	}
}

func (b *batch) perform(ctx context.Context, c *lineCall) {
	defer close(c.done)
	if c.bad {
		return
	}
	ctx, cancel := within(ctx, time.Duration(b.wait))
	defer cancel()
	c.result, c.err = b.session.Call(ctx, b.uri, c.args, c.kwargs)
}

// show prints the outcome of one call.
func (b *batch) show(c *lineCall) error {
	b.counter.add()
	b.last = c.line
	if c.err == nil {
		return b.printResult(c.result, false)
	}
	f := b.judge(c.err)
	if f.Code != exitOK {
		b.failed++
		if b.worst == nil || f.Code > b.worst.Code {
			b.worst = f
		}
	}
	if b.machine() {
		return b.output.failure(f)
	}
	switch {
	case c.bad:
		b.say("%s", f.Message)
	case f.Code != exitOK:
		b.say("line %d: %s", c.line, f.Message)
	}
	return nil
}

// end is the end of a batch: whatever ended it, and how its calls fared.
func (b *batch) end(err error) error {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		f := explain(err, b.uri)
		f.Message += fmt.Sprintf("; lines after line %d were not called", b.last)
		if b.worst != nil {
			f.Code = max(f.Code, b.worst.Code)
		}
		return f
	}
	if b.worst == nil {
		return nil
	}
	last := *b.worst
	last.Message = fmt.Sprintf("%d of %d calls failed, one of them: %s", b.failed, b.counter.n, b.worst.Message)
	return &last
}
