package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// bench holds what a run compares, and by which daemons.
type bench struct {
	*rig.Rig
	size

	dconn     *bus
	mosquitto *bus   // nil where it is not to be had
	buses     []*bus // those there are
	base      *bench // with the base binary, nil without one

	documents string // file of the calls of a batch
	name      string // what each of them answers
}

// bus is a daemon that others send through.
type bus struct {
	name   string
	daemon *exec.Cmd
	past   usage    // of daemons before this one
	runs   int      // so far: each has a topic of its own
	at     []string // the flags that lead there
	unix   []string // those of another way
}

func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }

// laptop is the state of a machine that is paired with the one that serves.
func (b *bench) laptop() string { return b.path("laptop") }

// prepare builds dconn and gets everything ready, that of the base too.
func (b *bench) prepare(ctx context.Context) error {
	// mosquitto is not on every user's path
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		return err
	}
	if err := b.BuildDconn(ctx, b.Dconn()); err != nil {
		return err
	}
	if err := b.begin(ctx, "dconn"); err != nil {
		return err
	}
	if b.binary != "" {
		r, err := b.Base(b.binary)
		if err != nil {
			return err
		}
		b.base = &bench{Rig: r, size: b.size}
		if err := b.base.begin(ctx, "dconn of the base"); err != nil {
			return err
		}
		b.buses = append(b.buses, b.base.dconn)
	}
	if b.base != nil && !b.withMosquitto {
		return nil
	}
	return b.startMosquitto(ctx)
}

// begin starts the daemon and writes what is sent to it.
func (b *bench) begin(ctx context.Context, name string) (err error) {
	b.dconn = &bus{name: name}
	b.buses = append(b.buses, b.dconn)
	if err := b.serve(ctx); err != nil {
		return err
	}
	if b.name, err = b.Output(ctx, b.Dconn(), "call", procedure); err != nil {
		return err
	}
	b.name = strings.TrimSuffix(b.name, "\n")
	b.documents = b.path("documents")
	return writeLines(b.documents, b.calls, func(int) string { return "{}" })
}

// serve starts the daemon, and pairs the laptop with it anew: its port is another.
func (b *bench) serve(ctx context.Context) (err error) {
	if err := os.RemoveAll(b.laptop()); err != nil {
		return err
	}
	if b.dconn.daemon, err = b.Serve(ctx, b.Dconn()); err != nil {
		return err
	}
	return b.Pair(ctx, b.Dconn(), device, b.laptop())
}

// renew gives the binary a new copy and starts the daemon anew: what one process
// was given by chance is not that of a whole run.
func (b *bench) renew(ctx context.Context) error {
	b.Stop(b.dconn.daemon)
	b.dconn.past = b.dconn.usage()
	if err := b.Renew(); err != nil {
		return err
	}
	return b.serve(ctx)
}

// input is a file with that many lines, no two of them the same.
func (b *bench) input(lines int) (string, error) {
	path := b.path(fmt.Sprint("input.", lines))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, writeLines(path, lines, func(i int) string { return fmt.Sprintf("line %06d", i) })
}

func writeLines(path string, n int, line func(int) string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintln(w, line(i))
	}
	return w.Flush()
}

// startMosquitto starts a broker of our own. Without one, which is said, dconn
// is measured alone.
func (b *bench) startMosquitto(ctx context.Context) error {
	err := b.Need(ctx, []string{"mosquitto", "mosquitto_pub", "mosquitto_sub"}, "mosquitto", "mosquitto-clients")
	if err != nil {
		b.Say("no rows for mosquitto: %v", err)
		return ctx.Err()
	}
	m, err := b.StartMosquitto(ctx)
	if err != nil {
		return err
	}
	b.mosquitto = &bus{name: "mosquitto", daemon: m.Daemon, at: []string{"-h", "127.0.0.1", "-p", fmt.Sprint(m.Port)}, unix: []string{"--unix", m.Socket}}
	b.buses = append(b.buses, b.mosquitto)
	return nil
}

func (b *bench) versions(ctx context.Context) (string, error) {
	others := []string{b.FirstLine(ctx, "bash", "--version")}
	if b.mosquitto != nil {
		others = append(others, b.FirstLine(ctx, "mosquitto", "-h"), b.FirstLine(ctx, "mosquitto_sub", "--version"))
	}
	if b.base != nil {
		others = append(others, b.base.SaysItIs(ctx))
	}
	return b.Versions(b.Dconn(), others...)
}
