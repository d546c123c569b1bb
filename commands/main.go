// Package commands is the command line: one file a subcommand, and beside
// them what all of them share: streams, arguments, output, exit codes.
package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// streams are the standard streams. stdout is data, stderr is talk.
type streams struct {
	in       io.Reader
	out      io.Writer
	err      io.Writer
	outTTY   bool // stdout is a terminal
	errTTY   bool
	width    int // columns of that terminal, 0 if stdout is none
	outColor bool
	errColor bool
	armed    <-chan struct{} // closed once signals are caught

	reloading atomic.Bool   // SIGHUP goes to reload instead of ending the command
	reload    chan struct{} // holds one
}

// armedWriter writes once signals are caught: until then a reader that went
// away would kill this process.
type armedWriter struct {
	io.Writer
	armed <-chan struct{}

	mu     sync.Mutex
	failed error // of the first write that did
}

func (w *armedWriter) Write(b []byte) (int, error) {
	<-w.armed
	n, err := w.Writer.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = cmp.Or(w.failed, err)
	return n, err
}

// failure is why a write failed, if one did.
func (w *armedWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// awaitSignals returns once a signal is a normal end of this process, for a
// command that others may see at work and then end.
func (s *streams) awaitSignals() {
	if s.armed != nil {
		<-s.armed
	}
}

// say prints one line of talk, harmless on a terminal.
func (s *streams) say(format string, a ...any) { s.talk("dconn:", format, a...) }

// complain says what went wrong.
func (s *streams) complain(format string, a ...any) {
	if s.errColor {
		s.talk("\x1b[1;31mdconn:\x1b[0m", format, a...)
		return
	}
	s.say(format, a...)
}

// talk prints lines under name. All but the first are set in: what a peer says
// shall not look like a hint of ours.
func (s *streams) talk(name, format string, a ...any) {
	text := visible(fmt.Sprintf(format, a...))
	_, _ = fmt.Fprintf(s.err, "%s %s\n", name, strings.ReplaceAll(text, "\n", "\n"+name+"   "))
}

// Main runs the command line of this process and returns its exit code.
func Main() int {
	armed := make(chan struct{})
	s := &streams{
		in: os.Stdin, out: &armedWriter{Writer: os.Stdout, armed: armed}, err: &armedWriter{Writer: os.Stderr, armed: armed},
		armed: armed, reload: make(chan struct{}, 1),
	}
	s.width, s.outTTY = terminal(os.Stdout)
	_, s.errTTY = terminal(os.Stderr)
	s.color("auto")
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	go s.catchSignals(stop, armed) // beside the start: it takes a thread to be made
	err := run(ctx, s, os.Args[1:])
	if i, ok := errors.AsType[interrupted](err); ok {
		die(i.signal)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.Code
	}
	return exitOK
}

// run runs one command line. Its error, already reported, is nil, a *failure
// or interrupted.
func run(ctx context.Context, s *streams, args []string) error {
	root := newRoot(s, args)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if w, ok := s.out.(*armedWriter); ok && w.failure() != nil && (err == nil || errors.Is(err, w.failure())) {
		err = outputError(w.failure()) // cobra prints without a look at it, or passes it on as it is
	}
	var cut interrupted
	switch {
	case err == nil, errors.Is(err, errReaderGone):
		return nil
	case errors.As(err, &cut), errors.As(context.Cause(ctx), &cut):
		return cut
	}
	f := blame(cmd, explain(err, cmd.Annotations[subjectKey]))
	hintDevice(cmd, f)
	hintScopes(cmd, f)
	if remote := cmd.Flags().Lookup(exitWithRemote); remote != nil && remote.Value.String() == "true" {
		f.notRemote()
	}
	s.report(f, wantsJSON(cmd))
	return f
}

// subjectKey is the annotation with what a command line is about: its errors
// name it.
const subjectKey = "subject"

func about(cmd *cobra.Command, subject string) {
	cmd.Annotations = map[string]string{subjectKey: subject}
}

func wantsJSON(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("output")
	return f != nil && forMachines(f.Value.String())
}

// subcommand is a command that is not made yet.
type subcommand struct {
	name string
	make func(*streams) *cobra.Command
}

// subcommands lists every command, in the order of the README. It is a
// function because some of them look at all of them.
func subcommands() []subcommand {
	return []subcommand{
		{"serve", newServe},
		{"call", newCall},
		{"publish", newPublish},
		{"subscribe", newSubscribe},
		{"register", newRegister},
		{"describe", newDescribe},
		{"discover", newDiscover},
		{"announce", newAnnounce},
		{"wait", newWait},
		{"ping", newPing},
		{"pair", newPair},
		{"devices", newDevices},
		{"id", newID},
		{"audit", newAudit},
		{"status", newStatus},
		{"config", newConfig},
		{"doctor", newDoctor},
		{"bench", newBench},
		{"version", newVersion},
	}
}

// newRoot makes the command that args name, or all of them where they name
// none: making the others would take a twentieth of a short call.
func newRoot(s *streams, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "dconn",
		Short: "IPC on the local network, from bash",
		Long: "dconn serve offers what this machine can do; dconn call, publish, subscribe and\n" +
			"register use it. A URI that starts with a dot is dconn's own: .brightness.set\n" +
			"is org.deskconn.brightness.set. Exit codes: dconn help exit-codes.",
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              known,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return configure(cmd) },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(wrongFlag)
	root.PersistentFlags().Var(newColor(s), "color", "colour: auto (on a terminal), always, never")
	root.SetHelpCommand(newHelp())
	for _, c := range subcommands() {
		if len(args) > 0 && args[0] == c.name {
			root.AddCommand(c.make(s))
			return root
		}
	}
	for _, c := range subcommands() {
		root.AddCommand(c.make(s))
	}
	root.AddCommand(newMan())
	for _, t := range topics {
		root.AddCommand(t.command())
	}
	if completing(args) {
		addCompletions(root)
	}
	if len(args) > 0 && args[0] == "completion" {
		checkShells(root)
	}
	return root
}

// everyCommand lists the commands below cmd, nested ones too.
func everyCommand(cmd *cobra.Command) []*cobra.Command {
	var every []*cobra.Command
	for _, c := range cmd.Commands() {
		every = append(append(every, c), everyCommand(c)...)
	}
	return every
}

// known refuses a command that does not exist and names the nearest that does.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	f := usage("unknown command %q", args[0]).hint("%s --help", cmd.CommandPath())
	if near := nearest(args[0], names); near != "" {
		f = f.hint("did you mean: %s %s", cmd.CommandPath(), near)
	}
	return f
}

// atLeast and atMost check the number of words; what names them.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s is missing", what).hint("%s", cmd.UseLine())
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("unexpected argument %q", args[n]).hint("%s", cmd.UseLine())
		}
		return nil
	}
}

// terminal reports whether f is a terminal, and how many columns it has.
func terminal(f *os.File) (width int, is bool) {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, true
	}
	return int(size.Col), true
}

// lines joins the lines of a long help text.
func lines(l ...string) string { return strings.Join(l, "\n") }
