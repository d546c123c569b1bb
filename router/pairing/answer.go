package pairing

import (
	"context"
	"fmt"
	"io"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

// attempt is one exchange at the window that showed the secret.
type attempt struct {
	peer ID
	from string // the address it came from, for the owner

	secret Secret
	codes  int // that had been shown when it began

	name string
	tags *cpace.Tags
	tag  []byte // that the peer sent
}

// Answer is the exchange of the machine that showed the secret, with whoever
// came over c from an address. It returns nil if that machine is paired and has
// been told. The other machine learns no more of a failure than ErrClosed or
// ErrRefused say.
func (w *Window) Answer(ctx context.Context, c *Channel, from string) error {
	defer w.tell() // when the peer has had its answer: the owner may be slow
	ctx, done := c.within(ctx)
	defer done()
	t, err := w.hearOut(c, from)
	if err == nil {
		err = w.judge(ctx, t)
	}
	if err != nil {
		c.refuse(err)
		return explain(ctx, err)
	}
	return explain(ctx, c.send(proof{Tag: t.tags.Own()}))
}

// Closed answers where there is no window: as a window that has closed does.
// Its error is about the connection only.
func Closed(ctx context.Context, c *Channel) error {
	_, done := c.within(ctx)
	defer done()
	if _, err := c.awaitHello(); err != nil {
		c.refuse(err)
		return err
	}
	return c.send(refusal{refusedClosed})
}

// hearOut takes the exchange as far as the peer's tag.
func (w *Window) hearOut(c *Channel, from string) (*attempt, error) {
	h, err := c.awaitHello()
	if err != nil {
		return nil, err
	}
	t, err := w.begin(h.By)
	if err != nil {
		return nil, err
	}
	t.peer, t.from = c.Peer, from
	nonce := make([]byte, nonceBytes)
	if _, err := io.ReadFull(w.opts.Rand, nonce); err != nil {
		return nil, fmt.Errorf("random bytes: %v", err)
	}
	if err := c.send(welcome{Nonce: nonce}); err != nil {
		return nil, err
	}
	run, err := c.start(cpace.Responder, t.secret, h.Nonce, nonce)
	if err != nil {
		return nil, err
	}
	return t, w.exchange(c, run, t)
}

func (c *Channel) awaitHello() (hello, error) {
	var h hello
	if err := c.receive(&h); err != nil {
		return h, err
	}
	if h.V != version || len(h.Nonce) != nonceBytes || h.By != byCode && h.By != byToken {
		return h, errMalformed
	}
	return h, nil
}

// exchange swaps the shares and waits for the peer's tag.
func (w *Window) exchange(c *Channel, run *cpace.Exchange, t *attempt) error {
	var said share
	if err := c.receive(&said); err != nil {
		return err
	}
	theirs, err := parseIntroduction(said.AD)
	if err != nil {
		return err
	}
	t.name = theirs.Name
	if t.tags, err = run.Finish(w.ad, said.Y, said.AD); err != nil {
		return err
	}
	if err := c.send(share{Y: run.Public(), AD: w.ad}); err != nil {
		return err
	}
	var p proof
	if err := c.receive(&p); err != nil {
		return err
	}
	if len(p.Tag) != cpace.TagBytes { // no guess: nothing is learnt from it
		return errMalformed
	}
	t.tag = p.Tag
	return nil
}
