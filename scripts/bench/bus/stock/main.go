// Command stock is nexus as it comes: its router behind its own rawsocket
// listener, with the queues it has by default. It says nothing, not even which
// events it drops, because that would cost it time. nexus's own listeners are
// used here only as the peer we measure ourselves against.
//
//	stock NETWORK ADDRESS
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stock:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: stock NETWORK ADDRESS")
	}
	r, err := router.NewRouter(&router.Config{RealmConfigs: []*router.RealmConfig{{
		URI:            wire.Realm,
		AllowDisclose:  true, // our callees ask who calls
		Authenticators: []auth.Authenticator{anybody{}},
	}}}, log.New(io.Discard, "", 0))
	if err != nil {
		return err
	}
	closer, err := router.NewRawSocketServer(r).ListenAndServe(args[0], args[1])
	if err != nil {
		return err
	}
	over := make(chan os.Signal, 1)
	signal.Notify(over, os.Interrupt, syscall.SIGTERM)
	<-over
	return closer.Close() // and not the router, which would wait for its peers
}

// anybody lets everybody in who would say nothing to a dconn either.
type anybody struct{}

func (anybody) AuthMethod() string { return wire.AuthPeerCred }

func (anybody) Authenticate(sid wamp.ID, _ wamp.Dict, _ wamp.Peer) (*wamp.Welcome, error) {
	return &wamp.Welcome{Details: wamp.Dict{
		"authid": fmt.Sprint(sid), "authrole": "anybody", "authprovider": "static", "authmethod": wire.AuthPeerCred,
	}}, nil
}
