package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Start runs a daemon until StopDaemons. What it says goes to LogOf.
func (r *Rig) Start(cmd *exec.Cmd) error {
	log, err := os.Create(r.LogOf(cmd))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Env, cmd.Stderr = r.Env(), log
	if err := cmd.Start(); err != nil {
		return err
	}
	r.daemons = append(r.daemons, cmd)
	return nil
}

// LogOf is the file of what a daemon says on stderr.
func (r *Rig) LogOf(cmd *exec.Cmd) string {
	return filepath.Join(r.Dir, filepath.Base(cmd.Path)+".log")
}

// NotReady explains why a daemon is not.
func (r *Rig) NotReady(cmd *exec.Cmd, err error) error {
	said, _ := os.ReadFile(r.LogOf(cmd))
	return fmt.Errorf("%s is not ready: %w\n%s", filepath.Base(cmd.Path), err, said)
}

// Socket is where dconn looks for its daemon without --socket.
func (r *Rig) Socket() string { return filepath.Join(r.runtimeDir(), "dconn", "dconn.sock") }

// Serve returns once a daemon of our own answers on Socket. Other machines cannot
// reach it: its TCP port is one of 127.0.0.1.
func (r *Rig) Serve(ctx context.Context, dconn string) (*exec.Cmd, error) {
	daemon := exec.Command(dconn, "serve", "--socket", r.Socket(), "--listen", "127.0.0.1:0")
	if err := r.Start(daemon); err != nil {
		return nil, err
	}
	if _, err := r.Output(ctx, dconn, "wait", "-W", "10s"); err != nil {
		return nil, r.NotReady(daemon, err)
	}
	return daemon, nil
}

// StopDaemons ends what Start began, here and in the rig of the base.
func (r *Rig) StopDaemons() {
	if r.base != nil {
		r.base.StopDaemons()
	}
	for _, d := range slices.Clone(r.daemons) {
		r.Stop(d)
	}
}

// Stop ends a daemon: politely, and after 5 seconds by force.
func (r *Rig) Stop(d *exec.Cmd) {
	force := time.AfterFunc(5*time.Second, func() { _ = d.Process.Kill() })
	_ = d.Process.Signal(syscall.SIGTERM)
	_ = d.Wait()
	force.Stop()
	r.daemons = slices.DeleteFunc(r.daemons, func(other *exec.Cmd) bool { return other == d })
}
