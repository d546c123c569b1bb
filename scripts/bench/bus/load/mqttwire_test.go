package load

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// What mosquitto 2.0.11 said: CONNACK, SUBACK, and two PUBLISH.
var (
	mqttWelcome = "20020000"
	mqttJoined  = "9003000100"
	mqttEvents  = "300800017468656c6c6f" + "30cb01000174" + strings.Repeat("78", 200)
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadMQTT(t *testing.T) {
	r := bufio.NewReaderSize(bytes.NewReader(unhex(t, mqttWelcome+mqttJoined+mqttEvents)), 16)
	var keep []byte
	for _, want := range []byte{mqttConnAck, mqttSubAck} {
		kind, body, err := readMQTT(r, &keep)
		if err != nil || kind != want {
			t.Fatalf("readMQTT = %#x, %v, expected %#x", kind, err, want)
		}
		if err := refusedMQTT(kind, body); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"hello", strings.Repeat("x", 200)} {
		kind, body, err := readMQTT(r, &keep)
		if err != nil || kind != mqttPublish {
			t.Fatalf("readMQTT = %#x, %v, expected %#x", kind, err, mqttPublish)
		}
		topic, payload, err := publishedMQTT(body)
		if err != nil || string(topic) != "t" || string(payload) != want {
			t.Errorf("publishedMQTT = %q, %q, %v, expected t, %q", topic, payload, err, want)
		}
	}
	if _, _, err := readMQTT(r, &keep); err == nil {
		t.Error("readMQTT at the end: no error")
	}
}

func TestMQTTMalformed(t *testing.T) {
	for _, said := range []string{"30ffffffff01", "3005000174", "30ff"} {
		var keep []byte
		if _, body, err := readMQTT(bufio.NewReader(bytes.NewReader(unhex(t, said))), &keep); err == nil {
			t.Errorf("readMQTT(%s) = %x, expected an error", said, body)
		}
	}
	for _, body := range []string{"", "00", "000574"} {
		if topic, _, err := publishedMQTT(unhex(t, body)); err == nil {
			t.Errorf("publishedMQTT(%s) = %q, expected an error", body, topic)
		}
	}
	if refusedMQTT(mqttConnAck, []byte{0, 5}) == nil || refusedMQTT(mqttSubAck, []byte{0, 1, 0x80}) == nil {
		t.Error("a refusal is no error")
	}
}

// What mosquitto answered with the above.
func TestAppendMQTT(t *testing.T) {
	if b := appendConnect(nil, "ab"); hex.EncodeToString(b) != "100e00044d5154540402000000026162" {
		t.Errorf("appendConnect: %x", b)
	}
	b := appendPublish(nil, "t", []byte("he"), []byte("llo"))
	b = appendPublish(b, "t", nil, bytes.Repeat([]byte("x"), 200))
	if hex.EncodeToString(b) != mqttEvents {
		t.Errorf("appendPublish: %x, expected %s", b, mqttEvents)
	}
}
