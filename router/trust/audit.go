package trust

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	auditFile = "audit.ndjson"
	// deniedFile has what devices were refused: they may fill it, and push nothing
	// else out.
	deniedFile = "denied.ndjson"
	// maxAudit is the size of the file, in bytes, from which on another is begun;
	// the one before is kept.
	maxAudit = 4 << 20
)

// Entry is one line of the audit log.
type Entry struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"` // paired, granted, denied, revoked, renamed, set_address, refused, wrong_code, locked, reset
	Device string    `json:"device,omitempty"`
	Name   string    `json:"name,omitempty"`
	From   string    `json:"from,omitempty"`   // the address
	URI    string    `json:"uri,omitempty"`    // of what was refused
	Action string    `json:"action,omitempty"` // call, register, publish, subscribe
	Scopes Scopes    `json:"scopes,omitempty"`
	Times  int       `json:"times,omitempty"` // how often, if more than once
}

// Audit is the log of what was decided about devices. It only grows at its end.
type Audit struct{ dir string }

// OpenAudit is the log of the store in dir.
func OpenAudit(dir string) Audit { return Audit{dir} }

// Add appends an entry, whose time is now.
func (a Audit) Add(e Entry) error {
	e.Time = time.Now().UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := auditFile
	if e.Event == "denied" {
		name = deniedFile
	}
	return locked(a.dir, func() error { return a.append(name, append(line, '\n')) })
}

// append adds a line, in another file if this one is full. The lock is held.
func (a Audit) append(name string, line []byte) error {
	path := filepath.Join(a.dir, name)
	if info, err := os.Stat(path); err == nil && info.Size() > maxAudit {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(unended(f), line...))
	return errors.Join(err, giveTo(f, a.dir), f.Close())
}

// unended is what ends the last line of f, where a loss of power has cut it.
func unended(f *os.File) []byte {
	var last [1]byte
	if end, err := f.Seek(-1, io.SeekEnd); err == nil {
		if _, err := f.ReadAt(last[:], end); err == nil && last[0] != '\n' {
			return []byte("\n")
		}
	}
	return nil
}

// Entries calls each with every entry there is, the oldest first. A line that a
// loss of power has cut is left out.
func (a Audit) Entries(each func(Entry) error) error {
	var all []Entry
	for _, name := range []string{auditFile + ".1", auditFile, deniedFile + ".1", deniedFile} {
		err := entriesOf(filepath.Join(a.dir, name), func(e Entry) error { all = append(all, e); return nil })
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	for _, e := range all {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

func entriesOf(path string, each func(Entry) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return lines.Err()
}
