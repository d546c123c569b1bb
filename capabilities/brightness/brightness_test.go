package brightness

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskconn/dconn/capabilities"
)

// panel makes one backlight below root whose driver shows what is written.
func panel(t *testing.T, root, name, kind string, limit, now int) string {
	t.Helper()
	dir := filepath.Join(root, "sys/class/backlight", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"type": kind, "max_brightness": strconv.Itoa(limit), "brightness": strconv.Itoa(now), "bl_power": "0",
	} {
		write(t, dir, file, content)
	}
	if err := os.Symlink("brightness", filepath.Join(dir, "actual_brightness")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, file, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(content+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stuck makes the driver of a panel show something else than what is written.
func stuck(t *testing.T, dir, actual string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "actual_brightness")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "actual_brightness", actual)
}

func capability(root string) capabilities.Capability {
	return New(capabilities.Env{Root: root, Log: slog.New(slog.DiscardHandler)})
}

func call(c capabilities.Capability, verb string, args []any, kwargs map[string]any) (any, error) {
	for _, p := range c.Procedures {
		if p.Verb == verb {
			decoded, err := capabilities.Decode(p.Params, args, kwargs)
			if err != nil {
				return nil, err
			}
			return p.Handle(context.Background(), capabilities.Call{Args: decoded})
		}
	}
	return nil, errors.New("no verb " + verb)
}

// firmware before platform before raw, as the kernel documents; then by name.
func TestDefaultIsTheBestType(t *testing.T) {
	root := t.TempDir()
	panel(t, root, "a_raw", "raw", 100, 1)
	panel(t, root, "z_platform", "platform", 100, 2)
	panel(t, root, "b_unknown", "future", 100, 3)
	var got []string
	order := func() string {
		got = nil
		for _, b := range find(filepath.Join(root, "sys/class/backlight")) {
			got = append(got, b.name)
		}
		return strings.Join(got, " ")
	}
	if order() != "z_platform a_raw b_unknown" {
		t.Errorf("got %v", got)
	}
	panel(t, root, "y_firmware", "firmware", 100, 4)
	if order() != "y_firmware z_platform a_raw b_unknown" {
		t.Errorf("got %v", got)
	}
	broken := panel(t, root, "broken", "firmware", 100, 4)
	write(t, broken, "max_brightness", "0")
	if order() != "y_firmware z_platform a_raw b_unknown" {
		t.Errorf("a panel without a range is offered: %v", got)
	}
}

// A percentage comes back as it was set, and 1 % is never off.
func TestPercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := backlight{max: rapid.Int64Range(1, 1<<31).Draw(t, "max")}
		percent := rapid.Int64Range(0, 100).Draw(t, "percent")
		raw := b.toRaw(percent)
		if raw < 0 || raw > b.max || (raw == 0) != (percent == 0) {
			t.Fatalf("%d %% of %d is %d", percent, b.max, raw)
		}
		if back := b.toPercent(raw); b.max >= 100 && back != percent {
			t.Fatalf("%d %% of %d came back as %d", percent, b.max, back)
		}
	})
}

func TestFailingDriverIsNotBelieved(t *testing.T) {
	root := t.TempDir()
	dir := panel(t, root, "panel", "raw", 100, 50)
	stuck(t, dir, "50")
	_, err := call(capability(root), "set", []any{int64(80)}, nil)
	if !errors.Is(err, capabilities.ErrUnavailable) || !strings.Contains(err.Error(), "took 80 but still shows 50") {
		t.Errorf("got %v", err)
	}
	if v, err := call(capability(root), "get", nil, nil); err != nil || v != int64(50) {
		t.Errorf("get = %v, %v; want 50, what the panel shows", v, err)
	}
	write(t, dir, "bl_power", "4") // a blanked panel shows 0 whatever is set
	if _, err := call(capability(root), "set", []any{int64(80)}, nil); err != nil {
		t.Errorf("set on a blanked panel: %v", err)
	}
}

func TestAbsent(t *testing.T) {
	c := capability(t.TempDir())
	for _, verb := range []string{"get", "set"} {
		args := []any{}
		if verb == "set" {
			args = []any{int64(1)}
		}
		if _, err := call(c, verb, args, nil); !errors.Is(err, capabilities.ErrUnavailable) || !strings.Contains(err.Error(), "no backlight") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if v, err := call(c, "list", nil, nil); err != nil || len(v.([]any)) != 0 {
		t.Errorf("list = %v, %v", v, err)
	}
}

// Where only root may write, logind is asked; its error is reported.
func TestAsUser(t *testing.T) {
	light := backlight{dir: panel(t, t.TempDir(), "panel", "raw", 100, 50), name: "panel", max: 100}
	var asked int64
	b := &brightness{asUser: func(_ context.Context, _ string, raw int64) error {
		asked = raw
		write(t, light.dir, "brightness", strconv.FormatInt(raw, 10))
		return nil
	}}
	denied := &fs.PathError{Op: "open", Path: "brightness", Err: fs.ErrPermission}
	if err := b.apply(context.Background(), light, 80, func(int64) error { return denied }); err != nil || asked != 80 {
		t.Errorf("asked for %d, %v; want 80", asked, err)
	}
	b.asUser = nil
	err := b.apply(context.Background(), light, 70, func(int64) error { return denied })
	if !errors.Is(err, capabilities.ErrUnavailable) || !strings.Contains(err.Error(), "panel refused 70") {
		t.Errorf("got %v", err)
	}
}

func TestWatch(t *testing.T) {
	root := t.TempDir()
	dir := panel(t, root, "panel", "raw", 200, 100)
	events := make(chan map[string]any, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		capability(root).Watch(ctx, func(event string, kwargs map[string]any) {
			if event == "changed" {
				events <- kwargs
			}
		})
	}()
	defer func() { cancel(); <-done }()
	expect := func(percent, raw int64) {
		t.Helper()
		select {
		case e := <-events:
			if e["percent"] != percent || e["raw"] != raw || e["device"] != "panel" {
				t.Errorf("got %v, want %d %%, raw %d", e, percent, raw)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event for raw %d", raw)
		}
	}
	await := time.Now().Add(20 * time.Second)
	for raw := int64(1); len(events) == 0 && time.Now().Before(await); raw = 3 - raw { // until it watches
		write(t, dir, "brightness", strconv.FormatInt(raw, 10))
		time.Sleep(50 * time.Millisecond)
	}
	for len(events) > 0 {
		<-events
	}
	write(t, dir, "brightness", "60")
	expect(30, 60)
	write(t, dir, "brightness", "60") // written, not changed
	write(t, dir, "brightness", "20")
	expect(10, 20)
}
