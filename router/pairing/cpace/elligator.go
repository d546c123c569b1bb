package cpace

import (
	"crypto/sha512"

	"filippo.io/edwards25519/field"
)

// curveA is the A of Curve25519, v^2 = u^3 + A u^2 + u.
const curveA = 486662

// generator is calculate_generator of the draft for G_X25519: the u-coordinate
// of the point that the password, the channel and the session select.
func generator(prs, ci, sid []byte) []byte {
	text := generatorString(prs, ci, sid)
	defer clear(text)
	hash := sha512.Sum512(text)
	defer clear(hash[:])
	return elligator2(hash[:32])
}

// elligator2 is map_to_curve_elligator2 of RFC 9380, section 6.7.1, with Z = 2,
// without the v-coordinate. It takes constant time. Bit 255 of r is ignored, as
// decodeUCoordinate of RFC 7748 asks.
func elligator2(r []byte) []byte {
	var u, a, minusA, v, w, rhs, other field.Element
	if _, err := u.SetBytes(r); err != nil {
		panic(err) // r has 32 bytes
	}
	one := new(field.Element).One()
	a.Mult32(one, curveA)
	minusA.Negate(&a)

	// v = -A / (1 + 2 u^2); -1/2 is no square, so the divisor is never 0
	w.Square(&u)
	w.Add(&w, &w)
	w.Add(&w, one)
	v.Multiply(&minusA, w.Invert(&w))

	// v^3 + A v^2 + v is a square where v is on the curve, else -A-v is
	rhs.Add(&v, &a)
	rhs.Multiply(&rhs, &v)
	rhs.Add(&rhs, one)
	rhs.Multiply(&rhs, &v)
	_, square := w.SqrtRatio(&rhs, one)
	other.Subtract(&minusA, &v)
	return v.Select(&v, &other, square).Bytes()
}
