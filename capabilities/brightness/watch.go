package brightness

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/deskconn/dconn/capabilities"
)

// rescan is how often backlights are looked for that came or went: sysfs has
// no notice for that.
const rescan = 5 * time.Second

// watch publishes every change of a panel. The kernel marks actual_brightness
// as modified for hardware keys and writers alike (kernfs notifies inotify).
func (b *brightness) watch(ctx context.Context, publish capabilities.Publish) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		b.env.Log.Warn("changes of brightness are not reported", "error", err)
		return
	}
	defer func() { _ = files.Close() }()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	shown := map[string]int64{}
	for _, light := range find(b.class) { // what is true at the start is no change
		if raw, err := light.actual(); err == nil {
			shown[light.name] = raw
		}
	}
	for {
		b.compare(files, shown, publish)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-files.Events:
		case err := <-files.Errors:
			b.env.Log.Warn("watching brightness", "error", err)
		}
	}
}

// compare publishes what differs from shown, and watches every backlight.
// Watching twice is harmless.
func (b *brightness) compare(files *fsnotify.Watcher, shown map[string]int64, publish capabilities.Publish) {
	for _, light := range find(b.class) {
		for _, name := range []string{"actual_brightness", "brightness", "bl_power"} {
			if err := files.Add(filepath.Join(light.dir, name)); err != nil {
				b.env.Log.Debug("not watched", "device", light.name, "error", err)
			}
		}
		raw, err := light.actual()
		if err != nil {
			continue
		}
		if old, known := shown[light.name]; !known || old != raw {
			shown[light.name] = raw
			publish("changed", state(light, raw))
		}
	}
}
