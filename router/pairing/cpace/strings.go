package cpace

import "encoding/binary"

// LVCat concatenates parts, each with its length before it as LEB128: lv_cat of
// the draft's section "Notation for string operations". No other parts give
// the same bytes.
func LVCat(parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p) + binary.MaxVarintLen64
	}
	// one allocation, so that no outgrown copy of a secret stays behind
	out := make([]byte, 0, size)
	for _, p := range parts {
		out = append(binary.AppendUvarint(out, uint64(len(p))), p...)
	}
	return out
}

// generatorString is generator_string of the draft: dsi and prs with zeros after
// them fill the first block of the hash, so that its time does not depend on
// the length of a short password.
func generatorString(prs, ci, sid []byte) []byte {
	head := LVCat([]byte(dsi), prs)
	defer clear(head)
	return LVCat([]byte(dsi), prs, make([]byte, max(0, blockBytes-1-len(head))), ci, sid)
}

// transcript is transcript_ir of the draft.
func transcript(ya, ada, yb, adb []byte) []byte {
	return append(LVCat(ya, ada), LVCat(yb, adb)...)
}
