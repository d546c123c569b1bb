package commands

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/trust"
)

type devicesOptions struct {
	*streams

	output
	state   string
	expires time.Time
	clear   bool
}

func newDevices(s *streams) *cobra.Command {
	o := &devicesOptions{streams: s}
	cmd := o.command(&cobra.Command{
		Use:   "devices [flags] [ls|show|rename|grant|deny|revoke|set-address]",
		Short: "list the paired devices, and say what each may do here",
		Long:  aboutDevices(),
		Example: lines("  dconn devices", "  dconn devices grant phone brightness call:org.example.lamp",
			"  dconn devices grant --expires 7d guest system", "  dconn devices revoke phone"),
		Args: known,
	}, func(store *trust.Store, _ *cobra.Command, _ []string) error { return o.ls(store) })
	cmd.AddCommand(
		o.command(&cobra.Command{
			Use: "ls [flags]", Short: "list them", Example: "  dconn devices ls -o json | jq -r '.[].name'", Args: atMost(0),
		}, func(store *trust.Store, _ *cobra.Command, _ []string) error { return o.ls(store) }),
		o.command(&cobra.Command{
			Use: "show [flags] DEVICE", Short: "show all that is known of one", Example: "  dconn devices show pi",
			Args: exactly(1, "a DEVICE"),
		}, o.show),
		o.command(&cobra.Command{
			Use: "rename [flags] DEVICE NAME", Short: "call one by another name", Example: "  dconn devices rename phone attic-phone",
			Args: exactly(2, "DEVICE or NAME"),
		}, o.rename),
		o.command(&cobra.Command{
			Use: "grant [flags] DEVICE SCOPE...", Short: "allow it more",
			Long: lines("Allow a device more than it may do already. --expires is for the device as a whole:",
				"then it is as if it were not paired."),
			Example: "  dconn devices grant laptop gpio", Args: atLeast(1, "a DEVICE"),
		}, o.grant),
		o.command(&cobra.Command{
			Use: "deny [flags] DEVICE SCOPE...", Short: "take from it what it was granted",
			Example: "  dconn devices deny laptop gpio", Args: atLeast(2, "a DEVICE or a SCOPE"),
		}, o.deny),
		o.command(&cobra.Command{
			Use: "revoke [flags] DEVICE...", Short: "forget it: it is not paired any more",
			Example: "  dconn devices revoke old-phone", Args: atLeast(1, "a DEVICE"),
		}, o.revoke),
		o.command(&cobra.Command{
			Use: "set-address [flags] DEVICE [HOST[:PORT]]", Short: "say where one is",
			Long: lines("Say where a device is, by a name or an address, for a network where it is not found",
				"by itself. That is where it is tried first; where it was reached before, and the local",
				"network, come after. --clear forgets it."),
			Example: "  dconn devices set-address pi pi.example.org:5020\n  dconn devices set-address --clear pi", Args: atLeast(1, "a DEVICE"),
		}, o.setAddress),
	)
	return cmd
}

func aboutDevices() string {
	return lines("List the devices that this machine is paired with, and what each may do here. A",
		"DEVICE is named by its name or the beginning of its id.",
		"",
		"A SCOPE is the name of a capability, which allows its calls and its events, or an",
		"action with a URI, below which all is meant: call:org.example, subscribe:org.example,",
		"register:org.example, publish:org.example. That URI has two parts at least and is",
		"none of org.deskconn.*, which is granted by capability name only. What is taken away",
		"ends at once: the sessions of the device too.",
		"",
		"An older dconn granted call:org and call:org.deskconn as well. Such a scope reaches",
		"brightness and system, and nothing else of org.deskconn.*. The table and may in JSON",
		"say what a device is allowed, scopes in JSON what was granted; dconn doctor has the",
		"line that replaces such scopes.")
}

// exactly checks the number of words; what names them.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := atLeast(n, what)(cmd, args); err != nil {
			return err
		}
		return atMost(n)(cmd, args)
	}
}

// command completes one of the commands, which works on the store.
func (o *devicesOptions) command(cmd *cobra.Command, do func(*trust.Store, *cobra.Command, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		if err := o.check(cmd.Flags()); err != nil {
			return err
		}
		dir, err := stateDir(o.state)
		if err != nil {
			return err
		}
		store, err := trust.OpenStore(dir)
		if err != nil {
			return err
		}
		return do(store, cmd, words)
	}
	f := cmd.Flags()
	switch cmd.Name() {
	case "devices", "ls", "show":
		o.output.addFlags(o.streams, f, "table", "json", "ndjson", "template")
	case "grant":
		f.Var(expiry{&o.expires}, "expires", "when the device is not paired any more: 2h, 30d, 2030-12-31, never")
		onlyOnCommandLine(f, "expires")
	case "set-address":
		f.BoolVar(&o.clear, "clear", false, "forget what was said")
		onlyOnCommandLine(f, "clear")
	}
	addState(f, &o.state)
	return cmd
}

func (o *devicesOptions) ls(store *trust.Store) error {
	list, err := store.Devices()
	if err != nil {
		return err
	}
	rows := make([]map[string]any, len(list))
	for i, d := range list {
		rows[i] = deviceRow(d)
		if o.format == "table" {
			rows[i]["id"] = d.ID.Short()
			rows[i]["may"] = strings.Join(scopeWords(d.Scopes.InForce()), " ")
			rows[i]["address"] = cmp.Or(append(d.Candidates(), "")[0], fromText(d))
		}
	}
	return o.list([]string{"name", "id", "state", "may", "address", "expires"}, rows)
}

// deviceRow is a device as a document.
func deviceRow(d *trust.Device) map[string]any {
	row := map[string]any{
		"name": d.Name, "id": d.ID.String(), "scopes": anyOf(d.Scopes), "state": deviceState(d),
		"paired": timeText(d.Paired), "expires": timeText(d.Expires), "from": fromText(d), "addresses": anyOf(d.Address),
		"claimed": anyOf(d.Claimed), "fixed_address": d.Fixed, "may": anyOf(d.Scopes.InForce()),
	}
	return row
}

func deviceState(d *trust.Device) string {
	switch now := time.Now(); {
	case d.Expired(now):
		return "expired"
	case !d.Known(now):
		return "unconfirmed"
	case d.Paired.IsZero():
		return "pending"
	}
	return "paired"
}

func fromText(d *trust.Device) string {
	if !d.From.IsValid() {
		return ""
	}
	return d.From.String()
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.RFC3339)
}

func scopeWords(scopes trust.Scopes) []string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return words
}

func (o *devicesOptions) show(store *trust.Store, _ *cobra.Command, words []string) error {
	list, err := store.Devices()
	if err != nil {
		return err
	}
	d, err := client.FindDevice(list, words[0])
	if err != nil {
		return err
	}
	row := deviceRow(d)
	if o.format != "table" || len(o.fields) > 0 {
		return o.record(row)
	}
	switch {
	case len(d.Scopes.Old()) == 0:
		row["may"] = "" // the scopes say it
	case len(d.Scopes.InForce()) == 0:
		row["may"] = "nothing"
	}
	var b strings.Builder
	for _, key := range []string{"name", "id", "state", "scopes", "may", "paired", "expires", "from", "fixed_address", "addresses", "claimed"} {
		text, err := plainText(row[key])
		if list, isList := row[key].([]any); isList {
			parts := make([]string, len(list))
			for i, v := range list {
				parts[i], err = plainText(v)
			}
			text = strings.Join(parts, " ")
		}
		if err != nil {
			return err
		}
		if text != "" {
			label := strings.TrimSuffix(key, "_address")
			b.WriteString(label + strings.Repeat(" ", 11-len(label)) + oneRow(text) + "\n")
		}
	}
	return o.print([]byte(b.String()))
}

// change changes one device and notes it in the audit log.
func (o *devicesOptions) change(store *trust.Store, who, event string, change func(*trust.Devices, *trust.Device) (trust.Scopes, error)) error {
	var entry trust.Entry
	err := store.Change(func(list *trust.Devices) error {
		d, err := client.FindDevice(*list, who)
		if err != nil {
			return err
		}
		scopes, err := change(list, d)
		entry = trust.Entry{Event: event, Device: d.ID.String(), Name: d.Name, Scopes: scopes}
		return err
	})
	if err != nil {
		return err
	}
	return trust.OpenAudit(store.Dir()).Add(entry)
}

func (o *devicesOptions) rename(store *trust.Store, _ *cobra.Command, words []string) error {
	name := pairing.CleanName(words[1])
	if strings.ContainsAny(name, ".:") {
		return usage("a name has no dot and no colon, or it could be an address, got %q", words[1])
	}
	if name != words[1] {
		return usage("a name has 1 to 32 characters that can be seen, got %q", words[1]).hint("dconn devices rename %s %s", capabilities.ShellWord(words[0]), capabilities.ShellWord(name))
	}
	return o.change(store, words[0], "renamed", func(list *trust.Devices, d *trust.Device) (trust.Scopes, error) {
		for _, other := range *list {
			if other != d && strings.EqualFold(other.Name, name) {
				return nil, usage("%s is the name of another device already, %s", name, other.ID.Short())
			}
		}
		d.Name = name
		return nil, nil
	})
}

func (o *devicesOptions) setAddress(store *trust.Store, cmd *cobra.Command, words []string) error {
	if len(words) > 2 || o.clear == (len(words) == 2) {
		return usage("either HOST[:PORT] or --clear").hint("%s", cmd.UseLine())
	}
	address := ""
	if !o.clear {
		if address, _ = client.ParseAddress(words[1]); address == "" {
			return usage("not a HOST[:PORT]: %q", words[1]).hint("dconn devices set-address %s 192.168.1.20", capabilities.ShellWord(words[0]))
		}
	}
	return o.change(store, words[0], "set_address", func(list *trust.Devices, d *trust.Device) (trust.Scopes, error) {
		d.Fixed = address
		if address != "" {
			list.Settle(d, address)
		}
		return nil, nil
	})
}
