// Package brightness reads, sets and watches the backlights of the machine's
// own panels.
package brightness

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/deskconn/dconn/capabilities"
)

type brightness struct {
	env   capabilities.Env
	class string // where the backlights are
	// asUser sets a backlight that this process may not write to; nil where
	// nobody can.
	asUser func(ctx context.Context, name string, raw int64) error
	// mayAsUser is why asUser would fail; nil where asUser is.
	mayAsUser func(ctx context.Context) error
}

// New makes the capability.
func New(env capabilities.Env) capabilities.Capability {
	b := &brightness{env: env, class: env.Path("sys/class/backlight")}
	if env.Root == "/" {
		b.asUser, b.mayAsUser = setByLogind, maySetByLogind
	}
	device := capabilities.Param{
		Name: "device", Type: capabilities.Text, Optional: true, Named: true,
		Doc: "which backlight, by its name in `list`; the best one if absent",
	}
	return capabilities.Capability{
		Name: "brightness",
		Doc:  "the backlight of the machine's panels",
		Procedures: []capabilities.Procedure{{
			Verb: "list", Doc: "every backlight, the one used by default first",
			Result: "list of dicts: device, type, percent, raw, max",
			Handle: b.list,
		}, {
			Verb: "get", Doc: "how bright a panel is",
			Params: []capabilities.Param{device},
			Result: "int, percent", Handle: b.get,
		}, {
			Verb: "set", Doc: "set how bright a panel is",
			Params: []capabilities.Param{
				{Name: "percent", Type: capabilities.Int, Unit: "percent", Min: 0, Max: 100, Optional: true, Doc: "0 may turn the panel off, 1 never does"},
				{Name: "raw", Type: capabilities.Int, Optional: true, Named: true, Doc: "instead of percent: the driver's own value, 0 to the `max` in `list`"},
				device,
			},
			Handle: b.set,
		}},
		Topics: []capabilities.Topic{{
			Event: "changed", Doc: "a panel changed, by whomever",
			Fields: []capabilities.Param{
				{Name: "device", Type: capabilities.Text},
				{Name: "percent", Type: capabilities.Int, Unit: "percent"},
				{Name: "raw", Type: capabilities.Int},
				{Name: "max", Type: capabilities.Int},
			},
		}},
		Watch: b.watch,
		Probe: b.probe,
	}
}

func (b *brightness) list(context.Context, capabilities.Call) (any, error) {
	all := []any{}
	for _, light := range find(b.class) {
		raw, err := light.actual()
		if err != nil {
			continue // gone between the two reads
		}
		d := state(light, raw)
		d["type"] = light.kind
		all = append(all, d)
	}
	return all, nil
}

func state(light backlight, raw int64) map[string]any {
	return map[string]any{
		"device": light.name, "percent": light.toPercent(raw), "raw": raw, "max": light.max,
	}
}

// choose returns the named backlight, or the best.
func (b *brightness) choose(name string) (backlight, error) {
	all := find(b.class)
	if len(all) == 0 {
		return backlight{}, capabilities.Unavailable("this machine has no backlight: %s is empty", "/sys/class/backlight")
	}
	if name == "" {
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, light := range all {
		if light.name == name {
			return light, nil
		}
		names[i] = light.name
	}
	return backlight{}, capabilities.Invalid("device must be one of %s, got %q", strings.Join(names, ", "), name)
}

func (b *brightness) get(_ context.Context, call capabilities.Call) (any, error) {
	light, err := b.choose(call.Text("device"))
	if err != nil {
		return nil, err
	}
	raw, err := light.actual()
	if err != nil {
		return nil, capabilities.Unavailable("%s cannot be read: %v", light.name, err)
	}
	return light.toPercent(raw), nil
}

func (b *brightness) set(ctx context.Context, call capabilities.Call) (any, error) {
	if call.Has("percent") == call.Has("raw") {
		return nil, capabilities.Invalid("give percent or raw=, one of the two")
	}
	light, err := b.choose(call.Text("device"))
	if err != nil {
		return nil, err
	}
	raw := call.Int("raw")
	if call.Has("percent") {
		raw = light.toRaw(call.Int("percent"))
	}
	if raw < 0 || raw > light.max {
		return nil, capabilities.Invalid("raw must be a whole number from 0 to %d for %s, got %d", light.max, light.name, raw)
	}
	return nil, b.apply(ctx, light, raw, light.write)
}

// apply writes raw and believes only what the driver then reads back.
func (b *brightness) apply(ctx context.Context, light backlight, raw int64, write func(int64) error) error {
	before, err := light.actual()
	if err != nil {
		return capabilities.Unavailable("%s cannot be read: %v", light.name, err)
	}
	err = write(raw)
	if errors.Is(err, fs.ErrPermission) && b.asUser != nil {
		err = b.asUser(ctx, light.name, raw)
	}
	if err != nil {
		return capabilities.Unavailable("%s refused %d: %v", light.name, raw, err)
	}
	if !light.lit() {
		return nil
	}
	return b.verify(ctx, light, before, raw)
}

// settle is how long a panel may take to show what was set: some drivers ramp.
const settle = 500 * time.Millisecond

// verify waits until the panel has moved. It does not insist on raw itself:
// firmware may have fewer steps than it says.
func (b *brightness) verify(ctx context.Context, light backlight, before, raw int64) error {
	for deadline := time.Now().Add(settle); ; {
		now, err := light.actual()
		switch {
		case err != nil:
			return capabilities.Unavailable("%s cannot be read: %v", light.name, err)
		case now == raw || now != before || light.toPercent(now) == light.toPercent(raw):
			return nil
		case time.Now().After(deadline):
			return capabilities.Unavailable("%s took %d but still shows %d", light.name, raw, now)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
