package commands

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
)

// at is the daemon at a socket.
func at(socket string) *source { return (&source{target: target{socket: socket}}).keyed(socket) }

// A session that listens to many topics makes a TAB neither slow nor long.
func TestManySubscriptions(t *testing.T) {
	socket := filepath.Join(socketDir(t), "sock")
	serve := dconn(t, "serve", "--socket", socket)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait()
	}()
	if out, err := dconn(t, "wait", "--socket", socket).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := client.Dial(ctx, socket, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Leave(ctx)
	for i := range maxLookUps + 20 {
		if err := s.Subscribe(ctx, fmt.Sprintf("org.t.n%d", i), session.Exact, func(*session.Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Subscribe(ctx, "org.t.prefix", session.Prefix, func(*session.Event) {}); err != nil {
		t.Fatal(err)
	}
	offers, err := at(socket).ask(ctx, "topic")
	if err != nil {
		t.Fatal(err)
	}
	if got := matching(offers, "org.t.n"); len(got) != maxLookUps {
		t.Errorf("%d topics, expected %d", len(got), maxLookUps)
	}
	if got := matching(offers, "org.t.prefix"); len(got) != 0 {
		t.Errorf("the pattern of a subscription is offered as a topic: %q", got)
	}
}

// A daemon that takes no more connections is slow, not away.
func TestFullBacklog(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	socket := filepath.Join(socketDir(t), "sock")
	socketTo := func(do func(fd int, at unix.Sockaddr) error) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return do(fd, &unix.SockaddrUnix{Name: socket})
	}
	listen := func(fd int, at unix.Sockaddr) error { return errors.Join(unix.Bind(fd, at), unix.Listen(fd, 0)) }
	if err := socketTo(listen); err != nil {
		t.Fatal(err)
	}
	for socketTo(unix.Connect) == nil {
	}
	want := []offer{{"org.t.a", "a"}}
	remember(socket, "procedure", want)
	if got := at(socket).learn(t.Context(), "procedure"); !slices.Equal(got, want) {
		t.Errorf("learn = %v, want %v", got, want)
	}
}

func TestMatching(t *testing.T) {
	offers := []offer{{"org.deskconn.a.b", "ours"}, {"org.deskconnx.a", "not"}, {"org.deskconn", "nor"}, {"org.t", ""}}
	for typed, want := range map[string]string{
		"":             "org.deskconn.a.b\tours|org.deskconnx.a\tnot|org.deskconn\tnor|org.t\t",
		".":            ".a.b\tours",
		".a":           ".a.b\tours",
		".b":           "",
		"org.deskconn": "org.deskconn.a.b\tours|org.deskconnx.a\tnot|org.deskconn\tnor",
		"a":            "",
	} {
		if got := strings.Join(matching(offers, typed), "|"); got != want {
			t.Errorf("matching %q = %q, want %q", typed, got, want)
		}
	}
	var many []offer
	for i := range maxOffers + 50 {
		many = append(many, offer{uri: fmt.Sprintf("org.t.n%d", i)}, offer{uri: fmt.Sprintf("org.u.n%d", i)})
	}
	if got := matching(many, "org.u."); len(got) != maxOffers {
		t.Errorf("%d offers, expected %d", len(got), maxOffers)
	}
}

// Whatever a daemon or a cache file says becomes one harmless line.
func FuzzClean(f *testing.F) {
	f.Add("org.t.a", "a\tb\nc\x1b[31m\u202e")
	f.Add("org.t.$(id)", strings.Repeat("x", 10000))
	f.Fuzz(func(t *testing.T, uri, doc string) {
		for _, line := range matching(clean([]offer{{uri, doc}}), "") {
			got, about, _ := strings.Cut(line, "\t")
			if got != uri || strings.ContainsAny(got, " \t\n'\"`$;&|<>(){}[]*?!~#\\=%:") || strings.HasPrefix(got, "-") {
				t.Errorf("%q is offered", got)
			}
			if about != visible(about) || strings.ContainsAny(about, "\t\n") || len([]rune(about)) > maxDoc {
				t.Errorf("%q is said about it", about)
			}
		}
	})
}
