package commands

import (
	"fmt"
	"strings"
	"testing"

	"github.com/deskconn/dconn/capabilities"
)

// Expressions of rules, as nft 1.0.6 prints them.
const (
	ruleAccept      = `{"accept":null}`
	ruleDrop        = `{"drop":null}`
	ruleReject      = `{"reject":{"type":"icmpx","expr":"port-unreachable"}}`
	ruleReturn      = `{"return":null}`
	ruleCounter     = `{"counter":{"packets":0,"bytes":0}}`
	ruleLimit       = `{"limit":{"rate":5,"burst":5,"per":"second"}}`
	ruleXT          = `{"xt":{"type":"match","name":"udp"}}`
	ruleEstablished = `{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}}`
	ruleNew         = `{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"new"}}`
	ruleLoopback    = `{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"lo"}}`
	ruleNotLoopback = `{"match":{"op":"!=","left":{"meta":{"key":"iifname"}},"right":"lo"}}`
	ruleFromLAN     = `{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":{"prefix":{"addr":"10.0.0.0","len":8}}}}`
	ruleICMP        = `{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":"icmp"}}`
	ruleTransport   = `{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":{"set":["tcp","udp"]}}}`
	ruleStates      = `{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["invalid",{"drop":null}],["established",{"accept":null}]]}}}`
	ruleByName      = `{"vmap":{"key":{"meta":{"key":"iifname"}},"data":{"set":[["eth0",{"jump":{"target":"other"}}]]}}}`
	ruleOther       = `{"jump":{"target":"other"}}`
	ruleGotoOther   = `{"goto":{"target":"other"}}`
)

// ruleDport is a match of the ports that are written as JSON.
func ruleDport(protocol, right string) string {
	return fmt.Sprintf(`{"match":{"op":"==","left":{"payload":{"protocol":%q,"field":"dport"}},"right":%s}}`, protocol, right)
}

// ruleset has a chain of the hook input with rules, and one that they may call.
func ruleset(t *testing.T, policy string, rules, other []string) firewall {
	t.Helper()
	doc := fmt.Sprintf(`{"nftables":[{"metainfo":{"version":"1.0.6"}},{"chain":{"family":"inet","table":"filter","name":"input","type":"filter","hook":"input","prio":0,"policy":%q}},`+
		`{"chain":{"family":"inet","table":"filter","name":"other"}},{"chain":{"family":"inet","table":"filter","name":"out","type":"filter","hook":"output","policy":"drop"}}`, policy)
	for chain, list := range map[string][]string{"input": rules, "other": other} {
		for _, r := range list {
			doc += fmt.Sprintf(`,{"rule":{"family":"inet","table":"filter","chain":%q,"expr":[%s]}}`, chain, r)
		}
	}
	f, err := parseFirewall([]byte(doc + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func rule(expr ...string) string { return strings.Join(expr, ",") }

func TestFirewall(t *testing.T) {
	mdnsPort, sshPort := ruleDport("udp", "5353"), ruleDport("tcp", "22")
	for _, c := range []struct {
		name         string
		policy       string
		rules, other []string
		udp, tcp     bool // blocked
	}{
		{"no rule", "accept", nil, nil, false, false},
		{"a policy", "drop", nil, nil, true, true},
		{"what is there already", "drop", []string{rule(ruleEstablished, ruleAccept), ruleStates, rule(ruleLoopback, ruleAccept), rule(ruleICMP, ruleAccept), rule(sshPort, ruleAccept)}, nil, true, true},
		{"mDNS is let in", "drop", []string{rule(mdnsPort, ruleCounter, ruleAccept)}, nil, false, true},
		{"mDNS is let in from some", "drop", []string{rule(ruleFromLAN, mdnsPort, ruleAccept)}, nil, false, true},
		{"mDNS is let in now and then", "drop", []string{rule(mdnsPort, ruleLimit, ruleAccept)}, nil, false, true},
		{"a set of ports", "drop", []string{rule(ruleDport("tcp", `{"set":[22,{"range":[5000,5100]}]}`), ruleAccept)}, nil, true, false},
		{"a range of ports", "drop", []string{rule(ruleDport("th", `{"range":[5000,5353]}`), ruleAccept)}, nil, false, false},
		{"a set with a name", "drop", []string{rule(ruleDport("tcp", `"@ports"`), ruleAccept)}, nil, true, false},
		{"both protocols", "drop", []string{rule(ruleTransport, ruleAccept)}, nil, false, false},
		{"a match of iptables'", "drop", []string{rule(ruleXT, ruleAccept)}, nil, false, false},
		{"a drop of iptables'", "accept", []string{rule(ruleXT, ruleDrop)}, nil, false, false},
		{"a drop of its own", "accept", []string{rule(mdnsPort, ruleDrop)}, nil, true, false},
		{"a drop for some", "accept", []string{rule(ruleFromLAN, ruleDrop)}, nil, false, false},
		{"a drop after it", "accept", []string{rule(mdnsPort, ruleAccept), ruleReject}, nil, false, true},
		{"a drop before it", "accept", []string{ruleReject, rule(mdnsPort, ruleAccept)}, nil, true, true},
		{"all that is new", "accept", []string{rule(ruleNotLoopback, ruleNew, ruleDrop)}, nil, true, true},
		{"another chain lets in", "drop", []string{rule(ruleNotLoopback, ruleOther)}, []string{rule(mdnsPort, ruleAccept)}, false, true},
		{"another chain drops", "accept", []string{ruleOther}, []string{rule(mdnsPort, ruleReturn), ruleDrop}, false, true},
		{"another chain, by a map", "drop", []string{ruleByName}, []string{rule(mdnsPort, ruleAccept)}, false, true},
		{"no way back", "drop", []string{ruleGotoOther, ruleAccept}, nil, true, true},
		{"chains without an end", "drop", []string{ruleOther}, []string{ruleOther}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ruleset(t, c.policy, c.rules, c.other)
			if got := f.blocks(packet{"udp", 5353}) != nil; got != c.udp {
				t.Errorf("mDNS is blocked: %v, want %v", got, c.udp)
			}
			if got := f.blocks(packet{"tcp", 5020}) != nil; got != c.tcp {
				t.Errorf("TCP is blocked: %v, want %v", got, c.tcp)
			}
		})
	}
}

// The fix is a line for whoever made the rules.
func TestFirewallFix(t *testing.T) {
	f := ruleset(t, "drop", nil, nil)
	packets := []packet{{"udp", 5353}, {"tcp", 5021}}
	got := f.finding(packets)
	want := "sudo nft insert rule inet filter input udp dport 5353 accept && sudo nft insert rule inet filter input tcp dport 5021 accept"
	if got.State != capabilities.Fail || got.Fix != want || !strings.HasPrefix(got.Found, "UDP port 5353 looks blocked by the chain input of the table inet filter; TCP port 5021 looks") {
		t.Errorf("%+v", got)
	}
	f.chains = append(f.chains, &nftChain{Family: "ip", Table: "filter", Name: "ufw-user-input"})
	if got := f.finding(packets[:1]); got.Fix != "sudo ufw allow 5353/udp" {
		t.Errorf("%+v", got)
	}
	f.chains[0].Table = "firewalld"
	if got := f.finding(packets[1:]); got.Fix != "sudo firewall-cmd --add-port=5021/tcp" {
		t.Errorf("%+v", got)
	}
	if got := ruleset(t, "accept", nil, nil).finding(packets); got.State != capabilities.OK || got.Found != "nothing is seen to block UDP port 5353, TCP port 5021" {
		t.Errorf("%+v", got)
	}
}

// Whatever a kernel newer than this says ends nothing.
func FuzzFirewall(f *testing.F) {
	f.Add(`{"nftables":[{"chain":{"family":"inet","table":"t","name":"c","type":"filter","hook":"input"}},{"rule":{"family":"inet","table":"t","chain":"c","expr":[` + ruleStates + `,` + ruleByName + `]}}]}`)
	f.Add(`{"nftables":[{"chain":null,"rule":{"expr":[{"match":{"right":{"set":[[1]]}}},null]}}]}`)
	f.Fuzz(func(_ *testing.T, text string) {
		if fw, err := parseFirewall([]byte(text)); err == nil {
			_ = fw.finding([]packet{{"udp", 5353}, {"tcp", 5020}})
		}
	})
}
