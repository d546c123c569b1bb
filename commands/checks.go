package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/wire"
)

func fine(format string, a ...any) capabilities.Finding {
	return capabilities.Finding{State: capabilities.OK, Found: fmt.Sprintf(format, a...)}
}

func absent(format string, a ...any) capabilities.Finding {
	return capabilities.Finding{State: capabilities.None, Found: fmt.Sprintf(format, a...)}
}

func failed(fix, format string, a ...any) capabilities.Finding {
	return capabilities.Finding{State: capabilities.Fail, Found: fmt.Sprintf(format, a...), Fix: fix}
}

// serveElsewhere starts a daemon where nobody is in its way.
const serveElsewhere = "export DCONN_SOCKET=$HOME/.cache/dconn/dconn.sock; dconn serve &"

// serveAt starts a daemon at path.
func serveAt(path string) string {
	if path == client.DefaultSocket() {
		return "dconn serve &"
	}
	return "dconn serve --socket " + capabilities.ShellWord(path) + " &"
}

func (o *doctorOptions) checkConfig(context.Context) capabilities.Finding {
	_, err := settingsSet(newRoot(&streams{}, nil))
	if err = errors.Join(o.config, err); err != nil {
		return brokenConfig(err)
	}
	files := configFiles()
	if len(files) == 0 {
		return fine("no file")
	}
	return fine("%s", strings.Join(files, ", "))
}

func brokenConfig(err error) capabilities.Finding {
	wrong, ok := errors.AsType[*settingError](err)
	if !ok {
		return failed("", "%v", err)
	}
	found := strings.TrimPrefix(wrong.Message, "config: ")
	if wrong.Hint != "" {
		found += " (" + wrong.Hint + ")"
	}
	if !filepath.IsAbs(wrong.origin) {
		return failed("unset "+wrong.origin, "%s", found)
	}
	info, err := os.Stat(wrong.origin)
	switch file := capabilities.ShellWord(wrong.origin); {
	case err != nil || !errors.Is(wrong, fs.ErrPermission):
		return failed(`"${EDITOR:-vi}" `+file, "%s", found)
	case owner(info) == os.Geteuid():
		return failed("chmod u+r "+file, "%s", found)
	default:
		return failed("sudo chmod a+r "+file, "%s", found)
	}
}

// checkSocket finds out who serves path, if anybody does, and asks for the
// version.
func checkSocket(ctx context.Context, path string) capabilities.Finding {
	if info, err := os.Stat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return failed("mv "+capabilities.ShellWord(path)+" "+capabilities.ShellWord(path+".old"), "%s exists and is not a socket", path)
	}
	said, err := askVersion(ctx, path)
	if err == nil {
		return fine("unix://%s: %s answers", path, said)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return failed(restart(path), "unix://%s: its daemon does not answer within %v", path, checkBudget)
	}
	fix := serveElsewhere
	if e, ok := errors.AsType[*client.UnreachableError](err); ok {
		switch {
		case path == client.SystemSocket && os.Geteuid() != 0:
			fix = exportRuntimeDir() + "; " + serveAt(path)
		case errors.Is(e.Cause, syscall.ECONNREFUSED):
			return failed(serveAt(path), "%v: its daemon is gone, the socket is stale", err)
		case errors.Is(e.Cause, fs.ErrNotExist):
			fix = serveAt(path)
		}
	}
	return failed(fix, "%s", explain(err, "unix://"+path).Message)
}

// askVersion asks who answers at a socket.
func askVersion(ctx context.Context, path string) (string, error) {
	s, err := client.Dial(ctx, path, "dconn/"+version)
	if err != nil {
		return "", err
	}
	defer leave(s)
	result, err := s.Call(ctx, wire.Namespace+"system.version", nil, nil)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.URI == wire.ErrNoSuchProcedure {
		return "a daemon without the capability system", nil
	}
	if err != nil {
		return "", err
	}
	if len(result.Args) != 1 {
		return "a daemon of unknown version", nil
	}
	return fmt.Sprintf("dconn %v", result.Args[0]), nil
}

// restart ends the daemon that hangs at path and starts another. Where systemd
// handed the socket over, the process that listens is systemd.
func restart(path string) string {
	pid := 0
	if nc, err := net.DialTimeout("unix", path, checkBudget/4); err == nil {
		if cred, err := router.PeerCred(nc); err == nil {
			pid = int(cred.Pid)
		}
		_ = nc.Close()
	}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	switch {
	case pid == 0: // in another container
		return serveElsewhere
	case pid == 1:
		return "sudo systemctl restart dconn.service"
	case string(name) == "systemd\n":
		return "systemctl --user restart dconn.service"
	}
	return fmt.Sprintf("kill -9 %d; %s", pid, serveAt(path))
}

// checkPermissions looks at who else may use or replace the socket: anybody
// could pose as the daemon where others may write.
func checkPermissions(path string, usual bool) capabilities.Finding {
	if usual {
		if f := checkRuntimeDir(path); f.State == capabilities.Fail {
			return f
		}
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent("%s does not exist yet: dconn serve makes it", dir)
	case err != nil:
		return failed(serveElsewhere, "%v", err)
	case owner(info) != os.Geteuid() && owner(info) != 0, info.Mode()&fs.ModeSticky != 0:
		return failed(serveElsewhere, "%s belongs to others too: uid %d, mode %s", dir, owner(info), mode(info))
	case info.Mode()&0o022 != 0:
		return failed(asOwner(info)+"chmod go-w "+capabilities.ShellWord(dir), "%s has mode %s: others may put a socket of theirs there", dir, mode(info))
	}
	socket, err := os.Lstat(path)
	if err != nil || socket.Mode().Type() != os.ModeSocket {
		return fine("%s %s", dir, mode(info))
	}
	allowed := fs.FileMode(0o600)
	if path == client.SystemSocket {
		allowed = 0o660
	}
	if socket.Mode().Perm()&^allowed != 0 {
		return failed(fmt.Sprintf("%schmod %04o %s", asOwner(socket), allowed, capabilities.ShellWord(path)), "%s has mode %s, expected %04o", path, mode(socket), allowed)
	}
	return fine("%s %s, %s %s", dir, mode(info), filepath.Base(path), mode(socket))
}

// checkRuntimeDir looks at $XDG_RUNTIME_DIR if path depends on it. The rules
// are those of the XDG Base Directory Specification.
func checkRuntimeDir(path string) capabilities.Finding {
	dir, uid := os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()
	if dir == "" {
		if _, err := os.Stat(client.SystemSocket); err == nil || uid == 0 {
			return fine("the system's socket is used")
		}
		return failed(exportRuntimeDir(), "XDG_RUNTIME_DIR is not set, and there is no %s", client.SystemSocket)
	}
	if path == client.SystemSocket {
		return fine("the system's socket is used")
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return failed("mkdir -p -m 0700 "+capabilities.ShellWord(dir), "XDG_RUNTIME_DIR: %v", err)
	case owner(info) != uid:
		return failed(exportRuntimeDir(), "XDG_RUNTIME_DIR: %s belongs to uid %d, expected uid %d", dir, owner(info), uid)
	case info.Mode().Perm() != 0o700:
		return failed("chmod 0700 "+capabilities.ShellWord(dir), "XDG_RUNTIME_DIR: %s has mode %s, expected 0700", dir, mode(info))
	}
	return fine("%s", dir)
}

func exportRuntimeDir() string {
	return fmt.Sprintf("export XDG_RUNTIME_DIR=/run/user/%d", os.Geteuid())
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// asOwner is what a command needs in front that only the owner may run.
func asOwner(info fs.FileInfo) string {
	if owner(info) == os.Geteuid() || os.Geteuid() == 0 {
		return ""
	}
	return "sudo "
}

// mode is in octal, as chmod takes it.
func mode(info fs.FileInfo) string {
	m := uint32(info.Mode().Perm())
	if info.Mode()&fs.ModeSticky != 0 {
		m |= 0o1000
	}
	return fmt.Sprintf("%04o", m)
}

// checkSessionBus says hello to the bus that desktop capabilities use. Absent
// is no failure: a machine without a desktop has none.
func checkSessionBus(ctx context.Context) capabilities.Finding {
	address, fix := os.Getenv("DBUS_SESSION_BUS_ADDRESS"), "unset DBUS_SESSION_BUS_ADDRESS"
	if address == "" {
		path := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
		if _, err := os.Stat(path); err != nil || !filepath.IsAbs(path) {
			return absent("DBUS_SESSION_BUS_ADDRESS is not set, and XDG_RUNTIME_DIR has no bus")
		}
		address, fix = "unix:path="+dbus.EscapeBusAddressValue(path), "systemctl --user restart dbus.socket"
	}
	bus, err := dbus.Connect(address, dbus.WithContext(ctx))
	if ctx.Err() != nil {
		return failed(fix, "%s: no answer within %v", address, checkBudget)
	}
	if err != nil {
		return failed(fix, "%s: %v", address, err)
	}
	_ = bus.Close()
	return fine("%s", address)
}
