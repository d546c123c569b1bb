package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// checkIdentity reads this machine's key, if it has one.
func (o *doctorOptions) checkIdentity(context.Context) capabilities.Finding {
	dir, err := stateDir(o.state)
	if err != nil {
		return absent("%v", err)
	}
	id, err := trust.ReadIdentity(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent("%s has no key yet: dconn serve, pair and id make one", dir)
	case err != nil:
		return brokenState(dir, err)
	}
	return fine("%s in %s", id.ID().Short(), dir)
}

// checkDevices reads whom this machine is paired with.
func (o *doctorOptions) checkDevices(context.Context) capabilities.Finding {
	list, err := knownDevices(o.state)
	switch dir, dirErr := stateDir(o.state); {
	case dirErr != nil:
		return absent("%v", dirErr)
	case err != nil:
		return brokenState(dir, err)
	case len(list) == 0:
		return absent("none is paired")
	}
	expired := 0
	for _, d := range list {
		if d.Expired(time.Now()) {
			expired++
		}
	}
	if expired > 0 {
		return fine("%s, %d of them expired", counted(len(list), "device"), expired)
	}
	return fine("%s", counted(len(list), "device"))
}

// scopeChecks has a check for each device with a scope that could not be granted
// any more: it allows less than it reads, or too much of what is not ours.
func (o *doctorOptions) scopeChecks() (list []check) {
	devices, err := knownDevices(o.state)
	if err != nil {
		return nil // checkDevices says so
	}
	for _, d := range devices {
		if len(d.Scopes.Old()) > 0 {
			list = append(list, check{"scopes", func(context.Context) capabilities.Finding { return o.oldScopes(d) }})
		}
	}
	return list
}

// oldScopes says what the old scopes of a device allow, and how to replace them.
func (o *doctorOptions) oldScopes(d *trust.Device) capabilities.Finding {
	var found, grant, deny, notes []string
	for _, s := range d.Scopes.Old() {
		found = append(found, string(s)+" allows "+reach(s))
		deny = append(deny, capabilities.ShellWord(string(s)))
		for _, name := range s.Names() {
			if !slices.Contains(d.Scopes, name) && !slices.Contains(grant, string(name)) {
				grant = append(grant, string(name))
			}
		}
		if action, uri, _ := strings.Cut(string(s), ":"); slices.Contains(s.InForce(), s) && !wire.Reserved(uri) {
			notes = append(notes, fmt.Sprintf("%s:%s.example", action, uri))
		}
	}
	devices := func(verb string, scopes []string) string {
		words := []string{"dconn devices", verb}
		if o.state != "" {
			words = append(words, "--state", capabilities.ShellWord(o.state))
		}
		return strings.Join(append(append(words, d.ID.Short()), scopes...), " ")
	}
	fix := devices("deny", deny)
	if len(grant) > 0 {
		fix = devices("grant", grant) + " && " + fix
	}
	if len(notes) > 0 {
		fix += " # then grant what it needs of others, as in " + strings.Join(notes, " ")
	}
	return failed(fix, "%s has scopes of an older dconn: %s", d.Name, strings.Join(found, "; "))
}

// reach is what an old scope allows, in words.
func reach(s trust.Scope) string {
	words := scopeWords(s.InForce())
	for i, w := range words {
		if _, uri, _ := strings.Cut(w, ":"); trust.Inside(uri, strings.TrimSuffix(wire.Namespace, "."), "exact") {
			words[i] += " without org.deskconn"
		}
	}
	return cmp.Or(strings.Join(words, ", "), "nothing")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// brokenState is a file of the state that cannot be used. What nobody can read any
// more is put aside, never deleted.
func brokenState(dir string, err error) capabilities.Finding {
	if loose, ok := errors.AsType[*trust.LooseError](err); ok {
		return failed(loose.Fix, "%v", err)
	}
	if newer, ok := errors.AsType[*trust.VersionError](err); ok {
		return failed("# install dconn anew, or put it aside: mv "+capabilities.ShellWord(newer.Path)+" "+capabilities.ShellWord(newer.Path+".newer"), "%v", err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return failed(fmt.Sprintf("sudo chown -R %d %s", os.Geteuid(), capabilities.ShellWord(dir)), "%v", err)
	}
	return failed("mv "+capabilities.ShellWord(dir)+" "+capabilities.ShellWord(dir+".broken")+" # then pair again", "%v", err)
}
