// Package trust is what a machine knows for good about itself and others: its
// identity key, the devices it is paired with, what each may do here, and the
// log of what was decided.
package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"strings"
)

// ID names a machine: the SHA-256 of its public key, as the SubjectPublicKeyInfo
// that X.509 has of it (RFC 5280, section 4.1).
type ID [sha256.Size]byte

// IDOf is the ID of whoever holds the key of a certificate.
func IDOf(cert *x509.Certificate) ID { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// The text of an ID is base32 (RFC 4648, without padding) with a check character
// behind every 13 others, in groups of 7.
const (
	alphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	checked    = 13
	groupChars = 7
	idChars    = 56
	// MinPrefix is how many characters of an ID are at least needed to mean it.
	MinPrefix = 4
)

var base32ID = base32.StdEncoding.WithPadding(base32.NoPadding)

// String is the ID in eight groups of seven characters.
func (id ID) String() string {
	plain := base32ID.EncodeToString(id[:])
	var b strings.Builder
	for ; plain != ""; plain = plain[checked:] {
		b.WriteString(plain[:checked])
		b.WriteByte(checkChar(plain[:checked]))
	}
	return inGroups(b.String())
}

// Short is the first group of the ID, enough to tell the devices of a home apart.
func (id ID) Short() string { return id.String()[:groupChars] }

func inGroups(text string) string {
	var groups []string
	for ; len(text) > groupChars; text = text[groupChars:] {
		groups = append(groups, text[:groupChars])
	}
	return strings.Join(append(groups, text), "-")
}

// checkChar is the check character of some base32, by Luhn's algorithm modulo 32:
// it tells when one character is wrong, and nearly always when two neighbours
// have changed places.
func checkChar(text string) byte {
	const n = len(alphabet)
	sum, factor := 0, 2
	for i := len(text) - 1; i >= 0; i-- {
		addend := factor * strings.IndexByte(alphabet, text[i])
		sum += addend/n + addend%n
		factor = 3 - factor
	}
	return alphabet[(n-sum%n)%n]
}

// lookalikes are what people read instead of letters that base32 has.
var lookalikes = strings.NewReplacer("-", "", " ", "", "0", "O", "1", "I", "8", "B")

// ParsePrefix normalises the first characters of an ID as somebody typed them.
// What cannot be one, and a wrong check character, are errors.
func ParsePrefix(text string) (string, error) {
	p := lookalikes.Replace(strings.ToUpper(text))
	switch i := strings.IndexFunc(p, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }); {
	case i >= 0:
		return "", fmt.Errorf("an id has letters and the digits 2 to 7, got %q", text)
	case len(p) < MinPrefix || len(p) > idChars:
		return "", fmt.Errorf("an id has %d to %d characters, got %d: %q", MinPrefix, idChars, len(p), text)
	}
	const run = checked + 1
	for i := 0; i+run <= len(p); i += run {
		if p[i+checked] != checkChar(p[i:i+checked]) {
			return "", &TypoError{inGroups(p[i : i+run])}
		}
	}
	return p, nil
}

// TypoError says that a check character of an id does not fit.
type TypoError struct{ Part string }

// Error says in which part of the id.
func (e *TypoError) Error() string { return "a character of the id is wrong, in " + e.Part }

// ParseID reads a whole ID.
func ParseID(text string) (ID, error) {
	p, err := ParsePrefix(text)
	if err != nil {
		return ID{}, err
	}
	if len(p) != idChars {
		return ID{}, fmt.Errorf("an id has %d characters, got %d: %q", idChars, len(p), text)
	}
	var plain strings.Builder
	for ; p != ""; p = p[checked+1:] {
		plain.WriteString(p[:checked])
	}
	var id ID
	b, err := base32ID.DecodeString(plain.String())
	if err != nil || copy(id[:], b) != len(id) || id.String() != inGroups(lookalikes.Replace(strings.ToUpper(text))) {
		return ID{}, fmt.Errorf("not an id: %q", text)
	}
	return id, nil
}

// HasPrefix reports whether the ID begins with what ParsePrefix returned.
func (id ID) HasPrefix(prefix string) bool {
	return strings.HasPrefix(strings.ReplaceAll(id.String(), "-", ""), prefix)
}

// MarshalText is String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}
