package transport

// Stats is what a connection has carried so far.
type Stats struct {
	Transport  string // "unix", "tcp", or "ws" for a websocket
	Serializer string
	Queue      int // bytes that wait to be written, or are being written
	In, Out    Traffic
}

// Traffic is one direction of a connection.
type Traffic struct{ Messages, Bytes int64 }

// Stats may be called at any time.
func (c *Conn) Stats() Stats {
	name := c.nc.LocalAddr().Network()
	if _, is := c.framing.(*websocket); is {
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
