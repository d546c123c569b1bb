// Command power cuts the power of a machine while it changes the trust store,
// again and again, and looks at what is left on its disk: the store is whole,
// and has every change that Store.Change has returned for, and at most the one
// that it was in. scripts/vm/power.sh runs it, and makes what it needs.
//
// The machine is a QEMU, its disk is in this program, with a cache that needs
// power (disk.go). Nothing on it changes between two of the machine's requests,
// so the power is lost at a request: a random one, at once, and SIGKILL ends
// QEMU. What was in the disk's cache is then written or not, sector by sector.
//
// A machine boots once and is saved with its file system mounted; that is where
// ten rounds begin, each with the disk of that moment, since what the guest has
// in memory must be what its disk has. After ten it boots on the disk that the
// last has left, so that the kernel recovers it too and the store goes on.
//
// Before that it shows that it would find a store that is careless. The exit
// status is 1, with a sentence, when the store or one of these proofs fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	perBoot  = 10   // rounds
	requests = 1000 // that a round has at most, about ten for each change
)

// careless are programs and disks that lose something.
var careless = []struct {
	what   string
	writer string
	lies   bool
}{
	{"a store that does not sync its file", "no-file-sync", false},
	{"a store that does not sync its directory", "no-dir-sync", false},
	{"a disk that ignores flushes", "writer", true},
}

// bench is one run.
type bench struct {
	dir, kernel, initrd string
	identity            []byte // as it must stay

	image []byte // the disk of the moment at which the machine was saved
	base  int    // the last change on it
	boots int
	tally tally
}

// tally is what rounds have seen.
type tally struct {
	changes int // that the store vouched for
	more    int // rounds after which the disk had the next one too
	lost    int // sectors that were in the disk's cache
}

func main() {
	var b bench
	flag.StringVar(&b.dir, "dir", "", "a directory to work in")
	flag.StringVar(&b.kernel, "kernel", "", "what QEMU boots")
	flag.StringVar(&b.initrd, "initrd", "", "what the kernel starts from")
	rounds := flag.Int("rounds", 100, "how often the power is lost")
	proofs := flag.Int("proofs", 5, "how often for each of what must be found")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *rounds, *proofs); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // rather than what it broke
		}
		fmt.Printf("not ok - %v\n", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, rounds, proofs int) error {
	begin := time.Now()
	image, err := b.format(ctx)
	if err != nil {
		return err
	}
	if err := b.boot(ctx, image); err != nil {
		return err
	}
	if err := b.prove(ctx, proofs); err != nil {
		return err
	}
	b.tally = tally{}
	for n := range rounds {
		if n > 0 && n%perBoot == 0 {
			if err := b.boot(ctx, image); err != nil {
				return fmt.Errorf("before round %d: %w", n+1, err)
			}
		}
		chance := []float64{0, 1, rand.Float64()}[rand.IntN(3)]
		if image, err = b.round(ctx, "writer", false, chance); err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
	}
	fmt.Printf("ok - %d losses of power lost nothing of %d changes that were vouched for\n", rounds, b.tally.changes)
	fmt.Printf("# %d times the disk had the next change too; its cache lost %d sectors; %d boots, %.0f s\n",
		b.tally.more, b.tally.lost, b.boots, time.Since(begin).Seconds())
	return nil
}

// boot starts a machine on a disk, and saves it where rounds begin.
func (b *bench) boot(ctx context.Context, image []byte) error {
	var err error
	if b.base, err = b.look(ctx, image); err != nil {
		return err
	}
	d := newDisk(image)
	m, err := b.power(ctx, d, false)
	if err != nil {
		return err
	}
	defer m.cancel()
	if err := m.ready(); err != nil {
		return err
	}
	if len(m.said) > 0 {
		return m.wrong("has booted, but it said")
	}
	b.image, b.boots = d.data, b.boots+1
	return m.save()
}

// prove shows that what must be found is found, where a disk's cache loses all.
func (b *bench) prove(ctx context.Context, rounds int) error {
	for _, c := range careless {
		found, example := 0, ""
		for range rounds {
			_, err := b.round(ctx, c.writer, c.lies, 0)
			var f *finding
			switch {
			case errors.As(err, &f):
				found, example = found+1, f.what
			case err != nil:
				return err
			}
		}
		if found == 0 {
			return fmt.Errorf("%s is not found in %d rounds", c.what, rounds)
		}
		fmt.Printf("ok - %s is found, in %d of %d rounds\n# %s\n", c.what, found, rounds, example)
	}
	return nil
}

// round lets the saved machine go on with writer until it loses its power, and
// returns what is left on its disk: of what was in its cache, each sector with
// that chance. What the store has lost is a *finding.
func (b *bench) round(ctx context.Context, writer string, lies bool, chance float64) ([]byte, error) {
	d := newDisk(b.image)
	d.lies = lies
	m, err := b.power(ctx, d, true)
	if err != nil {
		return nil, err
	}
	defer m.cancel()
	if err := m.ready(); err != nil {
		return nil, err
	}
	said, err := m.write(writer, b.base, 1+rand.Int64N(requests))
	if err != nil {
		return nil, err
	}
	image, lost := d.remains(chance)
	has, err := b.look(ctx, image)
	if err != nil {
		return nil, err
	}
	if has < said || has > said+1 {
		return nil, &finding{fmt.Sprintf("the store has change %d, the last that was vouched for is %d", has, said)}
	}
	b.tally.changes += said - b.base
	b.tally.more += has - said
	b.tally.lost += lost
	return image, nil
}
