package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type callOptions struct {
	*streams

	target
	message
	output
	progress       bool
	graceful       []string
	exitWithRemote bool
	lines          bool
	parallel       int

	late string // an argument that is the name of a flag
}

func newCall(s *streams) *cobra.Command {
	o := &callOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "call [flags] URI [ARG...]",
		Short: "call a procedure and print its result",
		Long: lines("Call a procedure and print its result.",
			"",
			"An ARG that is a JSON value is that value (80, 0.5, true, null, [1,2], {\"a\":1},",
			"'\"80\"'), anything else is text. Flags come before the URI; whatever follows it is",
			"an argument, -1 and --x too.",
			"",
			"With --lines each line of stdin, or of --input, is the {\"args\":[],\"kwargs\":{}} of",
			"one call, all over one session. Each gets one line of output, in order: its result",
			"or {\"error\":{...}}. The exit code is the highest of them; -W is for each call."),
		Example: lines("  dconn call .brightness.set 80",
			"  dconn call -k device=acpi_video0 .brightness.get",
			"  printf '{\"args\":[\"%s\"]}\\n' /home /srv | dconn call --lines --parallel 2 org.example.backup"),
		Args: atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.prepare(cmd, words); err != nil {
				return err
			}
			if o.lines {
				return runBatch(cmd.Context(), o)
			}
			return runCall(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.addDeviceFlags(f)
	o.message.addFlags(f)
	o.output.addFlags(s, f, "raw", "json", "ndjson", "table", "template")
	f.BoolVar(&o.progress, "progress", false, "print what the callee sends before its result, too")
	f.StringSliceVar(&o.graceful, "graceful", nil, "take these errors for success, `URI,...` (repeatable)")
	f.BoolVar(&o.exitWithRemote, exitWithRemote, false, "exit with the status of the command behind the procedure, 255 for any other failure")
	f.BoolVar(&o.lines, "lines", false, "one call for each line of input")
	f.IntVar(&o.parallel, "parallel", 1, "with --lines: `N` calls may be under way, 1 to 1000")
	return cmd
}

// prepare checks the command line and gives the arguments their types.
func (o *callOptions) prepare(cmd *cobra.Command, words []string) (err error) {
	if o.lines && !cmd.Flags().Changed("output") && o.format == "raw" && o.template == "" {
		o.format = "ndjson"
	}
	fields := []string{"args", "kwargs"}
	if o.progress {
		fields = append(fields, "progress")
	}
	if err := o.output.check(cmd.Flags(), fields...); err != nil {
		return err
	}
	for i := range o.graceful {
		o.graceful[i] = wire.Expand(o.graceful[i])
		if err := wire.CheckURI(o.graceful[i]); err != nil {
			return usage("--graceful: %v", err)
		}
	}
	if !o.lines {
		if cmd.Flags().Changed("parallel") {
			return usage("--parallel goes with --lines")
		}
		o.late = lateFlag(cmd.Flags(), words[1:])
		return o.parse(cmd, o.streams, words)
	}
	switch {
	case len(words) > 1 || len(o.named) > 0:
		return usage("--lines takes the arguments from its input: %d words and %d -k are given too", len(words)-1, len(o.named))
	case o.strings:
		return usage("--lines reads JSON documents: -s does not go with it")
	case o.progress:
		return usage("--progress does not go with --lines: each line gets one result")
	case o.format == "table":
		return usage("--lines does not go with -o table")
	case o.parallel < 1 || o.parallel > 1000:
		return usage("--parallel must be a whole number from 1 to 1000, got %d", o.parallel)
	}
	o.uri, err = uriOf(cmd, words[0])
	return err
}

func runCall(ctx context.Context, o *callOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		result, err := o.call(ctx, s)
		if err != nil {
			return o.failed(err)
		}
		return o.printResult(result, false)
	})
}

func (o *callOptions) call(ctx context.Context, s *session.Session) (session.Result, error) {
	if !o.progress {
		return s.Call(ctx, o.uri, o.args, o.kwargs)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	return s.CallProgressive(ctx, o.uri, o.args, o.kwargs, func(r session.Result) {
		if err := o.printResult(r, true); err != nil {
			stop(err)
		}
	})
}

// printResult prints a result, or what came before it.
func (o *callOptions) printResult(r session.Result, more bool) error {
	doc := map[string]any{"args": orEmptyList(r.Args), "kwargs": orEmptyDict(r.Kwargs)}
	if o.progress {
		doc["progress"] = more
	}
	if o.format == "table" && len(r.Args) == 1 {
		if list, isList := r.Args[0].([]any); isList {
			if columns, rows, ok := tableOf(list); ok {
				return o.table(columns, rows)
			}
		}
	}
	return o.record(doc, r.Args...)
}

// failed is the error of a call, nil if --graceful takes it for success.
func (o *callOptions) failed(err error) error {
	if errors.Is(err, errReaderGone) {
		return err
	}
	f := o.judge(err)
	if f.Code != exitOK {
		return f
	}
	if o.machine() {
		return o.output.failure(f)
	}
	return nil
}

// judge explains the error of a call, as --graceful and --exit-with-remote
// have it.
func (o *callOptions) judge(err error) *failure {
	f := explain(err, o.uri)
	status, hasStatus := int64(0), false
	if f.WAMP != nil {
		status, hasStatus = f.WAMP.Kwargs["exit_code"].(int64)
	}
	switch {
	case f.WAMP == nil:
	case slices.Contains(o.graceful, f.WAMP.URI):
		f.Code = exitOK
	case hasStatus && o.exitWithRemote && f.WAMP.URI == wire.ErrExecFailed:
		f.Code, f.remote = int(min(max(status, 1), 255)), true
	case f.Code == exitUsage && o.late != "" && f.Hint == "":
		f.Hint = fmt.Sprintf("%s was taken for an argument: flags come before the URI", o.late)
	}
	if o.exitWithRemote {
		f.notRemote()
	}
	return f
}
