package transport

import (
	"encoding/hex"
	"testing"
)

// Encodings that are not well-formed, after RFC 8949, appendix F, and text that is not
// UTF-8.
func TestCBORNotWellFormed(t *testing.T) {
	rejects(t, CBOR, map[string]string{
		"nothing":             "",
		"simple in two bytes": "f800", "simple 31 in two bytes": "f81f",
		"reserved 28": "1c", "reserved 29": "1d", "reserved 30": "1e", "reserved negative": "3c", "reserved bytes": "5c",
		"reserved text": "7d", "reserved list": "9e", "reserved dict": "bc", "reserved tag": "dd", "reserved float": "fc",
		"bytes chunk in text": "7f4100ff", "text chunk in bytes": "5f6100ff", "int chunk": "5f00ff",
		"indefinite chunk": "5f5f4100ffff", "tag in chunks": "5fc04100ff",
		"break in list": "81ff", "break later in list": "8200ff", "break as key": "a1ff", "break as value": "a16161ff",
		"break later in dict": "a2616100ff", "odd indefinite dict": "bf6161ff", "break in inner list": "9f81ff",
		"break as tag": "c0ff", "break as tag in list": "9fc0ff", "break as tag in dict": "bfc0ff",
		"break as tag of a value": "bf6161c0ff", "break as tag of tags in list": "9fc0c1ff",
		"indefinite int": "1f", "indefinite negative": "3f", "indefinite tag": "df",
		"text of 2^64": "7bffffffffffffffff61", "bytes of 2^31": "5a7fffffff61",
		"list of 2^63": "9b7fffffffffffffff00", "dict of 2^31": "ba7fffffff00", "surrogate": "63eda080", "a character in two chunks": "7f61c361a9ff",
	})
}

// The rest of appendix A that holds every path of the decoder; no prefix of
// them decodes.
func TestCBORPrefixes(t *testing.T) {
	for _, vector := range []string{
		"1818", "1903e8", "1a000f4240", "1b000000e8d4a51000", "3863", "3903e7",
		"f93c00", "fa47c35000", "fb3ff199999999999a", "c11a514b67b0", "d818456449455446",
		"4401020304", "6449455446", "8301820203820405", "a26161016162820203", "5f42010243030405ff",
		"7f657374726561646d696e67ff", "9f018202039f0405ffff", "bf61610161629f0203ffff", "826161bf61626163ff",
	} {
		whole, err := hex.DecodeString(vector)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := CBOR.Decode(whole, testDepth); err != nil {
			t.Errorf("%s: %v, %v", vector, v, err)
		}
		for n := range whole {
			if v, err := CBOR.Decode(whole[:n], testDepth); err == nil {
				t.Errorf("%x, of %s, decodes to %v", whole[:n], vector, v)
			}
		}
	}
}
