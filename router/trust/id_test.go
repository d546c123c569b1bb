package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anyID() *rapid.Generator[ID] {
	return rapid.Custom(func(t *rapid.T) ID {
		return ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
	})
}

func TestIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := anyID().Draw(t, "id")
		text := id.String()
		if len(text) != 63 || strings.Count(text, "-") != 7 || !strings.HasPrefix(text, id.Short()+"-") {
			t.Fatalf("%s is not eight groups of seven", text)
		}
		sloppy := strings.ToLower(strings.ReplaceAll(text, "-", " "))
		sloppy = strings.NewReplacer("o", "0", "i", "1", "b", "8").Replace(sloppy)
		for _, typed := range []string{text, sloppy} {
			if got, err := ParseID(typed); err != nil || got != id {
				t.Fatalf("ParseID(%q) = %v, %v", typed, got, err)
			}
		}
	})
}

// One wrong character is found, wherever it is.
func TestIDTypo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(anyID().Draw(t, "id").String(), "-", "")
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		wrong := alphabet[rapid.IntRange(0, 31).Draw(t, "character")]
		if wrong == text[at] {
			return
		}
		typo := text[:at] + string(wrong) + text[at+1:]
		if _, err := ParseID(typo); err == nil {
			t.Fatalf("%s passes for %s", typo, text)
		}
	})
}

func TestPrefix(t *testing.T) {
	id := ID{1, 2, 3}
	whole := strings.ReplaceAll(id.String(), "-", "")
	for _, n := range []int{MinPrefix, 7, 14, 30, 56} {
		p, err := ParsePrefix(strings.ToLower(whole[:n]))
		if err != nil || !id.HasPrefix(p) {
			t.Errorf("%d characters: %q, %v", n, p, err)
		}
	}
	for text, want := range map[string]string{
		"":                    "4 to 56 characters, got 0",
		"ABC":                 "4 to 56 characters, got 3",
		whole + "A":           "4 to 56 characters, got 57",
		"kitchen-pi!":         "letters and the digits 2 to 7",
		"AB9D":                "letters and the digits 2 to 7",
		whole[:13] + "2" + "": "a character of the id is wrong",
	} {
		if _, err := ParsePrefix(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePrefix(%q): %v, want %q", text, err, want)
		}
	}
	if _, err := ParseID(whole[:30]); err == nil {
		t.Error("half an id is none")
	}
}

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	made, err := OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenIdentity(dir)
	if err != nil || again.ID() != made.ID() || made.ID() == (ID{}) {
		t.Fatalf("opened again: %v, %v; was %v", again, err, made.ID())
	}
	leaf := made.Certificate().Leaf
	if IDOf(leaf) != made.ID() || leaf.NotAfter.Year() != 9999 || len(leaf.DNSNames)+len(leaf.IPAddresses) != 0 {
		t.Errorf("certificate %+v", leaf)
	}
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, identityFile)
	for _, p := range []string{path, dir} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIdentity(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken key: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "junk" {
		t.Error("a broken key was replaced: it may be the only copy")
	}
}

// What others may read or change is refused, with the line that mends it.
func TestLooseModes(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenIdentity(dir); err != nil {
		t.Fatal(err)
	}
	store, err := OpenStore(dir)
	if err == nil {
		err = store.Change(func(l *Devices) error { l.Add(device(1)); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path        string
		loose, back os.FileMode
	}{
		{dir, 0o777, 0o700}, {dir, 0o720, 0o700},
		{filepath.Join(dir, identityFile), 0o640, 0o600}, {filepath.Join(dir, storeFile), 0o604, 0o600},
	} {
		if err := os.Chmod(row.path, row.loose); err != nil {
			t.Fatal(err)
		}
		_, idErr := OpenIdentity(dir)
		_, storeErr := OpenStore(dir)
		found := false
		for _, err := range []error{idErr, storeErr} {
			if loose, ok := err.(*LooseError); ok && loose.Path == row.path && strings.HasPrefix(loose.Fix, "chmod 0") {
				found = true
			}
		}
		if !found {
			t.Errorf("%s with mode %o: %v, %v", row.path, row.loose, idErr, storeErr)
		}
		if err := os.Chmod(row.path, row.back); err != nil {
			t.Fatal(err)
		}
	}
}
