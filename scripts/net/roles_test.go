//go:build netns

package net

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/announce"
	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/mdns"
)

func init() {
	roles["announce"] = playAnnounce
	roles["many"] = playCrowd
	roles["liar"] = playLiar
	roles["churn"] = playChurn
	roles["rival"] = playRival
}

// playAnnounce is a daemon that only announces: NAME PORT ID. It prints its name
// each time that it is settled, and takes orders on stdin.
func playAnnounce(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	renamed := make(chan struct{}, 1)
	a, err := announce.Start(ctx, announce.Options{
		Name: args[0], Port: port, ID: args[2], Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Renamed: func(name string) {
			fmt.Fprintln(os.Stderr, "renamed to", name)
			select {
			case renamed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	go obey(a)
	for last := ""; ctx.Err() == nil; {
		for s := a.Status(); ctx.Err() == nil && (len(s.Links) == 0 || s.Name == last); s = a.Status() {
			time.Sleep(20 * time.Millisecond)
		}
		last = a.Status().Name
		fmt.Println(last)
		select {
		case <-renamed:
		case <-ctx.Done():
		}
	}
	began := time.Now()
	a.Close()
	fmt.Fprintln(os.Stderr, "closed within", time.Since(began))
	return nil
}

func obey(a *announce.Announcer) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "pairing":
			a.SetPairing(rest == "on")
		case "rename":
			a.Rename(rest)
		case "pause":
			a.Pause()
		case "resume":
			a.Resume()
		}
	}
}

// playCrowd is N daemons in one.
func playCrowd(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var all []*announce.Announcer
	for i := range n {
		a, err := announce.Start(context.Background(), announce.Options{
			Name: fmt.Sprintf("crowd %d", i), Port: 6000 + i, ID: hint(i), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	for _, a := range all {
		for len(a.Status().Links) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	fmt.Println("ready")
	select {}
}

// playLiar announces, a few times, what nobody should: instances without end,
// control characters, a long text, and messages that take long to read.
func playLiar([]string) error {
	at, err := listenAll(make(chan mdns.Packet, 100))
	if err != nil {
		return err
	}
	for round := 0; ; round++ {
		for i := range 10_000 {
			name := fmt.Sprintf(`m%d\027[2J\226\128\174`, i)
			_ = at[i%len(at)].Send(lie(name, i))
			if i%20 == 0 {
				_ = at[i%len(at)].Send(burden())
			}
			if i%50 == 0 { // else all but the first of them find no room at their receivers
				time.Sleep(5 * time.Millisecond)
			}
		}
		if round == 0 {
			fmt.Println("ready")
		}
	}
}

// lie is what one instance says about itself.
func lie(name string, i int) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	instance := name + "._deskconn._tcp.local."
	h := func(t uint16, name string) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: 4500}
	}
	text := []string{"id=ABCDEFGHIJKLMHOP", "p=1", "v=1"}
	if i%500 == 1 {
		text = []string{strings.Repeat("x", 255), strings.Repeat("\x1b", 255)}
	}
	m.Answer = []dns.RR{
		&dns.PTR{Hdr: h(dns.TypePTR, "_deskconn._tcp.local."), Ptr: instance},
		&dns.SRV{Hdr: h(dns.TypeSRV, instance), Port: uint16(i), Target: "liar.local."},
		&dns.TXT{Hdr: h(dns.TypeTXT, instance), Txt: text},
		&dns.A{Hdr: h(dns.TypeA, "liar.local."), A: netip.AddrFrom4([4]byte{10, 99, 0, byte(i)}).AsSlice()},
	}
	return m
}

// burden is small, and takes as long to read as can be.
func burden() *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	name := strings.Repeat(strings.Repeat(`\027`, 60)+".", 4)
	for range 500 {
		m.Answer = append(m.Answer, &dns.PTR{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 9}, Ptr: name})
	}
	return m
}

func listenAll(packets chan<- mdns.Packet) (at []*mdns.Socket, err error) {
	links, err := mdns.Links()
	for _, l := range links {
		var s *mdns.Socket
		if s, err = mdns.Listen(l, packets); err != nil {
			break
		}
		at = append(at, s)
	}
	return at, err
}

// playRival claims each name that somebody probes for.
func playRival([]string) error {
	packets := make(chan mdns.Packet, 100)
	at, err := listenAll(packets)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for p := range packets {
		for _, q := range p.Msg.Question {
			if len(p.Msg.Ns) == 0 || !strings.Contains(q.Name, "_deskconn") {
				continue
			}
			m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
			m.Answer = []dns.RR{&dns.SRV{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: 120}, Port: 1, Target: "rival.local."}}
			for _, s := range at {
				_ = s.Send(m)
			}
		}
	}
	return nil
}

// playChurn announces and looks around, again and again, and prints each time
// how many goroutines and files there are.
func playChurn([]string) error {
	for range 10 {
		a, err := announce.Start(context.Background(), announce.Options{Name: "churn", Port: 1, ID: hint(9), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err = browse.Browse(ctx, func(browse.Event) bool { return true })
		stop()
		began := time.Now()
		a.Close()
		if took := time.Since(began); err == nil && took > time.Second {
			err = fmt.Errorf("closing took %v", took)
		}
		if err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // until the last goroutine has noticed
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		fmt.Println(runtime.NumGoroutine(), len(files))
	}
	return nil
}
