package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// target is the router a command talks to, and for how long.
type target struct {
	socket string
	wait   seconds
}

func (t *target) addFlags(f *pflag.FlagSet, wait time.Duration, meaning string) {
	f.StringVar(&t.socket, "socket", "", "unix socket of the daemon (default: $XDG_RUNTIME_DIR/dconn/dconn.sock, else "+client.SystemSocket+")")
	t.wait = seconds(wait)
	f.VarP(&t.wait, "wait", "W", meaning)
}

// dial joins the router.
func (t *target) dial(ctx context.Context) (*session.Session, error) {
	path := t.socket
	if path == "" {
		path = client.FindSocket()
	}
	return client.Dial(ctx, path, "dconn/"+version)
}

// join joins the router for as long as use runs, within -W.
func (t *target) join(ctx context.Context, use func(context.Context, *session.Session) error) error {
	ctx, cancel := within(ctx, time.Duration(t.wait))
	defer cancel()
	s, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	return use(ctx, s)
}

// leave ends s; what it sent before still arrives.
func leave(s *session.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.Leave(ctx)
}

// uriOf expands and checks the URI a command is about.
func uriOf(cmd *cobra.Command, word string) (string, error) {
	uri := wire.Expand(word)
	if err := wire.CheckURI(uri); err != nil {
		return "", usage("%v", err)
	}
	about(cmd, uri)
	return uri, nil
}

// seconds is a duration flag: 10s, 1m30s, or a bare number of seconds. 0 is
// no limit.
type seconds time.Duration

func (d *seconds) String() string { return time.Duration(*d).String() }
func (d *seconds) Type() string   { return "DURATION" }
func (d *seconds) Set(text string) error {
	v, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseFloat(text, 64); numErr == nil && n <= 1e9 {
		v, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return fmt.Errorf("must be a duration like 10s or 1m30s, or a number of seconds")
	}
	*d = seconds(v)
	return nil
}
