package commands

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
)

// scopeList is a flag with scopes, to which a session limits itself once it is set.
// An empty text sets it too: that is no right at all.
type scopeList struct {
	scopes []string
	set    bool
}

func (l *scopeList) String() string { return strings.Join(l.scopes, ",") }
func (l *scopeList) Type() string   { return "LIST" }

// Set adds the scopes in text, which are separated by commas.
func (l *scopeList) Set(text string) error {
	var list []string
	if text != "" {
		list = strings.Split(text, ",")
	}
	return l.add(list)
}

func (l *scopeList) add(list []string) error {
	for _, one := range list {
		scope, err := trust.ParseScope(one)
		if err != nil {
			return err
		}
		if !slices.Contains(l.scopes, string(scope)) {
			l.scopes = append(l.scopes, string(scope))
		}
	}
	l.set = true
	return nil
}

// Append, Replace and GetSlice make it a pflag.SliceValue: a config file may have a
// list.
func (l *scopeList) Append(one string) error { return l.add([]string{one}) }
func (l *scopeList) GetSlice() []string      { return l.scopes }
func (l *scopeList) Replace(list []string) error {
	*l = scopeList{}
	return l.add(list)
}

// addScopes adds the flag with which a session gives up rights.
func (t *target) addScopes(f *pflag.FlagSet) {
	f.Var(&t.scopes, scopesFlag, "give up all rights but these for this command: `SCOPE,...`, capabilities or actions like call:org.example; '' is no right")
}

const scopesFlag = "scopes"

// options are those of the sessions that join the target.
func (t *target) options() []session.Option {
	if !t.scopes.set {
		return nil
	}
	return []session.Option{session.WithScopes(t.scopes.scopes)}
}

// hintScopes says which scope a session lacked that had given up its rights.
func hintScopes(cmd *cobra.Command, f *failure) {
	flag := cmd.Flags().Lookup(scopesFlag)
	if flag == nil || f.Code != exitDenied || f.WAMP == nil {
		return
	}
	list, isList := flag.Value.(*scopeList)
	wanted := string(scopeWanted(cmd))
	switch {
	case !isList || !list.set || wanted != "" && slices.Contains(list.scopes, wanted):
	case wanted == "":
		f.Hint = "no scope allows that: leave out --scopes"
	default:
		// each of them quoted where a shell needs it
		f.Hint = "--scopes " + strings.Join(replaced(append(slices.Clone(list.scopes), wanted), "", ""), ",")
	}
}

// explainScopes is the failure of a session that would have had more rights than
// --scopes says, nil if err is another.
func explainScopes(err error) *failure {
	e, ok := errors.AsType[*session.NotLoweredError](err)
	if !ok {
		return nil
	}
	f := &failure{Code: exitProtocol, Message: e.Error()}
	return f.hint("update the dconn that serves there, or leave out --scopes")
}
