package trust

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func entries(t *testing.T, a Audit) (list []Entry) {
	t.Helper()
	if err := a.Entries(func(e Entry) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAudit(t *testing.T) {
	a := OpenAudit(t.TempDir())
	if len(entries(t, a)) != 0 {
		t.Error("a log that is not there has entries")
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := a.Add(Entry{Event: "granted", Name: "a\nb\x1b", URI: "org.x"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list := entries(t, a)
	if len(list) != 50 || list[0].Name != "a\nb\x1b" || list[0].Time.IsZero() {
		t.Errorf("%d entries, %+v", len(list), list[0])
	}
	path := filepath.Join(a.dir, auditFile)
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), "\n") != 50 || strings.ContainsRune(string(data), 0x1b) {
		t.Errorf("the file: %v", err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.WriteFile(path, append(data, `{"time":"20`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(entries(t, a)); n != 50 {
		t.Errorf("with a cut line: %d entries", n)
	}
	if err := a.Add(Entry{Event: "after"}); err != nil || len(entries(t, a)) != 51 {
		t.Errorf("what follows a cut line is lost: %v", err)
	}
}

// Whatever a device is refused, what was decided about it stays.
func TestDenialsPushNothingOut(t *testing.T) {
	a := OpenAudit(t.TempDir())
	if err := a.Add(Entry{Event: "paired", Name: "evil"}); err != nil {
		t.Fatal(err)
	}
	full := strings.Repeat(`{"event":"denied","time":"2099-01-01T00:00:00Z"}`+"\n", maxAudit/48+1)
	for range 3 {
		if err := os.WriteFile(filepath.Join(a.dir, deniedFile), []byte(full), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Add(Entry{Event: "denied"}); err != nil {
			t.Fatal(err)
		}
	}
	if list := entries(t, a); list[0].Event != "paired" {
		t.Errorf("the first of %d is %+v", len(list), list[0])
	}
}

// It does not grow for ever, and a file that is full is kept.
func TestAuditRotates(t *testing.T) {
	a := OpenAudit(t.TempDir())
	path := filepath.Join(a.dir, auditFile)
	full := strings.Repeat(`{"event":"old"}`+"\n", maxAudit/16+1)
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := a.Add(Entry{Event: "new"}); err != nil {
			t.Fatal(err)
		}
	}
	list := entries(t, a)
	if n := len(list); n != maxAudit/16+1+3 || list[n-1].Event != "new" || list[0].Event != "old" {
		t.Errorf("%d entries", n)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1000 {
		t.Errorf("the new file: %v %v", info, err)
	}
}
