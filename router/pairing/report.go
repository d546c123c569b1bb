package pairing

import "time"

// Report is what the owner of a window is told, never the peer: one of Shown,
// Wrong, *LockedError, DigitsOver, Paired and Expired.
type Report interface{ report() }

// Shown is a new code to show. It alone holds the secrets.
type Shown struct {
	Code  string        // "1234-5678", "" where the digits are locked
	Token string        // the same through the window
	Left  time.Duration // of the window
}

// Wrong says that somebody tried a wrong code, which is burnt by that.
type Wrong struct {
	From string // an address
	Left int    // codes that the window may still show
}

// DigitsOver says that the window takes no digits any more. Its token stays good.
type DigitsOver struct {
	Reason error // ErrExhausted or a *LockedError
}

// Paired says who came in.
type Paired struct {
	ID   ID
	Name string // that it gives itself, cleaned
}

// Expired says that the window has closed because its time was over.
type Expired struct{}

func (Shown) report()        {}
func (Wrong) report()        {}
func (*LockedError) report() {}
func (DigitsOver) report()   {}
func (Paired) report()       {}
func (Expired) report()      {}

// tell hands over the reports that are due, one at a time and in order, without
// w.mu: the owner may use the window from within Report. After the last one
// the window is done.
func (w *Window) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.telling && len(w.due) > 0 {
		r := w.due[0]
		w.due = w.due[1:]
		w.telling = true
		w.mu.Unlock()
		w.opts.Report(r)
		w.mu.Lock()
		w.telling = false
	}
	if w.ended && !w.told && !w.telling {
		w.told = true
		close(w.done)
	}
}
