package brightness

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/deskconn/dconn/capabilities"
)

func TestProbe(t *testing.T) {
	root := t.TempDir()
	probe := func() capabilities.Finding { return capability(root).Probe(context.Background()) }
	if f := probe(); f.State != capabilities.None || f.Fix != "" {
		t.Errorf("nothing there: %+v", f)
	}
	panel(t, root, "a", "raw", 100, 50)
	dir := panel(t, root, "b", "raw", 100, 50)
	if f := probe(); f.State != capabilities.OK || f.Found != "backlight a is writable, b is writable" {
		t.Errorf("two panels: %+v", f)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "brightness")); err != nil || string(now) != "50\n" {
		t.Errorf("the probe moved the panel: %q, %v", now, err)
	}
	if err := os.Remove(filepath.Join(dir, "brightness")); err != nil {
		t.Fatal(err)
	}
	if f := probe(); f.State != capabilities.Fail || !strings.HasPrefix(f.Found, "backlight b: ") || f.Fix == "" {
		t.Errorf("one panel is broken: %+v", f)
	}
}

// How a panel is set that this user may not write to. Root may write to any,
// so the error is made up; commands/testdata/doctoruser.txtar has a real one.
func TestWay(t *testing.T) {
	light := backlight{dir: "/sys/class/backlight/panel", name: "panel"}
	b := &brightness{}
	if _, err := b.wayAround(context.Background(), light); err == nil || !strings.Contains(err.Error(), "/panel/brightness is not writable by uid ") {
		t.Errorf("no logind asked: %v", err)
	}
	b.mayAsUser = func(context.Context) error { return nil }
	if way, err := b.wayAround(context.Background(), light); err != nil || way != "is set through logind" {
		t.Errorf("logind would: %q, %v", way, err)
	}
	b.mayAsUser = func(context.Context) error { return errors.New("logind: no") }
	if _, err := b.wayAround(context.Background(), light); err == nil || !strings.HasSuffix(err.Error(), ", and logind: no") {
		t.Errorf("logind would not: %v", err)
	}
}

func TestFix(t *testing.T) {
	light := backlight{dir: panel(t, t.TempDir(), "panel", "raw", 100, 50)}
	file := filepath.Join(light.dir, "brightness")
	if fix := light.fix(&fs.PathError{Err: syscall.EROFS}); fix != "sudo mount -o remount,rw /sys" {
		t.Errorf("read-only: %s", fix)
	}
	if fix := light.fix(fs.ErrPermission); !strings.HasPrefix(fix, "echo 'ACTION==\"add\", SUBSYSTEM==\"backlight\", ") {
		t.Errorf("nobody's: %s", fix)
	}
	if err := os.Chmod(file, 0o664); err != nil {
		t.Fatal(err)
	}
	gid := os.Getegid()
	if gid == 0 {
		if fix := light.fix(fs.ErrPermission); !strings.HasPrefix(fix, "echo ") {
			t.Errorf("root's group: %s", fix)
		}
		gid = 1
		if err := os.Chown(file, -1, gid); err != nil {
			t.Fatal(err)
		}
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	if fix, want := light.fix(fs.ErrPermission), "sudo usermod -aG "+group.Name+` "$USER" # then log in again`; fix != want {
		t.Errorf("a group's: %s, want %s", fix, want)
	}
}
