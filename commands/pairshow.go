package commands

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"rsc.io/qr"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/wire"
)

// show is what people see while a pairing window is open.
type show struct {
	*pairOptions

	mu     sync.Mutex
	until  time.Time
	stop   chan struct{} // of the countdown; nil without
	closed bool
	drawn  bool // the QR code is to be seen
}

func (o *pairOptions) newShow() *show { return &show{pairOptions: o} }

// event shows what the daemon tells of the window.
func (w *show) event(e map[string]any) error {
	w.quiet()
	if w.machine() {
		return w.record(e)
	}
	switch e["event"] {
	case "code", "token":
		return w.code(e)
	case "wrong_code":
		from, _ := e["from"].(string)
		w.complain("wrong code from %s: it is used up", from)
	case "digits_over":
		return w.digitsOver(e)
	case "granted":
		name, _ := e["name"].(string)
		w.say("%s has the code; waiting for it to come back", name)
	}
	return nil
}

// digitsOver says that no further code is shown. The QR code stays good; where there is
// none to be seen, the window is of no use any more.
func (w *show) digitsOver(e map[string]any) error {
	message, _ := e["message"].(string)
	if !w.drawn {
		return wire.Errorf(wire.ErrPairing, "%s", message)
	}
	w.complain("%s", message)
	w.say("the QR code can still be scanned")
	w.countdown(time.Until(w.until))
	return nil
}

// code prints a code on stdout, and on stderr all that helps to use it. There is no code
// while the digits are locked.
func (w *show) code(e map[string]any) error {
	code, _ := e["code"].(string)
	token, _ := e["token"].(string)
	left, _ := e["left"].(float64)
	addresses, _ := e["addresses"].([]any)
	if w.errTTY && !w.noQR {
		if picture, err := draw(token); err == nil {
			_, _ = fmt.Fprint(w.err, picture)
			w.drawn = true
		}
	}
	var where []string
	for _, a := range addresses {
		if s, ok := a.(string); ok {
			where = append(where, capabilities.ShellWord(s))
		}
	}
	if len(where) > 0 && code != "" {
		w.say("on the other machine: dconn pair %s", strings.Join(where, ", or "))
	}
	w.say("it may then use here: %s", words(e["scopes"]))
	if code != "" {
		if err := w.record(nil, code); err != nil {
			return err
		}
	}
	w.countdown(time.Duration(left * float64(time.Second)))
	return nil
}

// countdown shows what is left of the window, on a terminal.
func (w *show) countdown(left time.Duration) {
	if !w.errTTY {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.until, w.stop = time.Now().Add(left), make(chan struct{})
	go func(stop chan struct{}) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			w.mu.Lock()
			if w.stop != stop {
				w.mu.Unlock()
				return
			}
			_, _ = fmt.Fprintf(w.err, "\r\x1b[Kdconn: the code is good for another %d s", max(0, int(time.Until(w.until).Seconds())))
			w.mu.Unlock()
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}(w.stop)
}

// quiet ends the countdown and clears its line.
func (w *show) quiet() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
		_, _ = fmt.Fprint(w.err, "\r\x1b[K")
	}
}

func (w *show) end() {
	w.quiet()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// draw makes a QR code of half blocks: two rows of it are one of text. Its light
// modules are lit, as on a dark terminal they must be, with four of them around it
// (ISO/IEC 18004, section 9.1).
func draw(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	const quiet = 4
	light := func(x, y int) bool {
		return x < 0 || y < 0 || x >= code.Size || y >= code.Size || !code.Black(x, y)
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := light(x, y), light(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}
