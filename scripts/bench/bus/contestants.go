package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// bench holds what a run compares.
type bench struct {
	*rig.Rig
	size

	field []contestant
	base  *rig.Rig // of the base binary, nil without one
}

// contestant is a router and a way to it.
type contestant struct {
	name              string
	ours              bool // what it loses is our fault
	base              bool // the binary that ours is compared with
	protocol, network string
	start             func(context.Context) (daemon *exec.Cmd, address string, err error)
}

// The names of the contestants that the bars compare.
const (
	nameDconn = "dconn unix"
	nameBase  = "base unix"
	nameRaw   = "raw ping-pong unix"
	nameStock = "stock nexus unix"
	nameNATS  = "nats-server tcp"
)

// all are the contestants there may be.
func (b *bench) all() []contestant {
	all := []contestant{
		{name: nameDconn, ours: true, protocol: load.WAMP, network: "unix", start: serve(b.Rig)},
		{name: nameDconn + ownClient, ours: true, protocol: load.Session, network: "unix", start: serve(b.Rig)},
		{name: nameDconn + lockstep, ours: true, protocol: load.Lockstep, network: "unix", start: serve(b.Rig)},
	}
	if b.base != nil {
		all = append(all,
			contestant{name: nameBase, base: true, protocol: load.WAMP, network: "unix", start: serve(b.base)},
			contestant{name: nameBase + ownClient, base: true, protocol: load.Session, network: "unix", start: serve(b.base)},
			contestant{name: nameBase + lockstep, base: true, protocol: load.Lockstep, network: "unix", start: serve(b.base)})
	}
	return append(all,
		contestant{name: nameRaw, protocol: load.Raw, network: "unix", start: b.startEcho},
		contestant{name: nameStock, protocol: load.WAMP, network: "unix", start: b.startStock("unix")},
		contestant{name: "stock nexus tcp", protocol: load.WAMP, network: "tcp", start: b.startStock("tcp")},
		contestant{name: nameNATS, protocol: load.NATS, network: "tcp", start: b.startNATS},
		contestant{name: "mosquitto tcp", protocol: load.MQTT, network: "tcp", start: b.startMosquitto("tcp")},
		contestant{name: "mosquitto unix", protocol: load.MQTT, network: "unix", start: b.startMosquitto("unix")})
}

// ownClient ends the name of those that have the client of dconn's commands.
const ownClient = ", its own client"

// lockstep ends the name of those whose client does no more than an end of the
// ping-pong.
const lockstep = ", in lockstep"

// wants reports whether a contestant takes part. Beside a base, only what is
// compared with it does, unless -contestants says something else.
func (b *bench) wants(c contestant, named *regexp.Regexp) bool {
	if b.base != nil && b.contestants == "" {
		return c.ours || c.base || c.protocol == load.Raw
	}
	return named.MatchString(c.name)
}

// twin is the base with the client of c, which is ours; nil if there is none.
func twin(field []contestant, c contestant) *contestant {
	i := slices.IndexFunc(field, func(other contestant) bool { return c.ours && other.base && other.protocol == c.protocol })
	if i < 0 {
		return nil
	}
	return &field[i]
}

func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }

func serve(r *rig.Rig) func(context.Context) (*exec.Cmd, string, error) {
	return func(ctx context.Context) (*exec.Cmd, string, error) {
		daemon, err := r.Serve(ctx, r.Dconn())
		return daemon, r.Socket(), err
	}
}

func (b *bench) startEcho(ctx context.Context) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address := b.path("echo.sock")
	other := exec.Command(self, echoWord, address)
	return other, address, b.startAndWait(ctx, other, "unix", address)
}

func (b *bench) startStock(network string) func(context.Context) (*exec.Cmd, string, error) {
	return func(ctx context.Context) (*exec.Cmd, string, error) {
		address := b.path("stock.sock")
		if network == "tcp" {
			port, err := rig.FreePort()
			if err != nil {
				return nil, "", err
			}
			address = local(port)
		}
		daemon := exec.Command(b.path("stock"), network, address)
		return daemon, address, b.startAndWait(ctx, daemon, network, address)
	}
}

// natsConf allows the payloads that are sent.
const natsConf = `listen: "%s"
max_payload: 8388608
`

func (b *bench) startNATS(ctx context.Context) (*exec.Cmd, string, error) {
	port, err := rig.FreePort()
	if err != nil {
		return nil, "", err
	}
	conf, address := b.path("nats.conf"), local(port)
	if err := os.WriteFile(conf, fmt.Appendf(nil, natsConf, address), 0o600); err != nil {
		return nil, "", err
	}
	daemon := exec.Command("nats-server", "-c", conf)
	return daemon, address, b.startAndWait(ctx, daemon, "tcp", address)
}

func (b *bench) startMosquitto(network string) func(context.Context) (*exec.Cmd, string, error) {
	return func(ctx context.Context) (*exec.Cmd, string, error) {
		m, err := b.StartMosquitto(ctx)
		switch {
		case err != nil:
			return nil, "", err
		case network == "tcp":
			return m.Daemon, local(m.Port), nil
		}
		return m.Daemon, m.Socket, nil
	}
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (b *bench) startAndWait(ctx context.Context, daemon *exec.Cmd, network, address string) error {
	if err := b.Start(daemon); err != nil {
		return err
	}
	if err := rig.Accepts(ctx, network, address); err != nil {
		return b.NotReady(daemon, err)
	}
	return nil
}

// prepare has the contestants that are wanted, and builds what is ours. One that
// is not to be had is left out, with a line that says so.
func (b *bench) prepare(ctx context.Context, wanted *regexp.Regexp) error {
	// the daemons of Debian are not on every user's path
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		return err
	}
	if b.binary != "" {
		var err error
		if b.base, err = b.Base(b.binary); err != nil {
			return err
		}
	}
	missing := map[string]bool{} // protocols
	for _, c := range b.all() {
		if !b.wants(c, wanted) || missing[c.protocol] {
			continue
		}
		if tool := tools[c.protocol]; tool != "" {
			if err := b.Need(ctx, []string{tool}, tool); err != nil {
				b.Say("no rows for %s: %v", tool, err)
				missing[c.protocol] = true
				continue
			}
		}
		b.field = append(b.field, c)
	}
	if len(b.field) == 0 {
		return fmt.Errorf("no contestant is named like -contestants %q", b.contestants)
	}
	if err := b.BuildDconn(ctx, b.Dconn()); err != nil {
		return err
	}
	if !slices.ContainsFunc(b.field, func(c contestant) bool { return strings.HasPrefix(c.name, "stock ") }) {
		return nil
	}
	return b.Build(ctx, "scripts/bench/bus/stock", b.path("stock"))
}

// tools are the daemons from Debian packages of the same name, by protocol.
var tools = map[string]string{load.NATS: "nats-server", load.MQTT: "mosquitto"}

func (b *bench) versions(ctx context.Context) (string, error) {
	var others []string
	said := map[string]bool{}
	for _, c := range b.field {
		tool := tools[c.protocol]
		if tool == "" || said[tool] {
			continue
		}
		said[tool] = true
		flag := "--version"
		if tool == "mosquitto" {
			flag = "-h"
		}
		others = append(others, strings.TrimSpace(b.FirstLine(ctx, tool, flag)))
	}
	if b.base != nil {
		others = append(others, b.base.SaysItIs(ctx))
	}
	return b.Versions(b.Dconn(), others...)
}
