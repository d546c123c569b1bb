package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// times are how long one contestant took.
type times struct{ first, all time.Duration }

// network is a bridge with two hosts, the one that looks and the others.
type network struct{ bridge, looks, others string }

func newNetwork(ctx context.Context) (*network, error) {
	name := func(part string) string { return fmt.Sprintf("dcb%d%s", os.Getpid(), part) }
	n := &network{name("S"), name("A"), name("B")}
	for _, space := range []string{n.bridge, n.looks, n.others} {
		if err := ip(ctx, "netns", "add", space); err != nil {
			return n, err
		}
	}
	err := errors.Join(ip(ctx, "-n", n.bridge, "link", "add", "br0", "type", "bridge"), ip(ctx, "-n", n.bridge, "link", "set", "br0", "up"))
	for i, space := range []string{n.looks, n.others} {
		port := fmt.Sprintf("p%d", i)
		for _, args := range [][]string{
			{"link", "add", "e0", "netns", space, "type", "veth", "peer", "name", port, "netns", n.bridge},
			{"-n", n.bridge, "link", "set", port, "master", "br0"}, {"-n", n.bridge, "link", "set", port, "up"},
			{"-n", space, "link", "set", "lo", "up"}, {"-n", space, "link", "set", "e0", "up"},
			{"-n", space, "addr", "add", fmt.Sprintf("10.98.0.%d/24", i+1), "dev", "e0"},
		} {
			err = errors.Join(err, ip(ctx, args...))
		}
	}
	time.Sleep(3 * time.Second) // until the kernel is sure of its IPv6 addresses
	return n, err
}

func (n *network) remove() (err error) {
	for _, space := range []string{n.looks, n.others, n.bridge} {
		err = errors.Join(err, ip(context.Background(), "netns", "del", space))
	}
	return err
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

func in(ctx context.Context, space string, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", space}, words...)...)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	return cmd
}

// announce starts the machines, and waits until they are settled.
func (b *bench) announce(ctx context.Context, n *network) error {
	cmd := in(ctx, n.others, os.Args[0], "-announce", "-machines", fmt.Sprint(b.machines))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.Start(cmd); err != nil {
		return err
	}
	if !bufio.NewScanner(out).Scan() {
		return errors.New("the machines do not settle")
	}
	return nil
}

// Both start from a shell that says when, so that what it takes to get into the
// namespace counts for none of them.
const start = `echo start; exec "$0" "$@"`

func (b *bench) discover(ctx context.Context, n *network) (times, error) {
	cmd := in(ctx, n.looks, "sh", "-c", start, b.dconn, "discover", "--watch", "-n", fmt.Sprint(b.machines), "-W", "10")
	cmd.Env = b.Env()
	return b.measure(cmd, regexp.MustCompile(`"event":"found".*"name":"([^"]*)"`))
}

func (b *bench) avahi(ctx context.Context, n *network) (times, error) {
	cmd := in(ctx, n.looks, "scripts/net/avahi.sh", "looks", "sh", "-c", start, "stdbuf", "-oL", "avahi-browse", "-rpt", "_deskconn._tcp")
	cmd.Cancel = func() error { return cmd.Process.Kill() } // unshare ignores SIGTERM
	return b.measure(cmd, regexp.MustCompile(`^=;e0;IPv[46];([^;]*);`))
}

// measure runs a contestant until it has named all machines.
func (b *bench) measure(cmd *exec.Cmd, row *regexp.Regexp) (t times, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return t, err
	}
	if err := cmd.Start(); err != nil {
		return t, err
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return t, fmt.Errorf("%v does not start", cmd.Args)
	}
	began, named := time.Now(), map[string]bool{}
	for lines.Scan() {
		found := row.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		if len(named) == 0 {
			t.first = time.Since(began)
		}
		if named[found[1]] = true; len(named) == b.machines {
			t.all = time.Since(began)
			return t, nil
		}
	}
	return t, fmt.Errorf("%v has named %d of %d machines", cmd.Args, len(named), b.machines)
}
