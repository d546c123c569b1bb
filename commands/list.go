package commands

// printList prints a finite list of dicts: as a table of columns, as one JSON
// array, or as one JSON object a line.
func (s *streams) printList(format string, columns []string, rows []any) error {
	switch format {
	case "json":
		return s.printJSON(orEmptyList(rows))
	case "ndjson":
		for _, row := range rows {
			if err := s.printJSON(row); err != nil {
				return err
			}
		}
		return nil
	}
	return s.printColumns(columns, rows)
}
