package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// notify tells systemd, if it is there: sd_notify(3).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd is not told", "state", state, "error", err)
	}
}

// watchdog ticks twice as often as systemd wants to hear from this service:
// sd_watchdog_enabled(3). It never ticks if systemd does not.
func watchdog() (due <-chan time.Time, stop func()) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(period / 2)
	return t.C, t.Stop
}

// healthBudget is how long a call through the router may take before the
// watchdog is not fed.
const healthBudget = 5 * time.Second

// reportHealth feeds the watchdog if the router still routes.
func (d *service) reportHealth(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthBudget)
	defer cancel()
	if err := d.router.Check(ctx); err != nil {
		if ctx.Err() != context.Canceled {
			d.log.Error("the router does not answer", "error", err)
		}
		return
	}
	notify(d.log, daemon.SdNotifyWatchdog)
}

// reloadSettings reads the settings again. Wrong ones change nothing.
func (d *service) reloadSettings(ctx context.Context) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify(d.log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	defer notify(d.log, daemon.SdNotifyReady)
	fresh, err := d.again()
	if err != nil {
		d.log.Error("settings are not reloaded", "error", err)
		return
	}
	name, nameErr := fresh.machine()
	caps, err := fresh.capabilities(name, d.log)
	if err = errors.Join(nameErr, err); err != nil {
		d.log.Error("settings are not reloaded", "error", err)
		return
	}
	renamed := fresh.name != d.name
	if err := d.router.Offer(ctx, caps, renamed); err != nil {
		d.log.Error("settings are not reloaded as a whole", "error", err)
		return
	}
	d.router.Rename(name)
	fresh.setLevel(d.level)
	d.name = fresh.name
	d.log.Info("reloaded", "capabilities", namesOf(caps))
}

// again are the options as this command line would have them now.
func (d *service) again() (*serveOptions, error) {
	fresh := &serveOptions{streams: d.streams}
	cmd := fresh.command()
	(&cobra.Command{Use: "dconn"}).AddCommand(cmd) // settings are found by the path
	var refused error
	d.flags.Visit(func(f *pflag.Flag) { // those of the command line, not those set since
		if to := cmd.Flags().Lookup(f.Name); to != nil {
			refused = errors.Join(refused, copyValue(to, f))
		}
	})
	return fresh, errors.Join(refused, configure(cmd))
}

func copyValue(to, from *pflag.Flag) error {
	to.Changed = true
	if list, ok := from.Value.(pflag.SliceValue); ok {
		return to.Value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return to.Value.Set(from.Value.String())
}
