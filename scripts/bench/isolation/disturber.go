package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bare"
)

// disturber is a peer that does one thing to the daemon for ever.
type disturber struct {
	name string
	// begin returns once it is under way. It is nil if there is no disturber.
	begin func(socket string) error
}

// nobody disturbs the pair.
var nobody = disturber{name: "nobody else"}

var disturbers = []disturber{
	{"stops reading", func(socket string) error { return busy(socket, func(p *bare.Peer) { time.Sleep(time.Second) }) }},
	{"reads one byte a second", func(socket string) error {
		return busy(socket, func(p *bare.Peer) {
			time.Sleep(time.Second)
			_, _ = p.Read(make([]byte, 1))
		})
	}},
	{"sends half a frame", halves},
	{"floods calls", floodCalls},
	{"floods calls to the daemon", floodDaemon},
	{"floods publishes", floodPublishes},
	{"answers what nobody asked", floodAnswers},
	{"subscribes to everything", subscribeAll},
	{"registers ten thousand times", registerOften},
	{"churns connections", churn},
}

// be is the child: a disturber, or the burner, until stdin ends.
func be(name, socket string, share float64, threads int) error {
	begin := func(string) error { return fmt.Errorf("no such disturber") }
	if name == burner {
		begin = func(string) error { burn(share, threads); return nil }
	}
	for _, d := range disturbers {
		if d.name == name {
			begin = d.begin
		}
	}
	if err := begin(socket); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond) // it gets up to speed
	fmt.Println("under way")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// forever begins something again whenever it ends: a disturber that is cut off
// comes back. The first time must work.
func forever(socket string, do func(*bare.Peer) error) error {
	p, err := bare.Join(socket)
	if err != nil {
		return err
	}
	go func() {
		for {
			if err == nil {
				_ = do(p)
				_ = p.Close()
			} else {
				time.Sleep(10 * time.Millisecond)
			}
			p, err = bare.Join(socket)
		}
	}()
	return nil
}

const (
	deaf       = 8                // sessions that do not read what they asked for
	busyTopic  = "org.bench.busy" // 16 MiB a second, so that none lasts longer
	busyPause  = time.Second / 256
	busySize   = 64 << 10
	unfinished = 100 // connections that sent half a frame
	pipelined  = 64
)

// busy has sessions that subscribe to a busy topic and read it in a manner that
// is not enough.
func busy(socket string, read func(*bare.Peer)) error {
	for range deaf {
		err := forever(socket, func(p *bare.Peer) error {
			if err := p.Say(bare.Message{bare.Subscribe, 1, bare.None, busyTopic}); err != nil {
				return err
			}
			for !p.HungUp() {
				read(p)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	payload := strings.Repeat("x", busySize)
	return forever(socket, func(p *bare.Peer) error {
		for n := 1; ; n++ {
			if err := p.Say(bare.Message{bare.Publish, n, bare.None, busyTopic, []any{payload}}); err != nil {
				return err
			}
			time.Sleep(busyPause)
		}
	})
}

// halves leaves many messages unfinished for a second, over and over.
func halves(socket string) error {
	for range unfinished {
		err := forever(socket, func(p *bare.Peer) error {
			err := p.SayHalf(bare.Message{bare.Publish, 1, bare.None, busyTopic, []any{strings.Repeat("x", 200)}})
			time.Sleep(time.Second)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// flood sends as fast as the daemon takes it, and reads what comes back.
func flood(p *bare.Peer, next func(n int) bare.Message) error {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	batch := make([]bare.Message, pipelined)
	for n := 1; ; n += pipelined {
		for i := range batch {
			batch[i] = next(n + i)
		}
		if err := p.Say(batch...); err != nil {
			return err
		}
	}
}

// floodCalls floods a callee of its own.
func floodCalls(socket string) error {
	const uri = "org.bench.flooded"
	err := forever(socket, func(p *bare.Peer) error {
		if err := p.Say(bare.Message{bare.Register, 1, bare.None, uri}); err != nil {
			return err
		}
		for {
			m, err := p.Hear()
			if err == nil && m.Is(bare.Invocation) {
				err = p.Say(bare.Message{bare.Yield, m[1], bare.None})
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return forever(socket, func(p *bare.Peer) error {
		return flood(p, func(n int) bare.Message { return bare.Message{bare.Call, n, bare.None, uri} })
	})
}

// floodDaemon floods what the daemon answers itself.
func floodDaemon(socket string) error {
	return forever(socket, func(p *bare.Peer) error {
		return flood(p, func(n int) bare.Message {
			return bare.Message{bare.Call, n, bare.None, "org.deskconn.system.name"}
		})
	})
}

func floodPublishes(socket string) error {
	return forever(socket, func(p *bare.Peer) error {
		return flood(p, func(n int) bare.Message {
			return bare.Message{bare.Publish, n, bare.None, "org.bench.nobody", []any{n}}
		})
	})
}

func floodAnswers(socket string) error {
	return forever(socket, func(p *bare.Peer) error {
		return flood(p, func(n int) bare.Message { return bare.Message{bare.Yield, n, bare.None, []any{n}} })
	})
}

// subscribeAll subscribes to all there is by many patterns, and reads it.
func subscribeAll(socket string) error {
	for range 4 {
		err := forever(socket, func(p *bare.Peer) error {
			topics := map[string][]string{"prefix": {"", "o", "org", "org.", "org.bench", victimTopic}, "wildcard": {"..", "org..", ".bench.", "..topic", "org..topic"}}
			id := 0
			for match, list := range topics {
				for _, topic := range list {
					id++
					if err := p.Say(bare.Message{bare.Subscribe, id, map[string]any{"match": match}, topic}); err != nil {
						return err
					}
				}
			}
			_, err := io.Copy(io.Discard, p)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// registerOften registers far over the limit, leaves, and does it again.
func registerOften(socket string) error {
	const often = 10_000
	return forever(socket, func(p *bare.Peer) error {
		go func() {
			for n := 0; n < often; n += pipelined {
				batch := make([]bare.Message, pipelined)
				for i := range batch {
					batch[i] = bare.Message{bare.Register, n + i + 1, bare.None, fmt.Sprintf("org.bench.often%d", n+i)}
				}
				if p.Say(batch...) != nil {
					return
				}
			}
		}()
		for range often {
			if _, err := p.Hear(); err != nil {
				return err
			}
		}
		return nil
	})
}

// churn joins, asks for something and is gone.
func churn(socket string) error {
	for range 4 {
		err := forever(socket, func(p *bare.Peer) error {
			return p.Say(
				bare.Message{bare.Subscribe, 1, bare.None, victimTopic},
				bare.Message{bare.Call, 2, bare.None, victimCall},
			)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
