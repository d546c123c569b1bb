package trust

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func device(n byte) *Device {
	return &Device{ID: ID{n}, Name: fmt.Sprintf("d%d", n), Scopes: Scopes{"system"}, Paired: time.Now().UTC()}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func change(t *testing.T, s *Store, change func(*Devices)) {
	t.Helper()
	if err := s.Change(func(l *Devices) error { change(l); return nil }); err != nil {
		t.Fatal(err)
	}
}

// What one process changes, another sees at its next look, however fast they are.
func TestTwoStores(t *testing.T) {
	dir := t.TempDir()
	writer, reader := open(t, dir), open(t, dir)
	for i := range 300 {
		n := byte(i%7) + 1
		if _, known := writer.Find(ID{n}); known {
			change(t, writer, func(l *Devices) { l.Remove(ID{n}) })
		} else {
			change(t, writer, func(l *Devices) { l.Add(device(n)) })
		}
		for id := byte(1); id < 8; id++ {
			_, a := writer.Find(ID{id})
			_, b := reader.Find(ID{id})
			if a != b {
				t.Fatalf("after change %d device %d: %v and %v", i, id, a, b)
			}
		}
	}
}

// Changes of several processes at once are all there.
func TestChangesAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if err := open(t, dir).Change(func(l *Devices) error { l.Add(device(byte(n + 1))); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if l, err := open(t, dir).Devices(); err != nil || len(l) != 20 {
		t.Errorf("%d devices, %v", len(l), err)
	}
}

func TestRefusedChange(t *testing.T) {
	s := open(t, t.TempDir())
	change(t, s, func(l *Devices) { l.Add(device(1)) })
	before, _ := os.ReadFile(filepath.Join(s.dir, storeFile))
	no := errors.New("no")
	if err := s.Change(func(l *Devices) error { l.Remove(ID{1}); return no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(s.dir, storeFile)); string(after) != string(before) {
		t.Error("what was refused is written")
	}
}

func TestStrangeFiles(t *testing.T) {
	for content, want := range map[string]string{
		`{"version":3,"devices":[]}`:                         "is of version 3, this dconn knows 2: update it",
		`{"version":1,"devices":[{"id":"AAAA","name":"x"}]}`: "an id has 56 characters",
		`{"version":1,"devices":[{"name":"x","scopes":[]}]}`: "a device without an id",
		`{"version":1,"devices":[],"more":1}`:                "unknown field",
		`{"version":1,"devices":[null]}`:                     "a device without an id",
		``:                                                   "not a file of dconn's",
		`[]`:                                                 "not a file of dconn's",
	} {
		dir := t.TempDir()
		s := open(t, dir)
		change(t, s, func(l *Devices) { l.Add(device(1)) })
		path := filepath.Join(dir, storeFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStore(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
		if _, known := s.Find(ID{1}); known {
			t.Errorf("%s: a store that cannot be read knows somebody", content)
		}
		if err := s.Change(func(*Devices) error { return nil }); err == nil {
			t.Errorf("%s: it was replaced", content)
		}
	}
}

// A lock that others can open could be held by them for ever.
func TestLooseLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	change(t, s, func(l *Devices) { l.Add(device(1)) })
	path := filepath.Join(dir, "lock")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	err := s.Change(func(l *Devices) error { l.Add(device(2)); return nil })
	if loose, ok := errors.AsType[*LooseError](err); !ok || loose.Path != path {
		t.Errorf("got %v", err)
	}
}

// The line that mends a file can be pasted, whatever the file is called.
func TestFixIsQuoted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here; or there")
	s := open(t, dir)
	change(t, s, func(l *Devices) { l.Add(device(1)) })
	path := filepath.Join(dir, storeFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := OpenStore(dir)
	loose, ok := errors.AsType[*LooseError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if out, err := exec.Command("sh", "-c", loose.Fix).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", loose.Fix, err, out)
	}
	if _, err := OpenStore(dir); err != nil {
		t.Errorf("after %s: %v", loose.Fix, err)
	}
}

func TestNames(t *testing.T) {
	var l Devices
	for n, name := range []string{"pi", "PI", "desk", "pi"} {
		l.Add(&Device{ID: ID{byte(n + 1)}, Name: name})
	}
	var names []string
	for _, d := range l {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, ","); got != "PI 2,desk,pi,pi 3" {
		t.Errorf("names %s", got)
	}
	if m := l.Match("Pi"); len(m) != 1 || m[0].ID != (ID{1}) {
		t.Errorf("pi: %v", m)
	}
	twins := Devices{{ID: ID{1, 1}, Name: "a"}, {ID: ID{1, 1, 0, 1}, Name: "b"}}
	if m := twins.Match(ID{1, 1}.String()[:5]); len(m) != 2 {
		t.Errorf("an ambiguous prefix finds %v", m)
	}
	evil := append(Devices{{ID: ID{9}, Name: ID{1, 1}.Short()}}, twins[0])
	if m := evil.Match(ID{1, 1}.Short()); len(m) != 2 {
		t.Errorf("who is called as another's id is taken for that: %v", m)
	}
	if m := twins.Match("nobody"); len(m) != 0 {
		t.Errorf("nobody: %v", m)
	}
}

// What a device calls itself looks like no address.
func TestPlainName(t *testing.T) {
	for name, want := range map[string]string{
		"pi": "pi", "pi.lan": "pi", "my desk": "my desk", "192.168.1.20": "device 192-168-1-20", "::1": "--1", "[fe80::1]": "fe80--1",
		".x": "device -x", "a:5020": "a-5020", "7": "device 7",
	} {
		if got := PlainName(name); got != want || strings.ContainsAny(got, ".:[") {
			t.Errorf("PlainName(%q) = %q, want %q", name, got, want)
		}
	}
}

// A grant gives nothing until the device comes back in time; what it had stays.
func TestPending(t *testing.T) {
	s := open(t, t.TempDir())
	id, from, now := ID{1}, netip.MustParseAddr("10.0.0.7"), time.Now()
	grant := func(scopes ...Scope) Device {
		t.Helper()
		if err := s.Grant(id, "laptop", scopes, time.Time{}); err != nil {
			t.Fatal(err)
		}
		d, _ := s.Find(id)
		return d
	}
	calls := func(d Device, at time.Time) bool {
		return d.Allows(at, Call, "org.deskconn.system.name", "exact")
	}
	d := grant("system")
	if calls(d, now) || !d.Known(now) || d.Known(now.Add(PendingFor+time.Second)) || d.Known(now.Add(-time.Hour)) {
		t.Errorf("pending: %+v", d)
	}
	if err := s.Met(id, from); err != nil {
		t.Fatal(err)
	}
	if d, _ = s.Find(id); !calls(d, now) || d.Pending != nil || d.From != from {
		t.Errorf("confirmed: %+v", d)
	}
	if d = grant("brightness"); !calls(d, now) || d.Allows(now, Call, "org.deskconn.brightness.get", "exact") {
		t.Errorf("paired again: %+v", d)
	}
	change(t, s, func(l *Devices) { l.ByID(id).Pending.Until = now.Add(-time.Second) })
	if err := s.Met(id, from); err != nil {
		t.Fatal(err)
	}
	if d, _ = s.Find(id); !calls(d, now) || d.Pending != nil {
		t.Errorf("not confirmed in time: %+v", d)
	}
	if err := s.Met(ID{9}, from); err != nil {
		t.Error(err)
	}
	if _, known := s.Find(ID{9}); known {
		t.Error("a stranger was noted")
	}
}

func TestExpiry(t *testing.T) {
	now := time.Now()
	d := Device{Paired: now, Scopes: Scopes{"system"}, Expires: now.Add(time.Hour)}
	for at, want := range map[time.Duration]bool{0: true, 59 * time.Minute: true, time.Hour: false, -time.Hour: true, -48 * time.Hour: false} {
		if got := d.Known(now.Add(at)); got != want || got != d.Allows(now.Add(at), Call, "org.deskconn.system.name", "") {
			t.Errorf("at %v: %v", at, got)
		}
	}
	d.Expires = time.Time{} // without one, no clock is needed
	if !d.Known(time.Unix(0, 0)) {
		t.Error("a machine without a clock knows nobody")
	}
}

func TestReached(t *testing.T) {
	var d Device
	for n := range 20 {
		d.Reached(fmt.Sprint("10.0.0.", n, ":1"))
	}
	d.Reached("10.0.0.15:1")
	if len(d.Address) != maxAddresses || d.Address[0] != "10.0.0.15:1" || d.Address[1] != "10.0.0.19:1" {
		t.Errorf("%v", d.Address)
	}
}

// What a device claims is a place to look for it, and never says whose address it is.
func TestClaimedIsNoEvidence(t *testing.T) {
	pi, evil := device(1), device(2)
	pi.Reached("10.0.0.2:5020")
	evil.Claim("10.0.0.2:5020")
	evil.Reached("10.0.0.3:5020")
	list := Devices{pi, evil}
	if at := list.At("10.0.0.2:5020"); !slices.Equal(at, Devices{pi}) {
		t.Errorf("the address is that of %v", at)
	}
	if got := evil.Candidates(); !slices.Equal(got, []string{"10.0.0.3:5020", "10.0.0.2:5020"}) {
		t.Errorf("candidates %v", got)
	}
	evil.Reached("10.0.0.2:5020")
	if at := list.At("10.0.0.2:5020"); len(at) != 2 {
		t.Errorf("two were reached there, it is that of %v", at)
	}
	if len(evil.Claimed) != 0 {
		t.Errorf("still claimed: %v", evil.Claimed)
	}
	evil.Claim("10.0.0.3:5020") // where it was reached
	if len(evil.Claimed) != 0 {
		t.Errorf("claimed where it was reached: %v", evil.Claimed)
	}
	list.Settle(evil, "10.0.0.2:5020")
	if at := list.At("10.0.0.2:5020"); !slices.Equal(at, Devices{evil}) {
		t.Errorf("after the owner's word, it is that of %v", at)
	}
	if got := pi.Candidates(); !slices.Equal(got, []string{"10.0.0.2:5020"}) {
		t.Errorf("the other is looked for at %v", got)
	}
	pi.Fixed = "10.0.0.2:5020"
	list.Settle(evil, "10.0.0.2:5020")
	if at := list.At("10.0.0.2:5020"); len(at) != 2 {
		t.Errorf("the owner gave it to both, it is that of %v", at)
	}
}

// A file of version 1 is read: of the addresses in it, only the first is one where
// the device was reached for certain. It is written as version 2.
func TestStoreOfVersion1(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	text := fmt.Sprintf(`{"version":1,"devices":[{"id":%q,"name":"a","scopes":[],"paired":"2026-01-02T03:04:05Z","addresses":["10.0.0.3:1","10.0.0.2:1","10.0.0.1:1"]}, {"id":%q,"name":"b","scopes":[]}]}`, ID{1}, ID{2})
	if err := os.WriteFile(filepath.Join(dir, storeFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := s.Devices()
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	a := list.ByID(ID{1})
	if !slices.Equal(a.Address, []string{"10.0.0.3:1"}) || !slices.Equal(a.Claimed, []string{"10.0.0.2:1", "10.0.0.1:1"}) {
		t.Errorf("reached %v, claimed %v", a.Address, a.Claimed)
	}
	change(t, s, func(l *Devices) { l.ByID(ID{1}).Reached("10.0.0.2:1") })
	if list, err = open(t, dir).Devices(); err != nil {
		t.Fatal(err)
	}
	if a := list.ByID(ID{1}); !slices.Equal(a.Address, []string{"10.0.0.2:1", "10.0.0.3:1"}) || !slices.Equal(a.Claimed, []string{"10.0.0.1:1"}) {
		t.Errorf("after a change: reached %v, claimed %v", a.Address, a.Claimed)
	}
}

func TestWatch(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan bool, 100)
	done := make(chan bool)
	go func() { s.Watch(ctx, func() { changed <- true }); close(done) }()
	limit := time.After(20 * time.Second)
	for seen := false; !seen; { // once it watches
		change(t, s, func(l *Devices) { l.Add(device(byte(rand.IntN(255) + 1))) })
		select {
		case seen = <-changed:
		case <-limit:
			t.Fatal("no change is seen")
		case <-time.After(50 * time.Millisecond):
		}
	}
	cancel()
	<-done
}

func TestGuesses(t *testing.T) {
	dir := t.TempDir()
	want := Guesses{Recent: []time.Time{time.Now().UTC()}, Row: 3}
	if err := open(t, dir).SaveGuesses(want); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir).Guesses()
	if err != nil || got.Row != 3 || len(got.Recent) != 1 || !got.Recent[0].Equal(want.Recent[0]) {
		t.Errorf("%+v, %v", got, err)
	}
}

// writerEnv makes this test binary write into the store there, and say so.
const writerEnv = "DCONN_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

// write counts in the name of a device; each number is printed when it holds.
func write(dir string) {
	for {
		n := 0
		s, err := OpenStore(dir)
		if err == nil {
			err = s.Change(func(l *Devices) error {
				d := l.ByID(ID{1})
				if d == nil {
					d = device(1)
					d.Name = "0"
					l.Add(d)
				}
				n, _ = strconv.Atoi(d.Name)
				n++
				d.Name = strconv.Itoa(n)
				return nil
			})
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
		// whoever reads it from a terminal has it before the next change begins
		_ = unix.IoctlSetInt(1, unix.TCSBRK, 1)
	}
}

// Whenever the process is killed, the store has all that it said was in it.
func TestKill(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	last := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+dir, "GOMAXPROCS=1", "GORACE=atexit_sleep_ms=0")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for said := 0; said < 3 && lines.Scan(); said++ {
			if said == 1 { // then at any moment of the next
				time.AfterFunc(rand.N(2*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("round %d: %s", round, lines.Text())
			}
			last = n
		}
		_ = cmd.Process.Kill()
		for lines.Scan() {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				last = n
			}
		}
		_ = cmd.Wait()
		d, known := open(t, dir).Find(ID{1})
		if n, _ := strconv.Atoi(d.Name); !known || n < last || n > last+1 {
			t.Fatalf("round %d: the store has %q, %d was said", round, d.Name, last)
		}
	}
}
