package commands

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// screen draws a table again and again in one place, on a terminal.
type screen struct {
	*output

	drawn int // lines
}

// maxDrawn is how many rows are drawn again; more may not be on the screen whole.
const maxDrawn = 20

// draw shows rows instead of those that were drawn before.
func (s *screen) draw(rows []map[string]any) error {
	if !s.to.outTTY || s.to.width == 0 || s.format != "table" || len(rows) > maxDrawn {
		return nil
	}
	return s.replace(rows)
}

// finish shows the rows for good.
func (s *screen) finish(rows []map[string]any) error { return s.replace(rows) }

func (s *screen) replace(rows []map[string]any) error {
	var b bytes.Buffer
	once := *s.output
	once.to = &streams{out: &b, outTTY: s.to.outTTY, width: s.to.width, outColor: s.to.outColor}
	if err := once.table(machineColumns, rows); err != nil {
		return err
	}
	before := ""
	if s.drawn > 0 {
		before = fmt.Sprintf("\x1b[%dA\x1b[J", s.drawn)
	}
	s.drawn = bytes.Count(b.Bytes(), []byte("\n"))
	return s.to.print(append([]byte(before), b.Bytes()...))
}

// rows are the machines as a table shows them.
func (d *discovery) rows() (rows []map[string]any) {
	for _, m := range d.inOrder() {
		row := d.document(m)
		addresses := make([]string, len(m.Addresses))
		for i, a := range m.Addresses {
			addresses[i] = a.String()
		}
		row["addresses"], row["id"], row["pairing"], row["latency"] = strings.Join(addresses, " "), inGroups(m.ID), "", ""
		if m.Pairing {
			row["pairing"] = "open"
		}
		if m.Latency > 0 {
			row["latency"] = fmt.Sprintf("%.1fms", float64(m.Latency)/float64(time.Millisecond))
		}
		if row["verified"] != true && row["paired"] != nil {
			row["paired"] = fmt.Sprintf("%v ?", row["paired"])
		}
		rows = append(rows, row)
	}
	return rows
}

// inGroups is an id as dconn id prints it.
func inGroups(id string) string {
	const group = 7
	var b strings.Builder
	for ; len(id) > group; id = id[group:] {
		b.WriteString(id[:group] + "-")
	}
	return b.String() + id
}
