package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// readMQTT reads one packet. The body lies in *keep, and is valid until the
// next is read.
func readMQTT(r *bufio.Reader, keep *[]byte) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n := 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return 0, nil, fmt.Errorf("mqtt: the length of packet %#x has more than 4 bytes", kind)
		}
	}
	body = slices.Grow((*keep)[:0], n)[:n]
	*keep = body
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// publishedMQTT is what is in the body of a PUBLISH with QoS 0.
func publishedMQTT(body []byte) (topic, payload []byte, err error) {
	if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
		return nil, nil, errors.New("mqtt: a PUBLISH is too short")
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	return body[2:end], body[end:], nil
}

// appendMQTTHead begins a packet whose body has n bytes.
func appendMQTTHead(b []byte, kind byte, n int) []byte {
	for b = append(b, kind); n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func appendMQTTText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendConnect adds a CONNECT: a clean session without keep-alive.
func appendConnect(b []byte, name string) []byte {
	b = appendMQTTHead(b, mqttConnect, 10+2+len(name))
	b = append(appendMQTTText(b, "MQTT"), 4, 0x02, 0, 0)
	return appendMQTTText(b, name)
}

// appendPublish adds a PUBLISH with QoS 0, whose payload comes in two parts.
func appendPublish(b []byte, topic string, head, payload []byte) []byte {
	b = appendMQTTHead(b, mqttPublish, 2+len(topic)+len(head)+len(payload))
	b = appendMQTTText(b, topic)
	return append(append(b, head...), payload...)
}
