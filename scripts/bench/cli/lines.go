package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// The names of the contestants that the bars compare.
const (
	nameAcknowledged = "dconn publish --lines -s"
	nameNoAck        = "dconn publish --lines -s --no-ack"
	nameMosquitto    = "mosquitto_pub -l (QoS 0)"
	nameUnix         = "mosquitto_pub -l --unix (QoS 0)"
	nameQoS1         = "mosquitto_pub -l -q 1"
)

// maxQoS1 is how many lines mosquitto_pub -l -q 1 can send: it tells messages
// apart by 16 bits, and ends with the first that shares those of the last.
const maxQoS1 = 65_000

// route is a way from a publisher to a subscriber.
type route struct {
	bus                *bus
	lines              int
	publish, subscribe []string // what is missing is the topic
}

func (b *bench) dconnRoute(flags ...string) route {
	return route{
		b.dconn, b.lines,
		append([]string{"dconn", "publish", "--lines", "-s"}, flags...),
		[]string{"dconn", "subscribe", "-n", fmt.Sprint(b.lines), "--ready-fd", "3"},
	}
}

func (b *bench) mosquittoRoute(lines int, at []string, qos string) route {
	flags := append(at[:len(at):len(at)], "-q", qos)
	return route{
		b.mosquitto, lines,
		append(append([]string{"mosquitto_pub", "-l"}, flags...), "-t"),
		append(append([]string{"mosquitto_sub", "-C", fmt.Sprint(lines)}, flags...), "-t"),
	}
}

// endToEnd compares from the start of the publisher, which reads a file, to the
// end of the subscriber, which wrote the last line into another.
func (b *bench) endToEnd() *contest {
	c := &contest{title: "lines from publisher to subscriber", unit: "lines", receives: true, peer: -1}
	add := func(name string, r route) {
		c.contestants = append(c.contestants, &contestant{
			name: name, ours: r.bus == b.dconn, bus: r.bus,
			run: func(ctx context.Context) (sample, error) { return b.through(ctx, r) },
		})
	}
	add(nameAcknowledged, b.dconnRoute())
	add(nameNoAck, b.dconnRoute("--no-ack"))
	if b.mosquitto != nil {
		c.peer = len(c.contestants)
		add(nameMosquitto, b.mosquittoRoute(b.lines, b.mosquitto.at, "0"))
		add(nameUnix, b.mosquittoRoute(b.lines, b.mosquitto.unix, "0"))
		add(nameQoS1, b.mosquittoRoute(min(b.lines, maxQoS1), b.mosquitto.at, "1"))
	}
	return c
}

// alone compares publishers that read a pipe, where nobody subscribes.
func (b *bench) alone() *contest {
	c := &contest{title: "lines from a pipe to nobody", unit: "lines", peer: -1}
	add := func(name string, r route) {
		c.contestants = append(c.contestants, &contestant{
			name: name, ours: r.bus == b.dconn, bus: r.bus,
			run: func(ctx context.Context) (sample, error) { return b.piped(ctx, r) },
		})
	}
	add(nameAcknowledged, b.dconnRoute())
	add(nameNoAck, b.dconnRoute("--no-ack"))
	if b.mosquitto != nil {
		c.peer = len(c.contestants)
		add(nameMosquitto, b.mosquittoRoute(b.lines, b.mosquitto.at, "0"))
	}
	return c
}

func (b *bus) topic() string { return fmt.Sprint("org.example.bench", b.runs) }

// through sends a file through r and compares what comes out.
func (b *bench) through(ctx context.Context, r route) (s sample, err error) {
	input, err := b.input(r.lines)
	if err != nil {
		return s, err
	}
	in, err := os.Open(input)
	if err != nil {
		return s, err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(b.path("output"))
	if err != nil {
		return s, err
	}
	defer func() { _ = out.Close() }()
	subscriber, err := b.subscribe(ctx, r, out)
	if err != nil {
		return s, err
	}
	defer subscriber.stop()
	begin := time.Now()
	publisher, err := start(b.command(ctx, in, nil, append(r.publish, r.bus.topic())...))
	if err != nil {
		return s, err
	}
	if err := publisher.wait(); err != nil {
		return s, err
	}
	if err := received(subscriber, out); err != nil {
		return s, err
	}
	s = sample{wall: subscriber.end.Sub(begin), sender: publisher.usage(), receiver: subscriber.usage()}
	s.count, s.lost, err = compare(input, out.Name())
	return s, err
}

// subscribe returns once the subscriber of r will get what is published.
func (b *bench) subscribe(ctx context.Context, r route, out *os.File) (*process, error) {
	ready, said, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	cmd := b.command(ctx, nil, out, append(r.subscribe, r.bus.topic())...)
	cmd.ExtraFiles = []*os.File{said} // number 3 of the process
	p, err := start(cmd)
	if err = errors.Join(err, said.Close()); err != nil {
		return nil, err
	}
	if r.bus == b.dconn {
		err = ready.SetReadDeadline(time.Now().Add(10 * time.Second))
		if err == nil {
			_, err = io.ReadFull(ready, make([]byte, 1))
		}
	} else {
		err = b.subscribed(ctx, r.bus)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the subscriber is not ready: %w", errors.Join(err, p.err))
	}
	return p, nil
}

// subscribed waits until mosquitto says that somebody subscribed to the topic.
// It does one thing at a time, so what comes later will be delivered.
func (b *bench) subscribed(ctx context.Context, broker *bus) error {
	return rig.Eventually(ctx, rig.Moment, func() (bool, error) {
		log, err := os.ReadFile(b.LogOf(broker.daemon))
		return strings.Contains(string(log), broker.topic()+"\n"), err
	})
}

// patience is how long a subscriber may write nothing until what it still waits
// for counts as lost.
const patience = 5 * time.Second

// received waits for the end of a subscriber, and ends it when nothing comes
// any more.
func received(p *process, out *os.File) error {
	for size := int64(-1); ; {
		select {
		case <-p.done:
			return p.err
		case <-time.After(patience):
		}
		info, err := out.Stat()
		if err != nil {
			return err
		}
		if info.Size() == size {
			p.stop()
			return nil
		}
		size = info.Size()
	}
}

// piped sends the lines of a pipe.
func (b *bench) piped(ctx context.Context, r route) (s sample, err error) {
	input, err := b.input(r.lines)
	if err != nil {
		return s, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return s, err
	}
	begin := time.Now()
	publisher, err := start(b.command(ctx, in, nil, append(r.publish, r.bus.topic())...))
	_ = in.Close()
	if err != nil {
		return s, errors.Join(err, out.Close())
	}
	cat, err := start(b.command(ctx, nil, out, "cat", input))
	_ = out.Close()
	if err = errors.Join(err, publisher.wait()); err != nil {
		return s, err
	}
	return sample{count: r.lines, wall: publisher.end.Sub(begin), sender: publisher.usage()}, cat.wait()
}
