package brightness

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// setByLogind asks logind to set a backlight: sysfs is writable for root only,
// but the user of the active seat may use the screen. Source:
// org.freedesktop.login1(5), Session.SetBrightness; session/auto is the
// caller's session or, for a user service, the one on the user's display.
func setByLogind(ctx context.Context, name string, raw int64) error {
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("not writable for this user, and no logind: %w", err)
	}
	defer func() { _ = bus.Close() }()
	session := bus.Object("org.freedesktop.login1", "/org/freedesktop/login1/session/auto")
	err = session.CallWithContext(ctx, "org.freedesktop.login1.Session.SetBrightness", 0,
		"backlight", name, uint32(raw)).Err
	if err != nil {
		return fmt.Errorf("not writable for this user, and logind: %w", err)
	}
	return nil
}
