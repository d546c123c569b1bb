package commands

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/transport"
)

type serveOptions struct {
	*streams

	socket  string
	name    string
	enable  []string
	disable []string
	readyFD int
	root    string
	verbose bool
}

func newServe(s *streams) *cobra.Command {
	o := &serveOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "offer what this machine can do",
		Long: lines("Run the daemon: the router and this machine's capabilities. It ends with exit",
			"code 0 within 5 seconds of SIGINT or SIGTERM. It tells systemd when it is ready",
			"and takes a socket from it (socket activation)."),
		Example: "  dconn serve & dconn wait && dconn call .system.name",
		Args:    atMost(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.socket, "socket", "", "unix socket to serve (default: $XDG_RUNTIME_DIR/dconn/dconn.sock, else "+client.SystemSocket+")")
	f.StringVar(&o.name, "name", "", "the name of this machine (default: its host name)")
	f.StringSliceVar(&o.enable, "enable", nil, "offer only these capabilities (`NAME,...`)")
	f.StringSliceVar(&o.disable, "disable", nil, "do not offer these capabilities (`NAME,...`)")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor once serving")
	onlyOnCommandLine(f, "ready-fd")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	f.StringVar(&o.root, "device-root", "/", "directory that device paths hang off")
	_ = f.MarkHidden("device-root")
	return cmd
}

func runServe(ctx context.Context, o *serveOptions) error {
	log := o.logger()
	caps, err := o.capabilities(log)
	if err != nil {
		return err
	}
	listeners, err := o.listen()
	if err != nil {
		return err
	}
	r, err := router.New(ctx, router.Options{
		Capabilities: caps, Log: log,
		Transport: transport.DefaultLimits(), Session: router.DefaultSessionLimits(),
	})
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer r.Close()
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- r.Serve(ln) }()
	}
	names := make([]string, len(caps))
	for i, c := range caps {
		names[i] = c.Name
	}
	log.Info("serving", "capabilities", strings.Join(names, ","), "socket", listeners[0].Addr().String())
	if err := ready(o.readyFD); err != nil {
		return err
	}
	notify(log, daemon.SdNotifyReady)
	defer notify(log, daemon.SdNotifyStopping)
	select {
	case <-ctx.Done():
		log.Info("stopping", "reason", context.Cause(ctx))
		return nil
	case err := <-failed:
		return err
	}
}

func (o *serveOptions) logger() *slog.Logger {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
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

// capabilities are those that --enable and --disable leave.
func (o *serveOptions) capabilities(log *slog.Logger) ([]capabilities.Capability, error) {
	name := o.name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, own("host name: %v", err).hint("dconn serve --name NAME")
		}
		name = host
	}
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

// listen takes the sockets that systemd hands over, else opens its own.
func (o *serveOptions) listen() ([]net.Listener, error) {
	handed, err := activation.Listeners()
	if err != nil {
		return nil, own("socket activation: %v", err)
	}
	handed = slices.DeleteFunc(handed, func(ln net.Listener) bool { return ln == nil })
	for _, ln := range handed {
		if ln.Addr().Network() != "unix" {
			closeAll(handed)
			return nil, own("socket activation: a %s socket was handed over, expected a unix socket", ln.Addr().Network())
		}
	}
	if len(handed) > 0 {
		return handed, nil
	}
	path := o.socket
	if path == "" {
		path = client.DefaultSocket()
	}
	ln, err := router.ListenUnix(path)
	if _, held := errors.AsType[*router.HeldError](err); held {
		return nil, err
	}
	if err != nil {
		return nil, own("cannot serve %s: %v", path, err).hint("dconn serve --socket PATH")
	}
	return []net.Listener{ln}, nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close()
	}
}

func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd is not told", "state", state, "error", err)
	}
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
