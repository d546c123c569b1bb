package brightness

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

const login1Session = "org.freedesktop.login1.Session"

// setByLogind asks logind to set a backlight: sysfs is writable for root only,
// but the user of the active seat may use the screen. Source:
// org.freedesktop.login1(5), Session.SetBrightness.
func setByLogind(ctx context.Context, name string, raw int64) error {
	err := withSession(ctx, func(session dbus.BusObject) error {
		return session.CallWithContext(ctx, login1Session+".SetBrightness", 0, "backlight", name, uint32(raw)).Err
	})
	if err != nil {
		return fmt.Errorf("not writable for this user, and %w", err)
	}
	return nil
}

// maySetByLogind is why setByLogind would fail: logind insists on a session in
// the foreground of a seat. It only reads what the session says of itself.
func maySetByLogind(ctx context.Context) error {
	return withSession(ctx, func(session dbus.BusObject) error {
		said := map[string]dbus.Variant{}
		err := session.CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, login1Session).Store(&said)
		if err != nil {
			return err
		}
		seat, _ := said["Seat"].Value().([]any) // its name and object path
		if len(seat) == 0 || seat[0] == "" {
			return errors.New("this user's session has no seat")
		}
		if said["Active"].Value() != true {
			return fmt.Errorf("this user's session is not in the foreground of %v", seat[0])
		}
		return nil
	})
}

// withSession uses session/auto: the caller's session or, for a user service,
// the one on the user's display.
func withSession(ctx context.Context, use func(session dbus.BusObject) error) error {
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("no logind: %w", err)
	}
	defer func() { _ = bus.Close() }()
	if err := use(bus.Object("org.freedesktop.login1", "/org/freedesktop/login1/session/auto")); err != nil {
		return fmt.Errorf("logind: %w", err)
	}
	return nil
}
