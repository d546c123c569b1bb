package transport

import (
	"io"
	"testing"
)

// FuzzFrames: whatever a peer sends, the connection ends without a panic once
// the peer is done, and so do its goroutines (TestMain).
func FuzzFrames(f *testing.F) {
	hello := mustAppend(f, CBOR, []any{int64(1), "deskconn", map[string]any{}})
	f.Add(append([]byte{magic, 0xf3, 0, 0}, frame(frameMessage, hello)...))
	f.Add(append([]byte{magic, 0xf1, 0, 0}, frame(frameMessage, []byte(`[6,{},"wamp.close.normal"]`))...))
	f.Add(append([]byte{magic, 0x02, 0, 0}, frame(framePing, []byte("ping"))...))
	for kind := byte(3); kind < 8; kind++ { // row 1 of the crash table of nexus
		f.Add([]byte{magic, 0xf1, 0, 0, kind, 0, 0, 0})
	}
	f.Add([]byte{magic, 0xf1, 0, 0, 0, 0xff, 0xff, 0xff})
	f.Add([]byte{magic, 0xf4, 0, 0})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := pair(t)
		go func() {
			_, _ = near.Write(data)
			_ = near.CloseWrite()
		}()
		conn, err := Accept(far, testLimits(), nil)
		if err != nil {
			_ = far.Close()
			return
		}
		go func() { _, _ = io.Copy(io.Discard, near) }()
		drainRecv(conn)
		wait(t, conn.Done(), "the end of the connection")
	})
}
