package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// target is the router a command talks to, and for how long.
type target struct {
	socket string
	device string // a paired one instead of the daemon here
	at     string // where it is, HOST[:PORT]; "" looks for it
	state  string
	router string // the URL of another than the daemon, with its realm
	realm  string
	scopes scopeList // that its sessions limit themselves to
	wait   seconds
}

func (t *target) addFlags(f *pflag.FlagSet, wait time.Duration, meaning string) {
	f.StringVar(&t.socket, "socket", "", "unix socket `PATH` of the daemon (default: $XDG_RUNTIME_DIR/dconn/dconn.sock, else "+client.SystemSocket+")")
	t.addScopes(f)
	t.wait = seconds(wait)
	f.VarP(&t.wait, "wait", "W", meaning)
}

// addDeviceFlags adds those of commands that also speak to paired devices.
func (t *target) addDeviceFlags(f *pflag.FlagSet) {
	f.StringVarP(&t.device, "device", "d", "", "paired `DEVICE` to use instead of the daemon here: its name, the beginning of its id, or HOST[:PORT]")
	f.StringVar(&t.at, "address", "", "with -d: where the device is, `HOST[:PORT]`; it is not looked for elsewhere")
	onlyOnCommandLine(f, "address")
	addState(f, &t.state)
}

// addState adds the flag that says where this machine's identity is.
func addState(f *pflag.FlagSet, dir *string) {
	f.StringVar(dir, "state", "", "directory `PATH` of this machine's key and paired devices (default: $XDG_STATE_HOME/dconn, else ~/.local/state/dconn)")
}

// stateDir is that directory.
func stateDir(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := trust.DefaultDir()
	if err != nil {
		return "", own("%v", err).hint("--state PATH")
	}
	return dir, nil
}

// openHome opens this machine's identity and the devices that it knows.
func openHome(given string) (*client.Home, error) {
	dir, err := stateDir(given)
	if err != nil {
		return nil, err
	}
	return client.OpenHome(dir)
}

// knownDevices are those that this machine is paired with. Without a directory there
// are none, and none is made.
func knownDevices(state string) (trust.Devices, error) {
	dir, err := stateDir(state)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil
	}
	store, err := trust.OpenStore(dir)
	if err != nil {
		return nil, err
	}
	return store.Devices()
}

// addRouterFlags adds those of commands that also speak to other routers.
func (t *target) addRouterFlags(f *pflag.FlagSet) {
	f.StringVar(&t.router, "router", "", "`URL` of a WAMP router to use instead of the daemon: "+client.Schemes)
	f.StringVar(&t.realm, "realm", wire.Realm, "`REALM` to join on the --router")
}

// checkRouter refuses a --router that is none, and flags that do not go with it
// or need it.
func (t *target) checkRouter(f *pflag.FlagSet) error {
	switch {
	case t.router == "" && f.Changed("realm"):
		return usage("--realm needs --router").hint("--router unix:///PATH --realm %s", capabilities.ShellWord(t.realm))
	case t.router != "" && t.device != "":
		return usage("--device does not go with --router").hint("--router %s", capabilities.ShellWord(t.router))
	case t.router == "":
		return nil
	case f.Changed("router") && f.Changed("socket"):
		return usage("--socket does not go with --router").hint("--router unix:///PATH")
	}
	return client.CheckURL(t.router)
}

// dial joins the router.
func (t *target) dial(ctx context.Context) (*session.Session, error) {
	if t.router != "" {
		return client.DialURL(ctx, t.router, t.realm, agent(), t.options()...)
	}
	if t.device != "" { // see ownTarget
		home, err := openHome(t.state)
		if err != nil {
			return nil, err
		}
		at, _ := client.ParseAddress(t.at)
		if t.at != "" && at == "" {
			return nil, usage("--address: not a HOST[:PORT]: %q", t.at)
		}
		return home.DialDevice(ctx, t.device, at, agent(), t.options()...)
	}
	path := t.socket
	if path == "" {
		path = client.FindSocket()
	}
	return client.Dial(ctx, path, agent(), t.options()...)
}

// agent is what this program calls itself to routers.
func agent() string { return "dconn/" + version }

// dialInTime joins the router within -W, for longer than that.
func (t *target) dialInTime(ctx context.Context) (*session.Session, error) {
	ctx, cancel := within(ctx, time.Duration(t.wait))
	defer cancel()
	return t.dial(ctx)
}

// join joins the router for as long as use runs, within -W.
func (t *target) join(ctx context.Context, use func(context.Context, *session.Session) error) error {
	ctx, cancel := within(ctx, time.Duration(t.wait))
	defer cancel()
	s, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	return use(ctx, s)
}

// kept is something that lasts longer than a connection: a subscription, a
// registration.
type kept struct {
	uri string
	// begin makes it on a session that was joined; again says that another was
	// lost before. Its ctx is about the making only.
	begin func(ctx context.Context, s *session.Session, again bool) error
	// lost says what the loss of it means: nil is that it shall be made again.
	lost func(error) error
	// within bounds the first making; 0 is no bound.
	within time.Duration
	// follows says that it goes after a device to another address.
	follows bool
}

// again reports whether what was lost by err may be made again: the router may come
// back, or wants to be asked anew.
func again(err error) bool {
	return comesBack(err) || errors.Is(err, &wire.Error{URI: wire.ErrRights})
}

// redial bounds an attempt to reconnect.
const redial = 10 * time.Second

// keep makes k, and makes it again whenever it is lost, until ctx ends. The
// first time nothing is tried twice: what is wrong then may be wrong for good.
func (t *target) keep(ctx context.Context, s *streams, k kept) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{target: t, kept: k, hints: make(chan struct{}, 1)}
	for again := false; ; again = true {
		began := time.Now()
		made, err := f.hold(ctx, again)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !made && !again:
			return err
		case time.Since(began) > 2*redial, errors.Is(err, &wire.Error{URI: wire.ErrAlreadyExists}): // of our old session
			f.pause.Reset()
		}
		if over := k.lost(err); over != nil {
			return over
		}
		wait := f.pause.Next()
		s.say("%s; trying again in %.1f s", explain(err, k.uri).Message, wait.Seconds())
		if err := f.rest(ctx, wait); err != nil {
			return err
		}
	}
}

// follower keeps something alive, after a device that moves, or while this machine
// does.
type follower struct {
	*target
	kept

	attending bool
	hints     chan struct{} // that it may be elsewhere now
	pause     client.Backoff
}

// inDoubt is how long a device may take to show that it still can be reached.
const inDoubt = time.Second

// hold makes it on a new session and waits for the end of that. made says that
// it came so far.
func (f *follower) hold(ctx context.Context, again bool) (made bool, err error) {
	making, cancel := within(ctx, f.within)
	if again {
		making, cancel = context.WithTimeoutCause(ctx, redial, wire.Errorf(wire.ErrLost, "no answer within %v", redial))
	}
	defer cancel()
	s, err := f.dial(making)
	if err != nil {
		return false, err
	}
	defer leave(s)
	if err := f.begin(making, s, again); err != nil {
		return false, err
	}
	if f.follows && f.device != "" && !f.attending {
		f.attending = true
		go f.attend(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-s.Done():
			return true, s.Err()
		case <-f.hints:
			f.pause.Reset()
			s.Doubt(inDoubt)
		}
	}
}

// attend hints until ctx ends. That no network can be watched is found out later, by
// the silence of the device.
func (f *follower) attend(ctx context.Context) {
	home, err := openHome(f.state)
	if err != nil {
		return
	}
	_ = home.Attend(ctx, f.device, func() {
		select {
		case f.hints <- struct{}{}:
		default: // one is waiting
		}
	})
}

// rest waits for the next attempt; a hint makes the wait as short as the first was.
func (f *follower) rest(ctx context.Context, wait time.Duration) error {
	timer, hints := time.NewTimer(wait), f.hints
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-hints:
			hints = nil // whoever hints on and on does not keep us from trying
			f.pause.Reset()
			timer.Reset(min(wait, f.pause.Next()))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave ends s; what it sent before still arrives.
func leave(s *session.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.Leave(ctx)
}

// uriOf expands and checks the URI a command is about.
func uriOf(cmd *cobra.Command, word string) (string, error) {
	uri := wire.Expand(word)
	if err := wire.CheckURI(uri); err != nil {
		return "", usage("%v", err)
	}
	about(cmd, uri)
	return uri, nil
}

// seconds is a duration flag: 10s, 1m30s, or a bare number of seconds. 0 is
// no limit.
type seconds time.Duration

func (d *seconds) String() string { return time.Duration(*d).String() }
func (d *seconds) Type() string   { return "DURATION" }
func (d *seconds) Set(text string) error {
	v, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseFloat(text, 64); numErr == nil && n <= 1e9 {
		v, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return fmt.Errorf("must be a duration like 10s or 1m30s, or a number of seconds")
	}
	*d = seconds(v)
	return nil
}
