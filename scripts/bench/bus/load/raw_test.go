package load

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

func TestRaw(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	socket := filepath.Join(t.TempDir(), "s")
	ended := make(chan error)
	go func() { ended <- Echo(ctx, "unix", socket) }()
	if err := rig.Accepts(ctx, "unix", socket); err != nil {
		t.Fatal(err)
	}
	got, err := Run(ctx, Job{
		Kind: RPC, Protocol: Raw, Network: "unix", Address: socket, Router: os.Getpid(),
		Callers: 1, Window: 1, Procedure: "any", For: 20 * time.Millisecond,
	})
	if err != nil || got.Done == 0 || got.Done != got.Sent {
		t.Errorf("Run = %+v, %v, expected round trips", got, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Echo = %v", err)
	}
}

// A procedure of the router must answer something, always of the same length.
func TestProcedure(t *testing.T) {
	for name, c := range map[string]struct {
		answers []func(context.Context) (int, error)
		want    string
	}{
		"answered": {[]func(context.Context) (int, error){answered(5, nil)}, ""},
		"empty":    {[]func(context.Context) (int, error){answered(0, nil)}, "p: the answer is empty"},
		"refused":  {[]func(context.Context) (int, error){answered(0, ErrRefused)}, "p: refused"},
	} {
		r, err := Job{Procedure: "p"}.rpc(context.Background(), []Conn{&scripted{answers: c.answers}})
		switch {
		case c.want == "" && (err != nil || r.answer != 5 || r.payload != nil):
			t.Errorf("%s: %+v, %v, expected an answer of 5 bytes and no payload", name, r, err)
		case c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%s: %v, expected %s", name, err, c.want)
		}
	}
	if got := (Job{Procedure: "p"}).called(3); got != "p" {
		t.Errorf("called = %s, expected p", got)
	}
}
