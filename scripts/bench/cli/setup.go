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

	documents string // file of the calls of a batch
	name      string // what each of them answers
	runs      int    // so far: each has a topic and an output of its own
}

// bus is a daemon that others send through.
type bus struct {
	daemon *exec.Cmd
	at     []string // the flags that lead there
	unix   []string // those of another way
}

func (b *bench) path(name string) string { return filepath.Join(b.Dir, name) }

// laptop is the state of a machine that is paired with the one that serves.
func (b *bench) laptop() string { return b.path("laptop") }

// prepare builds dconn, starts the daemons and writes what is sent to them.
func (b *bench) prepare(ctx context.Context) error {
	// dconn is called by its name, and mosquitto is not on every user's path.
	if err := os.Setenv("PATH", b.Dir+":"+os.Getenv("PATH")+":/usr/sbin"); err != nil {
		return err
	}
	if err := b.BuildDconn(ctx, b.path("dconn")); err != nil {
		return err
	}
	daemon, err := b.Serve(ctx, "dconn")
	if err != nil {
		return err
	}
	if err := b.Pair(ctx, "dconn", device, b.laptop()); err != nil {
		return err
	}
	b.dconn = &bus{daemon: daemon}
	b.buses = append(b.buses, b.dconn)
	if err := b.startMosquitto(ctx); err != nil {
		return err
	}
	if b.name, err = b.Output(ctx, "dconn", "call", procedure); err != nil {
		return err
	}
	b.name = strings.TrimSuffix(b.name, "\n")
	b.documents = b.path("documents")
	return writeLines(b.documents, b.calls, func(int) string { return "{}" })
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
	b.mosquitto = &bus{daemon: m.Daemon, at: []string{"-h", "127.0.0.1", "-p", fmt.Sprint(m.Port)}, unix: []string{"--unix", m.Socket}}
	b.buses = append(b.buses, b.mosquitto)
	return nil
}

func (b *bench) versions(ctx context.Context) (string, error) {
	others := []string{b.FirstLine(ctx, "bash", "--version")}
	if b.mosquitto != nil {
		others = append(others, b.FirstLine(ctx, "mosquitto", "-h"), b.FirstLine(ctx, "mosquitto_sub", "--version"))
	}
	return b.Versions(b.path("dconn"), others...)
}
