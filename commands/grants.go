package commands

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

func (o *devicesOptions) grant(store *trust.Store, cmd *cobra.Command, words []string) error {
	expires := cmd.Flags().Changed("expires")
	if len(words) == 1 && !expires {
		return usage("a SCOPE is missing").hint("%s", cmd.UseLine())
	}
	scopes, err := scopesFrom("SCOPE", words[1:], func(wrong, right string) string {
		return "dconn devices grant " + capabilities.ShellWord(words[0]) + " " + strings.Join(replaced(words[1:], wrong, right), " ")
	})
	if err != nil {
		return err
	}
	return o.change(store, words[0], "granted", func(_ *trust.Devices, d *trust.Device) (trust.Scopes, error) {
		for _, s := range scopes {
			add(&d.Scopes, s)
			if d.Pending != nil { // or it would be taken back by what is to be confirmed
				add(&d.Pending.Scopes, s)
			}
		}
		if expires {
			d.Expires = o.expires
		}
		if expires && d.Pending != nil {
			d.Pending.Expires = o.expires
		}
		return scopes, nil
	})
}

// deny takes scopes as they are written in the store: those of an older version
// too, which cannot be granted any more.
func (o *devicesOptions) deny(store *trust.Store, _ *cobra.Command, words []string) error {
	return o.change(store, words[0], "denied_scope", func(_ *trust.Devices, d *trust.Device) (trust.Scopes, error) {
		var gone trust.Scopes
		for _, word := range words[1:] {
			s := asStored(word)
			had := remove(&d.Scopes, s)
			if d.Pending != nil {
				had = remove(&d.Pending.Scopes, s) || had
			}
			if !had {
				return nil, notGranted(d, s)
			}
			gone = append(gone, s)
		}
		return gone, nil
	})
}

// asStored is a scope as the store has it, whether or not it could be granted.
func asStored(text string) trust.Scope {
	action, uri, hasURI := strings.Cut(text, ":")
	if !hasURI {
		return trust.Scope(text)
	}
	return trust.Scope(action + ":" + wire.Expand(uri))
}

// notGranted is why s cannot be taken from a device: it is no scope, or the device
// does not have it.
func notGranted(d *trust.Device, s trust.Scope) error {
	if _, err := scopesFrom("SCOPE", []string{string(s)}, nil); err != nil {
		return err
	}
	return usage("%s was not granted %s: it has %s", d.Name, s, cmp.Or(strings.Join(scopeWords(d.Scopes), ", "), "nothing")).hint("dconn devices show %s", d.ID.Short())
}

func add(scopes *trust.Scopes, s trust.Scope) {
	if !slices.Contains(*scopes, s) {
		*scopes = append(*scopes, s)
	}
}

// remove reports whether s was among the scopes.
func remove(scopes *trust.Scopes, s trust.Scope) bool {
	before := len(*scopes)
	*scopes = slices.DeleteFunc(*scopes, func(o trust.Scope) bool { return o == s })
	return len(*scopes) < before
}

func (o *devicesOptions) revoke(store *trust.Store, _ *cobra.Command, words []string) error {
	for _, who := range words {
		err := o.change(store, who, "revoked", func(list *trust.Devices, d *trust.Device) (trust.Scopes, error) {
			list.Remove(d.ID)
			return nil, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scopesFrom checks the scopes that somebody named. The name of a capability that
// does not exist is a slip. instead is the command line with one word replaced, nil
// if there is none to paste.
func scopesFrom(what string, words []string, instead func(wrong, right string) string) ([]trust.Scope, error) {
	var names []string
	for _, c := range all.New(capabilities.Env{Root: "/", Log: slog.New(slog.DiscardHandler)}) {
		names = append(names, c.Name)
	}
	var scopes []trust.Scope
	for _, word := range words {
		scope, err := trust.ParseScope(word)
		if err != nil {
			f := usage("%s: %v", what, err)
			wrong, _ := errors.AsType[*trust.ScopeError](err)
			if instead != nil && wrong != nil && slices.Contains(names, string(wrong.Instead)) {
				return nil, f.hint("%s", instead(word, string(wrong.Instead)))
			}
			return nil, f.hint("capabilities are %s; actions look like call:org.example", strings.Join(names, ", "))
		}
		if name := scope.Capability(); name != "" {
			if f, _ := offered(what, []string{name}, names).(*failure); f != nil {
				return nil, f.hint("what there is: %s; actions look like call:org.example", strings.Join(names, ", "))
			}
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// replaced are words, for a shell, with another for each that is wrong, once.
func replaced(words []string, wrong, right string) (list []string) {
	for _, w := range words {
		if w == wrong {
			w = right
		}
		if w = capabilities.ShellWord(w); !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}
