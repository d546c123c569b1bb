package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience is how long a machine may take from power on to its end.
const patience = 2 * time.Minute

// machine is a QEMU, with what it says.
type machine struct {
	cmd     *exec.Cmd
	disk    *disk
	monitor string // its socket
	console io.Writer
	lines   chan string // of the console, closed after the end of QEMU
	said    []string    // those that were read
	served  chan error  // how the disk's work ended, once
	cancel  context.CancelFunc
}

// power starts a machine on d: it boots, or goes on from where it was saved.
func (b *bench) power(ctx context.Context, d *disk, saved bool) (*machine, error) {
	socket := filepath.Join(b.dir, "disk")
	m := &machine{disk: d, monitor: filepath.Join(b.dir, "monitor"), lines: make(chan string, 1000), served: make(chan error, 1)}
	if err := errors.Join(os.RemoveAll(socket), os.RemoveAll(m.monitor)); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	ctx, m.cancel = context.WithTimeout(ctx, patience)
	m.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", b.arguments(saved)...)
	m.cmd.Dir, m.cmd.Stderr = b.dir, os.Stderr
	if err := m.start(l); err != nil {
		m.cancel()
		return nil, errors.Join(err, l.Close())
	}
	return m, nil
}

// arguments of QEMU, in whose directory the sockets and the saved state are.
// scripts/vm/test.sh says why it is tcg.
func (b *bench) arguments(saved bool) []string {
	args := strings.Fields("-M q35,accel=tcg -m 256 -smp 1 -nodefaults -no-user-config -no-reboot -display none" +
		" -serial stdio -monitor unix:monitor,server=on,wait=off" +
		" -blockdev driver=nbd,node-name=disk,server.type=unix,server.path=disk" +
		" -device virtio-blk-pci,drive=disk,write-cache=on")
	args = append(args, "-kernel", b.kernel, "-initrd", b.initrd, "-append", "console=ttyS0 panic=-1 quiet loglevel=4")
	if saved {
		args = append(args, "-incoming", "exec:cat state")
	}
	return args
}

func (m *machine) start(l net.Listener) error {
	in, err := m.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.console = in
	ended := make(chan struct{})
	go func() {
		m.listen(out)
		_ = m.cmd.Wait() // it is killed, or what it said tells more
		_ = l.Close()
		close(ended)
		close(m.lines)
	}()
	go func() {
		conn, err := m.disk.serve(l)
		m.served <- err
		<-ended // until then, a disk without power says nothing
		if conn != nil {
			_ = conn.Close()
		}
	}()
	return nil
}

// listen reads whole lines: of the last, the power may have left a part.
func (m *machine) listen(out io.Reader) {
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		m.lines <- strings.TrimRight(line, "\r\n")
	}
}

// ready waits until the guest has mounted the disk, and says nothing else.
func (m *machine) ready() error {
	for line := range m.lines {
		if line == "ready" {
			return nil
		}
		m.said = append(m.said, line)
	}
	return m.wrong("did not come up")
}

// wrong says what a machine did, and what it said then.
func (m *machine) wrong(what string) error {
	return fmt.Errorf("the machine %s:\n%s", what, strings.Join(m.said, "\n"))
}

// save writes the machine's state, which ends it.
func (m *machine) save() error {
	conn, err := net.Dial("unix", m.monitor)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "migrate \"exec:cat >state\"\nquit\n"); err != nil {
		return err
	}
	said, _ := io.ReadAll(conn) // until QEMU ends
	for range m.lines {
	}
	if err := <-m.served; err != nil {
		return err
	}
	if strings.Contains(string(said), "Error") {
		return fmt.Errorf("the machine's state cannot be saved: %s", said)
	}
	return nil
}

// write lets the guest change the store until its disk has served that many
// requests more, and says which change was the last that it vouched for.
func (m *machine) write(writer string, last int, requests int64) (int, error) {
	m.disk.cutAt(requests)
	if _, err := fmt.Fprintln(m.console, writer); err != nil {
		return 0, err
	}
	var wrong error
	for off := m.disk.off; ; {
		select {
		case <-off:
			_ = m.cmd.Process.Kill()
			off = nil
		case line, more := <-m.lines:
			n, err := strconv.Atoi(line)
			switch {
			case !more && wrong != nil:
				return last, wrong
			case !more:
				return last, m.ended()
			case line == "ready": // it may have been saying so
			case err == nil && n == last+1:
				last = n
			case wrong == nil:
				wrong = &finding{fmt.Sprintf("after change %d the guest says %q", last, line)}
				_ = m.cmd.Process.Kill()
			}
		}
	}
}

// ended says how the work of the disk ended, which is by a loss of power.
func (m *machine) ended() error {
	if err := <-m.served; err != nil {
		return err
	}
	if m.disk.left.Load() > 0 {
		return m.wrong("ended before its power was lost")
	}
	return nil
}
