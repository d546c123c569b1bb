package commands

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/trust"
)

type auditOptions struct {
	*streams

	output
	state string
	last  int
}

func newAudit(s *streams) *cobra.Command {
	o := &auditOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "audit [flags]",
		Short: "show what was decided about other machines",
		Long: lines("Show the log of what was paired, granted, denied and revoked, and what a device was",
			"refused: the oldest first. It has no codes, keys or arguments of calls."),
		Example: "  dconn audit -n 20\n  dconn audit -o json | jq '.[] | select(.event == \"denied\")'",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			if o.last < 0 {
				return usage("-n must be a whole number, 0 for all, got %d", o.last)
			}
			return runAudit(o)
		},
	}
	f := cmd.Flags()
	o.output.addFlags(s, f, "table", "json", "ndjson", "template")
	f.IntVarP(&o.last, "count", "n", 0, "only the last `N` entries; 0 is all")
	addState(f, &o.state)
	return cmd
}

func runAudit(o *auditOptions) error {
	dir, err := stateDir(o.state)
	if err != nil {
		return err
	}
	var rows []map[string]any
	err = trust.OpenAudit(dir).Entries(func(e trust.Entry) error {
		if rows = append(rows, auditRow(e)); o.last > 0 && len(rows) > o.last {
			rows = rows[1:]
		}
		return nil
	})
	if err != nil {
		return own("%v", err)
	}
	if o.format == "table" {
		for _, row := range rows {
			row["what"] = row["uri"]
			if list, _ := row["scopes"].([]any); len(list) > 0 {
				row["what"] = words(row["scopes"])
			}
		}
	}
	return o.list([]string{"time", "event", "name", "device", "what", "from", "times"}, rows)
}

// auditRow is an entry as a document; every field is always there.
func auditRow(e trust.Entry) map[string]any {
	return map[string]any{
		"time": e.Time.Format(time.RFC3339), "event": e.Event, "device": e.Device, "name": e.Name, "from": e.From,
		"uri": e.URI, "action": e.Action, "scopes": anyOf(e.Scopes), "times": int64(max(e.Times, 1)),
	}
}

// expiry is a flag that says when something ends: a duration from now, which may be
// in days, a date, or never.
type expiry struct{ at *time.Time }

func (e expiry) Type() string { return "WHEN" }
func (e expiry) String() string {
	if e.at == nil || e.at.IsZero() {
		return "never"
	}
	return e.at.Format(time.RFC3339)
}

func (e expiry) Set(text string) error {
	var days int
	if _, err := fmt.Sscanf(text, "%dd", &days); err == nil && text == fmt.Sprintf("%dd", days) && days > 0 && days < 36500 {
		*e.at = time.Now().Add(time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
		return nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		*e.at = time.Now().Add(d).UTC().Truncate(time.Second)
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil && t.After(time.Now()) {
			*e.at = t.UTC()
			return nil
		}
	}
	if text == "never" {
		*e.at = time.Time{}
		return nil
	}
	return fmt.Errorf("must be a duration like 2h or 30d, a date to come like 2030-12-31, or never")
}
