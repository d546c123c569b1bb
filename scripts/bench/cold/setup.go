package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

const (
	procedure = ".system.name"
	fullURI   = "org.deskconn.system.name"
	device    = "desk" // as which the daemon is known to who is paired with it
)

// The names of the programs that the bars compare.
const (
	nameEmpty  = "empty Go program"
	nameFloor  = "floor: stdlib-only Go, unix, JSON"
	nameNexus  = "nexus client package alone, unix, CBOR"
	nameCLI    = "nexus client with cobra, viper, go-pretty"
	nameBusctl = "busctl call"
	nameCall   = "dconn call " + procedure
	nameDevice = "dconn call -d " + device + " " + procedure
	nameStart  = "dconn version (no network)"
)

// program is one row of the table.
type program struct {
	name  string
	paths []string // copies of the one file, taken in turn
	args  []string
}

// bench holds what a run compares.
type bench struct {
	*rig.Rig

	programs []program
}

// copies is how often each program is installed: two copies of one file were
// seen to differ by up to 5 %.
const copies = 3

func (b *bench) binaries(name string) []string {
	paths := make([]string, copies)
	for i := range paths {
		paths[i] = filepath.Join(b.Dir, fmt.Sprint(name, ".", i))
	}
	return paths
}

// dconn is the file that serves and is called, as on any machine.
func (b *bench) dconn() string { return b.binaries("dconn")[0] }

// prepare builds the programs, starts the daemons and lets each program
// run once, so that all of it is warm. What runs twice a round is found
// warmer, so no two rows share a file.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.BuildDconn(ctx, slices.Concat(b.binaries("dconn"), b.binaries("dconn-device"), b.binaries("dconn-version"))...); err != nil {
		return err
	}
	for _, name := range []string{"empty", "floor", "nexusclient", "nexuscli"} {
		if err := b.Build(ctx, "scripts/bench/cold/"+name, b.binaries(name)...); err != nil {
			return err
		}
	}
	if _, err := b.Serve(ctx, b.dconn()); err != nil {
		return err
	}
	socket, laptop := b.Socket(), filepath.Join(b.Dir, "laptop")
	if err := b.Pair(ctx, b.dconn(), device, laptop); err != nil {
		return err
	}
	b.programs = []program{
		{nameEmpty, b.binaries("empty"), nil},
		{nameFloor, b.binaries("floor"), []string{socket, fullURI}},
		{nameNexus, b.binaries("nexusclient"), []string{socket, fullURI}},
		{nameCLI, b.binaries("nexuscli"), []string{"call", socket, fullURI}},
		{nameCall, b.binaries("dconn"), []string{"call", procedure}},
		{nameDevice, b.binaries("dconn-device"), []string{"call", "-d", device, "--state", laptop, procedure}},
		{nameStart, b.binaries("dconn-version"), []string{"version"}},
	}
	if err := b.addBusctl(ctx); err != nil {
		return err
	}
	return b.check(ctx)
}

// startBus returns once a bus of our own listens at address.
func (b *bench) startBus(ctx context.Context, address string) error {
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address, "--print-address=1")
	out, err := daemon.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.Start(daemon); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return b.NotReady(daemon, errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// addBusctl adds the D-Bus peer: the bus itself answers, as our daemon does. It
// is left out, with a line that says so, where it is not to be had.
func (b *bench) addBusctl(ctx context.Context) error {
	if err := b.Need(ctx, []string{"busctl", "dbus-daemon"}, "systemd", "dbus-daemon"); err != nil {
		b.Say("no row for busctl call: %v", err)
		return ctx.Err()
	}
	address := "unix:path=" + filepath.Join(b.Dir, "bus")
	if err := b.startBus(ctx, address); err != nil {
		return err
	}
	busctl, err := exec.LookPath("busctl")
	b.programs = append(b.programs, program{nameBusctl, []string{busctl}, []string{"--address=" + address, "call",
		"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId"}})
	return err
}

// check runs each program once and compares what those print that make the
// same call.
func (b *bench) check(ctx context.Context) error {
	said := map[string]string{}
	for _, p := range b.programs {
		out, err := b.Output(ctx, p.paths[0], p.args...)
		if err != nil {
			return err
		}
		said[p.name] = out
	}
	for _, name := range []string{nameFloor, nameNexus, nameCLI, nameDevice} {
		if said[name] != said[nameCall] || said[name] == "" {
			return fmt.Errorf("%s printed %q, %s printed %q", name, said[name], nameCall, said[nameCall])
		}
	}
	return nil
}

func (b *bench) versions(ctx context.Context) (string, error) {
	var tools []string
	for _, tool := range []string{"busctl", "dbus-daemon"} {
		if line := b.FirstLine(ctx, tool, "--version"); line != "" {
			tools = append(tools, line)
		}
	}
	return b.Versions(b.dconn(), tools...)
}
