package load

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

// natsSaid is what nats-server 2.9.10 said, but for the end of INFO.
const natsSaid = `INFO {"version":"2.9.10","proto":1,"headers":true} ` + "\r\nPONG\r\n" +
	"MSG t 2 5\r\nhello\r\n" +
	"MSG t 2 _INBOX.A.7 2\r\nhi\r\n" +
	"HMSG _INBOX.A.8 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" +
	"MSG _INBOX.A.7 1 0\r\n\r\n" +
	"HMSG t 2 _INBOX.A.9 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhi\r\n" +
	"-ERR 'Unknown Protocol Operation'\r\n"

func TestReadNATS(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader(natsSaid), 64)
	var keep []byte
	for _, want := range []natsMessage{
		{op: "INFO", text: []byte(`{"version":"2.9.10","proto":1,"headers":true} `)},
		{op: "PONG"},
		{op: "MSG", subject: []byte("t"), sub: 2, body: []byte("hello")},
		{op: "MSG", subject: []byte("t"), sub: 2, reply: []byte("_INBOX.A.7"), body: []byte("hi")},
		{op: "HMSG", subject: []byte("_INBOX.A.8"), sub: 1, noResponders: true},
		{op: "MSG", subject: []byte("_INBOX.A.7"), sub: 1},
		{op: "HMSG", subject: []byte("t"), sub: 2, reply: []byte("_INBOX.A.9"), body: []byte("hi")},
		{op: "-ERR", text: []byte("'Unknown Protocol Operation'")},
	} {
		got, err := readNATS(r, &keep)
		if err != nil {
			t.Fatal(err)
		}
		if got.op != want.op || string(got.text) != string(want.text) || string(got.subject) != string(want.subject) ||
			string(got.reply) != string(want.reply) || got.sub != want.sub || got.noResponders != want.noResponders ||
			string(got.body) != string(want.body) {
			t.Errorf("readNATS = %+v, expected %+v", got, want)
		}
	}
	if _, err := readNATS(r, &keep); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, expected %v", err, io.EOF)
	}
}

func TestReadNATSMalformed(t *testing.T) {
	for _, said := range []string{
		"MSG t 5\r\nhello\r\n",
		"MSG t 2 x 5 5\r\nhello\r\n",
		"MSG t 2 5\r\nhello, world\r\n",
		"MSG t two 5\r\nhello\r\n",
		"MSG t 2 -5\r\nhello\r\n",
		"MSG t 2 99999999999999999999\r\nhello\r\n",
		"HMSG t 2 6 5\r\nhello\r\n",
		"HMSG t 2 5\r\nhello\r\n",
		"MSG t 2 5\r\nhel",
		"HELLO\r\n",
		"PING",
	} {
		var keep []byte
		if m, err := readNATS(bufio.NewReader(strings.NewReader(said)), &keep); err == nil {
			t.Errorf("readNATS(%q) = %+v, expected an error", said, m)
		}
	}
}

func TestAppendPub(t *testing.T) {
	b := appendPub(nil, "t", "", 0, []byte("hello"))
	b = appendPub(b, "t", "_INBOX.A.", 7, []byte("hi"))
	b = appendPub(b, "_INBOX.A.7", "", 0, nil)
	// what nats-server answered with natsSaid
	if want := "PUB t 5\r\nhello\r\nPUB t _INBOX.A.7 2\r\nhi\r\nPUB _INBOX.A.7 0\r\n\r\n"; string(b) != want {
		t.Errorf("appendPub: %q, expected %q", b, want)
	}
}
