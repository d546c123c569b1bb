package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// natsMessage is one of the server's. What it holds is valid until the next is
// read.
type natsMessage struct {
	op             string // MSG, HMSG, PING, PONG, +OK, -ERR, INFO
	text           []byte // what follows the op of others than MSG and HMSG
	subject, reply []byte
	sub            uint64
	noResponders   bool
	body           []byte
}

// natsLimit is how long a payload may be.
const natsLimit = 64 << 20

// natsOps by their name, so that none is allocated.
var natsOps = []string{"MSG", "HMSG", "PING", "PONG", "+OK", "-ERR", "INFO"}

// readNATS reads one message, and keeps its parts in *keep.
func readNATS(r *bufio.Reader, keep *[]byte) (m natsMessage, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return m, err
	}
	line = bytes.TrimRight(line, "\r\n")
	op, rest, _ := bytes.Cut(line, []byte{' '})
	i := slices.IndexFunc(natsOps, func(name string) bool { return name == string(op) })
	if i < 0 {
		return m, fmt.Errorf("nats: unknown operation: %q", line)
	}
	if m.op = natsOps[i]; i > 1 {
		m.text = rest
		return m, nil
	}
	return m, m.readBody(r, keep, rest)
}

// readBody reads what follows "MSG " or "HMSG ".
func (m *natsMessage) readBody(r *bufio.Reader, keep *[]byte, line []byte) error {
	// the line lies in the reader's buffer, which the payload may overwrite
	b := append((*keep)[:0], line...)
	line = b
	var fields [5][]byte
	n := 0
	for f := range bytes.FieldsSeq(line) {
		if n == len(fields) {
			return fmt.Errorf("nats: malformed %s: %q", m.op, line)
		}
		fields[n] = f
		n++
	}
	sizes := 1 // of HMSG there are two, the first of which is that of the head
	if m.op == "HMSG" {
		sizes = 2
	}
	if n != 2+sizes && n != 3+sizes {
		return fmt.Errorf("nats: malformed %s: %q", m.op, line)
	}
	m.subject = fields[0]
	if n == 3+sizes {
		m.reply = fields[2]
	}
	sub, ok := decimal(fields[1])
	size, sizeOK := decimal(fields[n-1])
	head, headOK := decimal(fields[n-sizes])
	if sizes == 1 {
		head = 0
	}
	if !ok || !sizeOK || !headOK || size > natsLimit || head > size {
		return fmt.Errorf("nats: malformed %s: %q", m.op, line)
	}
	m.sub = sub
	at := len(b)
	b = slices.Grow(b, int(size)+2)[:at+int(size)+2]
	*keep = b
	if _, err := io.ReadFull(r, b[at:]); err != nil {
		return err
	}
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return errors.New("nats: a payload does not end where it should")
	}
	m.noResponders = bytes.HasPrefix(b[at:at+int(head)], []byte("NATS/1.0 503"))
	m.body = b[at+int(head) : len(b)-2]
	return nil
}

// decimal is strconv.ParseUint of bytes, of 18 digits at most.
func decimal(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, len(b) > 0 && len(b) <= 18
}
