package router

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// websocketPath is where HTTP becomes WAMP.
const websocketPath = "/ws"

// upgrade lets net/http answer the one request of a visitor, and returns the
// connection if that has made a websocket of it.
func (r *Router) upgrade(v *visitor, lim transport.Limits, guard transport.Guard) (*transport.Conn, error) {
	page := &page{router: r, visitor: v, limits: lim, guard: guard, err: errors.New("HTTP, and no websocket")}
	r.answer(page, page)
	return page.conn, page.err
}

// redirect has a browser come back by TLS.
func (r *Router) redirect(v *visitor) error {
	page := &page{router: r, visitor: v}
	r.answer(page, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "https://"+req.Host+req.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	return errors.New("HTTP from another machine, which belongs in TLS")
}

// answer has handler answer one request of the visitor of page.
func (r *Router) answer(page *page, handler http.Handler) {
	v := page.visitor
	v.speaks(v.refuseHTTP)
	page.head.Conn, page.head.over = v.stream, func() { v.sendAway(r.door.overBytes()) }
	page.head.left.Store(int64(r.opts.Door.Bytes))
	over := make(chan struct{})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: r.opts.Door.Deadline + time.Second, // the door is first, and says why
		MaxHeaderBytes:    2 * r.opts.Door.Bytes,              // as above
		Protocols:         &http.Protocols{},
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateHijacked:
				page.over = sync.OnceFunc(func() { close(over) })
			case http.StateClosed:
				close(over)
			}
		},
	}
	server.Protocols.SetHTTP1(true)
	server.SetKeepAlivesEnabled(false)
	_ = server.Serve(&oneShot{Conn: &page.head})
	<-over
}

// oneShot is a listener on which one connection has arrived.
type oneShot struct {
	net.Conn
	taken bool
}

func (o *oneShot) Accept() (net.Conn, error) {
	if o.taken {
		return nil, io.EOF
	}
	o.taken = true
	return o.Conn, nil
}

func (o *oneShot) Close() error   { return nil }
func (o *oneShot) Addr() net.Addr { return o.LocalAddr() }

// head is a connection of which so much may be read until the head of a request
// is complete.
type head struct {
	net.Conn
	left atomic.Int64
	over func() // says no
}

func (h *head) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if h.left.Add(int64(-n)) < 0 {
		h.over()
		return 0, net.ErrClosed
	}
	return n, err
}

// refuseHTTP answers before the request is complete.
func (v *visitor) refuseHTTP(why *wire.Error) {
	code, text := http.StatusServiceUnavailable, why.Message()+"\n"
	if why.Limit() == transport.LimitGreeting {
		code = http.StatusRequestHeaderFieldsTooLarge
	}
	_ = v.stream.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(v.stream, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", code, http.StatusText(code), len(text), text)
	_ = v.nc.Close()
}

// page answers the request of one visitor.
type page struct {
	router  *Router
	visitor *visitor
	limits  transport.Limits // of a websocket
	guard   transport.Guard
	head    head
	over    func() // once the connection is not net/http's any more
	conn    *transport.Conn
	err     error
}

func (p *page) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.head.left.Store(math.MaxInt64)
	p.visitor.speaks(func(*wire.Error) { _ = p.visitor.nc.Close() }) // its answer has begun
	defer func() {
		if p.over != nil {
			p.over()
		}
	}()
	if code, why := p.judge(req); why != nil {
		p.err = fmt.Errorf("%s %s is refused: %w", req.Method, req.URL.Path, why)
		http.Error(w, why.Error(), code)
		return
	}
	p.conn, p.err = transport.AcceptWebsocket(plain{w, p.visitor.stream}, req, p.limits, p.guard)
}

// plain hands over the socket itself, which is read and written without waiting.
type plain struct {
	http.ResponseWriter
	socket net.Conn
}

func (p plain) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	_, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
	return p.socket, rw, err
}

// judge says in a sentence what is wrong with a request, if anything is.
func (p *page) judge(req *http.Request) (code int, why error) {
	switch origins := req.Header.Values("Origin"); {
	case p.visitor.barred != nil:
		return http.StatusServiceUnavailable, p.visitor.barred
	case !ownHost(req.Host, p.visitor.nc.LocalAddr()):
		return http.StatusForbidden, errors.New("this is not the Host of this machine's address, with the port")
	case len(origins) > 1 || len(origins) == 1 && !p.allowed(origins[0], req.Host):
		return http.StatusForbidden, errors.New("pages of this Origin may not use this daemon")
	case req.URL.Path != websocketPath:
		return http.StatusNotFound, errors.New("there is nothing here but a websocket at " + websocketPath)
	}
	return 0, nil
}

// allowed reports whether pages of origin may connect: our own, and those of
// Options.Origins.
func (p *page) allowed(origin, host string) bool {
	scheme := "http://"
	if p.visitor.overTLS() {
		scheme = "https://"
	}
	return origin == scheme+host || slices.Contains(p.router.opts.Origins, origin)
}

// ownHost reports whether a Host header is one that leads to this machine alone:
// a page whose name was pointed at its address (DNS rebinding) sends that name.
func ownHost(header string, at net.Addr) bool {
	tcp, _ := at.(*net.TCPAddr)
	host, port, err := net.SplitHostPort(header)
	if err != nil || tcp == nil || port != strconv.Itoa(tcp.Port) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && (ip.IsLoopback() || ip.Unmap() == addrOf(at))
}
