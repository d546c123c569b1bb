package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// bench holds what a run compares.
type bench struct {
	*rig.Rig
	size

	field []contestant
}

// contestant is a router and a way to it.
type contestant struct {
	name              string
	ours              bool // what it loses is our fault
	protocol, network string
	start             func(context.Context) (daemon *exec.Cmd, address string, err error)
}

// The names of the contestants that the bars compare.
const (
	nameDconn = "dconn unix"
	nameStock = "stock nexus unix"
	nameNATS  = "nats-server tcp"
)

// all are the contestants there may be.
func (b *bench) all() []contestant {
	return []contestant{
		{nameDconn, true, load.WAMP, "unix", b.startDconn},
		{"dconn unix, its own client", true, load.Session, "unix", b.startDconn},
		{nameStock, false, load.WAMP, "unix", b.startStock("unix")},
		{"stock nexus tcp", false, load.WAMP, "tcp", b.startStock("tcp")},
		{nameNATS, false, load.NATS, "tcp", b.startNATS},
		{"mosquitto tcp", false, load.MQTT, "tcp", b.startMosquitto("tcp")},
		{"mosquitto unix", false, load.MQTT, "unix", b.startMosquitto("unix")},
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }

func (b *bench) startDconn(ctx context.Context) (*exec.Cmd, string, error) {
	daemon, err := b.Serve(ctx, b.path("dconn"))
	return daemon, b.Socket(), err
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
	missing := map[string]bool{} // protocols
	for _, c := range b.all() {
		if !wanted.MatchString(c.name) || missing[c.protocol] {
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
	if err := b.BuildDconn(ctx, b.path("dconn")); err != nil {
		return err
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
	return b.Versions(b.path("dconn"), others...)
}
