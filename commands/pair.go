package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

type pairOptions struct {
	*streams

	target
	output
	there    string   // the machine that shows a code, NAME or HOST:PORT; "" shows one here
	at       []string // its addresses
	name     string
	codeFile string

	allow   []string
	window  seconds
	expires time.Time
	reset   bool
	noQR    bool
}

func newPair(s *streams) *cobra.Command {
	o := &pairOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "pair [flags] [NAME|HOST[:PORT]]",
		Short: "pair with another machine, by a code that one shows and you type into the other",
		Long: lines("Without a word: show a code, and let in the machine into which it is typed. The code is",
			"on stdout, another if a wrong one was tried; it is good for one machine, for the",
			"time of --window. What that machine may do here is --allow; it gives nothing back.",
			"",
			"With one: type the code that the machine there shows. HOST has a dot or a colon in it;",
			"a NAME is what a machine on the local network announces, while it shows a code. Anybody",
			"can announce any name: it is the code that decides who it is. The code is asked for on the",
			"terminal, or read from DCONN_PAIR_CODE or --code-file, never from the command line,",
			"which others can see. The scanned text of the QR code is as good as the digits.",
			"",
			"Exit code 0 says that both know each other, 124 that time ran out, 7 that the code",
			"was wrong, or that too many were."),
		Example: lines("  dconn pair", "  dconn pair --allow default,call:org.example --expires 30d",
			"  dconn pair pi", "  dconn pair 192.168.1.20", "  DCONN_PAIR_CODE=$(ssh pi cat code) dconn pair pi.local"),
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.prepare(cmd, words); err != nil {
				return err
			}
			if o.there == "" {
				return runPairHere(cmd.Context(), o)
			}
			return runPairThere(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.target.addFlags(f, 90*time.Second, "with NAME or HOST: give up after this long; 0 waits for ever")
	addState(f, &o.state)
	o.addFormat(s, f, "raw", "json", "ndjson")
	f.StringVar(&o.name, "name", "", "what to call the other machine here (default: what it calls itself)")
	f.StringVar(&o.codeFile, "code-file", "", "with NAME or HOST: read the code from this `FILE`, - is stdin")
	f.StringSliceVar(&o.allow, "allow", []string{router.DefaultScopes}, "what the other machine may do here, `SCOPE,...`: capabilities, or actions like call:org.example; default is every capability that is not sensitive")
	o.window = seconds(2 * time.Minute)
	f.Var(&o.window, "window", "how long the code is good for, 15m at most")
	f.Var(expiry{&o.expires}, "expires", "when the other machine is not paired any more: 2h, 30d, 2030-12-31, never")
	f.BoolVar(&o.reset, "reset", false, "forget the wrong codes that were tried before: they may have locked pairing")
	f.BoolVar(&o.noQR, "no-qr", false, "show no QR code")
	onlyOnCommandLine(f, "name", "code-file", "expires", "reset")
	return cmd
}

// prepare checks the command line.
func (o *pairOptions) prepare(cmd *cobra.Command, words []string) error {
	here := []string{"allow", "scopes", "window", "expires", "reset", "no-qr"}
	there := []string{"code-file"}
	wrong := there
	if len(words) == 1 {
		wrong = here
		if err := o.direct(words[0]); err != nil {
			return err
		}
		about(cmd, o.there)
	}
	for _, name := range wrong {
		if cmd.Flags().Changed(name) {
			return usage("--%s is for the machine that %s the code", name, map[bool]string{true: "shows", false: "is told"}[len(words) == 1]).hint("%s", cmd.UseLine())
		}
	}
	if w := time.Duration(o.window); w < time.Second || w > 15*time.Minute {
		return usage("--window must be from 1s to 15m, got %v", w)
	}
	named := slices.DeleteFunc(slices.Clone(o.allow), func(s string) bool { return s == router.DefaultScopes })
	_, err := scopesFrom("--allow", named, func(wrong, right string) string {
		return "dconn pair --allow " + strings.Join(replaced(o.allow, wrong, right), ",")
	})
	return err
}

// runPairHere has the daemon open a window, and shows what happens at it.
func runPairHere(ctx context.Context, o *pairOptions) error {
	noCore()
	kwargs := map[string]any{"window": time.Duration(o.window).Seconds(), "allow": anyOf(o.allow), "reset": o.reset}
	if o.name != "" {
		kwargs["name"] = o.name
	}
	if !o.expires.IsZero() {
		kwargs["expires"] = o.expires.Format(time.RFC3339)
	}
	s, err := o.dialInTime(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	show := o.newShow()
	defer show.end()
	result, err := s.CallProgressive(ctx, wire.Pair, nil, kwargs, func(r session.Result) {
		if err := show.event(r.Kwargs); err != nil {
			stop(err)
		}
	})
	if err != nil {
		return err
	}
	show.end()
	name, _ := result.Kwargs["name"].(string)
	id, _ := result.Kwargs["id"].(string)
	if o.machine() {
		return o.record(map[string]any{"event": "paired", "id": id, "name": name, "scopes": result.Kwargs["scopes"]})
	}
	o.say("paired with %s (%s), which may use here: %s", name, id[:min(len(id), 7)], words(result.Kwargs["scopes"]))
	return nil
}

// words are the texts in a list that came over the wire.
func words(v any) string {
	if out := textsIn(v); len(out) > 0 {
		return strings.Join(out, " ")
	}
	return "nothing"
}

func textsIn(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, w := range list {
		if s, ok := w.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// runPairThere pairs with the machine at an address, by the code that it shows.
func runPairThere(ctx context.Context, o *pairOptions) error {
	noCore()
	home, err := openHome(o.state)
	if err != nil {
		return err
	}
	byHand := len(o.at) > 0
	if !byHand {
		if o.at, err = o.lookUp(ctx); err != nil {
			return err
		}
	}
	secret, err := o.secret(ctx)
	if err != nil {
		return err
	}
	own, err := os.Hostname()
	if err != nil {
		return ownName(err)
	}
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	device, scopes, err := home.Pair(ctx, client.Pairing{
		Addresses: o.at, Secret: secret, Own: pairing.CleanName(own), Name: o.name, Agent: agent(), ByHand: byHand,
	})
	if err != nil {
		return err
	}
	if err := trust.OpenAudit(home.Store.Dir()).Add(trust.Entry{
		Event: "paired", Device: device.ID.String(), Name: device.Name, From: device.Candidates()[0],
	}); err != nil {
		slog.Debug("audit", "error", err)
	}
	if o.machine() {
		return o.record(map[string]any{"event": "paired", "id": device.ID.String(), "name": device.Name, "scopes": anyOf(scopes)})
	}
	o.say("paired with %s (%s), where this machine may use: %s", device.Name, device.ID.Short(), words(anyOf(scopes)))
	return nil
}

func ownName(err error) error { return own("host name: %v", err) }

// codeEnv has the code, for scripts. No child of ours shall inherit it.
const codeEnv = "DCONN_PAIR_CODE"

// maxCode bounds what is read for a code, in bytes: a token is the longest.
const maxCode = 4096

// secret reads the code from where it is.
func (o *pairOptions) secret(ctx context.Context) (pairing.Secret, error) {
	text := os.Getenv(codeEnv)
	_ = os.Unsetenv(codeEnv)
	var err error
	switch {
	case o.codeFile == "-":
		text, err = readCode(o.in)
	case o.codeFile != "":
		text, err = readCodeFile(o.codeFile)
	case text == "":
		text, err = o.ask(ctx, "code shown by "+o.there+": ")
	}
	if err != nil {
		return pairing.Secret{}, err
	}
	secret, err := pairing.ParseSecret(text)
	if err != nil {
		return secret, usage("%v", err)
	}
	return secret, nil
}

func readCodeFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", own("--code-file: %v", err)
	}
	defer func() { _ = f.Close() }()
	return readCode(f)
}

func readCode(from io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxCode+1))
	if err != nil {
		return "", own("code: %v", err)
	}
	if len(b) > maxCode {
		return "", usage("a code has at most %d bytes", maxCode)
	}
	return string(b), nil
}

// errNoTerminal says how to do without one.
var errNoTerminal = errors.New("there is no terminal to ask for the code on")

// ask asks a question on the terminal of this process, whatever its streams are.
func (o *pairOptions) ask(ctx context.Context, question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usage("%v", errNoTerminal).hint("%s=1234-5678 dconn pair %s, or --code-file FILE", codeEnv, capabilities.ShellWord(o.there))
	}
	defer func() { _ = tty.Close() }()
	if _, err := fmt.Fprint(tty, visible(question)); err != nil {
		return "", own("terminal: %v", err)
	}
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := readLine(tty)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		_, _ = fmt.Fprintln(tty)
		return "", context.Cause(ctx)
	}
}

func readLine(from io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) <= maxCode {
		n, err := from.Read(b[:])
		if n == 1 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if err != nil {
			return "", own("terminal: no code was typed")
		}
	}
	return "", usage("a code has at most %d bytes", maxCode)
}

// noCore keeps what is secret in this process out of a core file. A limit of 1 byte
// is for those too that a program collects: core(5).
func noCore() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1})
}
