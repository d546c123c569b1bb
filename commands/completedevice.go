package commands

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// completesDevice is for a command whose first word is a device, nil for others.
func completesDevice(command string) cobra.CompletionFunc {
	switch command {
	case "ping", "devices show", "devices rename", "devices set-address":
		return firstDevice(nil)
	case "devices grant":
		return firstDevice(scopesToGive)
	case "devices deny":
		return firstDevice(scopesGiven)
	case "devices revoke":
		return firstDevice(moreDevices)
	case "wait":
		return deviceOrURI
	case "pair":
		return openMachines
	}
	return nil
}

// firstDevice completes a command whose first word is a device; then completes those
// that follow, nil is nothing.
func firstDevice(then cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch {
		case configure(cmd) != nil:
			return nil, cobra.ShellCompDirectiveNoFileComp
		case len(words) == 0:
			return deviceWords(cmd, nil, typed), cobra.ShellCompDirectiveNoFileComp
		case then == nil:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return then(cmd, words, typed)
	}
}

// deviceFlag completes the value of --device.
func deviceFlag(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return firstDevice(nil)(cmd, nil, typed)
}

func moreDevices(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	return deviceWords(cmd, words, typed), cobra.ShellCompDirectiveNoFileComp
}

// deviceWords are the paired devices that typed begins: the name, where a shell takes
// it as it is and nobody takes it for an address, else the beginning of the id, which
// is also there for who has begun to type it. given are those that are there already.
func deviceWords(cmd *cobra.Command, given []string, typed string) []string {
	list, err := knownDevices(cmd.Flag("state").Value.String())
	if err != nil {
		return nil
	}
	var offers []string
	for _, d := range list {
		named := plain(d.Name) && !strings.Contains(d.Name, ".")
		short := d.ID.Short()
		switch {
		case slices.Contains(given, d.Name) || slices.Contains(given, short) || len(offers) == maxOffers:
		case named && strings.HasPrefix(d.Name, typed):
			offers = append(offers, d.Name+"\t"+short)
		case (!named || typed != "") && strings.HasPrefix(short, typed):
			offers = append(offers, short+"\t"+oneLine(d.Name))
		}
	}
	return offers
}

// deviceOrURI completes the word of wait.
func deviceOrURI(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	uris, then := firstURI("procedure", cobra.ShellCompDirectiveNoFileComp)(cmd, words, typed)
	if len(words) > 0 || cmd.Flags().Changed("device") || cmd.Flags().Changed("socket") {
		return uris, then
	}
	return append(deviceWords(cmd, nil, typed), uris...), then
}

// openMachines completes the machines with a pairing window open, of which the daemon
// here knows: their names, and their IPv4 addresses, for which no shell needs quotes.
func openMachines(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(words) > 0 || configure(cmd) != nil {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	known, _ := warm(ctx, cmd.Flag("socket").Value.String())
	var offers []string
	offer := func(word, about string) {
		if strings.HasPrefix(word, typed) && len(offers) < maxOffers {
			offers = append(offers, word+"\t"+oneLine(about))
		}
	}
	for _, m := range known {
		if !m.Pairing || m.Port == 0 || len(m.Addresses) == 0 {
			continue
		}
		if plain(m.Name) && !strings.Contains(m.Name, ".") {
			offer(m.Name, "shows a code at "+addressesTo(m)[0])
		}
		for _, a := range m.Addresses {
			switch {
			case a.Is4() && m.Port == wire.Port:
				offer(a.String(), m.Name+" shows a code there")
			case a.Is4():
				offer(netip.AddrPortFrom(a, m.Port).String(), m.Name+" shows a code there")
			}
		}
	}
	slices.Sort(offers)
	return offers, nothing
}

// scopesToGive completes the scopes of grant.
func scopesToGive(_ *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	return scopeOffers("", words[1:], typed)
}

// allowed completes the last scope of --allow.
func allowed(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	given := typed[:strings.LastIndexByte(typed, ',')+1]
	offers, _ := scopeOffers(given, strings.Split(given, ","), typed)
	if word := given + router.DefaultScopes; strings.HasPrefix(word, typed) && !slices.Contains(strings.Split(given, ","), router.DefaultScopes) {
		offers = append(offers, word+"\tevery capability that is not sensitive")
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// scopesToKeep completes the last scope of --scopes.
func scopesToKeep(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	given := typed[:strings.LastIndexByte(typed, ',')+1]
	offers, _ := scopeOffers(given, strings.Split(given, ","), typed)
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// scopeOffers are the scopes that typed begins, behind before: capabilities, and how
// those begin that have a URI. The URI is for the user to type.
func scopeOffers(before string, given []string, typed string) (offers []string, then cobra.ShellCompDirective) {
	then = cobra.ShellCompDirectiveNoFileComp
	open := 0
	for _, c := range all.New(capabilities.Env{Root: "/", Log: slog.New(slog.DiscardHandler)}) {
		if word := before + c.Name; strings.HasPrefix(word, typed) && !slices.Contains(given, c.Name) {
			offers = append(offers, word+"\t"+oneLine(c.Doc))
		}
	}
	for _, a := range []trust.Action{trust.Call, trust.Publish, trust.Subscribe, trust.Register} {
		if word := before + string(a) + ":"; strings.HasPrefix(word, typed) {
			offers = append(offers, word+"\t"+string(a)+" what is below a URI")
			open++
		}
	}
	if open > 0 && open == len(offers) {
		then |= cobra.ShellCompDirectiveNoSpace
	}
	return offers, then
}

// scopesGiven completes the scopes of deny: those that the device has.
func scopesGiven(cmd *cobra.Command, words []string, typed string) (offers []string, then cobra.ShellCompDirective) {
	then = cobra.ShellCompDirectiveNoFileComp
	list, err := knownDevices(cmd.Flag("state").Value.String())
	if err != nil {
		return nil, then
	}
	d, err := client.FindDevice(list, words[0])
	if err != nil {
		return nil, then
	}
	for _, s := range scopeWords(d.Scopes) {
		_, uri, _ := strings.Cut(s, ":")
		if strings.HasPrefix(s, typed) && !slices.Contains(words[1:], s) && (uri == "" || plain(uri)) {
			offers = append(offers, s)
		}
	}
	return offers, then
}
