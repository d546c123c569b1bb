package capabilities

import "slices"

// SensitiveNames are the capabilities with which a device could do harm: each is
// granted to a device by name only, never by default and never by an older scope.
// Names without a capability yet are sensitive from the day they get one.
var SensitiveNames = []string{"keyboard", "pointer", "slides", "power", "open", "clipboard", "gpio"}

// IsSensitive reports whether the capability of that name is one of them.
func IsSensitive(name string) bool { return slices.Contains(SensitiveNames, name) }
