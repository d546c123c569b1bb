package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// Home is what this machine needs to reach devices: its own identity, and the
// devices that it is paired with.
type Home struct {
	Identity *trust.Identity
	Store    *trust.Store
}

// OpenHome opens what is in dir, and makes it at its first use.
func OpenHome(dir string) (*Home, error) {
	id, err := trust.OpenIdentity(dir)
	if err != nil {
		return nil, err
	}
	store, err := trust.OpenStore(dir)
	return &Home{id, store}, err
}

// UnknownDeviceError says that no device is paired that goes by that name or id.
type UnknownDeviceError struct {
	Text  string
	Names []string // of the devices that there are
	Typo  error    // what is wrong with the text, if it looks like an id; else nil
}

// Error says what nobody is called.
func (e *UnknownDeviceError) Error() string {
	if e.Typo != nil {
		return fmt.Sprintf("%s: %v", e.Text, e.Typo)
	}
	return fmt.Sprintf("%s: no paired device goes by that name or id", e.Text)
}

// AmbiguousError says that several devices could be meant.
type AmbiguousError struct {
	Text    string
	Devices trust.Devices
}

// Error lists them.
func (e *AmbiguousError) Error() string {
	var who []string
	for _, d := range e.Devices {
		who = append(who, fmt.Sprintf("%s (%s)", d.Name, d.ID.Short()))
	}
	return fmt.Sprintf("%s could be %s", e.Text, strings.Join(who, " or "))
}

// NotPairedError says that who answers at an address is no device that is paired.
type NotPairedError struct {
	Address string
	ID      trust.ID
}

// Error says where, and who answers.
func (e *NotPairedError) Error() string {
	return fmt.Sprintf("%s: %s answers there, which is not paired with this machine", e.Address, e.ID.Short())
}

// IdentityError says that at an address another machine answers than did before.
type IdentityError struct {
	Address, Name string
	Want, Got     trust.ID
}

// Error says who was expected, and who answers.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("%s: %s answers there, expected %s (%s)", e.Address, e.Got.Short(), e.Name, e.Want.Short())
}

// FindDevice finds the one device that a name, or the beginning of an id, means.
func FindDevice(list trust.Devices, text string) (*trust.Device, error) {
	switch found := list.Match(text); len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := &UnknownDeviceError{Text: text}
		_, err := trust.ParsePrefix(text)
		if typo, wrong := errors.AsType[*trust.TypoError](err); wrong {
			e.Typo = typo
		}
		for _, d := range list {
			e.Names = append(e.Names, d.Name)
		}
		return nil, e
	default:
		return nil, &AmbiguousError{text, found}
	}
}

// ParseAddress reads HOST[:PORT]; ok is false for a text that looks like a name: a
// host has a dot, a colon or brackets in it, or is localhost. The port is wire.Port
// where none is given. One address has one form, so that it is recognised however it
// was typed.
func ParseAddress(text string) (address string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil { // no port, or an IPv6 address without brackets
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), strconv.Itoa(wire.Port)
		if strings.Count(host, ":") == 1 {
			return "", false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n < 1 || !isHost(host) {
		return "", false
	}
	host, port = strings.ToLower(host), strconv.FormatUint(n, 10)
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(host, port), strings.ContainsAny(text, ".:[") || text == "localhost"
}

// isHost reports whether a text can be an IP address, or the name of a host.
func isHost(text string) bool {
	if strings.Contains(text, ":") {
		_, err := netip.ParseAddr(text)
		return err == nil
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_", r) {
			return false
		}
	}
	return text != ""
}

// DialDevice joins the router of a paired device, which text names by its name,
// the beginning of its id, or HOST[:PORT]. A device is looked for where it was
// before, and on the local network; at, HOST:PORT, if it is not empty, is the only
// address that is tried.
func (h *Home) DialDevice(ctx context.Context, text, at, agent string, options ...session.Option) (*session.Session, error) {
	list, err := h.Store.Devices()
	if err != nil {
		return nil, err
	}
	who := &callee{home: h, label: text}
	if address, isAddress := ParseAddress(text); isAddress { // which no name looks like
		if at := list.At(address); len(at) > 1 {
			return nil, &AmbiguousError{address, at}
		}
		who.addresses, who.byHand = []string{address}, true
		return who.join(ctx, agent, options)
	}
	if who.device, err = FindDevice(list, text); err != nil {
		return nil, err
	}
	if at != "" {
		who.addresses, who.byHand = []string{at}, true
	} else {
		who.addresses, who.search = candidates(who.device), lookFor(who.device.ID)
	}
	return who.join(ctx, agent, options)
}

// callee is a device that is about to be reached.
type callee struct {
	home      *Home
	label     string
	device    *trust.Device // nil: whoever of the paired ones answers
	addresses []string
	byHand    bool   // the address was given: it is said if somebody else is there
	search    search // for other addresses, nil if there is nobody to look for
}

func (c *callee) join(ctx context.Context, agent string, options []session.Option) (*session.Session, error) {
	link, err := c.race(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := transport.Dial(link.Conn, transport.CBOR, limits())
	if err != nil {
		return nil, err
	}
	s, err := session.Join(ctx, conn, agent, options...)
	if err == nil {
		c.home.reached(link.id, link.address)
	}
	return s, err
}

// link is a connection to a device, which has proved to be it.
type link struct {
	*tls.Conn
	id      trust.ID
	address string
}

// answerWithin is how long a machine may take to shake hands: on a local network one
// that takes longer is not there.
const answerWithin = 5 * time.Second

// reach connects to an address, and sees who is there.
func (c *callee) reach(ctx context.Context, address string) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, &UnreachableError{
		URL: c.at(address), Cause: fmt.Errorf("nothing within %v", answerWithin),
	})
	defer cancel()
	nc, err := place{url: c.at(address), network: "tcp", address: address}.reach(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{address: address}
	l.Conn = transport.TLSClient(nc, c.home.tls(wire.ALPN, func(state tls.ConnectionState) error {
		l.id = trust.IDOf(state.PeerCertificates[0])
		return c.recognise(address, l.id)
	}))
	if err := l.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, c.failure(ctx, address, err)
	}
	return l, nil
}

// tls is the configuration of a client that shows who it is. No authority vouches
// for the server: it is known by its key.
func (h *Home) tls(protocol string, verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		Certificates:           []tls.Certificate{h.Identity.Certificate()},
		InsecureSkipVerify:     true,
		VerifyConnection:       verify,
		SessionTicketsDisabled: true,
	}
}

// at names an address of the device.
func (c *callee) at(address string) string {
	if c.device == nil {
		return address
	}
	return fmt.Sprintf("%s (%s)", c.device.Name, address)
}

// recognise says what is wrong with who answers at an address. Where no device is
// named, the address names it: if the store knows whose the address is, nobody else
// may answer there.
func (c *callee) recognise(address string, id trust.ID) error {
	if c.device != nil {
		if id != c.device.ID {
			return &IdentityError{address, c.device.Name, c.device.ID, id}
		}
		return nil
	}
	list, err := c.home.Store.Devices()
	if err != nil {
		return err
	}
	at := list.At(address)
	switch {
	case slices.ContainsFunc(at, func(d *trust.Device) bool { return d.ID == id }):
		return nil
	case len(at) > 0:
		return &IdentityError{address, at[0].Name, at[0].ID, id}
	case list.ByID(id) == nil:
		return &NotPairedError{address, id}
	}
	return nil
}

// failure is why a handshake failed. A machine that took over the address of a
// device is not that device: nobody is there. Only where the address was given by
// hand is it said that somebody else is.
func (c *callee) failure(ctx context.Context, address string, err error) error {
	other, isOther := errors.AsType[*IdentityError](err)
	_, isStranger := errors.AsType[*NotPairedError](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isOther && !c.byHand:
		return &UnreachableError{URL: c.at(address), Cause: fmt.Errorf("another machine is there now, %s", other.Got.Short())}
	case isOther || isStranger:
		return err
	}
	return &UnreachableError{URL: c.at(address), Cause: fmt.Errorf("no dconn answers there: %w", bare(err))}
}

// reached notes where a device answered, for the next time. What cannot be noted
// costs a little time then.
func (h *Home) reached(id trust.ID, address string) {
	if d, known := h.Store.Find(id); known && len(d.Address) > 0 && d.Address[0] == address {
		return
	}
	_ = h.Store.Change(func(list *trust.Devices) error {
		if d := list.ByID(id); d != nil {
			d.Reached(address)
		}
		return nil
	})
}
