package commands

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type registerOptions struct {
	*streams

	target
	output
	shell       bool
	worker      bool
	allowDash   bool
	inside      bool
	stdin       string
	result      string
	timeout     seconds
	concurrency int
	queue       int
	maxOutput   int
	readyFD     int
	reconnect   bool
	uri         string
	path        string // of argv[0]
	argv        []string
}

func newRegister(s *streams) *cobra.Command {
	o := &registerOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "register [flags] URI -- CMD [ARG...]",
		Short: "make a command callable",
		Long: lines("Make a command callable until this one is ended. No shell is involved.",
			"",
			"{0} and {name} are replaced by the call's arguments; {{name}} stands for {name}. A",
			"placeholder is a word of its own, or part of one without blanks and shell characters;",
			"--inside allows the others. An argument is data: no placeholder may be in the script",
			"of an interpreter (sh -c, python -c, awk, jq), in what ssh, su or make give to a",
			"shell, or choose the command that sudo, env or xargs run. The error says what to",
			"write instead. An argument that begins with a dash is refused without --allow-dash.",
			"",
			"The arguments also arrive as JSON on stdin, {\"args\":[],\"kwargs\":{}}, and",
			"in the environment: DCONN_URI, DCONN_CALLER, DCONN_CALLER_DEVICE, DCONN_ARGS_JSON (left",
			"out above 64 KiB, DCONN_ARGS_TRUNCATED=1 then). What the command prints is the",
			"result, less a last newline; bytes if it is no UTF-8. A status other than 0 is the",
			"error "+wire.ErrExecFailed+" with exit_code, signal and stderr_tail.",
			"When the caller gives up, the command's process group is ended.",
			"",
			"With --result lines each line is sent at once to a caller that asks for progress,",
			"and is an argument of the result for any other. With --shell CMD is a script for sh,",
			"and the call's arguments are $1, $2 and so on; sh -c SCRIPT sh {0} {name} does the",
			"same for chosen ones. With --worker the command is started",
			"once, reads a line {\"args\":[],\"kwargs\":{},\"uri\":\"...\",\"caller\":\"...\"} for each call",
			"and answers by a line {\"args\":[],\"kwargs\":{}} or {\"error\":{\"uri\":\"...\",\"message\":\"...\"}}.",
			"",
			"When the connection is lost it registers again, and says so."),
		Example: lines("  dconn register org.example.disk -- df -h {0}",
			"  dconn register --shell org.example.note -- 'date; echo \"$1\" >>notes'",
			"  dconn register --stdin none org.example.lock -- loginctl lock-session",
			"  dconn register --result lines org.example.log -- journalctl -f -n 5",
			"  dconn register --worker org.example.double -- jq -c --unbuffered '{args: [.args[0] * 2]}'"),
		Args: atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.prepare(cmd, words); err != nil {
				return err
			}
			return runRegister(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *registerOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up if not registered after this long; 0 waits for ever")
	o.addDeviceFlags(f)
	o.addFormat(o.streams, f, "raw", "json", "ndjson")
	f.BoolVar(&o.shell, "shell", false, "run CMD, a script, by sh")
	f.BoolVar(&o.worker, "worker", false, "start CMD once, and ask it by lines of JSON")
	f.BoolVar(&o.allowDash, "allow-dash", false, "let a call's argument begin with a dash, where the command may take it for an option")
	f.BoolVar(&o.inside, "inside", false, "let {0} stand in an ARG that has blanks or shell characters too")
	onlyOnCommandLine(f, "inside")
	f.Var(newChoice(&o.stdin, "json", "raw", "none"), "stdin", "what the command reads: json, raw (the first argument) or none")
	f.Var(newChoice(&o.result, "raw", "json", "lines", "bytes"), "result", "what its output is: raw (text), json, lines or bytes")
	f.Var(&o.timeout, "timeout", "end the command after this long; 0 lets it run")
	f.IntVar(&o.concurrency, "concurrency", 8, "how many may run at once; workers, with --worker, where the default is 1")
	f.IntVar(&o.queue, "queue", 64, "how many calls may wait for that, before the answer is "+wire.ErrBusy)
	f.IntVar(&o.maxOutput, "max-output", 4<<20-4<<10, "bytes of output that are accepted")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor `FD` once registered")
	onlyOnCommandLine(f, "ready-fd")
	f.BoolVar(&o.reconnect, "reconnect", true, "register again when the connection was lost; =false ends with exit code 6 then")
}

// prepare checks the command line and finds the command.
func (o *registerOptions) prepare(cmd *cobra.Command, words []string) (err error) {
	if o.uri, err = uriOf(cmd, words[0]); err != nil {
		return err
	}
	o.argv = words[1:]
	if len(o.argv) > 0 && o.argv[0] == "--" {
		o.argv = o.argv[1:]
	} else if err := refuseLate(cmd.Flags(), o.argv[:min(len(o.argv), 1)]); err != nil {
		return err
	}
	if o.worker && !cmd.Flags().Changed("concurrency") {
		o.concurrency = 1
	}
	switch {
	case len(o.argv) == 0:
		return usage("a command is missing").hint("dconn register %s -- CMD [ARG...]", capabilities.ShellWord(o.uri))
	case o.concurrency < 1:
		return usage("--concurrency must be 1 or more, got %d", o.concurrency)
	case o.queue < 0:
		return usage("--queue must be 0 or more, got %d", o.queue)
	case o.maxOutput < 1:
		return usage("--max-output must be 1 or more bytes, got %d", o.maxOutput)
	case o.worker && (cmd.Flags().Changed("stdin") || cmd.Flags().Changed("result")):
		return usage("--worker speaks JSON: --stdin and --result do not go with it")
	case o.worker && !o.shell && slices.ContainsFunc(o.argv, runner.HasPlaceholder):
		return usage("--worker starts the command before there is a call: {0} and {name} do not go with it")
	}
	if err := o.check(cmd.Flags()); err != nil {
		return err
	}
	return o.find()
}

// check refuses a command line in which a caller's text would be code.
func (o *registerOptions) check(flags *pflag.FlagSet) error {
	input := o.worker || o.stdin != "none"
	if !o.shell {
		rules := runner.Rules{Inside: o.inside, AllowDash: o.allowDash, Input: input}
		if e := runner.CheckCode(o.argv, rules); e != nil {
			return usage("%v", e).hint("%s", o.safer(flags, e))
		}
		return nil
	}
	if len(o.argv) > 1 {
		return usage("--shell takes one script, got %d words", len(o.argv)).hint(`dconn register --shell %s -- '...'`, capabilities.ShellWord(o.uri))
	}
	script, found := runner.ShellScript(o.argv[0])
	if found != "" {
		e := &runner.CodeError{Place: runner.Script, Word: 2, Text: o.argv[0], Placeholder: found, Program: "sh"}
		o.argv = []string{"sh", "-c", o.argv[0]}
		return usage("with --shell the call's arguments are $1, $2 and so on: %s would make a caller's text part of the script", found).
			hint("%s", o.safer(flags, e))
	}
	if e := runner.CheckInput(script); input && e != nil {
		return usage("%v", e).hint("dconn register --help")
	}
	o.argv[0] = script
	return nil
}

// find looks the command up; with --shell that is sh.
func (o *registerOptions) find() (err error) {
	name := o.argv[0]
	if o.shell {
		name = "sh"
	}
	if o.path, err = exec.LookPath(name); err != nil {
		return own("cannot run %q: %v", name, errors.Unwrap(err))
	}
	return nil
}

func runRegister(ctx context.Context, o *registerOptions) error {
	r := newResponder(o)
	defer r.close()
	joined := false // from here on others may see the procedure before this end knows
	begin := func(ctx context.Context, s *session.Session, again bool) error {
		o.awaitSignals()
		joined = true
		if err := s.Register(ctx, o.uri, r.handle); err != nil {
			return err
		}
		if again {
			o.say("%s: registered again", o.uri)
			return nil
		}
		return ready(o.readyFD)
	}
	err := o.keep(ctx, o.streams, kept{uri: o.uri, begin: begin, lost: o.lost, within: time.Duration(o.wait), follows: o.reconnect})
	if joined && ctx.Err() != nil {
		return nil // a signal is how this command ends
	}
	return err
}

// lost is nil for what registering again may mend. Its old session may still
// hold the procedure.
func (o *registerOptions) lost(err error) error {
	old := errors.Is(err, &wire.Error{URI: wire.ErrAlreadyExists})
	if o.reconnect && (again(err) || old) {
		return nil
	}
	return err
}
