package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	storeFile    = "devices.json"
	storeVersion = 2
	// mixedVersion is the version in which the addresses of a device were those where
	// it was reached and those that it claimed, in one list.
	mixedVersion = 1
)

// Store has the devices that a machine knows, in a file. Several processes may
// use it: each sees at once what another has changed.
type Store struct {
	dir string

	mu      sync.Mutex
	seen    mark // of what list was read from
	list    Devices
	byID    map[ID]*Device
	current bool
}

// mark tells one state of a file from another.
type mark struct {
	inode uint64
	size  int64
	time  time.Time
}

// document is the form of the file.
type document struct {
	Version int     `json:"version"`
	Devices Devices `json:"devices"`
}

// OpenStore opens the store in dir, which it makes if need be (0700). A file that
// others may read is a *LooseError, one of a newer dconn a *VersionError.
func OpenStore(dir string) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	s := &Store{dir: dir}
	_, err := s.Devices()
	return s, err
}

// Dir is where the store is.
func (s *Store) Dir() string { return s.dir }

// Devices are those that the store has now. They are read anew when the file has
// changed; nobody may change them.
func (s *Store) Devices() (Devices, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		return nil, err
	}
	return s.list, nil
}

// Find is the device of that id as the store has it now. A store that cannot be
// read knows nobody.
func (s *Store) Find(id ID) (Device, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refresh() != nil || s.byID[id] == nil {
		return Device{}, false
	}
	return *s.byID[id], true
}

// refresh reads the file if it is not what was read last. s.mu is held.
func (s *Store) refresh() error {
	now, err := markOf(filepath.Join(s.dir, storeFile))
	if err == nil && s.current && now == s.seen {
		return nil
	}
	s.current = false
	if err != nil {
		return err
	}
	list, err := s.read()
	if err != nil {
		return err
	}
	s.list, s.byID = list, make(map[ID]*Device, len(list))
	for _, d := range list {
		s.byID[d.ID] = d
	}
	s.seen, s.current = now, true // a change since then has another mark
	return nil
}

// markOf is the mark of a file, zero if there is none.
func markOf(path string) (mark, error) {
	var st syscall.Stat_t
	switch err := syscall.Stat(path, &st); {
	case errors.Is(err, fs.ErrNotExist):
		return mark{}, nil
	case err != nil:
		return mark{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return mark{st.Ino, st.Size, time.Unix(st.Mtim.Unix())}, nil
}

// read reads the file; none is an empty store.
func (s *Store) read() (Devices, error) {
	var doc document
	version, err := readDocument(filepath.Join(s.dir, storeFile), mixedVersion, storeVersion, &doc)
	if err != nil {
		return nil, err
	}
	for _, d := range doc.Devices {
		if d == nil || d.ID == (ID{}) || d.Name == "" {
			return nil, fmt.Errorf("%s: a device without an id or a name", filepath.Join(s.dir, storeFile))
		}
		if version == mixedVersion {
			d.unmix()
		}
	}
	return doc.Devices, nil
}

// unmix sorts the addresses that version 1 kept in one list. The first is where the
// device was reached last; any other may be one that it only claimed.
func (d *Device) unmix() {
	if len(d.Address) > 1 {
		d.Address, d.Claimed = d.Address[:1:1], d.Address[1:]
	}
}

// readDocument reads a JSON file of ours into doc and returns its version, which is
// from oldest to newest. Where there is no file, doc stays as it is. A field that this
// dconn does not know is an error: it would be lost.
func readDocument(path string, oldest, newest int, doc any) (version int, err error) {
	data, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newest, nil
	}
	if err != nil {
		return 0, err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return 0, fmt.Errorf("%s: not a file of dconn's: %w", path, err)
	}
	if head.Version < oldest || head.Version > newest {
		return 0, &VersionError{path, head.Version, newest}
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(doc); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return head.Version, nil
}

// writeDocument replaces a JSON file of ours. The lock is held.
func writeDocument(dir, name string, doc any) error {
	data, err := encodeDocument(doc)
	if err != nil {
		return err
	}
	return writePrivate(dir, name, data)
}

func encodeDocument(doc any) ([]byte, error) {
	data, err := json.MarshalIndent(doc, "", "  ")
	return append(data, '\n'), err
}

// Change changes the devices, while no other process does. What change leaves as
// it was, or refuses with an error, is not written.
func (s *Store) Change(change func(*Devices) error) error {
	return locked(s.dir, func() error {
		list, err := s.read()
		if err != nil {
			return err
		}
		before, err := encodeDocument(document{storeVersion, list})
		if err != nil {
			return err
		}
		forget(&list, time.Now())
		if err := change(&list); err != nil {
			return err
		}
		after, err := encodeDocument(document{storeVersion, list})
		if err != nil || bytes.Equal(before, after) {
			return err
		}
		return writePrivate(s.dir, storeFile, after)
	})
}

// forget removes what was never confirmed.
func forget(list *Devices, now time.Time) {
	*list = slices.DeleteFunc(*list, func(d *Device) bool {
		if d.Pending != nil && !d.pending(now) {
			d.Pending = nil
		}
		return d.Pending == nil && d.Paired.IsZero()
	})
}

// Grant notes that a device may have scopes here once it has confirmed that, for
// which it has PendingFor. What it has already stays until then.
func (s *Store) Grant(id ID, name string, scopes Scopes, expires time.Time) error {
	return s.Change(func(list *Devices) error {
		d := list.ByID(id)
		if d == nil {
			d = &Device{ID: id, Name: name, Scopes: Scopes{}}
			list.Add(d)
		}
		d.Pending = &Pending{Until: time.Now().Add(PendingFor).UTC(), Scopes: scopes, Expires: expires}
		return nil
	})
}

// Met notes that a device has begun a session from an address: that confirms what
// was pending. It writes only what is new.
func (s *Store) Met(id ID, from netip.Addr) error {
	d, found := s.Find(id)
	if found && d.Pending == nil && (d.From == from || !from.IsValid()) {
		return nil
	}
	return s.Change(func(list *Devices) error {
		d := list.ByID(id)
		if d == nil {
			return nil
		}
		if d.Pending != nil {
			d.confirm(time.Now().UTC())
		}
		if from.IsValid() {
			d.From = from
		}
		return nil
	})
}

// Watch calls changed whenever a file of the store may have changed, until ctx
// ends; where the kernel does not tell, twice a second.
func (s *Store) Watch(ctx context.Context, changed func()) {
	var events chan fsnotify.Event
	var errs chan error
	if w, err := fsnotify.NewWatcher(); err == nil {
		defer func() { _ = w.Close() }()
		if w.Add(s.dir) == nil {
			events, errs = w.Events, w.Errors
		}
	}
	var tick <-chan time.Time
	if events == nil {
		t := time.NewTicker(500 * time.Millisecond)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-errs: // some of what the kernel had to tell is lost
		case e := <-events:
			if filepath.Base(e.Name) != storeFile {
				continue
			}
		case <-tick:
		}
		changed()
	}
}

const (
	guessesFile    = "pairing.json"
	guessesVersion = 1
)

// Guesses is how often a wrong pairing code was tried: it outlives a restart.
type Guesses struct {
	Recent []time.Time `json:"recent"` // when, within the last two hours
	Row    int         `json:"row"`    // without a right one between them
}

type guessesDocument struct {
	Version int `json:"version"`
	Guesses
}

// Guesses reads what SaveGuesses has written, nothing if it never has.
func (s *Store) Guesses() (Guesses, error) {
	var doc guessesDocument
	_, err := readDocument(filepath.Join(s.dir, guessesFile), guessesVersion, guessesVersion, &doc)
	return doc.Guesses, err
}

// SaveGuesses replaces what Guesses reads.
func (s *Store) SaveGuesses(g Guesses) error {
	return locked(s.dir, func() error {
		return writeDocument(s.dir, guessesFile, guessesDocument{guessesVersion, g})
	})
}
