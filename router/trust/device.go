package trust

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Device is another machine that this one knows.
type Device struct {
	ID   ID     `json:"id"`
	Name string `json:"name"`
	// Scopes are what it may do here; none if it only is called from here.
	Scopes  Scopes     `json:"scopes"`
	Paired  time.Time  `json:"paired,omitzero"`  // zero until the pairing is confirmed
	Expires time.Time  `json:"expires,omitzero"` // zero is never
	Pending *Pending   `json:"pending,omitempty"`
	Address []string   `json:"addresses,omitempty"`     // where it was reached and proved its key, HOST:PORT, the latest first
	Claimed []string   `json:"claimed,omitempty"`       // where it may be too: worth a try, no evidence of who is there
	Fixed   string     `json:"fixed_address,omitempty"` // where it is, as its owner says
	From    netip.Addr `json:"from,omitzero"`           // where it came from last
}

// Pending is what a pairing gives once the device has come back to confirm it.
type Pending struct {
	Until   time.Time `json:"until"`
	Scopes  Scopes    `json:"scopes"`
	Expires time.Time `json:"expires,omitzero"`
}

// PendingFor is how long a device may take to confirm its pairing.
const PendingFor = 60 * time.Second

// maxAddresses is how many addresses of a device are remembered.
const maxAddresses = 8

// Expired reports whether the device's time is over. A clock that stands before
// the pairing cannot tell, and then it is.
func (d *Device) Expired(now time.Time) bool {
	return !d.Expires.IsZero() && (!now.Before(d.Expires) || now.Before(d.Paired.Add(-day)))
}

// day is what a clock may be wrong by, its zone for example.
const day = 24 * time.Hour

// Known reports whether the device may have a session: it is paired, or it is
// about to be.
func (d *Device) Known(now time.Time) bool {
	return !d.Paired.IsZero() && !d.Expired(now) || d.pending(now)
}

func (d *Device) pending(now time.Time) bool {
	return d.Pending != nil && now.Before(d.Pending.Until) && now.After(d.Pending.Until.Add(-2*PendingFor))
}

// Allows reports whether the device may do that now: see Scopes.Allow. One that
// has not confirmed its pairing may do nothing.
func (d *Device) Allows(now time.Time, action Action, uri, match string) bool {
	return !d.Paired.IsZero() && !d.Expired(now) && d.Scopes.Allow(action, uri, match)
}

// confirm makes what is pending hold.
func (d *Device) confirm(now time.Time) {
	if d.pending(now) {
		d.Scopes, d.Expires, d.Paired = d.Pending.Scopes, d.Pending.Expires, now
	}
	d.Pending = nil
}

// Reached notes that the device answered at address and proved its key there.
func (d *Device) Reached(address string) {
	d.Address = inFront(address, d.Address)
	d.Claimed = without(d.Claimed, address)
}

// Claim notes an address that the device may have: it says so itself. Such an
// address is tried like any other, but it does not say whose address it is.
func (d *Device) Claim(address string) {
	if !slices.Contains(d.Address, address) {
		d.Claimed = inFront(address, d.Claimed)
	}
}

// disown keeps an address as a claim only. It stays a candidate.
func (d *Device) disown(address string) {
	if slices.Contains(d.Address, address) {
		d.Address = without(d.Address, address)
		d.Claim(address)
	}
}

// inFront is list with address as its first, at most maxAddresses long.
func inFront(address string, list []string) []string {
	list = append([]string{address}, without(list, address)...)
	return list[:min(len(list), maxAddresses)]
}

// without is a copy of list that lacks address, nil if nothing is left.
func without(list []string, address string) (rest []string) {
	for _, a := range list {
		if a != address {
			rest = append(rest, a)
		}
	}
	return rest
}

// Candidates are the addresses where the device may be, the best first: what its
// owner says, where it was reached, what it claims.
func (d *Device) Candidates() (list []string) {
	for _, a := range slices.Concat([]string{d.Fixed}, d.Address, d.Claimed) {
		if a != "" && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// holds reports whether an address is known to be the device's: its owner says so,
// or it proved its key there. What the device claims does not count.
func (d *Device) holds(address string) bool {
	return d.Fixed == address || slices.Contains(d.Address, address)
}

// Devices are all that a machine knows, in the order of their names.
type Devices []*Device

// ByID is the device of that id, nil if there is none.
func (l Devices) ByID(id ID) *Device {
	for _, d := range l {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// At are the devices whose address this is known to be. There are several where one
// device was reached at an address that was another's before.
func (l Devices) At(address string) Devices {
	var found Devices
	for _, d := range l {
		if d.holds(address) {
			found = append(found, d)
		}
	}
	return found
}

// Settle makes address that of d alone, because the owner of this machine says so:
// where another device was reached there, that is only a candidate from now on. An
// address that the owner gave to another device stays that one's too.
func (l Devices) Settle(d *Device, address string) {
	for _, other := range l {
		if other != d {
			other.disown(address)
		}
	}
}

// Add adds a device, and gives it another name if there is one of its own.
func (l *Devices) Add(d *Device) {
	*l = append(*l, d)
	d.Name = l.free(d.Name, d)
	slices.SortFunc(*l, func(a, b *Device) int { return cmp.Compare(a.Name, b.Name) })
}

// free is name, or the first of "name 2", "name 3" that no other device has.
func (l Devices) free(name string, but *Device) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(l, func(o *Device) bool { return o != but && strings.EqualFold(o.Name, name) })
	}
	for n, first := 2, name; taken(name); n++ {
		name = fmt.Sprintf("%s %d", first, n)
	}
	return name
}

// Remove forgets a device.
func (l *Devices) Remove(id ID) {
	*l = slices.DeleteFunc(*l, func(d *Device) bool { return d.ID == id })
}

// Match finds who is meant by a name, or by the first characters of an id. There
// may be several: whoever gives itself the name that is another's id does not become
// that.
func (l Devices) Match(text string) Devices {
	var found Devices
	prefix, err := ParsePrefix(text)
	for _, d := range l {
		if strings.EqualFold(d.Name, text) || err == nil && d.ID.HasPrefix(prefix) {
			found = append(found, d)
		}
	}
	return found
}

// PlainName is a name as a device may give it to itself: it cannot look like an
// address. Of a host name with its domain the first part is left.
func PlainName(name string) string {
	first, _, _ := strings.Cut(name, ".")
	if first = strings.Trim(strings.NewReplacer(":", "-", "[", "", "]", "").Replace(first), " "); first == "" || isNumber(first) {
		return "device " + strings.NewReplacer(".", "-", ":", "-").Replace(name)
	}
	return first
}

func isNumber(text string) bool { return strings.Trim(text, "0123456789") == "" }
