// Command floor makes one WAMP call with the standard library alone: about the
// least that a Go program which does the same can cost. It writes the rawsocket
// handshake and HELLO at once and waits for no answer to GOODBYE, as dconn does.
//
//	floor SOCKET URI
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Message types, section "Message Codes" of the WAMP specification.
const (
	welcome = 2
	result  = 50
)

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: floor SOCKET URI"))
	}
	text, err := call(os.Args[1], os.Args[2])
	if err != nil {
		fail(err)
	}
	if _, err := os.Stdout.WriteString(text + "\n"); err != nil {
		fail(err)
	}
}

func fail(err error) {
	_, _ = os.Stderr.WriteString("floor: " + err.Error() + "\n")
	os.Exit(1)
}

// call returns the first argument of the RESULT, which must be text.
func call(socket, uri string) (string, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	handshake := []byte{0x7f, 0xf1, 0, 0} // messages to 2^24 bytes, JSON
	hello := []any{1, "deskconn", map[string]any{"roles": map[string]any{"caller": map[string]any{}}}}
	if err := send(nc, handshake, hello); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(nc, handshake); err != nil {
		return "", err
	}
	if _, err := receive(nc, welcome); err != nil {
		return "", err
	}
	if err := send(nc, nil, []any{48, 1, map[string]any{}, uri}); err != nil {
		return "", err
	}
	answer, err := receive(nc, result)
	if err != nil {
		return "", err
	}
	text, err := firstText(answer)
	if err != nil {
		return "", err
	}
	return text, send(nc, nil, []any{6, map[string]any{}, "wamp.close.normal"})
}

// send writes msg as one frame, behind the bytes of lead.
func send(w io.Writer, lead []byte, msg []any) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(lead, uint32(len(body)))
	_, err = w.Write(append(b, body...))
	return err
}

// receive reads one message, which must be of type want.
func receive(r io.Reader, want float64) ([]any, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head)&0xffffff)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var msg []any
	if err := json.Unmarshal(body, &msg); err != nil {
		return nil, err
	}
	if len(msg) == 0 || msg[0] != want {
		return nil, errors.New("unexpected message: " + string(body))
	}
	return msg, nil
}

// firstText picks it from [RESULT, request, details, [text, ...]].
func firstText(msg []any) (string, error) {
	if len(msg) < 4 {
		return "", errors.New("the result is empty")
	}
	args, _ := msg[3].([]any)
	if len(args) == 0 {
		return "", errors.New("the result is empty")
	}
	text, ok := args[0].(string)
	if !ok {
		return "", errors.New("the result is not text")
	}
	return text, nil
}
