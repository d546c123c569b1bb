// Package wire holds what both ends of a connection must agree on: the realm,
// the names of our procedures, and the errors that cross the wire.
package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// Realm is the only WAMP realm a dconn router serves.
	Realm = "deskconn"

	// Namespace is the URI prefix that only the daemon may register under.
	Namespace = "org.deskconn."

	// Meta is the URI prefix of what belongs to the WAMP specification itself.
	Meta = "wamp."

	// Describe is the procedure that lists what a daemon offers.
	Describe = Namespace + "describe"

	// Status is the procedure that tells a daemon's owner how it is.
	Status = Namespace + "status"

	// Pair is the procedure with which a daemon's owner opens a pairing window.
	Pair = Namespace + "pair"

	// Announce is the procedure with which the owner turns the announcement on or off,
	// Discover that which tells who else announces itself.
	Announce = Namespace + "announce"
	Discover = Namespace + "discover"

	// Protocol is the version that travels in HELLO and WELCOME as
	// `dconn_protocol`. Peers that send none are foreign WAMP peers.
	Protocol = 1

	// ProtocolKey is the name of the HELLO and WELCOME detail with Protocol.
	ProtocolKey = "dconn_protocol"

	// ScopesKey is the name of the HELLO detail with the scopes to which a session
	// lowers its own rights, and of the WELCOME detail that confirms them.
	ScopesKey = "dconn_scopes"

	// AuthPeerCred is the WAMP authmethod of a unix socket: the kernel names
	// the peer's uid (SO_PEERCRED, unix(7)).
	AuthPeerCred = "peercred"

	// AuthTLS is the WAMP authmethod of ALPN: the handshake of TLS has proved which
	// key the peer has.
	AuthTLS = "tls"

	// ALPN is the protocol that two daemons, or a daemon and a client of ours,
	// agree on in TLS: WAMP over a rawsocket, both ends known by their keys.
	ALPN = "dconn/1"

	// ALPNPair is that of two machines that are to be paired.
	ALPNPair = "dconn-pair/1"

	// Port is the TCP port of a daemon, unless it is taken.
	Port = 5020

	// AuthAnonymous is WAMP's authmethod of a peer that proves nothing.
	AuthAnonymous = "anonymous"

	// OnRegistration and MatchRegistration belong to WAMP's registration meta
	// API: the event of a new procedure, and the look-up of one.
	OnRegistration    = "wamp.registration.on_create"
	MatchRegistration = "wamp.registration.match"

	// ListSubscriptions and GetSubscription belong to the subscription meta
	// API: the ids by how they match, and what one of them is.
	ListSubscriptions = "wamp.subscription.list"
	GetSubscription   = "wamp.subscription.get"

	// CountSubscribers tells how many have one subscription.
	CountSubscribers = "wamp.subscription.count_subscribers"

	// MaxURI bounds a URI in bytes; longer ones are nobody's procedure.
	MaxURI = 256
	// MaxComponents bounds the components of a wildcard: what an event has to be
	// compared with doubles by each.
	MaxComponents = 10
)

// Expand completes the short form: a URI that starts with a dot is ours, so
// `.brightness.set` is `org.deskconn.brightness.set`.
func Expand(uri string) string {
	if strings.HasPrefix(uri, ".") {
		return strings.TrimSuffix(Namespace, ".") + uri
	}
	return uri
}

// Reserved reports whether only the daemon may register uri.
func Reserved(uri string) bool {
	return strings.HasPrefix(uri, Namespace) || IsMeta(uri) ||
		uri == "wamp" || uri+"." == Namespace
}

// IsMeta reports whether uri belongs to the WAMP specification itself.
func IsMeta(uri string) bool { return strings.HasPrefix(uri, Meta) }

// CheckURI refuses what is not a WAMP URI by the loose rule of the WAMP
// specification, section "URIs": components without space, `#` or control
// characters, none of them empty.
func CheckURI(uri string) error { return CheckPattern(uri, "exact") }

// CheckPattern is CheckURI for a subscription by match: with "wildcard" a
// component may be empty, with "prefix" the last one. A wildcard has at most
// MaxComponents.
func CheckPattern(uri, match string) error {
	switch {
	case uri == "":
		return fmt.Errorf("a URI is missing")
	case len(uri) > MaxURI:
		return fmt.Errorf("a URI has at most %d bytes, got %d", MaxURI, len(uri))
	case !utf8.ValidString(uri):
		return fmt.Errorf("not a URI: %q is not UTF-8", uri)
	}
	parts := strings.Split(uri, ".")
	if match == "wildcard" && len(parts) > MaxComponents {
		return fmt.Errorf("a wildcard has at most %d parts between its dots, got %d", MaxComponents, len(parts))
	}
	for i, part := range parts {
		mayBeEmpty := match == "wildcard" || match == "prefix" && i == len(parts)-1
		if part == "" && !mayBeEmpty {
			return fmt.Errorf("not a URI: %q has an empty part between its dots", uri)
		}
	}
	for _, r := range uri {
		if r == '#' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("not a URI: %q may not contain %q", uri, r)
		}
	}
	return nil
}
