package transport

import "crypto/tls"

// Stats is what a connection has carried so far.
type Stats struct {
	Transport  string // "unix", "tcp", "tls", or "ws" and "wss" for a websocket
	Serializer string
	Queue      int // bytes that wait to be written, or are being written
	In, Out    Traffic
}

// Traffic is one direction of a connection. What is written counts with what TLS
// adds to it.
type Traffic struct{ Messages, Bytes int64 }

// Stats may be called at any time.
func (c *Conn) Stats() Stats {
	name := c.nc.LocalAddr().Network()
	_, isTLS := c.nc.(*tls.Conn)
	_, isWeb := c.framing.(*websocket)
	switch {
	case isTLS && isWeb:
		name = "wss"
	case isTLS:
		name = "tls"
	case isWeb:
		name = "ws"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Transport: name, Serializer: c.codec.Name(),
		Queue: c.pending,
		In:    Traffic{c.received.Load(), c.in.bytes.Load()},
		Out:   c.sent,
	}
}
