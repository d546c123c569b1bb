package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// The websocket subprotocols of WAMP, by their serializer.
const subprotocol = "wamp.2."

var spoken = strings.Join([]string{subprotocol + "cbor", subprotocol + "msgpack", subprotocol + "json"}, ", ")

// writeBuffers makes gorilla hold none: it writes control frames only, which
// have their own.
var writeBuffers sync.Pool

// AcceptWebsocket answers the handshake of a websocket and starts the connection
// behind guard. The Origin was checked by the caller. Whatever is wrong is
// answered with an HTTP error.
func AcceptWebsocket(w http.ResponseWriter, req *http.Request, lim Limits, guard Guard) (*Conn, error) {
	codec := offered(req)
	switch upgrade := gorilla.IsWebSocketUpgrade(req); {
	case !upgrade:
		err := errors.New("a websocket is expected here")
		refuseHTTP(w, req, http.StatusBadRequest, err)
		return nil, err
	case codec == nil:
		http.Error(w, "no subprotocol that is spoken here: "+spoken, http.StatusBadRequest)
		return nil, fmt.Errorf("websocket handshake: no subprotocol of %s is offered", spoken)
	}
	answer := http.Header{"Sec-Websocket-Protocol": {subprotocol + codec.Name()}}
	up := gorilla.Upgrader{
		CheckOrigin:     func(*http.Request) bool { return true },
		Error:           refuseHTTP,
		WriteBufferPool: &writeBuffers,
	}
	held := &hijack{ResponseWriter: w}
	in, err := up.Upgrade(held, req, answer)
	if err != nil {
		return nil, fmt.Errorf("websocket handshake: %w", err)
	}
	f := newWebsocket(in, held.sock, codec, false)
	c := newConn(held.sock.ear, f, codec, lim, guard)
	f.serve(c)
	c.serve(guard, held.sock.taken()) // the answer leaves as the first bytes
	return c, nil
}

// offered is the first serializer on the client's list that we speak, nil if
// there is none.
func offered(req *http.Request) Codec {
	for _, name := range strings.Split(strings.Join(req.Header.Values("Sec-Websocket-Protocol"), ","), ",") {
		for _, c := range codecs {
			if c != nil && strings.TrimSpace(name) == subprotocol+c.Name() {
				return c
			}
		}
	}
	return nil
}

func refuseHTTP(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, reason.Error(), status)
}

// hijack gives gorilla a socket that it cannot write to.
type hijack struct {
	http.ResponseWriter
	sock *readOnly
}

func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.sock = &readOnly{ear: newEar(nc)}
	_ = nc.SetDeadline(time.Time{}) // that of the HTTP server
	return h.sock, rw, nil
}

// DialWebsocket performs the client's half of the handshake on nc, for a ws: URL,
// or for a wss: URL where nc is a TLSClient, within ctx. It closes nc on error.
func DialWebsocket(ctx context.Context, nc net.Conn, url string, codec Codec, lim Limits) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	in, sock, err := shakeHands(ctx, nc, url, codec)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		_ = nc.Close()
		return nil, err
	}
	f := newWebsocket(in, sock, codec, true)
	c := newConn(sock.ear, f, codec, lim, nil)
	f.serve(c)
	go c.read()
	return c, nil
}

func shakeHands(ctx context.Context, nc net.Conn, url string, codec Codec) (*gorilla.Conn, *readOnly, error) {
	name := subprotocol + codec.Name()
	sock := &handshaking{readOnly: readOnly{ear: newEar(nc)}}
	dial := func(context.Context, string, string) (net.Conn, error) { return sock, nil }
	d := gorilla.Dialer{
		NetDialContext:    dial,
		NetDialTLSContext: dial, // and what it returns speaks TLS
		Subprotocols:      []string{name},
		ReadBufferSize:    4 << 10,
		WriteBufferPool:   &writeBuffers,
	}
	in, resp, err := d.DialContext(context.WithoutCancel(ctx), url, nil) // its end is a deadline of nc
	switch {
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case errors.Is(err, gorilla.ErrBadHandshake):
		hint := ""
		if resp.StatusCode == http.StatusNotFound && resp.Request.URL.Path != "/ws" {
			hint = ": its websocket is probably at the path /ws"
		}
		return nil, nil, violation(fmt.Errorf("websocket handshake: the router answers %q%s", resp.Status, hint))
	case err != nil:
		return nil, nil, fmt.Errorf("websocket handshake: %w", err)
	case in.Subprotocol() != name:
		return nil, nil, violation(fmt.Errorf("websocket handshake: the router does not speak %s", name))
	case resp.Header.Get("Sec-Websocket-Extensions") != "": // gorilla would inflate
		return nil, nil, violation(errors.New("websocket handshake: the router uses an extension nobody asked for"))
	}
	sock.done = true
	return in, &sock.readOnly, nil
}

// handshaking lets gorilla write until it is done.
type handshaking struct {
	readOnly
	done bool
}

func (h *handshaking) Write(b []byte) (int, error) {
	if h.done {
		return h.readOnly.Write(b)
	}
	return h.Conn.Write(b)
}
