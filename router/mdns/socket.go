package mdns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Number is the UDP port of mDNS.
const Number = 5353

// groups are the multicast addresses of mDNS (RFC 6762, section 3).
var groups = map[Family]netip.Addr{
	IPv4: netip.MustParseAddr("224.0.0.251"),
	IPv6: netip.MustParseAddr("ff02::fb"),
}

// Packet is a message that came in.
type Packet struct {
	Place Place          // where it came in
	From  netip.AddrPort // whose zone is left out
	Asked bool           // it came to a socket of Ask, so it answers a question of ours
	Msg   *dns.Msg
}

// Socket sends and receives on a link.
type Socket struct {
	place  Place
	asks   bool
	conn   *net.UDPConn
	closed chan struct{}
	once   sync.Once
}

// Listen opens a socket for what is sent to all on a link, and puts it into
// packets. It shares the port with other responders of this machine, and takes
// nothing from them: what is sent to this machine alone does not come here, for
// the kernel would give it to one of us only (section 15.1).
func Listen(l Link, packets chan<- Packet) (*Socket, error) { return open(l, packets, false) }

// Ask opens a socket on a port of its own. What it sends is a question of one
// that does not listen: it is answered at once, and to it alone (section 6.7).
func Ask(l Link, packets chan<- Packet) (*Socket, error) { return open(l, packets, true) }

func open(l Link, packets chan<- Packet, asks bool) (*Socket, error) {
	conn, err := listenOn(l, !asks)
	if err != nil {
		return nil, fmt.Errorf("mDNS on %s, IPv%d: %w", l.Name, l.Family, err)
	}
	s := &Socket{place: l.Place, asks: asks, conn: conn, closed: make(chan struct{})}
	go s.read(packets)
	return s, nil
}

func listenOn(l Link, member bool) (*net.UDPConn, error) {
	domain, set := unix.AF_INET, set4
	if l.Family == IPv6 {
		domain, set = unix.AF_INET6, set6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "mdns")
	defer func() { _ = f.Close() }() // FilePacketConn has one of its own
	if err := set(fd, l.Index, member); err != nil {
		return nil, err
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

// option is a socket option, and its value.
type option struct{ level, name, value int }

func apply(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// share lets other responders have the port as well.
var share = []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}

// hops marks what never was on another network (section 11).
const hops = 255

func set4(fd, index int, member bool) error {
	// IP_UNICAST_IF has it in network byte order
	options := []option{
		{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, hops}, {unix.IPPROTO_IP, unix.IP_TTL, hops},
		{unix.IPPROTO_IP, unix.IP_UNICAST_IF, networkOrder(index)},
	}
	at := &unix.SockaddrInet4{}
	if member {
		options = append(options, share...)
		options = append(options, option{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0})
		at.Port, at.Addr = Number, groups[IPv4].As4()
	}
	mreq := &unix.IPMreqn{Multiaddr: groups[IPv4].As4(), Ifindex: int32(index)}
	err := errors.Join(apply(fd, options), os.NewSyscallError("setsockopt", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)))
	if err == nil && member {
		err = os.NewSyscallError("join", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq))
	}
	return errors.Join(err, os.NewSyscallError("bind", unix.Bind(fd, at)))
}

func set6(fd, index int, member bool) error {
	options := []option{
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, hops}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hops},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index},
	}
	at := &unix.SockaddrInet6{}
	if member {
		options = append(options, share...)
		at.Port, at.Addr, at.ZoneId = Number, groups[IPv6].As16(), uint32(index) // which binds it to the interface, too
	}
	err := apply(fd, options)
	if err == nil && member {
		mreq := &unix.IPv6Mreq{Multiaddr: groups[IPv6].As16(), Interface: uint32(index)}
		err = os.NewSyscallError("join", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, mreq))
	}
	return errors.Join(err, os.NewSyscallError("bind", unix.Bind(fd, at)))
}

// read puts into packets what comes, until Close. Whoever sends more than is
// taken fills only the kernel's buffer.
func (s *Socket) read(packets chan<- Packet) {
	buf := make([]byte, MaxMessage+1)
	var work ration
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // the interface is down, or went
			s.rest(50 * time.Millisecond)
			continue
		}
		began := time.Now()
		msg := Parse(buf[:n])
		if rest := work.spend(began, time.Since(began)); rest > 0 {
			s.rest(rest)
		}
		if msg == nil {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
		select {
		case packets <- Packet{Place: s.place, From: from, Asked: s.asks, Msg: msg}:
		case <-s.closed:
			return
		}
	}
}

// rest waits, unless the socket is closed.
func (s *Socket) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.closed:
	}
}

// ration is how much of a CPU the reading of messages may take on a socket: a
// few kilobytes can be made so that they cost milliseconds.
type ration struct {
	since time.Time
	spent time.Duration
}

const (
	rationSpan = 100 * time.Millisecond
	rationWork = 20 * time.Millisecond // of each span
)

// spend notes work that began then, and returns how long to rest.
func (r *ration) spend(began time.Time, took time.Duration) time.Duration {
	if began.Sub(r.since) >= rationSpan {
		r.since, r.spent = began, 0
	}
	if r.spent += took; r.spent < rationWork {
		return 0
	}
	return r.since.Add(rationSpan).Sub(began.Add(took))
}

// Send sends m to all on the link.
func (s *Socket) Send(m *dns.Msg) error {
	return s.Reply(m, netip.AddrPortFrom(groups[s.place.Family], Number))
}

// Reply sends m to one of them.
func (s *Socket) Reply(m *dns.Msg, to netip.AddrPort) error {
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = s.conn.WriteToUDPAddrPort(b, to)
	return err
}

// Close closes the socket.
func (s *Socket) Close() {
	s.once.Do(func() {
		close(s.closed)
		_ = s.conn.Close()
	})
}

// networkOrder is n with the bytes as the network has them.
func networkOrder(n int) int {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}
