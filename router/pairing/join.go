package pairing

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

// Join is the exchange of the machine at which the secret was typed. It says
// own and returns what the other machine said, once that machine has granted
// and both have confirmed everything. The errors are ErrClosed, ErrRefused,
// ErrIdentity, or about own.
func Join(ctx context.Context, c *Channel, s Secret, own Introduction) (Introduction, error) {
	if len(s.prs) == 0 {
		return Introduction{}, errors.New("pairing needs a code or a token")
	}
	if p, ok := s.Place(); ok && p.Peer != c.Peer {
		return Introduction{}, ErrIdentity
	}
	ad, err := own.encode()
	if err != nil {
		return Introduction{}, err
	}
	ctx, done := c.within(ctx)
	defer done()
	theirs, err := c.join(s, ad)
	if err != nil {
		return Introduction{}, explain(ctx, err)
	}
	return theirs, nil
}

func (c *Channel) join(s Secret, ad []byte) (theirs Introduction, err error) {
	run, err := c.greet(s)
	if err != nil {
		return theirs, err
	}
	if err := c.send(share{Y: run.Public(), AD: ad}); err != nil {
		return theirs, err
	}
	var said share
	if err := c.hear(&said); err != nil {
		return theirs, err
	}
	// before the tag is sent: what B says must not fail once B has granted
	if theirs, err = parseIntroduction(said.AD); err != nil {
		return theirs, err
	}
	tags, err := run.Finish(ad, said.Y, said.AD)
	if err != nil {
		return theirs, err
	}
	if err := c.send(proof{Tag: tags.Own()}); err != nil {
		return theirs, err
	}
	var confirmed proof
	if err := c.hear(&confirmed); err != nil {
		return theirs, err
	}
	return theirs, tags.Verify(confirmed.Tag)
}

// greet exchanges the nonces.
func (c *Channel) greet(s Secret) (*cpace.Exchange, error) {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce) // never fails
	if err := c.send(hello{V: version, Nonce: nonce, By: s.by}); err != nil {
		return nil, err
	}
	var w welcome
	if err := c.hear(&w); err != nil {
		return nil, err
	}
	if len(w.Nonce) != nonceBytes {
		return nil, errMalformed
	}
	return c.start(cpace.Initiator, s, nonce, w.Nonce)
}
