package commands

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/wire"
)

// identify takes the identity of this machine and the devices that it knows, if it
// serves any.
func (o *serveOptions) identify(options *router.Options) error {
	if !slices.ContainsFunc(o.tcp, func(address string) bool { return address != noListen }) {
		return nil
	}
	home, err := openHome(o.state)
	if err != nil {
		f := explain(err, "")
		return own("%s", f.Message).hint("%s", cmp.Or(f.Hint, "dconn serve --state PATH, or --listen none to serve this machine only"))
	}
	certificate := home.Identity.Certificate()
	options.Certificate, options.Trust = &certificate, home.Store
	return nil
}

// listen opens what is asked for; a unix socket comes first.
func (o *serveOptions) listen() ([]net.Listener, error) {
	listeners, err := o.listenUnix()
	if err != nil {
		return nil, err
	}
	for _, address := range o.tcp {
		if address == noListen {
			continue
		}
		ln, err := o.listenTCP(address)
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// listenTCP takes the port that is asked for, or else the default one or one of the
// next.
func (o *serveOptions) listenTCP(address string) (net.Listener, error) {
	next := 0
	if slices.Equal(o.tcp, defaultListen) {
		next = nextPorts
	}
	ln, err := router.ListenTCP(address, next)
	if next > 0 && errors.Is(err, syscall.EADDRINUSE) {
		ln, err = router.ListenTCP(":0", 0)
	}
	if _, refused := errors.AsType[*router.AddressError](err); refused {
		return nil, usage("--listen: %v", err).hint("dconn serve --listen :%d", wire.Port)
	}
	if err != nil {
		return nil, own("--listen %s: %v", address, err).hint("a port that is free is found by: dconn serve --listen :0")
	}
	return ln, nil
}

// listenUnix takes the sockets that systemd hands over, else opens its own.
func (o *serveOptions) listenUnix() ([]net.Listener, error) {
	handed, err := activation.Listeners()
	if err != nil {
		return nil, own("socket activation: %v", err)
	}
	handed = slices.DeleteFunc(handed, func(ln net.Listener) bool { return ln == nil })
	for _, ln := range handed {
		if ln.Addr().Network() != "unix" {
			closeAll(handed)
			return nil, own("socket activation: a %s socket was handed over, expected a unix socket", ln.Addr().Network())
		}
	}
	if len(handed) > 0 {
		return handed, nil
	}
	path := o.socket
	if path == "" {
		path = client.DefaultSocket()
	}
	ln, err := router.ListenUnix(path)
	if _, held := errors.AsType[*router.HeldError](err); held {
		return nil, err
	}
	if err != nil {
		return nil, own("cannot serve %s: %v", path, err).hint("dconn serve --socket PATH")
	}
	return []net.Listener{ln}, nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close()
	}
}
