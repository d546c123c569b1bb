//go:build netns

package net

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// residentKiB is what a process, or what ip netns exec became, has in memory.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cpu is the time that a process has worked.
func cpu(t *testing.T, pid string) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// packets are those that the interface of a host has sent.
func (h *host) packets() int {
	h.lab.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(h.shell("cat /sys/class/net/e0/statistics/tx_packets")))
	if err != nil {
		h.lab.Fatal(err)
	}
	return n
}

// What an idle announcer costs, beside avahi's. Numbers to read, with a wide
// bound on ours.
func TestIdle(t *testing.T) {
	idle := 30 * time.Second
	if testing.Short() {
		idle = 5 * time.Second
	}
	l := newLab(t)
	a, b := l.host("a"), l.host("b")
	a.families("v4 v6")
	b.families("v4 v6")
	ours := a.announce("pi", idA, 5020)
	b.publish("po", "5020", "v=1", "id="+idB)
	daemon := strings.Fields(b.shell("for p in $(ip netns pids " + b.space + "); do [ \"$(cat /proc/$p/comm)\" = avahi-daemon ] && echo $p; done; true"))
	if len(daemon) == 0 {
		t.Fatal("no avahi-daemon is found")
	}
	time.Sleep(10 * time.Second) // until both have said all that there is to say
	pid := strconv.Itoa(ours.cmd.Process.Pid)
	packets, work := []int{a.packets(), b.packets()}, []time.Duration{cpu(t, pid), cpu(t, daemon[0])}
	time.Sleep(idle)
	for i, h := range []*host{a, b} {
		packets[i] = h.packets() - packets[i]
	}
	work[0], work[1] = cpu(t, pid)-work[0], cpu(t, daemon[0])-work[1]
	t.Logf("idle for %v: ours %d packets, %v of CPU, %d KiB; avahi-daemon %d packets, %v of CPU", idle,
		packets[0], work[0], residentKiB(t, ours.cmd.Process.Pid), packets[1], work[1])
	if packets[0] > 30 || work[0] > idle/10 {
		t.Errorf("an idle announcer sends %d packets and works %v", packets[0], work[0])
	}
}
