//go:build netns

package net

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskconn/dconn/router/pairing"
)

func init() {
	roles["relay"] = relay
	roles["cutter"] = cutter
	roles["holders"] = holders
	roles["guesser"] = guesser
}

// certificate is a new one of a stranger's.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// listen accepts connections on all addresses, and says so.
func listen(port string, serve func(net.Conn)) error {
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		go serve(nc)
	}
}

// pipe copies both ways until both are over.
func pipe(a, b net.Conn) {
	done := make(chan bool, 2)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			done <- true
		}()
	}
	<-done
	<-done
}

// relay TO ends TLS on both sides, with a key of its own, and hands on all that
// is inside.
func relay(args []string) error {
	own, err := certificate()
	if err != nil {
		return err
	}
	config := func(protocol string) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{own}, NextProtos: []string{protocol}, InsecureSkipVerify: true,
			ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13,
		}
	}
	return listen("5020", func(nc net.Conn) {
		victim := tls.Server(nc, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			return config(h.SupportedProtos[0]), nil
		}})
		if victim.Handshake() != nil {
			return
		}
		protocol := victim.ConnectionState().NegotiatedProtocol
		target, err := tls.Dial("tcp", args[0], config(protocol))
		if err != nil {
			return
		}
		fmt.Println("relayed", protocol)
		pipe(victim, target)
	})
}

// cutter TO N hands on the bytes of connections as they are, but cuts the first
// one in the middle of its N-th chunk, counted over both directions.
func cutter(args []string) error {
	cutAt, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var connections, chunks atomic.Int64
	return listen("5020", func(nc net.Conn) {
		first := connections.Add(1) == 1
		target, err := net.Dial("tcp", args[0])
		if err != nil {
			_ = nc.Close()
			return
		}
		if !first {
			pipe(nc, target)
			return
		}
		cut := func() { _, _ = nc.Close(), target.Close() }
		for _, way := range [][2]net.Conn{{nc, target}, {target, nc}} {
			go func() {
				defer cut()
				buf := make([]byte, 16<<10)
				for {
					n, err := way[1].Read(buf)
					if err != nil {
						return
					}
					if int(chunks.Add(1)) == cutAt {
						_, _ = way[0].Write(buf[:n/2])
						fmt.Println("cut")
						return
					}
					if _, err := way[0].Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	})
}

// holders TO N FROM... holds N connections to TO from each address, and makes new
// ones for those that are ended.
func holders(args []string) error {
	each, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var made atomic.Int64
	for _, from := range args[2:] {
		for range each {
			go func() {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Second}
				for {
					nc, err := dialer.Dial("tcp", args[0])
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						continue
					}
					if made.Add(1) == int64(each*len(args[2:])) {
						fmt.Println("ready")
					}
					_, _ = io.WriteString(nc, "\x16\x03\x01") // the beginning of a handshake
					_, _ = io.Copy(io.Discard, nc)
					_ = nc.Close()
				}
			}()
		}
	}
	select {}
}

// guesser TO SECONDS tries pairing codes as fast as it can, over and over, and says
// how many exchanges came to an end.
func guesser(args []string) error {
	seconds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	own, err := certificate()
	if err != nil {
		return err
	}
	id, err := idOf(own)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	var refused, closed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				switch err := guess(ctx, args[0], own, id); {
				case errors.Is(err, pairing.ErrRefused):
					refused.Add(1)
				case errors.Is(err, pairing.ErrClosed):
					closed.Add(1)
				case err == nil:
					fmt.Println("paired")
					return
				}
			}
		})
	}
	all.Wait()
	fmt.Println("refused", refused.Load(), "closed", closed.Load())
	return nil
}

func idOf(c tls.Certificate) (pairing.ID, error) {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return pairing.ID{}, err
	}
	return sha256.Sum256(leaf.RawSubjectPublicKeyInfo), nil
}

// guess is one exchange, with a code that is a guess.
func guess(ctx context.Context, to string, own tls.Certificate, id pairing.ID) error {
	dialer := tls.Dialer{Config: &tls.Config{
		Certificates: []tls.Certificate{own}, NextProtos: []string{pairing.Protocol}, InsecureSkipVerify: true,
	}}
	nc, err := dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	c, err := pairing.NewChannel(nc.(*tls.Conn), id)
	if err != nil {
		return err
	}
	secret, err := pairing.ParseSecret(fmt.Sprintf("%08d", mathrand.IntN(1e8)))
	if err != nil {
		return err
	}
	_, err = pairing.Join(ctx, c, secret, pairing.Introduction{Name: "guesser"})
	return err
}
