// Package cpace is CPACE-X25519-SHA512 of draft-irtf-cfrg-cpace-21 in the
// initiator-responder setting with explicit key confirmation: two sides that
// share a short password prove so to each other, and whoever does not know it
// has one guess per run.
package cpace

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
)

const (
	// ShareBytes is the length of a share.
	ShareBytes = 32
	// TagBytes is the length of a confirmation tag.
	TagBytes = sha512.Size

	dsi        = "CPace255" // of G_X25519
	blockBytes = sha512.BlockSize
)

var (
	// ErrShare says that the other side's share is of the wrong length, of low
	// order or one's own: the run is over. It says nothing of the password.
	ErrShare = errors.New("cpace: the other side's share cannot be used")
	// ErrTag says that the other side does not have the same password, or does
	// not see the same run.
	ErrTag = errors.New("cpace: the other side's confirmation is wrong")
)

// Role is who speaks first. The zero Role is none.
type Role int

// The two roles of a run.
const (
	Initiator Role = 1 + iota // A, whose share comes first in the transcript
	Responder                 // B
)

// Exchange is one side of one run. It is not for use by several goroutines.
type Exchange struct {
	role   Role
	sid    []byte
	scalar *ecdh.PrivateKey // nil once finished: a scalar serves one run
	public []byte
}

// Start begins a run with a fresh scalar. prs is the password, ci names the
// channel and both parties with their roles, sid is unique to the run; prs and
// sid must not be empty. None of them is kept, except for a copy of sid.
func Start(role Role, prs, ci, sid []byte) (*Exchange, error) {
	var scalar [32]byte
	rand.Read(scalar[:]) // never fails
	defer clear(scalar[:])
	return start(scalar[:], role, prs, ci, sid)
}

func start(scalar []byte, role Role, prs, ci, sid []byte) (*Exchange, error) {
	switch {
	case role != Initiator && role != Responder:
		return nil, fmt.Errorf("cpace: role must be initiator or responder, got %d", role)
	case len(prs) == 0:
		return nil, errors.New("cpace: the password is empty")
	case len(sid) == 0:
		return nil, errors.New("cpace: the session id is empty")
	}
	key, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, errors.New("cpace: the scalar is not 32 bytes")
	}
	g := generator(prs, ci, sid)
	defer clear(g)
	public, err := multiply(key, g)
	if err != nil {
		return nil, errors.New("cpace: the generator is of low order")
	}
	return &Exchange{role: role, sid: bytes.Clone(sid), scalar: key, public: public}, nil
}

// Public is the share to send.
func (e *Exchange) Public() []byte { return bytes.Clone(e.public) }

// Finish ends the run with what was sent beside the own share and with the
// other side's share and what came beside it, byte for byte as they travelled.
// It can be called once. A share that cannot be used is ErrShare.
func (e *Exchange) Finish(ad, theirs, theirAD []byte) (*Tags, error) {
	scalar := e.scalar
	if e.scalar = nil; scalar == nil {
		return nil, errors.New("cpace: the run is over")
	}
	if bytes.Equal(theirs, e.public) { // reflected
		return nil, ErrShare
	}
	k, err := multiply(scalar, theirs)
	if err != nil {
		return nil, ErrShare
	}
	defer clear(k)
	seen := transcript(e.public, ad, theirs, theirAD)
	if e.role == Responder {
		seen = transcript(theirs, theirAD, e.public, ad)
	}
	isk := sessionKey(e.sid, k, seen)
	defer clear(isk)
	return newTags(e.sid, isk, LVCat(e.public, ad), LVCat(theirs, theirAD)), nil
}

// multiply is X25519 of RFC 7748. The result of all zeros is an error, and so
// is a point that is not 32 bytes.
func multiply(scalar *ecdh.PrivateKey, point []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return scalar.ECDH(p)
}

// sessionKey is the ISK of the draft.
func sessionKey(sid, k, transcript []byte) []byte {
	text := append(LVCat([]byte(dsi+"_ISK"), sid, k), transcript...)
	defer clear(text)
	isk := sha512.Sum512(text)
	return isk[:]
}

// Tags are the confirmations of a finished run, as the draft's section "Key
// confirmation" has them. The session key itself is gone by then: nothing of a
// pairing is encrypted with it.
type Tags struct {
	own, theirs []byte
}

func newTags(sid, isk, said, heard []byte) *Tags {
	h := sha512.New()
	h.Write([]byte("CPaceMac"))
	h.Write(sid)
	h.Write(isk)
	key := h.Sum(nil)
	defer clear(key)
	return &Tags{own: tag(key, said), theirs: tag(key, heard)}
}

func tag(key, message []byte) []byte {
	h := hmac.New(sha512.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// Own is the tag to send. Whoever sends it first gives the other side its one
// guess, so the side that shows the password waits for Verify.
func (t *Tags) Own() []byte { return bytes.Clone(t.own) }

// Verify compares the other side's tag in constant time. A wrong one is ErrTag.
func (t *Tags) Verify(theirs []byte) error {
	if !hmac.Equal(t.theirs, theirs) {
		return ErrTag
	}
	return nil
}
