package router

import (
	"encoding/binary"
	"io"
	"net/http"
	"slices"

	"github.com/deskconn/dconn/router/transport"
)

var rawsocketFraming = framing{
	shake: rawsocketShake, frame: rawsocketFrame, next: rawsocketNext,
	broken: [][]byte{{3, 0, 0, 0}, {4, 0, 0, 0}, {5, 0, 0, 0}, {6, 0, 0, 0}, {7, 0, 0, 0}, {0xff, 0, 0, 0}},
}

func rawsocketShake(w *wild) {
	w.write([]byte{0x7f, 0xf0 | byte(slices.Index(codecs, w.codec)+1), 0, 0})
	var reply [4]byte
	if _, err := io.ReadFull(w.r, reply[:]); err != nil || reply[0] != 0x7f || reply[1]&0x0f == 0 {
		w.t.Fatalf("the handshake is answered with % x, %v", reply, err)
	}
}

func rawsocketFrame(_ *wild, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func rawsocketNext(w *wild) ([]byte, error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return nil, err
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:])&0xffffff)
		if _, err := io.ReadFull(w.r, payload); err != nil || head[0] == 0 {
			return payload, err
		}
	}
}

var websocketFraming = framing{
	shake: websocketShake, frame: websocketFrame, next: websocketNext,
	broken: [][]byte{
		{0x83, 0x80, 1, 2, 3, 4}, {0x87, 0x80, 1, 2, 3, 4}, {0x8b, 0x80, 1, 2, 3, 4}, {0x8f, 0x80, 1, 2, 3, 4}, // no such opcode
		{0xc2, 0x80, 1, 2, 3, 4}, {0xf1, 0x80, 1, 2, 3, 4}, // reserved bits
		{0x82, 0x00}, {0x81, 0x01, '['}, // not masked
		{0x09, 0x80, 1, 2, 3, 4}, {0x89, 0xfe, 0, 126}, // a ping in parts, or too long
		{0x80, 0x80, 1, 2, 3, 4},                                     // the rest of nothing
		{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // a negative length
	},
}

func websocketShake(w *wild) {
	w.write([]byte("GET " + websocketPath + " HTTP/1.1\r\n" + upgradeHead + "Host: " + w.nc.RemoteAddr().String() +
		"\r\nSec-WebSocket-Protocol: wamp.2." + w.codec.Name() + "\r\n\r\n"))
	answer, err := http.ReadResponse(w.r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("the upgrade is answered with %v, %v", answer, err)
	}
}

// websocketFrame is one of a client, RFC 6455 section 5.2, with a mask of zeros.
func websocketFrame(w *wild, payload []byte) []byte {
	opcode := byte(2)
	if w.codec == transport.JSON {
		opcode = 1
	}
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// websocketNext reads one message of a server, which masks nothing. A close
// frame is the end.
func websocketNext(w *wild) (message []byte, err error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return nil, err
		}
		n := uint64(head[1])
		if n >= 126 {
			var long [8]byte
			size := map[uint64]int{126: 2, 127: 8}[n]
			if _, err := io.ReadFull(w.r, long[8-size:]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(long[:])
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(w.r, payload); err != nil {
			return nil, err
		}
		switch opcode := head[0] & 0x0f; {
		case opcode == 8:
			return nil, io.EOF
		case opcode < 8:
			if message = append(message, payload...); head[0]&0x80 != 0 {
				return message, nil
			}
		}
	}
}
