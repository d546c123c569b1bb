package brightness

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// login1 answers like systemd-logind, on a bus of our own.
type login1 struct{ calls chan string }

func (l login1) SetBrightness(subsystem, name string, value uint32) *dbus.Error {
	if name == "locked" {
		return dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"not your seat"})
	}
	l.calls <- subsystem + " " + name
	return nil
}

func startBus(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("DCONN_TEST_ALL") == "1" && os.Geteuid() == 0 {
			out, err := exec.Command("sh", "-c", "apt-get -qq update && apt-get -qqy install --no-install-recommends dbus-daemon").CombinedOutput()
			if err != nil {
				t.Fatalf("dbus-daemon is missing: %v: %s", err, out)
			}
			path = "dbus-daemon"
		} else {
			t.Skip("dbus-daemon is missing: apt-get install dbus-daemon")
		}
	}
	bus := exec.Command(path, "--session", "--nofork", "--nopidfile", "--print-address=1", "--address=unix:dir="+t.TempDir())
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bus.Process.Kill()
		_ = bus.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// The call crosses a real D-Bus; what logind itself then does with a panel
// needs a seat.
func TestSetByLogind(t *testing.T) {
	address := startBus(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	server, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	l := login1{make(chan string, 1)}
	if err := server.Export(l, "/org/freedesktop/login1/session/auto", "org.freedesktop.login1.Session"); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := setByLogind(ctx, "panel", 80); err == nil || !strings.Contains(err.Error(), "not writable for this user, and logind") {
		t.Errorf("without logind: %v", err)
	}
	if _, err := server.RequestName("org.freedesktop.login1", 0); err != nil {
		t.Fatal(err)
	}
	if err := setByLogind(ctx, "panel", 80); err != nil {
		t.Fatal(err)
	}
	if got := <-l.calls; got != "backlight panel" {
		t.Errorf("logind was asked for %q", got)
	}
	if err := setByLogind(ctx, "locked", 80); err == nil || !strings.Contains(err.Error(), "not your seat") {
		t.Errorf("refused by logind: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if err := setByLogind(ctx, "panel", 80); err == nil || !strings.Contains(err.Error(), "no logind") {
		t.Errorf("without a bus: %v", err)
	}
}
