package commands

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

var deskID = trust.ID{1}

func announced(id trust.ID) string { return strings.ReplaceAll(id.String(), "-", "")[:wire.IDHint] }

func addressesOf(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// around are machines on a network: one that is paired, one that claims to be it,
// and one that would like to draw.
var around = []browse.Machine{
	{Name: "pi", Instance: "pi", ID: announced(deskID), Host: "dconn-a.local", Port: 5020, Addresses: addressesOf("10.0.0.9", "fe80::9%eth0"), Latency: 12345 * time.Microsecond},
	{Name: "liar", Instance: "liar", ID: announced(deskID), Host: "liar.local", Port: 1, Addresses: addressesOf("10.0.0.66"), Pairing: true},
	{Name: "x[2J", Instance: "x\x1b[2J\u202e\xff", Host: "x.local", Port: 7, Addresses: addressesOf("10.0.0.7")},
}

func discoveryFor(t *testing.T, words ...string) (*discovery, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	o := &discoverOptions{streams: &streams{out: &out, err: &out}}
	f := pflag.NewFlagSet("discover", pflag.ContinueOnError)
	o.addFlags(f)
	if err := f.Parse(words); err != nil {
		t.Fatal(err)
	}
	if err := o.prepare(f); err != nil {
		t.Fatal(err)
	}
	d := newDiscovery(o, trust.Devices{{ID: deskID, Name: "kitchen", Paired: time.Now()}})
	return d, &out
}

func TestDiscoverShows(t *testing.T) {
	for words, want := range map[string]string{
		"": "NAME  ID                  ADDRESSES              PORT  PAIRED     PAIRING  LATENCY\n" +
			"liar  AEAAAAA-AAAAAA4-AA  10.0.0.66              1     kitchen ?  open\n" +
			"pi    AEAAAAA-AAAAAA4-AA  10.0.0.9 fe80::9%eth0  5020  kitchen ?           12.3ms\n" +
			"x[2J                      10.0.0.7               7\n",
		"--paired --fields name,port": "NAME  PORT\nliar  1\npi    5020\n",
		"-o json --fields name,addresses,paired,latency_ms": `[{"addresses":["10.0.0.66"],"latency_ms":null,"name":"liar","paired":"kitchen"},` +
			`{"addresses":["10.0.0.9","fe80::9%eth0"],"latency_ms":12.345,"name":"pi","paired":"kitchen"},{"addresses":["10.0.0.7"],"latency_ms":null,"name":"x[2J","paired":null}]` + "\n",
		"-o ndjson --fields instance,ambiguous": `{"ambiguous":true,"instance":"liar"}` + "\n" + `{"ambiguous":true,"instance":"pi"}` + "\n" + `{"ambiguous":false,"instance":"x\u001b[2J\u202e` + "\ufffd" + `"}` + "\n",
		"--template {name}:{port}":              "liar:1\npi:5020\nx[2J:7\n",
	} {
		d, out := discoveryFor(t, strings.Fields(words)...)
		for _, m := range around {
			if !d.event(browse.Event{Kind: browse.Found, Machine: m}) {
				t.Errorf("%s: it stops: %v", words, d.failed)
			}
		}
		if err := d.finish(); err != nil {
			t.Error(err)
		}
		if out.String() != want {
			t.Errorf("%s:\n%s\nwant\n%s", words, out, want)
		}
	}
}

// A watch has each event at once, and ends with the last that is wanted.
func TestDiscoverWatches(t *testing.T) {
	d, out := discoveryFor(t, "--watch", "-n", "2", "--fields", "event,name,port")
	goOn := []bool{}
	moved := around[0]
	moved.Port = 5021
	for _, e := range []browse.Event{{Kind: browse.Found, Machine: around[0]}, {Kind: browse.Changed, Machine: moved}, {Kind: browse.Gone, Machine: moved}, {Kind: browse.Found, Machine: around[1]}} {
		goOn = append(goOn, d.event(e))
	}
	want := `{"event":"found","name":"pi","port":5020}` + "\n" + `{"event":"changed","name":"pi","port":5021}` + "\n" +
		`{"event":"gone","name":"pi","port":5021}` + "\n" + `{"event":"found","name":"liar","port":1}` + "\n"
	if out.String() != want || !goOn[0] || !goOn[1] || !goOn[2] || goOn[3] {
		t.Errorf("%s, %v", out, goOn)
	}
}

// A machine that takes another name is not two.
func TestDiscoverRenamed(t *testing.T) {
	d, _ := discoveryFor(t)
	renamed := around[0]
	renamed.Name, renamed.Instance = "po", "po"
	d.event(browse.Event{Kind: browse.Found, Machine: around[0]})
	d.event(browse.Event{Kind: browse.Found, Machine: renamed})
	if d.ambiguous(renamed) {
		t.Error("it is ambiguous")
	}
	d.event(browse.Event{Kind: browse.Found, Machine: around[1]})
	if !d.ambiguous(renamed) || !d.ambiguous(around[1]) || d.ambiguous(around[2]) {
		t.Error("a liar makes it no different")
	}
}

// On a terminal the table is drawn again in its place; a list of many is not.
func TestDiscoverDraws(t *testing.T) {
	d, out := discoveryFor(t)
	d.outTTY, d.width = true, 80
	d.event(browse.Event{Kind: browse.Found, Machine: around[0]})
	d.event(browse.Event{Kind: browse.Found, Machine: around[2]})
	got := out.String()
	if strings.Count(got, "\x1b[2A\x1b[J") != 1 || strings.Count(got, "\x1b") != 2 || strings.Count(got, "NAME") != 2 {
		t.Errorf("drawn %q", got)
	}
	for i := range 30 {
		m := around[0]
		m.Instance += string(rune('a' + i))
		d.event(browse.Event{Kind: browse.Found, Machine: m})
	}
	if n := strings.Count(out.String(), "NAME"); n != maxDrawn {
		t.Errorf("drawn %d times", n)
	}
	if err := d.finish(); err != nil || strings.Count(out.String(), "NAME") != maxDrawn+1 {
		t.Errorf("at the end: %v", err)
	}
}

func TestDiscoverRefuses(t *testing.T) {
	for words, want := range map[string]string{
		"--watch -o table":   "--watch does not go with",
		"-n -1":              "-n must be 0 or more",
		"--require -1":       "--require must be",
		"-n 1 --require 2":   "never met",
		"--fields x -o json": `no field "x"`,
	} {
		o := &discoverOptions{streams: &streams{}}
		f := pflag.NewFlagSet("discover", pflag.ContinueOnError)
		o.addFlags(f)
		if err := f.Parse(strings.Fields(words)); err != nil {
			t.Fatal(err)
		}
		if err := o.prepare(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// Why there is nowhere to look comes with what mends it.
func TestDiscoverWithoutNetwork(t *testing.T) {
	for why, hint := range map[string]string{
		"eth0 is down":            "sudo ip link set eth0 up",
		"wlan0 does no multicast": "sudo ip link set wlan0 multicast on",
		"eth0 has no carrier":     "is eth0 connected?",
		"wlan0 has no address":    "ip address show dev wlan0",
		"lo is the loopback":      "connect this machine",
	} {
		f, ok := noNetwork(&mdns.NoLinkError{Why: []string{"lo is the loopback", why}}).(*failure)
		if !ok || f.Code != exitOwn || !strings.Contains(f.Hint, hint) || !strings.Contains(f.Message, why) {
			t.Errorf("%s: %+v", why, f)
		}
	}
}

// A store that cannot be read is no reason not to look, unless it decides what
// is shown. None is made.
func TestDiscoverWithoutStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	var talk bytes.Buffer
	o := &discoverOptions{streams: &streams{err: &talk}, state: dir}
	if _, err := o.devices(); err != nil || talk.Len() > 0 {
		t.Errorf("%v, %s", err, &talk)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a directory was made")
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := o.devices(); err != nil || !strings.Contains(talk.String(), "not known") {
		t.Errorf("%v, %s", err, &talk)
	}
	o.paired = true
	if _, err := o.devices(); err == nil {
		t.Error("--paired goes on without the store")
	}
}

// The claim to be a device takes all characters that are announced.
func TestShortIDIsNoClaim(t *testing.T) {
	d, _ := discoveryFor(t)
	for id, want := range map[string]string{announced(deskID): "kitchen", announced(deskID)[:8]: "", "": "", announced(trust.ID{2}): ""} {
		if got := d.deviceOf(browse.Machine{ID: id}); got != want {
			t.Errorf("%q claims to be %q", id, got)
		}
	}
	var doc map[string]any
	b, err := appendJSON(nil, d.document(around[2]))
	if err != nil || json.Unmarshal(b, &doc) != nil {
		t.Errorf("%v: %s", err, b)
	}
}
