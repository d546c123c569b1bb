package brightness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/deskconn/dconn/capabilities"
)

// probe finds out whether this user can set every backlight, and how.
func (b *brightness) probe(ctx context.Context) capabilities.Finding {
	lights := find(b.class)
	if len(lights) == 0 {
		return capabilities.Finding{State: capabilities.None, Found: "no backlight: /sys/class/backlight is empty"}
	}
	found := make([]string, len(lights))
	for i, light := range lights {
		way, err := b.way(ctx, light)
		if err != nil {
			return capabilities.Finding{
				State: capabilities.Fail, Found: fmt.Sprintf("backlight %s: %v", light.name, err), Fix: light.fix(err),
			}
		}
		found[i] = light.name + " " + way
	}
	return capabilities.Finding{State: capabilities.OK, Found: "backlight " + strings.Join(found, ", ")}
}

// way says how light is set.
func (b *brightness) way(ctx context.Context, light backlight) (string, error) {
	err := light.writable()
	if err == nil {
		return "is writable", nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return b.wayAround(ctx, light)
	}
	return "", err
}

// wayAround says how a backlight is set that this user may not write to.
func (b *brightness) wayAround(ctx context.Context, light backlight) (string, error) {
	file := filepath.Join(light.dir, "brightness")
	if b.mayAsUser == nil {
		return "", fmt.Errorf("%s is not writable by uid %d", file, os.Geteuid())
	}
	if no := b.mayAsUser(ctx); no != nil {
		return "", fmt.Errorf("%s is not writable by uid %d, and %w", file, os.Geteuid(), no)
	}
	return "is set through logind", nil
}

// writable opens what write writes to; that alone changes nothing.
func (b backlight) writable() error {
	f, err := os.OpenFile(filepath.Join(b.dir, "brightness"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// udevRule lets the group video set every backlight. See udev(7).
const udevRule = `ACTION=="add", SUBSYSTEM=="backlight", ` +
	`RUN+="/bin/chgrp video /sys/class/backlight/%k/brightness", ` +
	`RUN+="/bin/chmod g+w /sys/class/backlight/%k/brightness"`

// fix is what makes b writable that is not because of err. A group counts from
// the user's next login on.
func (b backlight) fix(err error) string {
	if errors.Is(err, syscall.EROFS) {
		return "sudo mount -o remount,rw /sys"
	}
	if group := b.writers(); group != "" {
		return `sudo usermod -aG ` + capabilities.ShellWord(group) + ` "$USER" # then log in again`
	}
	return "echo '" + udevRule + "' | sudo tee /etc/udev/rules.d/90-backlight.rules" +
		" && sudo udevadm control --reload && sudo udevadm trigger -c add -s backlight" +
		` && sudo usermod -aG video "$USER" # then log in again`
}

// writers is the group that may write to b, "" if none but root's may.
func (b backlight) writers() string {
	info, err := os.Stat(filepath.Join(b.dir, "brightness"))
	if err != nil || info.Mode()&0o020 == 0 {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Gid == 0 {
		return ""
	}
	group, err := user.LookupGroupId(strconv.Itoa(int(owner.Gid)))
	if err != nil {
		return ""
	}
	return group.Name
}
