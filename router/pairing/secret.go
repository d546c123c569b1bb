package pairing

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	codeDigits = 8
	keyBytes   = 16

	tokenScheme  = "DCONN1:"
	tokenVersion = 1
	tokenHead    = 1 + len(ID{}) + keyBytes + 2
	maxToken     = tokenHead + maxAddresses*(1+maxAddress) // bytes before base32
)

// upper-case, as a QR code packs no other letters
var tokenText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Secret is what a person carries from one machine to the other: the digits of
// a code, or a token. However it is printed, it does not show.
type Secret struct {
	by    string
	prs   []byte // the password of CPace
	place *Place // that a token names
}

// Place is what a token says beside its secret: who showed it and where.
type Place struct {
	Peer      ID
	Port      uint16   // not 0
	Addresses []string // at most 6 of 64 printable ASCII characters each
}

// Format hides the secret from every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// Place is who and where a token names; a code names nobody.
func (s Secret) Place() (p Place, ok bool) {
	if s.place == nil {
		return p, false
	}
	return *s.place, true
}

// ParseSecret takes what a person typed, pasted or scanned: eight digits, in
// which dashes and spaces do not count, or a token that begins with "DCONN1:".
// An error never repeats the text.
func ParseSecret(text string) (Secret, error) {
	switch text = strings.TrimSpace(text); {
	case strings.HasPrefix(text, tokenScheme):
		return parseToken(text)
	case strings.HasPrefix(text, "DCONN"):
		return Secret{}, errors.New("the token is of a kind that this version does not know")
	}
	digits := strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	if len(digits) != codeDigits || strings.Trim(digits, "0123456789") != "" {
		return Secret{}, fmt.Errorf("a code is %d digits, like 1234-5678", codeDigits)
	}
	return codeSecret(digits), nil
}

func codeSecret(digits string) Secret { return Secret{by: byCode, prs: []byte(digits)} }

// tokenSecret has a password that no code can equal.
func tokenSecret(key []byte, p Place) Secret {
	return Secret{by: byToken, prs: append([]byte("token:"), key...), place: &p}
}

// encodeToken is the text of a token: base32 of version, ID, key, port and
// addresses, each of these with its length in a byte before it.
func encodeToken(key []byte, p Place) (string, error) {
	if p.Port == 0 {
		return "", errors.New("a token needs a port, got 0")
	}
	if err := checkAddresses(p.Addresses); err != nil {
		return "", err
	}
	b := append([]byte{tokenVersion}, p.Peer[:]...)
	b = append(b, key...)
	b = binary.BigEndian.AppendUint16(b, p.Port)
	for _, a := range p.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	return tokenScheme + tokenText.EncodeToString(b), nil
}

var errToken = errors.New("the token is damaged: copy it as a whole")

func parseToken(text string) (Secret, error) {
	body := strings.TrimPrefix(text, tokenScheme)
	if len(body) > tokenText.EncodedLen(maxToken) {
		return Secret{}, errToken
	}
	b, err := tokenText.DecodeString(body)
	if err != nil || len(b) < tokenHead || b[0] != tokenVersion {
		return Secret{}, errToken
	}
	var p Place
	b = b[1+copy(p.Peer[:], b[1:]):]
	key := b[:keyBytes]
	p.Port = binary.BigEndian.Uint16(b[keyBytes:])
	for b = b[keyBytes+2:]; len(b) > 0; {
		n := int(b[0])
		if len(b) < 1+n {
			return Secret{}, errToken
		}
		p.Addresses = append(p.Addresses, string(b[1:1+n]))
		b = b[1+n:]
	}
	// one text for one token: the decoder is lenient with the last bits and lines
	if again, err := encodeToken(key, p); err != nil || again != text {
		return Secret{}, errToken
	}
	return tokenSecret(key, p), nil
}
