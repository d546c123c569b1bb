package mdns

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

const (
	// MaxMessage is the length in bytes that a message may have (RFC 6762,
	// section 17).
	MaxMessage = 9000 - 40 - 8

	// maxRecords bounds the questions and records of a message that is looked at:
	// each may be a name of 255 bytes that took two in the message.
	maxRecords = 512

	// Flush is the bit of a record's class that says that it replaces others, and
	// of a question's that it may be answered to who asks alone (sections 10.2 and
	// 5.4).
	Flush = 1 << 15

	// MaxLabel is the length in bytes that an instance name may have (RFC 6763,
	// section 4.1.1).
	MaxLabel = 63
)

// Parse reads a message, whose records then are without the Flush bit. It is nil
// for what is none, or not for us (RFC 6762, section 18).
func Parse(b []byte) *dns.Msg {
	if len(b) < 12 || len(b) > MaxMessage {
		return nil
	}
	records := 0
	for i := 4; i < 12; i += 2 {
		records += int(binary.BigEndian.Uint16(b[i:]))
	}
	var m dns.Msg
	if records > maxRecords || m.Unpack(b) != nil || m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess {
		return nil
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			rr.Header().Class &^= Flush
		}
	}
	return &m
}

// Canonical is a name as Parse would have it.
func Canonical(name string) string {
	b := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), b, 0, nil, false)
	if err != nil {
		return name
	}
	canonical, _, err := dns.UnpackDomainName(b[:n], 0)
	if err != nil {
		return name
	}
	return canonical
}

// Key is what two names have in common that mean the same (RFC 6762, section 16).
func Key(name string) string { return strings.ToLower(name) }

// Label is the first label of a name, as its owner wrote it: any bytes.
func Label(name string) string {
	b := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), b, 0, nil, false)
	if err != nil || n == 0 || int(b[0]) >= n {
		return ""
	}
	return string(b[1 : 1+int(b[0])])
}

// Clean is text of somebody else that can be shown: without control characters,
// and those of Unicode that change what is seen around them.
func Clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
			return -1
		}
		return r
	}, text))
}

// Fit is text shortened to at most n bytes, at the end of a character.
func Fit(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
