package commands

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/wire"
)

// reachable is what the daemon says of how others reach it.
type reachable struct {
	state       string // of the announcement: on, off
	name, asked string // as it is announced, and as it should be
	links       []string
	listen      []netip.AddrPort // TCP
}

// askReachable asks the daemon at path. Whoever may not ask is told so; where none
// answers, the check of the socket has said that already.
func askReachable(ctx context.Context, path string) (reachable, error) {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	s, err := client.Dial(ctx, path, agent())
	if err != nil {
		return reachable{}, errors.New("no daemon answers")
	}
	defer s.Leave(ctx)
	result, err := s.Call(ctx, wire.Announce, nil, nil)
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return reachable{}, errors.New(e.Message())
	}
	docs := dicts(result.Args)
	if err != nil || len(docs) != 1 {
		return reachable{}, errors.New("the daemon does not say")
	}
	d := docs[0]
	r := reachable{state: field(d, "state"), name: field(d, "name"), asked: field(d, "asked"), links: textsIn(d["links"])}
	for _, text := range textsIn(d["listen"]) {
		if at, err := netip.ParseAddrPort(text); err == nil {
			r.listen = append(r.listen, at)
		}
	}
	return r, nil
}

// forOthers is the port that other machines may come to, 0 if there is none.
func (r reachable) forOthers() int {
	for _, at := range r.listen {
		if !at.Addr().IsLoopback() {
			return int(at.Port())
		}
	}
	return 0
}

// checkPort looks at where other machines get in.
func checkPort(r reachable, err error) capabilities.Finding {
	switch {
	case err != nil:
		return absent("not known: %v", err)
	case len(r.listen) == 0:
		return absent("the unix socket only: see dconn serve --listen")
	}
	var where []string
	for _, at := range r.listen {
		where = append(where, at.String())
	}
	if r.forOthers() == 0 {
		return fine("TCP %s, which is for this machine only", strings.Join(where, ", "))
	}
	return fine("TCP %s", strings.Join(where, ", "))
}

func checkAnnounce(r reachable, err error) capabilities.Finding {
	switch {
	case err != nil:
		return absent("not known: %v", err)
	case r.forOthers() == 0:
		return absent("there is no port to announce")
	case r.state != "on":
		f := absent("off")
		f.Fix = "dconn announce on"
		return f
	case len(r.links) == 0:
		return absent("on, and not on any network yet")
	case r.asked != "" && r.asked != r.name:
		f := fine("announced as %q on %s: another machine is called %q", r.name, strings.Join(r.links, ", "), r.asked)
		f.Fix = "dconn serve --name ANOTHER"
		return f
	}
	return fine("announced as %q on %s", r.name, strings.Join(r.links, ", "))
}

// networkChecks look at what lies between this machine and others.
func (o *doctorOptions) networkChecks(ask func() (reachable, error)) []check {
	return []check{
		{"network", func(context.Context) capabilities.Finding { return checkNetwork() }},
		{"mdns", func(context.Context) capabilities.Finding { return checkMDNS() }},
		{"firewall", func(ctx context.Context) capabilities.Finding {
			r, _ := ask()
			return checkFirewall(ctx, r.forOthers())
		}},
	}
}

// checkNetwork finds interfaces that are used but keep multicast out.
func checkNetwork() capabilities.Finding {
	interfaces, err := net.Interfaces()
	if err != nil {
		return failed("", "%v", err)
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		if lacksMulticast(i.Flags) && len(addresses) > 0 {
			return failed("sudo ip link set "+capabilities.ShellWord(i.Name)+" multicast on", "%s does no multicast: nobody is found there, nor finds this machine", i.Name)
		}
	}
	links, err := mdns.Links()
	if err != nil {
		f := explain(noNetwork(err), "")
		return capabilities.Finding{State: capabilities.None, Found: f.Message, Fix: f.Hint}
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return fine("multicast on %s", strings.Join(slices.Compact(names), ", "))
}

func lacksMulticast(f net.Flags) bool {
	const used = net.FlagUp | net.FlagRunning
	return f&used == used && f&(net.FlagLoopback|net.FlagPointToPoint|net.FlagMulticast) == 0
}

// checkMDNS takes the port of mDNS as the daemon does.
func checkMDNS() capabilities.Finding {
	links, err := mdns.Links()
	if err != nil {
		return absent("no network to look at")
	}
	for _, l := range links {
		s, err := mdns.Listen(l, make(chan mdns.Packet))
		if err == nil {
			s.Close()
			continue
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return failed(fmt.Sprintf("sudo ss -ulpn sport = :%d # then stop that program, or have it share the port", mdns.Number),
				"another program holds UDP port %d alone: %v", mdns.Number, err)
		}
		return failed("", "%v", err)
	}
	return fine("UDP port %d is free, or shared", mdns.Number)
}

// checkFirewall looks for packets to this machine that are dropped: mDNS, and those to
// the daemon's port, if there is one.
func checkFirewall(ctx context.Context, port int) capabilities.Finding {
	nft := findNft()
	if nft == "" {
		return absent("nft is not here to ask")
	}
	out, err := exec.CommandContext(ctx, nft, "-j", "list", "ruleset").Output()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		why, _, _ := strings.Cut(strings.TrimSpace(string(ended.Stderr)), "\n")
		return absent("nft cannot read the rules, as root it can: %s", why)
	}
	if err != nil {
		return absent("nft: %v", err)
	}
	f, err := parseFirewall(out)
	if err != nil {
		return absent("%v", err)
	}
	packets := []packet{{"udp", mdns.Number}}
	if port > 0 {
		packets = append(packets, packet{"tcp", port})
	}
	return f.finding(packets)
}

// findNft is the program nft, which is not on the path of users everywhere.
var findNft = sync.OnceValue(func() string {
	for _, name := range []string{"nft", "/usr/sbin/nft", "/sbin/nft"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// finding says which of the packets look as if they were dropped, and what lets them
// in.
func (f firewall) finding(packets []packet) capabilities.Finding {
	var found, fixes, all []string
	for _, p := range packets {
		all = append(all, p.String())
		if c := f.blocks(p); c != nil {
			found = append(found, fmt.Sprintf("%s looks blocked by the chain %s of the table %s %s", p, c.Name, c.Family, c.Table))
			fixes = append(fixes, f.letIn(c, p))
		}
	}
	if len(found) == 0 {
		return fine("nothing is seen to block %s", strings.Join(all, ", "))
	}
	return failed(strings.Join(fixes, " && "), "%s", strings.Join(found, "; "))
}

// letIn is the line that lets p in, said to whoever made the rules.
func (f firewall) letIn(c *nftChain, p packet) string {
	switch {
	case c.Table == "firewalld":
		return fmt.Sprintf("sudo firewall-cmd --add-port=%d/%s", p.port, p.protocol)
	case slices.ContainsFunc(f.chains, func(c *nftChain) bool { return strings.HasPrefix(c.Name, "ufw") }):
		return fmt.Sprintf("sudo ufw allow %d/%s", p.port, p.protocol)
	}
	return fmt.Sprintf("sudo nft insert rule %s %s %s %s dport %d accept", c.Family, capabilities.ShellWord(c.Table), capabilities.ShellWord(c.Name), p.protocol, p.port)
}
