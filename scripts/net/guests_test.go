//go:build netns

package net

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

func init() {
	roles["knocker"] = knocker
	roles["impostor"] = impostor
}

// knocker TO comes and goes 50 times a second.
func knocker(args []string) error {
	for n := 0; ; n++ {
		if nc, err := net.DialTimeout("tcp", args[0], time.Second); err == nil {
			_, _ = nc.Write([]byte{0})
			_ = nc.Close()
		}
		if n == 100 { // its address may not fail any more
			fmt.Println("ready")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// impostor NAME PORT ID ADDRESS... announces a machine, again and again, and asks
// nobody whether the name is free.
func impostor(args []string) error {
	at, err := listenAll(make(chan mdns.Packet, 100))
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return err
	}
	instance, host := args[0]+"._deskconn._tcp.local.", "host-of-"+args[0]+".local."
	h := func(t uint16, name string) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET | mdns.Flush, Ttl: 120}
	}
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: []dns.RR{
		&dns.PTR{Hdr: dns.RR_Header{Name: "_deskconn._tcp.local.", Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 120}, Ptr: instance},
		&dns.SRV{Hdr: h(dns.TypeSRV, instance), Port: uint16(port), Target: host},
		&dns.TXT{Hdr: h(dns.TypeTXT, instance), Txt: []string{"id=" + args[2], "p=1", "v=1"}},
	}}
	for _, text := range args[3:] {
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			return err
		case a.Is4():
			m.Answer = append(m.Answer, &dns.A{Hdr: h(dns.TypeA, host), A: a.AsSlice()})
		default:
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h(dns.TypeAAAA, host), AAAA: a.AsSlice()})
		}
	}
	for n := 0; ; n++ {
		for _, s := range at {
			_ = s.Send(m)
		}
		if n == 0 {
			fmt.Fprintln(os.Stdout, "ready")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// A host that knocks without end, on a LAN of IPv6, shuts out itself: not a paired
// device that has another address now, nor a machine that wants to be paired.
func TestKnocker(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, evil, phone := l.host("desk"), l.host("laptop"), l.host("evil"), l.host("phone")
	for i, h := range []*host{desk, laptop, evil, phone} {
		l.ip("-n", h.space, "addr", "add", fmt.Sprintf("fd00:5ec::%d/64", i+1), "dev", "e0", "nodad")
	}
	const at = "[fd00:5ec::1]:5020"
	daemon := desk.serve("--no-announce")
	pair := func(h *host) outcome {
		window := desk.start("pair")
		return h.with([]string{"DCONN_PAIR_CODE=" + window.line(0)}, "pair", at)
	}
	if o := pair(laptop); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	l.ip("-n", laptop.space, "addr", "add", "fd00:5ec::b0b/64", "dev", "e0", "nodad")
	l.ip("-n", laptop.space, "addr", "del", "fd00:5ec::2/64", "dev", "e0")
	evil.play("knocker", at)
	for range 5 {
		if name := laptop.must("call", "-W", "5", "-d", at, ".system.name"); name != "desk" {
			t.Errorf("%q answers", name)
		}
	}
	if o := pair(phone); o.code != 0 {
		t.Errorf("a phone: %+v", o)
	}
	daemon.says("from=fd00:5ec::3 failed=")
	if _, log := daemon.texts(); strings.Count(log, "fail too often") > 5 {
		t.Errorf("the log says %s", log)
	}
}

// Whoever announces the name of a machine that shows a code is not paired with in its
// place, and has it take another name for a while only.
func TestImpostorOfName(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	for _, h := range []*host{desk, laptop, evil} {
		h.families("v4")
	}
	daemon := desk.serve()
	desk.wait("announcement", "dconn announce | grep -q e0")
	evil.serve("--no-announce")
	window := desk.start("pair")
	code := "DCONN_PAIR_CODE=" + window.line(0)
	rival := evil.play("impostor", "desk", "5020", evil.hinted(), evil.address)
	daemon.says("announced under another name")
	desk.wait("announcement under another name", "dconn announce | grep -q '(2).*e0'")
	if o := laptop.with([]string{code}, "pair", "desk"); o.code != 2 || !strings.Contains(o.err, "desk could be desk (") {
		t.Errorf("beside an impostor: %+v", o)
	}
	rival.kill(syscall.SIGKILL)

	// one that announces the same id cannot show its key
	rival = evil.play("impostor", "desk", "5020", desk.hinted(), evil.address)
	if o := laptop.with([]string{code}, "pair", "desk"); o.code == 0 || len(laptop.devices()) != 0 {
		t.Errorf("with the id of another: %+v", o)
	}
	rival.kill(syscall.SIGKILL)
	for end := time.Now().Add(5 * time.Minute); !strings.Contains(desk.must("announce", "-o", "json"), `"name":"desk"`); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("its name does not come back: %s", desk.must("announce", "-o", "json"))
		}
	}
	window.kill(syscall.SIGTERM)
	laptop.pair(desk)
}

// An address counts on its own link only, and one of this machine if it is this
// machine that announces it.
func TestClaimedAddresses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	laptop, evil := l.host("laptop"), l.host("evil")
	laptop.families("v4 v6")
	laptop.serve("--no-announce")
	l.ip("-n", laptop.space, "addr", "add", "10.99.0.200/32", "dev", "lo")
	evil.play("impostor", "far", "5020", idA, "192.0.2.1", "8.8.8.8", "2001:db8::1", laptop.address, "10.99.0.200", "127.0.0.1")
	evil.play("impostor", "near", "5021", idB, "192.0.2.1", evil.address)
	all := laptop.discover("-W", "3")
	if len(all) != 1 || all[0].Name != "near" || strings.Join(all[0].Addresses, " ") != evil.address {
		t.Errorf("%+v", all)
	}
}
