package commands

import (
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// table prints the columns of rows, or the --fields. Only on a terminal does
// its width depend on anything else, which then cuts what is too long.
func (o *output) table(columns []string, rows []map[string]any) error {
	if len(o.fields) > 0 {
		there := slices.Clone(columns)
		for _, row := range rows {
			there = append(there, missing(slices.Sorted(maps.Keys(row)), there)...)
		}
		if unknown := missing(o.fields, there); len(unknown) > 0 {
			return noField(unknown[0], there)
		}
		columns = o.fields
	}
	if len(rows) == 0 {
		return nil
	}
	t := table.NewWriter()
	t.SetStyle(o.tableStyle())
	if !o.noHeaders {
		header := make(table.Row, len(columns))
		for i, c := range columns {
			header[i] = visible(c)
		}
		t.AppendHeader(header)
	}
	for _, row := range rows {
		cells := make(table.Row, len(columns))
		for i, c := range columns {
			cell, err := plainText(row[c])
			if err != nil {
				return err
			}
			cells[i] = o.painted(oneRow(cell))
		}
		t.AppendRow(cells)
	}
	var b strings.Builder
	for line := range strings.SplitSeq(t.Render(), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return o.to.print([]byte(b.String()))
}

// oneRow is text of a peer that stays within its cell.
func oneRow(t string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(visible(t))
}

func (o *output) painted(cell string) string {
	if color, ok := o.paint[cell]; ok && o.to.outColor {
		return color.Sprint(cell)
	}
	return cell
}

func (o *output) tableStyle() table.Style {
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Box.UnfinishedRow = "…"
	if o.to.outTTY {
		style.Size.WidthMax = o.to.width
	}
	if o.to.outColor {
		style.Color.Header = text.Colors{text.Bold}
	}
	return style
}

// Bounds of a table that a peer fills: what is larger is not for people.
const (
	maxColumns = 64
	maxCells   = 1 << 16
)

// tableOf is a list that a procedure returned, if all of it is dicts: the
// columns are the keys of them all.
func tableOf(list []any) (columns []string, rows []map[string]any, ok bool) {
	keys := map[string]bool{}
	for _, e := range list {
		row, isDict := e.(map[string]any)
		for k := range row {
			keys[k] = true
		}
		if !isDict || len(keys) > maxColumns || len(list)*len(keys) > maxCells {
			return nil, nil, false
		}
		rows = append(rows, row)
	}
	return slices.Sorted(maps.Keys(keys)), rows, true
}
