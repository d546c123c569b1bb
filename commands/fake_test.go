package commands

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/transport"
)

// fakeRouter is a WAMP router that says what its script wants, for all that our
// own daemon never says. A line of the script is WHEN WHAT. WHEN is a message of
// the client: HELLO, CALL; or CONNECT, before any. WHAT is one of
//
//	["ERROR","CALL",#,{},"org.x.err",["words"]]
//	          a message: # is the id of the request, {"$bytes":""} are bytes
//	raw HEX   bytes as they are, in no frame
//	hangup    the end of the connection
//	INT       that signal, to the client's process; TERM as well
//	silence   nothing
//
// A message that no line is for is not answered; HELLO is, by WELCOME.
type fakeRouter struct {
	ln     net.Listener
	script map[string][]string
	conns  sync.WaitGroup

	mu    sync.Mutex
	open  []net.Conn
	heard bytes.Buffer // every message but HELLO and GOODBYE, as JSON
}

// messages are the names of WAMP messages and the numbers on the wire.
var messages = map[string]int64{
	"HELLO": 1, "WELCOME": 2, "ABORT": 3, "CHALLENGE": 4, "GOODBYE": 6, "ERROR": 8, "PUBLISH": 16, "PUBLISHED": 17,
	"SUBSCRIBE": 32, "SUBSCRIBED": 33, "EVENT": 36, "CALL": 48, "CANCEL": 49, "RESULT": 50,
	"REGISTER": 64, "REGISTERED": 65, "INVOCATION": 68, "INTERRUPT": 69, "YIELD": 70,
}

var signals = map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}

const welcome = `["WELCOME",7,{"dconn_protocol":1}]`

// startFake starts one on the unix socket at path.
func startFake(path string, script ...string) (*fakeRouter, error) {
	f := &fakeRouter{script: map[string][]string{}}
	for _, line := range script {
		when, what, _ := strings.Cut(line, " ")
		if _, known := messages[when]; !known && when != "CONNECT" {
			return nil, fmt.Errorf("the fake router has no message %q", when)
		}
		if _, err := encoded(what, 1); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		f.script[when] = append(f.script[when], what)
	}
	if f.script["HELLO"] == nil {
		f.script["HELLO"] = []string{welcome}
	}
	var err error
	if f.ln, err = net.Listen("unix", path); err != nil {
		return nil, err
	}
	f.conns.Go(f.serve)
	return f, os.Chmod(path, 0o600)
}

func (f *fakeRouter) serve() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.open = append(f.open, nc)
		f.mu.Unlock()
		f.conns.Go(func() {
			defer func() { _ = nc.Close() }()
			f.talk(nc)
		})
	}
}

// talk goes on until the client or the script hangs up.
func (f *fakeRouter) talk(nc net.Conn) {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return
	}
	if f.script["CONNECT"] == nil {
		_, _ = nc.Write([]byte{0x7f, 0xf0 | head[1]&0x0f, 0, 0})
	}
	for more := f.answer(nc, "CONNECT", 0); more; {
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(nc, payload); err != nil {
			return
		}
		v, err := transport.CBOR.Decode(payload, 40)
		if err != nil {
			return
		}
		msg := v.([]any)
		name, id := f.hear(msg)
		more = f.answer(nc, name, id)
	}
}

// hear notes a message of a client.
func (f *fakeRouter) hear(msg []any) (name string, id int64) {
	for n, number := range messages {
		if number == msg[0] {
			name = n
		}
	}
	id, _ = msg[1].(int64)
	if name != "HELLO" && name != "GOODBYE" {
		line, _ := jsonLine(append([]any{name}, msg[1:]...))
		f.mu.Lock()
		f.heard.Write(line)
		f.mu.Unlock()
	}
	return name, id
}

// answer says what the script has for a message; false is the end.
func (f *fakeRouter) answer(nc net.Conn, name string, id int64) bool {
	for _, what := range f.script[name] {
		if what == "hangup" { // reading on, else what is unread would reset the connection
			_ = nc.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, nc)
			return false
		}
		if sig := signals[what]; sig != 0 {
			cred, err := router.PeerCred(nc)
			return err == nil && syscall.Kill(int(cred.Pid), sig) == nil
		}
		b, _ := encoded(what, id)
		if _, err := nc.Write(b); err != nil {
			return false
		}
	}
	return true
}

// encoded is what a line of the script says, in bytes.
func encoded(what string, id int64) ([]byte, error) {
	if digits, raw := strings.CutPrefix(what, "raw "); raw {
		return hex.DecodeString(digits)
	}
	if signals[what] != 0 || what == "hangup" || what == "silence" {
		return nil, nil
	}
	d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(what, "#", fmt.Sprint(id))))
	d.UseNumber()
	var msg []any
	if err := d.Decode(&msg); err != nil {
		return nil, err
	}
	v, err := exact(msg, true)
	if err != nil {
		return nil, err
	}
	for i, e := range msg[:min(2, len(msg))] {
		if number, ok := messages[fmt.Sprint(e)]; ok {
			msg[i] = number
		}
	}
	b, err := transport.CBOR.Append(make([]byte, 4), v)
	if err == nil {
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	}
	return b, err
}

// stop hangs up everywhere and returns what the clients said.
func (f *fakeRouter) stop() string {
	_ = f.ln.Close()
	f.mu.Lock()
	for _, nc := range f.open {
		_ = nc.(*net.UnixConn).CloseRead() // what a client said before is heard
	}
	f.mu.Unlock()
	f.conns.Wait()
	return f.heard.String()
}

// fakeKey is the place of a script's fake router.
type fakeKey struct{}

// fake LINE... starts a fake router and points DCONN_SOCKET to it; without a
// line it is stopped, and what it heard is in the file heard.
func fake(ts *testscript.TestScript, neg bool, script []string) {
	if neg {
		ts.Fatalf("usage: fake [LINE...]")
	}
	place := ts.Value(fakeKey{}).(**fakeRouter)
	path := ts.MkAbs("fake.sock")
	if *place != nil {
		heard := (*place).stop()
		*place = nil
		ts.Check(os.WriteFile(ts.MkAbs("heard"), []byte(heard), 0o644))
	}
	ts.Setenv("DCONN_SOCKET", "")
	if len(script) == 0 {
		return
	}
	f, err := startFake(path, script...)
	ts.Check(err)
	*place = f
	ts.Setenv("DCONN_SOCKET", path)
	ts.Defer(func() { f.stop() })
}
