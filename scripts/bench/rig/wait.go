package rig

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Moment is between two looks at what comes soon.
const Moment = 5 * time.Millisecond

// Eventually asks again every pause until the answer is yes, for 10 seconds at
// most.
func Eventually(ctx context.Context, pause time.Duration, ask func() (bool, error)) error {
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("it took more than 10 s")
}

// Accepts returns once somebody accepts connections at address.
func Accepts(ctx context.Context, network, address string) error {
	return Eventually(ctx, Moment, func() (bool, error) {
		c, err := net.Dial(network, address)
		if err == nil {
			err = c.Close()
		}
		return err == nil, nil
	})
}

// FreePort is a port of 127.0.0.1 that nobody listens at.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}
