package router

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/transport/serialize"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// stockRouter is nexus v3.3.0 as it comes, on a unix rawsocket in CBOR. Only its
// listener is the test's: with nexus's own, pattern subscribers share one dict, which
// ends the process (router/broker.go:748), it sends on closed channels
// (router/dealer.go:872, router/router.go:276) and drops what finds its queue full
// (router/broker.go:739).
type stockRouter struct {
	t      testing.TB
	path   string
	router nexus.Router
	peers  sync.WaitGroup
}

// asOurs admits every session with the identity that it would have at our router.
type asOurs struct{ authID, role string }

func (asOurs) AuthMethod() string { return wire.AuthPeerCred }

func (a asOurs) Authenticate(wamp.ID, wamp.Dict, wamp.Peer) (*wamp.Welcome, error) {
	return &wamp.Welcome{Details: wamp.Dict{"authid": a.authID, "authrole": a.role, "authprovider": "dconn"}}, nil
}

func startStock(t testing.TB, identity asOurs) *stockRouter {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	s := &stockRouter{t: t, path: filepath.Join(dir, "s")}
	s.router, err = nexus.NewRouter(&nexus.Config{RealmConfigs: []*nexus.RealmConfig{{
		URI: wire.Realm, AllowDisclose: true, MetaStrict: true,
		Authenticators: []auth.Authenticator{identity}, RequireLocalAuth: true, RequireLocalAuthz: true,
	}}}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.peers.Go(func() { s.attach(nc) })
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-accepted
		s.peers.Wait() // the test has cut every connection
		s.router.Close()
		_ = os.RemoveAll(dir)
	})
	return s
}

// attach shakes hands for CBOR and has nexus serve the connection until it ends.
func (s *stockRouter) attach(nc net.Conn) {
	var hello [4]byte
	if _, err := io.ReadFull(nc, hello[:]); err != nil || hello[1]&0x0f != 3 {
		s.t.Errorf("rawsocket handshake % x: %v", hello, err)
		_ = nc.Close()
		return
	}
	_, _ = nc.Write([]byte{0x7f, 0xf3, 0, 0})
	p := &stockPeer{
		t: s.t, nc: nc, in: make(chan wamp.Message), out: make(chan wamp.Message, 4096), closed: make(chan struct{}),
	}
	s.peers.Go(p.write)
	s.peers.Go(p.read)
	if err := s.router.AttachClient(p, wamp.Dict{"auth": wamp.Dict{}}); err != nil {
		s.t.Errorf("stock router: %v", err)
		p.Close()
	}
}

// stockPeer implements wamp.Peer with a channel that is never closed.
type stockPeer struct {
	t      testing.TB
	nc     net.Conn
	in     chan wamp.Message
	out    chan wamp.Message
	closed chan struct{}
	once   sync.Once
}

func (p *stockPeer) Recv() <-chan wamp.Message { return p.in }
func (p *stockPeer) Send() chan<- wamp.Message { return p.out }
func (p *stockPeer) IsLocal() bool             { return true } // nexus then copies what several sessions get
func (p *stockPeer) Close()                    { p.once.Do(func() { close(p.closed) }) }

func (p *stockPeer) read() {
	defer close(p.in)
	var codec serialize.CBORSerializer
	for {
		var head [4]byte
		if _, err := io.ReadFull(p.nc, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(p.nc, body); err != nil {
			return
		}
		msg, err := codec.Deserialize(body)
		if err != nil {
			p.t.Errorf("stock router reads: %v", err)
			return
		}
		select {
		case p.in <- msg:
		case <-p.closed:
			return
		}
	}
}

// write ends the connection once everything that nexus had sent before Close is
// written.
func (p *stockPeer) write() {
	defer p.nc.Close()
	for {
		select {
		case msg := <-p.out:
			p.put(msg)
			continue
		case <-p.closed:
		}
		for len(p.out) > 0 {
			p.put(<-p.out)
		}
		return
	}
}

func (p *stockPeer) put(msg wamp.Message) {
	var codec serialize.CBORSerializer
	body, err := codec.Serialize(msg)
	if err != nil {
		p.t.Errorf("stock router writes: %v", err)
		return
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, _ = p.nc.Write(append(frame, body...)) // an error: the test has cut the connection
}
