package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/deskconn/dconn/scripts/bench/figures"
)

// usage is what a process took, and those it waited for.
type usage struct {
	cpu  time.Duration
	peak int64 // resident bytes of the largest
}

func usageOf(state *os.ProcessState) usage {
	u := usage{cpu: state.UserTime() + state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.peak = r.Maxrss << 10
	}
	return u
}

// usage is that of the daemon, which must have ended, and of those before it.
func (b *bus) usage() usage {
	u := usageOf(b.daemon.ProcessState)
	return usage{cpu: b.past.cpu + u.cpu, peak: max(b.past.peak, u.peak)}
}

// text is the peak in MiB. The kernel also counts what the parent had before
// the program was loaded: a peak that is no larger than ours may be that.
func (u usage) text() string {
	t := figures.Decimal(float64(u.peak)/(1<<20), 1)
	if u.peak <= ownPeak() {
		return "≤ " + t
	}
	return t
}

// ownPeak is ours in bytes, without that of our parent; 0 if the kernel does
// not say.
func ownPeak() (kib int64) {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	_, _ = fmt.Sscan(string(after), &kib)
	return kib << 10
}

// process is one that was started.
type process struct {
	*exec.Cmd

	done chan struct{}
	end  time.Time // once done
	err  error     // once done
	said bytes.Buffer
}

// command is argv, with files for stdin and stdout. Its dconn is that of the rig.
func (b *bench) command(ctx context.Context, in, out *os.File, argv ...string) *exec.Cmd {
	program := argv[0]
	if program == "dconn" {
		program = b.Dconn()
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Env = b.Env()
	cmd.Stdin, cmd.Stdout = in, out
	return cmd
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{Cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = &p.said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		p.end = time.Now()
		if err != nil {
			p.err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, p.said.Bytes())
		}
	}()
	return p, nil
}

// wait waits for its end.
func (p *process) wait() error {
	<-p.done
	return p.err
}

// stop ends it, if it still runs.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.Process.Kill()
		<-p.done
	}
}

func (p *process) usage() usage { return usageOf(p.ProcessState) }
