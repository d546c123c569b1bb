package client

import (
	"context"

	"github.com/deskconn/dconn/router/mdns"
)

// Attend calls doubt whenever a connection to a device may lead nowhere any more:
// this machine's network has changed, or the device announces something new, an
// address it may be. That anybody can announce: doubt asks, and does not believe.
// It ends with ctx, or with an error if the network cannot be watched.
func (h *Home) Attend(ctx context.Context, text string, doubt func()) error {
	changed, err := mdns.Watch(ctx)
	if err != nil {
		return err
	}
	list, err := h.Store.Devices()
	if err != nil {
		return err
	}
	idle := make(chan struct{}, 1) // nobody listens to announcements
	listen := func() {}
	if device, err := FindDevice(list, text); err == nil {
		look := lookFor(device.ID)
		listen = func() {
			look(ctx, func(string) { doubt() })
			idle <- struct{}{}
		}
	}
	go listen()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if _, err := mdns.Links(); err != nil {
			continue // what comes back may be the same
		}
		doubt()
		select {
		case <-idle:
			go listen()
		default:
		}
	}
}
