package pairing

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	version    = 1
	nonceBytes = 16
	maxFrame   = 8 << 10 // bytes of a document

	byCode  = "code"
	byToken = "token"

	refusedClosed = "closed" // no window is open, or pairing is locked
	refusedFailed = "failed" // everything else
)

// The messages in their order. A has typed the secret, B has shown it.
type (
	hello struct { // A to B
		V     int    `json:"v"`
		Nonce []byte `json:"nonce"`
		By    string `json:"by"`
	}
	welcome struct { // B to A
		Nonce []byte `json:"nonce,omitempty"`
		refusal
	}
	share struct { // A to B, then B to A
		Y  []byte `json:"y,omitempty"`
		AD []byte `json:"ad,omitempty"` // the octets of an Introduction, which are what is confirmed
		refusal
	}
	proof struct { // A to B; B to A once it has granted
		Tag []byte `json:"tag,omitempty"`
		refusal
	}
)

// refusal ends the exchange in place of any message of B.
type refusal struct {
	Refused string `json:"refused,omitempty"`
}

func (r refusal) refused() error {
	switch r.Refused {
	case "":
		return nil
	case refusedClosed:
		return ErrClosed
	}
	return ErrRefused
}

var errMalformed = errors.New("malformed message")

// encode is the one form of a document: compact, fields in the order of the
// type, nothing escaped that need not be.
func encode(doc any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(doc)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// decode takes a document in its one form only: unknown, repeated, reordered or
// differently spelt fields, trailing data and loose base64 all end here. What
// the peer wrote is not repeated in the error.
func decode(text []byte, doc any) error {
	if json.Unmarshal(text, doc) != nil {
		return errMalformed
	}
	if again, err := encode(doc); err != nil || !bytes.Equal(again, text) {
		return errMalformed
	}
	return nil
}

// send writes a frame at once: the length of the document as a big-endian
// uint16, then the document.
func (c *Channel) send(doc any) error {
	text, err := encode(doc)
	if err != nil {
		return err
	}
	if len(text) > maxFrame {
		return fmt.Errorf("message has %d bytes, the limit is %d", len(text), maxFrame)
	}
	_, err = c.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...))
	return err
}

func (c *Channel) receive(doc any) error {
	var head [2]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n > maxFrame {
		return fmt.Errorf("message has %d bytes, the limit is %d", n, maxFrame)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(c.Conn, text); err != nil {
		return err
	}
	return decode(text, doc)
}

// hear is receive for A, to whom B may answer anything with a refusal.
func (c *Channel) hear(doc interface{ refused() error }) error {
	if err := c.receive(doc); err != nil {
		return err
	}
	return doc.refused()
}

// refuse tells A that the exchange is over, if it still listens.
func (c *Channel) refuse(err error) {
	word := refusedFailed
	if errors.Is(err, ErrClosed) {
		word = refusedClosed
	}
	_ = c.send(refusal{word})
}
