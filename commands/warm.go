package commands

import (
	"context"
	"net/netip"
	"time"

	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/wire"
)

// askDaemon is how long the daemon here may take to say what it knows.
const askDaemon = 200 * time.Millisecond

// warm asks the daemon of this machine, at socket or where it usually is, who
// announces itself, and for how long it has looked by now. Being asked, it goes on
// looking for a while.
func warm(ctx context.Context, socket string) (machines []browse.Machine, looked time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, askDaemon)
	defer cancel()
	s, err := (&target{socket: socket}).dial(ctx)
	if err != nil {
		return nil, 0
	}
	defer s.Leave(ctx)
	result, err := s.Call(ctx, wire.Discover, nil, nil)
	if err != nil || len(result.Args) != 1 {
		return nil, 0
	}
	for _, d := range dicts(result.Args[0]) {
		machines = append(machines, machineOf(d))
	}
	seconds, _ := result.Kwargs["looked"].(float64)
	return machines, time.Duration(seconds * float64(time.Second))
}

// machineOf reads what answerDiscover of package router wrote.
func machineOf(d map[string]any) browse.Machine {
	m := browse.Machine{}
	m.Name, _ = d["name"].(string)
	instance, _ := d["instance"].([]byte)
	m.Instance = string(instance)
	m.ID, _ = d["id"].(string)
	m.Host, _ = d["host"].(string)
	m.Pairing, _ = d["pairing"].(bool)
	port, _ := d["port"].(int64)
	m.Port = uint16(port)
	latency, _ := d["latency"].(float64)
	m.Latency = time.Duration(latency * float64(time.Second))
	list, _ := d["addresses"].([]any)
	for _, v := range list {
		text, _ := v.(string)
		if a, err := netip.ParseAddr(text); err == nil {
			m.Addresses = append(m.Addresses, a)
		}
	}
	return m
}
