package commands

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/wire"
)

type serveOptions struct {
	*streams

	socket    string
	tcp       []string
	name      string
	enable    []string
	disable   []string
	limit     []string
	silent    bool // no announcement, on this command line
	announced bool
	readyFD   int
	root      string
	state     string
	verbose   bool

	flags *pflag.FlagSet // of this command line
}

func newServe(s *streams) *cobra.Command {
	return (&serveOptions{streams: s}).command()
}

func (o *serveOptions) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "offer what this machine can do",
		Long: lines("Run the daemon: the router and this machine's capabilities. It ends with exit",
			"code 0 within 5 seconds of SIGINT or SIGTERM. It tells systemd when it is ready",
			"and takes a socket from it (socket activation). SIGHUP makes it read its settings",
			"again: name, enable, disable and verbose; sessions stay, and limits hold until a",
			"restart."),
		Example: "  dconn serve & dconn wait && dconn call .system.name",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.flags = cmd.Flags()
			return runServe(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.socket, "socket", "", "unix socket `PATH` to serve (default: $XDG_RUNTIME_DIR/dconn/dconn.sock, else "+client.SystemSocket+")")
	f.StringArrayVar(&o.tcp, "listen", defaultListen, "serve other machines at `ADDRESS` too, HOST:PORT or :PORT for every interface (none: the unix socket only)")
	addState(f, &o.state)
	f.StringVar(&o.name, "name", "", "the name of this machine (default: its host name)")
	f.StringSliceVar(&o.enable, "enable", nil, "offer only these capabilities (`NAME,...`)")
	f.StringSliceVar(&o.disable, "disable", nil, "do not offer these capabilities (`NAME,...`)")
	f.StringSliceVar(&o.limit, "limit", nil, "bound what a peer may cost (`NAME=VALUE,...`): dconn help limits")
	f.BoolVar(&o.announced, "announce", true, "tell the local network that this machine serves, by mDNS: its name, port and the beginning of its id")
	f.BoolVar(&o.silent, "no-announce", false, "do not: --announce=false")
	onlyOnCommandLine(f, "no-announce")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor `FD` once serving")
	onlyOnCommandLine(f, "ready-fd")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	f.StringVar(&o.root, "device-root", "/", "directory that device paths hang off")
	_ = f.MarkHidden("device-root")
	return cmd
}

// defaultListen is where a daemon serves other machines.
var defaultListen = []string{fmt.Sprintf(":%d", wire.Port)}

const (
	// noListen is --listen for the unix socket only.
	noListen = "none"
	// nextPorts is how many ports after wire.Port are tried, where no port is asked
	// for. Then any will do.
	nextPorts = 100
)

// service is a daemon that serves.
type service struct {
	*serveOptions

	log    *slog.Logger
	level  *slog.LevelVar
	router *router.Router
}

func runServe(ctx context.Context, o *serveOptions) error {
	noCore()
	d := &service{serveOptions: o, level: &slog.LevelVar{}}
	d.log = o.logger(d.level)
	options, err := withLimits(o.limit)
	if err != nil {
		return err
	}
	options.MemoryLimit = pace(options.Backlog)
	options.Log, options.Version = d.log, version
	if options.Name, err = o.machine(); err != nil {
		return err
	}
	if options.Capabilities, err = o.capabilities(options.Name, d.log); err != nil {
		return err
	}
	if err := o.identify(&options); err != nil {
		return err
	}
	listeners, err := o.listen()
	if err != nil {
		return err
	}
	d.router, err = router.New(ctx, options)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer d.router.Close()
	failed := make(chan error, len(listeners))
	o.awaitSignals()
	for _, ln := range listeners {
		go func() { failed <- d.router.Serve(ln) }()
	}
	d.say(options.Capabilities, listeners)
	d.announce(listeners)
	o.streams.reloading.Store(true)
	if err := ready(o.readyFD); err != nil {
		return err
	}
	notify(d.log, daemon.SdNotifyReady)
	defer notify(d.log, daemon.SdNotifyStopping)
	return d.run(ctx, failed)
}

// mute keeps the commands of a test from the network of this machine, which nobody
// knows.
var mute bool

// announce tells the local network, where others can get in. That nobody hears it is
// no reason not to serve.
func (d *service) announce(listeners []net.Listener) {
	if !d.announced || d.silent || mute {
		return
	}
	for _, ln := range listeners {
		at, isTCP := ln.Addr().(*net.TCPAddr)
		if !isTCP || at.IP.IsLoopback() {
			continue
		}
		if err := d.router.Announce(at.Port); err != nil {
			d.log.Warn("not announced", "error", err)
		}
		return
	}
}

// say says what is served, and where.
func (d *service) say(caps []capabilities.Capability, listeners []net.Listener) {
	where := []any{"capabilities", namesOf(caps), "socket", listeners[0].Addr().String()}
	var open []string
	for _, ln := range listeners {
		if ln.Addr().Network() == "tcp" {
			open = append(open, ln.Addr().String())
		}
	}
	if len(open) > 0 {
		where = append(where, "listen", strings.Join(open, ","))
	}
	d.log.Info("serving", where...)
}

// run reloads and reports until ctx ends or a listener fails.
func (d *service) run(ctx context.Context, failed <-chan error) error {
	due, stop := watchdog()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			d.log.Info("stopping", "reason", context.Cause(ctx))
			return nil
		case err := <-failed:
			return err
		case <-d.reload:
			d.reloadSettings(ctx)
		case <-due:
			d.reportHealth(ctx)
		}
	}
}

func (o *serveOptions) logger(level *slog.LevelVar) *slog.Logger {
	o.setLevel(level)
	options := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" { // the journal adds the time itself
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(o.err, options))
}

func (o *serveOptions) setLevel(level *slog.LevelVar) {
	level.Set(slog.LevelInfo)
	if o.verbose {
		level.Set(slog.LevelDebug)
	}
}

func namesOf(caps []capabilities.Capability) string {
	names := make([]string, len(caps))
	for i, c := range caps {
		names[i] = c.Name
	}
	return strings.Join(names, ",")
}

// machine is the name of this machine.
func (o *serveOptions) machine() (string, error) {
	if o.name != "" {
		return o.name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", own("host name: %v", err).hint("dconn serve --name NAME")
	}
	return host, nil
}

// capabilities are those that --enable and --disable leave.
func (o *serveOptions) capabilities(name string, log *slog.Logger) ([]capabilities.Capability, error) {
	caps := all.New(capabilities.Env{Root: o.root, Name: name, Version: version, Log: log})
	var names []string
	for _, c := range caps {
		names = append(names, c.Name)
	}
	if err := offered("--enable", o.enable, names); err != nil {
		return nil, err
	}
	if err := offered("--disable", o.disable, names); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(caps, func(c capabilities.Capability) bool {
		return len(o.enable) > 0 && !slices.Contains(o.enable, c.Name) || slices.Contains(o.disable, c.Name)
	}), nil
}

// offered refuses what flag asks for and no capability is called.
func offered(flag string, asked, names []string) error {
	for _, name := range asked {
		if slices.Contains(names, name) {
			continue
		}
		f := usage("%s: no capability %q: there are %s", flag, name, strings.Join(names, ", "))
		if near := nearest(name, names); near != "" {
			return f.hint("did you mean: %s", near)
		}
		return f.hint("dconn serve %s %s", flag, names[0])
	}
	return nil
}

// ready tells whoever waits at the other end of fd, if it is one.
func ready(fd int) error {
	if fd < 0 {
		return nil
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 { // closed, or one of the runtime's own
		return own("--ready-fd %d: not a file descriptor that this process was given", fd)
	}
	if _, err := unix.Write(fd, []byte("\n")); err != nil {
		return own("--ready-fd %d: %v", fd, err)
	}
	if fd > 2 {
		_ = unix.Close(fd)
	}
	return nil
}
