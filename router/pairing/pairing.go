// Package pairing is both halves of dconn-pair/1: how two machines that never
// met learn each other's key over a network that may be hostile, by eight digits
// that one shows and a person types into the other. The digits never cross the
// wire: both sides prove by CPace that they know them, bound to the TLS
// connection and to the keys each has seen in it.
package pairing

import (
	"errors"
	"fmt"
)

// Protocol is the ALPN name. Its number changes with anything on the wire.
const Protocol = "dconn-pair/1"

// label is in everything that is hashed, so that no other protocol's run of
// CPace can be taken for this one.
const label = "dconn-pair-v1"

// ID names a machine: the SHA-256 of its SubjectPublicKeyInfo.
type ID = [32]byte

var (
	// ErrClosed says that the other machine has no pairing window open, or that
	// pairing is locked there: it does not tell which.
	ErrClosed = errors.New("no pairing window is open there")
	// ErrRefused says that the exchange failed. The other side does not tell
	// why: a wrong code, a code that is used up, or somebody in between.
	ErrRefused = errors.New("pairing was refused: the code is wrong or used up, or the connection is not what it seems")
	// ErrIdentity says that the machine reached is not the one the token names.
	ErrIdentity = errors.New("this is not the machine that the token names")
)

// Limits of an introduction.
const (
	maxScopes     = 64
	maxScope      = 255  // bytes of one
	maxAddresses  = 6    // as many as a token takes
	maxAddress    = 64   // bytes of one
	maxIntroduced = 4096 // bytes in all, encoded
)

// Introduction is what a side says of itself. The other side takes none of it
// for an identity, and shows it only after the exchange has confirmed it.
type Introduction struct {
	Name      string   `json:"name"`                // as CleanName leaves it
	Scopes    []string `json:"scopes,omitempty"`    // that the side which showed the code gives: at most 64 of 255 bytes
	Addresses []string `json:"addresses,omitempty"` // at most 6 of 64 bytes
}

// encode is the associated data of CPace.
func (i Introduction) encode() ([]byte, error) {
	i.Name = CleanName(i.Name)
	if err := i.check(); err != nil {
		return nil, err
	}
	ad, err := encode(i)
	if len(ad) > maxIntroduced {
		return nil, fmt.Errorf("introduction has %d bytes, the limit is %d", len(ad), maxIntroduced)
	}
	return ad, err
}

func parseIntroduction(ad []byte) (Introduction, error) {
	var i Introduction
	if len(ad) > maxIntroduced {
		return i, errMalformed
	}
	if err := decode(ad, &i); err != nil {
		return i, err
	}
	i.Name = CleanName(i.Name)
	return i, i.check()
}

func (i Introduction) check() error {
	for _, s := range i.Scopes {
		if !plain(s, maxScope) {
			return fmt.Errorf("scope %q must be 1 to %d printable ASCII characters without spaces", s, maxScope)
		}
	}
	if len(i.Scopes) > maxScopes {
		return fmt.Errorf("%d scopes, the limit is %d", len(i.Scopes), maxScopes)
	}
	return checkAddresses(i.Addresses)
}

func checkAddresses(list []string) error {
	if len(list) > maxAddresses {
		return fmt.Errorf("%d addresses, the limit is %d", len(list), maxAddresses)
	}
	for _, a := range list {
		if !plain(a, maxAddress) {
			return fmt.Errorf("address %q must be 1 to %d printable ASCII characters without spaces", a, maxAddress)
		}
	}
	return nil
}

// plain reports whether s has nothing that a terminal could take for more than
// letters.
func plain(s string, limit int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
