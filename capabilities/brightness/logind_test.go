package brightness

import (
	"bufio"
	"context"
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
		t.Skip("dbus-daemon is missing: apt-get install dbus-daemon")
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

// seat is how a session names its seat.
type seat struct {
	Name string
	Path dbus.ObjectPath
}

// properties are what a session says of itself.
type properties map[string]any

func (p properties) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	said := map[string]dbus.Variant{}
	for name, v := range p {
		said[name] = dbus.MakeVariant(v)
	}
	return said, nil
}

// Only a session in the foreground of a seat may set a backlight.
func TestMaySetByLogind(t *testing.T) {
	address := startBus(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	server, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()
	if err := maySetByLogind(ctx); err == nil || !strings.HasPrefix(err.Error(), "logind: ") {
		t.Errorf("without logind: %v", err)
	}
	if _, err := server.RequestName("org.freedesktop.login1", 0); err != nil {
		t.Fatal(err)
	}
	seat0 := seat{"seat0", "/org/freedesktop/login1/seat/seat0"}
	for _, c := range []struct {
		said properties
		want string
	}{
		{properties{"Seat": seat0, "Active": true}, ""},
		{properties{"Seat": seat0, "Active": false}, "logind: this user's session is not in the foreground of seat0"},
		{properties{"Seat": seat0, "Active": "what"}, "logind: this user's session is not in the foreground of seat0"},
		{properties{"Seat": seat{"", "/"}, "Active": true}, "logind: this user's session has no seat"},
		{properties{"Seat": "what", "Active": true}, "logind: this user's session has no seat"},
		{properties{}, "logind: this user's session has no seat"},
	} {
		if err := server.Export(c.said, "/org/freedesktop/login1/session/auto", "org.freedesktop.DBus.Properties"); err != nil {
			t.Fatal(err)
		}
		if err := maySetByLogind(ctx); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v: %v, want %q", c.said, err, c.want)
		}
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if err := maySetByLogind(ctx); err == nil || !strings.HasPrefix(err.Error(), "no logind: ") {
		t.Errorf("without a bus: %v", err)
	}
}
