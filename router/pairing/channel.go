package pairing

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

// exchangeTime is what an exchange may take where a Channel does not say.
const exchangeTime = 5 * time.Second

// Channel is what an exchange needs of a TLS connection. The caller closes the
// connection.
type Channel struct {
	Conn interface {
		io.ReadWriter
		SetDeadline(time.Time) error
	}
	Binding   [32]byte      // tls-exporter of RFC 9266
	Own, Peer ID            // as they were shown in the TLS handshake
	Deadline  time.Duration // of an exchange, from its start to its end; 0 is 5 s
}

// NewChannel takes a connection whose handshake is complete: TLS 1.3 with
// Protocol, in which the other side has shown exactly one certificate. own is
// the ID of the certificate shown by this side, which crypto/tls does not tell;
// were it another one, no exchange would succeed.
func NewChannel(conn *tls.Conn, own ID) (*Channel, error) {
	s := conn.ConnectionState()
	switch {
	case !s.HandshakeComplete:
		return nil, errors.New("the TLS handshake is not complete")
	case s.Version != tls.VersionTLS13:
		return nil, fmt.Errorf("pairing needs TLS 1.3, got %s", tls.VersionName(s.Version))
	case s.NegotiatedProtocol != Protocol:
		return nil, fmt.Errorf("pairing needs ALPN %s, got %q", Protocol, s.NegotiatedProtocol)
	case len(s.PeerCertificates) != 1:
		return nil, fmt.Errorf("pairing needs one certificate of the other side, got %d", len(s.PeerCertificates))
	}
	c := &Channel{Conn: conn, Own: own, Peer: sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)}
	if c.Peer == own {
		return nil, errors.New("the other side has the key of this machine: it is this machine, or a copy of its disk")
	}
	binding, err := s.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, len(c.Binding))
	if err != nil {
		return nil, fmt.Errorf("channel binding: %v", err)
	}
	copy(c.Binding[:], binding)
	return c, nil
}

// within bounds an exchange by ctx and the channel's deadline, until done.
func (c *Channel) within(ctx context.Context) (_ context.Context, done func()) {
	limit := c.Deadline
	if limit <= 0 {
		limit = exchangeTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.SetDeadline(time.Unix(1, 0)) })
	return ctx, func() { stop(); cancel() }
}

// start begins a run of CPace. The sid has one form, since all its parts have
// fixed lengths.
func (c *Channel) start(role cpace.Role, s Secret, nonceA, nonceB []byte) (*cpace.Exchange, error) {
	a, b := c.Own, c.Peer
	if role == cpace.Responder {
		a, b = b, a
	}
	ci := cpace.LVCat([]byte(label), []byte("A"), a[:], []byte("B"), b[:])
	return cpace.Start(role, s.prs, ci, slices.Concat([]byte(label), c.Binding[:], nonceA, nonceB))
}

// explain says what ended an exchange: ErrClosed, or ErrRefused with what is
// known here of the cause. Nothing of it goes to the other side.
func explain(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrClosed), err == ErrRefused:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrRefused, ctx.Err())
	}
	return fmt.Errorf("%w: %v", ErrRefused, err)
}
