package commands

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

const (
	// patience is how long the daemon may take to answer a TAB: what is left
	// of 300 ms after this process's start and output.
	patience = 250 * time.Millisecond
	// maxOffers bounds what one TAB shows, maxLookUps the subscriptions it
	// asks about, maxDoc the text beside a URI in characters.
	maxOffers  = 500
	maxLookUps = 64
	maxDoc     = 100
)

// completing reports whether args are a shell's question of what may follow.
func completing(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// checkShells makes cobra's completion command refuse what it does not know.
func checkShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range everyCommand(root) {
		switch {
		case cmd.Name() == "completion":
			cmd.Args, cmd.RunE = known, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		case cmd.Parent().Name() == "completion":
			cmd.Args = atMost(0)
		}
	}
}

// addCompletions says what the words and flags of every command may be.
func addCompletions(root *cobra.Command) {
	const files, nothing = cobra.ShellCompDirectiveDefault, cobra.ShellCompDirectiveNoFileComp
	root.SetErr(io.Discard) // cobra ends each answer with a remark
	for _, cmd := range everyCommand(root) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		switch path {
		case "call":
			cmd.ValidArgsFunction = firstURI("procedure", files)
		case "publish":
			cmd.ValidArgsFunction = firstURI("topic", files)
		case "subscribe":
			cmd.ValidArgsFunction = firstURI("topic", nothing)
		case "describe":
			cmd.ValidArgsFunction = firstURI("", nothing)
		case "register":
			cmd.ValidArgsFunction = afterURI
		default:
			if complete := completesDevice(path); complete != nil {
				cmd.ValidArgsFunction = complete
			} else if cmd.ValidArgsFunction == nil {
				cmd.ValidArgsFunction = cobra.NoFileCompletions
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if complete := flagValues(f); complete != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
			}
		})
	}
}

// afterURI leaves the first word to the user; a command and files follow.
func afterURI(_ *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(words) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// flagValues completes the value of a flag; nil leaves it to the shell, which
// offers files.
func flagValues(f *pflag.Flag) cobra.CompletionFunc {
	if v, ok := f.Value.(chooser); ok {
		return cobra.FixedCompletions(v.offers(), cobra.ShellCompDirectiveNoFileComp)
	}
	switch {
	case f.Name == "enable" || f.Name == "disable":
		return capabilityNames
	case f.Name == "limit":
		return limitWords
	case f.Name == "device":
		return deviceFlag
	case f.Name == "allow":
		return allowed
	case f.Name == scopesFlag:
		return scopesToKeep
	case f.Name == "get":
		return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return firstURI("procedure", cobra.ShellCompDirectiveNoFileComp)(cmd, nil, typed)
		}
	case f.Value.Type() == "string":
		return nil
	}
	return cobra.NoFileCompletions
}

// capabilityNames completes the last name of a list.
func capabilityNames(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	given := typed[:strings.LastIndexByte(typed, ',')+1]
	var list []string
	for _, c := range all.New(capabilities.Env{Root: "/", Log: slog.New(slog.DiscardHandler)}) {
		if !slices.Contains(strings.Split(given, ","), c.Name) {
			list = append(list, given+c.Name+"\t"+oneLine(c.Doc))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// firstURI completes a command whose first word is a URI of kind, as describe
// has it, "" for any. then is for the words that follow.
func firstURI(kind string, then cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(words) > 0 {
			return nil, then
		}
		if configure(cmd) != nil { // nor would the command run
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		src := sourceOf(cmd)
		if src == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		return matching(src.learn(ctx, kind), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// source is whom completion asks what there is, as the command itself would.
type source struct {
	target
	key string // what its answers are remembered by, over all of its addresses
}

// sourceOf is nil where the command goes to a device that is not known.
func sourceOf(cmd *cobra.Command) *source {
	value := func(flag string) string {
		if f := cmd.Flag(flag); f != nil {
			return f.Value.String()
		}
		return ""
	}
	src := &source{target: target{socket: value("socket"), device: value("device"), at: value("address"), state: value("state")}}
	if src.device == "" {
		if src.socket == "" {
			src.socket = client.FindSocket()
		}
		return src.keyed(src.socket)
	}
	list, err := knownDevices(src.state)
	if err != nil || len(list) == 0 {
		return nil
	}
	src.key = "device " + src.device
	if d, err := client.FindDevice(list, src.device); err == nil {
		src.key = "device " + d.ID.String()
	} else if _, isAddress := client.ParseAddress(src.device); !isAddress {
		return nil
	}
	return src
}

// keyed makes path what the answers are remembered by, nil if it is nowhere.
func (src *source) keyed(path string) *source {
	var err error
	if src.key, err = filepath.Abs(path); err != nil {
		return nil
	}
	return src
}

// offer is a URI to complete, with what is said about it. Both come from
// elsewhere: see clean.
type offer struct{ uri, doc string }

// learn asks; who hangs, and a device that is away, is answered for by what it said
// last.
func (src *source) learn(ctx context.Context, kind string) []offer {
	offers, err := src.ask(ctx, kind)
	switch {
	case err == nil:
		offers = clean(offers)
		remember(src.key, kind, offers)
	case src.hangs(err):
		offers = clean(recall(src.key, kind))
	default:
		return nil
	}
	return offers
}

// hangs reports whether err is of one who is there, or may be again: a full queue of
// connections is EAGAIN.
func (src *source) hangs(err error) bool {
	u, unreachable := errors.AsType[*client.UnreachableError](err)
	return errors.Is(err, context.DeadlineExceeded) || unreachable && (src.device != "" || errors.Is(u.Cause, syscall.EAGAIN))
}

func (src *source) ask(ctx context.Context, kind string) ([]offer, error) {
	s, err := src.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Leave(ctx)
	entries, err := describe(ctx, s, "")
	if err != nil {
		return nil, err
	}
	var offers []offer
	for _, d := range entries {
		if kind == "" || kind == d["kind"] {
			offers = append(offers, offer{field(d, "uri"), field(d, "doc")})
		}
	}
	if kind != "topic" || src.device != "" { // which tells others of no subscriptions
		return offers, nil
	}
	more, err := subscribed(ctx, s)
	return append(offers, more...), err
}

// subscribed are the topics that sessions listen to right now.
func subscribed(ctx context.Context, s *session.Session) ([]offer, error) {
	var offers []offer
	list, err := s.Call(ctx, wire.ListSubscriptions, nil, nil)
	if err != nil || len(list.Args) != 1 {
		return nil, err
	}
	byMatch, _ := list.Args[0].(map[string]any)
	ids, _ := byMatch[session.Exact].([]any)
	for _, id := range ids[:min(len(ids), maxLookUps)] {
		got, err := s.Call(ctx, wire.GetSubscription, []any{id}, nil)
		if _, ended := errors.AsType[*wire.Error](err); ended && s.Err() == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, d := range dicts(got.Args) {
			if uri := field(d, "uri"); !wire.IsMeta(uri) {
				offers = append(offers, offer{uri, "has subscribers"})
			}
		}
	}
	return offers, nil
}

// clean keeps what is safe to hand to a shell: URIs that need no quotes, once
// each, and docs of one line.
func clean(offers []offer) []offer {
	var kept []offer
	seen := map[string]bool{}
	for _, o := range offers {
		if !seen[o.uri] && plain(o.uri) {
			seen[o.uri] = true
			kept = append(kept, offer{o.uri, oneLine(o.doc)})
		}
	}
	return kept
}

// plain reports whether uri is one, and means the same to every shell bare.
func plain(uri string) bool {
	return wire.CheckURI(uri) == nil && uri[0] != '-' && !strings.ContainsFunc(uri, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r)
	})
}

// oneLine is the beginning of t, without what a terminal may not show.
func oneLine(t string) string {
	t = strings.ToValidUTF8(t[:min(len(t), 4*maxDoc)], "")
	words := strings.FieldsFunc(t, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	runes := []rune(strings.Join(words, " "))
	if len(runes) > maxDoc {
		runes = append(runes[:maxDoc-1], '…')
	}
	return string(runes)
}

// matching are the offers that typed begins, written the way it is: short
// where it begins with a dot.
func matching(offers []offer, typed string) []string {
	var list []string
	for _, o := range offers {
		uri := o.uri
		if strings.HasPrefix(typed, ".") {
			rest, ours := strings.CutPrefix(uri, wire.Namespace)
			if !ours {
				continue
			}
			uri = "." + rest
		}
		if strings.HasPrefix(uri, typed) && len(list) < maxOffers {
			list = append(list, uri+"\t"+o.doc)
		}
	}
	return list
}
