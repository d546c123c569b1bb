package commands

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/deskconn/dconn/router/transport"
)

// attack TOPIC PROCEDURE is a stranger who publishes and calls what no client of
// ours does: the inputs that end a subscriber and a callee of nexus's client, and
// payloads that are odd, deep and long. Every call must be answered.
func attack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: attack TOPIC PROCEDURE")
	}
	nc, err := net.Dial("unix", filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "dconn", "dconn.sock"))
	ts.Check(err)
	defer func() { _ = nc.Close() }()
	ts.Check(nc.SetDeadline(time.Now().Add(time.Minute)))
	_, err = nc.Write([]byte{0x7f, 0xf3, 0, 0})
	ts.Check(err)
	_, err = io.ReadFull(nc, make([]byte, 4))
	ts.Check(err)
	say := func(message ...any) {
		b, err := transport.CBOR.Append(make([]byte, 4), message)
		ts.Check(err)
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		_, err = nc.Write(b)
		ts.Check(err)
	}
	say(messages["HELLO"], "deskconn", map[string]any{"roles": map[string]any{"caller": map[string]any{}, "publisher": map[string]any{}}})
	hearMessage(ts, nc)
	ppt := map[string]any{"ppt_scheme": "wamp", "ppt_serializer": "cbor"}
	say(messages["PUBLISH"], 1, map[string]any{"ppt_scheme": "x_a"}, args[0])
	say(messages["PUBLISH"], 2, map[string]any{"ppt_scheme": "x_a", "ppt_serializer": 1}, args[0])
	say(messages["CALL"], 3, ppt, args[1], []any{"x"})
	hearMessage(ts, nc)
	for i, v := range oddPayloads() {
		say(messages["PUBLISH"], 2*i+4, map[string]any{"acknowledge": false}, args[0], []any{v}, map[string]any{"x": v})
		say(messages["CALL"], 2*i+5, map[string]any{}, args[1], []any{v}, map[string]any{"name": v})
		if m := hearMessage(ts, nc); m[1] != int64(2*i+5) && m[2] != int64(2*i+5) {
			ts.Fatalf("call %d is answered with %v", 2*i+5, m)
		}
	}
}

func oddPayloads() []any {
	deep := any("x")
	for range 30 {
		deep = []any{deep}
	}
	return []any{
		nil, true, -1, 0.5, uint64(1<<64 - 1), "", "\x00", "\x1b]0;x\a\r\n", "--help", "-", "\u202e", "'; touch pwned; '", "$(touch pwned)", "{0}",
		[]byte{0, 0xff}, []any{}, map[string]any{"": nil, "\x00": "\x00"}, deep, strings.Repeat("x", 200<<10), make([]any, 10000),
	}
}

// hearMessage reads one message of the router.
func hearMessage(ts *testscript.TestScript, nc net.Conn) []any {
	var head [4]byte
	_, err := io.ReadFull(nc, head[:])
	ts.Check(err)
	payload := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(nc, payload)
	ts.Check(err)
	v, err := transport.CBOR.Decode(payload, 64)
	ts.Check(err)
	m, ok := v.([]any)
	if !ok || len(m) < 3 {
		ts.Check(fmt.Errorf("not a message: %v", v))
	}
	return m
}
