package router

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// web is what browsers agree on in TLS.
const web = "http/1.1"

// nothing is a protocol that nobody can ask for: RFC 7301 section 3.1 wants one
// byte at least. Who has to agree on it is refused with no_application_protocol.
const nothing = ""

// agreed is what a client that offers such protocols (ALPN, RFC 7301) speaks here,
// and whether it has to show a certificate. Ours are spoken alone: who offers one
// beside others could be made to speak another than it thinks.
func agreed(offered []string) (protocol string, mutual bool) {
	ours := func(p string) bool { return p == wire.ALPN || p == wire.ALPNPair }
	switch {
	case len(offered) == 1 && ours(offered[0]):
		return offered[0], true
	case slices.ContainsFunc(offered, ours):
		return nothing, false
	case len(offered) == 0 || slices.Contains(offered, web):
		return web, false
	}
	return nothing, false
}

// tlsConfig is the one of the TCP port. What is spoken decides what a handshake
// asks for. Dates of certificates do not matter: nobody's chain is verified, only
// that the peer has the key.
func (r *Router) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			protocol, mutual := agreed(hello.SupportedProtos)
			cfg := &tls.Config{
				MinVersion:                  tls.VersionTLS13,
				Certificates:                []tls.Certificate{*r.opts.Certificate},
				NextProtos:                  []string{protocol},
				SessionTicketsDisabled:      true,
				DynamicRecordSizingDisabled: true, // it is for pages
			}
			if mutual {
				cfg.ClientAuth = tls.RequireAnyClientCert
				cfg.VerifyConnection = oneKeyOfOurs // before the signature is verified
			}
			return cfg, nil
		},
	}
}

// oneKeyOfOurs refuses a chain: whose key the peer has is never in doubt. It refuses
// any key but P-256 too, which is the only kind that dconn makes: to verify a
// signature with a large RSA key is a lot of work for a peer that has proved nothing.
func oneKeyOfOurs(state tls.ConnectionState) error {
	if n := len(state.PeerCertificates); n != 1 {
		return fmt.Errorf("one certificate is expected, got %d", n)
	}
	if key, ok := state.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return fmt.Errorf("a certificate with a P-256 key is expected, got one with %s", keyKind(state.PeerCertificates[0]))
	}
	return nil
}

func keyKind(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", key.N.BitLen())
	}
	return cert.PublicKeyAlgorithm.String()
}

// accessDenied is the TLS alert of that name, RFC 8446 section 6, before a
// ServerHello.
var accessDenied = []byte{0x15, 3, 3, 0, 2, 2, 49}

// receiveTLS shakes hands, and goes on with what was agreed.
func (r *Router) receiveTLS(v *visitor, a *account) (*transport.Conn, error) {
	switch {
	case r.opts.Certificate == nil:
		return nil, errors.New("a TLS handshake, which is not spoken here")
	case v.barred != nil && !v.origin.reserved: // it may be a device that is paired, beside others
		_ = v.nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := v.nc.Write(accessDenied)
		return nil, errors.Join(v.barred, err)
	}
	tc := transport.TLSServer(v.nc, r.tlsConfig(), 2*r.opts.Door.Bytes)
	if err := tc.Handshake(); err != nil { // as long as the door is patient
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	v.stream = tc
	v.speaksUp()
	switch state := tc.ConnectionState(); state.NegotiatedProtocol {
	case wire.ALPN:
		return r.converse(v, a, speaksRawsocket, r.recognise(v, a, state))
	case wire.ALPNPair:
		return nil, r.pair(v, tc)
	case web, "":
		return r.converse(v, a, speaksHTTP, r.nobody())
	default:
		return nil, fmt.Errorf("TLS handshake: %q was agreed on, which is not spoken here", state.NegotiatedProtocol)
	}
}

// overTLS reports whether the visitor has shaken hands.
func (v *visitor) overTLS() bool { return v.stream != v.nc }

// recognise names the device at the other end, and says why it may not come in. Who
// comes back confirms by that what a pairing gives.
func (r *Router) recognise(v *visitor, a *account, state tls.ConnectionState) error {
	id := trust.IDOf(state.PeerCertificates[0])
	a.identify(Identity{AuthID: id.String(), Role: roleDevice, Method: wire.AuthTLS, Device: id})
	if _, known := r.devices.find(id); !known {
		return wire.Errorf(wire.ErrAuthentication, "this machine is not paired here")
	}
	v.vouched()
	r.holdingsOf(id).share.Greets(r.opts.Transport.Pace)
	if most := r.opts.Session.PerDevice; r.ledger.countOf(id) > most {
		return over(limitDevice, "this device has %d sessions already", most)
	}
	if err := r.devices.met(id, v.addr); err != nil {
		return wire.Errorf(wire.ErrUnavailable, "the pairing cannot be noted here: try again")
	}
	return nil
}

// pair runs the exchange with whoever wants to be paired, who keeps the place at the
// door meanwhile.
func (r *Router) pair(v *visitor, tc *tls.Conn) error {
	if r.devices.store == nil || v.barred != nil {
		return errors.New("pairing, which is not open here")
	}
	ctx, cancel := context.WithCancel(r.closed)
	defer cancel()
	v.speaks(func(*wire.Error) { cancel(); _ = v.nc.Close() })
	defer func() { _ = tc.Close() }()
	if err := r.answerPairing(ctx, tc, remote(v.nc).String()); err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	return errors.New("the pairing is over")
}
