package transport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

// hijacked is the response to a request that came in on nc.
type hijacked struct {
	*httptest.ResponseRecorder
	nc net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.nc, bufio.NewReadWriter(bufio.NewReader(h.nc), bufio.NewWriter(h.nc)), nil
}

// FuzzWebsocketFrames: the same for what follows the handshake of a websocket.
func FuzzWebsocketFrames(f *testing.F) {
	hello := string(mustAppend(f, CBOR, []any{int64(1), "deskconn", map[string]any{}}))
	f.Add("cbor", clientFrame("\x82"+string(rune(len(hello))), hello))
	f.Add("json", append(clientFrame("\x01\x05", `[6,{}`), clientFrame("\x80\x15", `,"wamp.close.normal"]`)...))
	f.Add("msgpack", append(clientFrame("\x89\x04", "ping"), clientFrame("\x8a\x00", "")...))
	f.Add("cbor", clientFrame("\x88\x05", "\x03\xe8bye"))
	f.Add("cbor", clientFrame("\x82\x7f\x00\x00\x00\x00\x00\xff\xff\xff", "much"))
	f.Fuzz(func(t *testing.T, codec string, data []byte) {
		near, far := pair(t)
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(upgradeRequest + "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Websocket-Protocol", subprotocol+codec)
		conn, err := AcceptWebsocket(hijacked{httptest.NewRecorder(), far}, req, testLimits(), nil)
		if err != nil {
			_ = far.Close()
			return
		}
		go func() {
			_, _ = near.Write(data)
			_ = near.CloseWrite()
		}()
		go func() { _, _ = io.Copy(io.Discard, near) }()
		drainRecv(conn)
		wait(t, conn.Done(), "the end of the connection")
	})
}
