package brightness

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// backlight is one directory of /sys/class/backlight, described in the
// kernel's Documentation/ABI/stable/sysfs-class-backlight.
type backlight struct {
	dir  string
	name string
	kind string // firmware, platform or raw
	max  int64  // the brightest raw value; the darkest is 0
}

// rank orders interfaces as the kernel documents: firmware knows the panel
// best, then the platform, then the raw register.
var rank = map[string]int{"firmware": 0, "platform": 1, "raw": 2}

// find lists the backlights below dir, the best first. One that cannot be
// read is left out.
func find(dir string) []backlight {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // no backlight class: a machine without a panel
	}
	var found []backlight
	for _, e := range entries {
		b := backlight{dir: filepath.Join(dir, e.Name()), name: e.Name()}
		kind, err := os.ReadFile(filepath.Join(b.dir, "type"))
		if err != nil {
			continue
		}
		b.kind = strings.TrimSpace(string(kind))
		if b.max, err = b.number("max_brightness"); err != nil || b.max <= 0 {
			continue
		}
		found = append(found, b)
	}
	slices.SortStableFunc(found, func(a, b backlight) int {
		return cmp.Or(cmp.Compare(order(a.kind), order(b.kind)), cmp.Compare(a.name, b.name))
	})
	return found
}

func order(kind string) int {
	if r, ok := rank[kind]; ok {
		return r
	}
	return len(rank)
}

func (b backlight) number(file string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(b.dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// actual is the raw value the panel has, as its driver reads it back.
// `brightness` is only what was last asked for: it keeps a value that the
// driver failed to set.
func (b backlight) actual() (int64, error) { return b.number("actual_brightness") }

// lit reports whether the panel is on; a blanked one shows 0 whatever is set
// (bl_power is FB_BLANK_UNBLANK = 0 when on).
func (b backlight) lit() bool {
	power, err := b.number("bl_power")
	return err != nil || power == 0
}

func (b backlight) write(raw int64) error {
	f, err := os.OpenFile(filepath.Join(b.dir, "brightness"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(raw, 10))
	return errors.Join(err, f.Close())
}

// toRaw rounds up, so that 1 % is never off.
func (b backlight) toRaw(percent int64) int64 { return (percent*b.max + 99) / 100 }

// toPercent rounds down, so that what toRaw gave comes back as it was on every
// panel with at least 100 steps.
func (b backlight) toPercent(raw int64) int64 { return raw * 100 / b.max }
