package wire

const (
	// ServiceType is the DNS-SD service type that daemons announce (RFC 6763,
	// section 7).
	ServiceType = "_deskconn._tcp"

	// TextVersion, TextID and TextPairing are the keys of its TXT record: the
	// Protocol, the first IDHint characters of the machine's id, and 1 while a
	// pairing window is open, else 0.
	TextVersion = "v"
	TextID      = "id"
	TextPairing = "p"

	// IDHint is how many characters of an id are announced, without dashes. They
	// are a hint: whose key it is shows only when connecting.
	IDHint = 16
)
