package commands

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// explainDevice is the failure of what has to do with other machines, nil if err
// has not.
func explainDevice(err error) *failure {
	if e, ok := errors.AsType[*client.UnknownDeviceError](err); ok {
		f := &failure{Code: exitNotFound, Message: e.Error()}
		if near := nearest(e.Text, e.Names); near != "" {
			return f.hint("did you mean: %s", capabilities.ShellWord(near))
		}
		return f.hint("dconn devices lists them; a new one: dconn pair HOST")
	}
	if e, ok := errors.AsType[*client.AmbiguousError](err); ok {
		if _, isAddress := client.ParseAddress(e.Text); isAddress {
			return usage("%v", e).hint("-d NAME; or say whose address it is: dconn devices set-address NAME %s", capabilities.ShellWord(e.Text))
		}
		return usage("%v", e).hint("give more of the id, or a name")
	}
	if e, ok := errors.AsType[*client.NotPairedError](err); ok {
		return (&failure{Code: exitAuth, Message: e.Error()}).hint("dconn pair %s", capabilities.ShellWord(e.Address))
	}
	if e, ok := errors.AsType[*client.IdentityError](err); ok {
		return (&failure{Code: exitIdentity, Message: e.Error()}).hint("if it was set up anew: dconn devices revoke %s && dconn pair %s", e.Want.Short(), capabilities.ShellWord(e.Address))
	}
	if e, ok := errors.AsType[*trust.LooseError](err); ok {
		return own("%v", e).hint("%s", e.Fix)
	}
	switch {
	case errors.Is(err, client.ErrUnconfirmed):
		return (&failure{Code: exitUnreachable, Message: err.Error()}).hint("when it can be reached again: dconn wait -d DEVICE, or pair again")
	case errors.Is(err, pairing.ErrClosed):
		return (&failure{Code: exitUnreachable, Message: err.Error()}).hint("on that machine: dconn pair")
	case errors.Is(err, pairing.ErrRefused), errors.Is(err, pairing.ErrIdentity):
		return (&failure{Code: exitIdentity, Message: err.Error()}).hint("try again with the code that is shown there now")
	}
	return nil
}

// hintDevice says what helps where a device refuses this machine, or what it wants.
func hintDevice(cmd *cobra.Command, f *failure) {
	device := cmd.Flags().Lookup("device")
	if device == nil || device.Value.String() == "" || f.WAMP == nil {
		return
	}
	switch f.Code {
	case exitAuth:
		f.Hint = "dconn pair " + capabilities.ShellWord(device.Value.String())
	case exitDenied:
		scope := scopeWanted(cmd)
		home, err := openHome(cmd.Flags().Lookup("state").Value.String())
		if err != nil || scope == "" {
			return
		}
		f.Hint = "on that machine: dconn devices grant " + home.Identity.ID().Short() + " " + capabilities.ShellWord(string(scope))
	}
}

// scopeWanted is what a command line needs where it was refused, "" if no scope
// would help.
func scopeWanted(cmd *cobra.Command) trust.Scope {
	action := trust.Call
	for _, a := range []trust.Action{trust.Publish, trust.Subscribe, trust.Register} {
		if cmd.Name() == string(a) {
			action = a
		}
	}
	return trust.ScopeFor(action, wire.Expand(cmd.Annotations[subjectKey]))
}
