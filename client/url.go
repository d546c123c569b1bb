package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Schemes describes the URLs of routers.
const Schemes = "unix:///PATH, tcp://HOST:PORT (or rs://) or ws://HOST[:PORT]/PATH"

// URLError says that a text is not the URL of a router.
type URLError struct{ URL, Why string }

// Error says the text, and what is wrong with it.
func (e *URLError) Error() string { return fmt.Sprintf("%s: %s", e.URL, e.Why) }

// place is where a router listens.
type place struct {
	url     string
	network string // of the net package
	address string
	web     bool // a websocket, else a rawsocket
}

// CheckURL says what is wrong with the URL of a router, in a *URLError.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (place, error) {
	p := place{url: text}
	wrong := func(format string, a ...any) (place, error) {
		return p, &URLError{text, fmt.Sprintf(format, a...)}
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("not a URL; a router has %s", Schemes)
	}
	switch {
	case slices.Contains([]string{"tcps", "rss", "wss", "https"}, u.Scheme):
		return wrong("%s is not supported yet", u.Scheme)
	case u.User != nil || u.Fragment != "":
		return wrong("neither a user nor a fragment belongs into the URL of a router")
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > math.MaxUint16) {
		return wrong("a port is from 1 to %d, got %s", math.MaxUint16, u.Port())
	}
	if strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") {
		return wrong("a host has one port, and an IPv6 address is in brackets")
	}
	switch u.Scheme {
	case "unix":
		if p.network, p.address = "unix", u.Path; u.Host != "" || u.Path == "" {
			return wrong("a socket is unix:///PATH, with three slashes")
		}
		return p, router.CheckSocketPath(p.address)
	case "tcp", "rs":
		p.network, p.address = "tcp", u.Host
		if u.Hostname() == "" || u.Port() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
			return wrong("a rawsocket is %s://HOST:PORT", u.Scheme)
		}
		return p, nil
	case "ws":
		if p.network, p.address, p.web = "tcp", u.Host, true; u.Hostname() == "" {
			return wrong("a websocket is ws://HOST[:PORT]/PATH")
		}
		if u.Port() == "" {
			p.address = net.JoinHostPort(u.Hostname(), "80")
		}
		return p, nil
	}
	return wrong("a router has %s", Schemes)
}

// DialURL joins realm on any WAMP router. Who serves a unix socket is checked
// only where a daemon of ours belongs: whoever names another knows whose it is.
func DialURL(ctx context.Context, url, realm, agent string, options ...session.Option) (*session.Session, error) {
	p, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	conn, err := p.connect(ctx, transport.CBOR)
	if err != nil {
		return nil, err
	}
	return session.JoinRealm(ctx, conn, realm, agent, options...)
}

func (p place) connect(ctx context.Context, codec transport.Codec) (*transport.Conn, error) {
	nc, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	ours := p.network == "unix" && (p.address == DefaultSocket() || p.address == SystemSocket)
	if ours {
		if err := checkServer(nc, p.address); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	if !p.web {
		return transport.Dial(nc, codec, limits())
	}
	conn, err := transport.DialWebsocket(ctx, nc, p.url, codec, limits())
	fault, isFault := errors.AsType[*wire.Error](err)
	switch {
	case err == nil || ctx.Err() != nil:
		return conn, err
	case isFault:
		return nil, wire.Errorf(fault.URI, "%s: %s", p.url, fault.Message())
	}
	return nil, &UnreachableError{URL: p.url, Cause: err}
}
