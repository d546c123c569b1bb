package rig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Tick is the unit of CPU time in /proc.
const Tick = 10 * time.Millisecond

// CPUTime is what a process that still runs has taken.
func CPUTime(pid int) (time.Duration, error) { return cpuTime(fmt.Sprintf("/proc/%d/stat", pid)) }

// ThreadTimes is what each thread of a process has taken.
func ThreadTimes(pid int) (map[string]time.Duration, error) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	threads := map[string]time.Duration{}
	for _, stat := range stats {
		if cpu, err := cpuTime(stat); err == nil { // else it has just ended
			threads[stat] = cpu
		}
	}
	return threads, err
}

func cpuTime(path string) (time.Duration, error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; utime and stime are the 12th
	// and 13th field after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 || fields[0] == "Z" {
		return 0, fmt.Errorf("%s: the process has ended", path)
	}
	return ticks(fields[11:13])
}

// ticks adds up times in /proc.
func ticks(fields []string) (sum time.Duration, err error) {
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * Tick
	}
	return sum, nil
}

// BusyTime is what all programs have taken of all CPUs, and what whoever lends
// us these took back, since the machine was started.
func BusyTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(first) // cpu, user, nice, system, idle, iowait, irq, softirq, steal, ...
	if len(fields) < 9 {
		return 0, fmt.Errorf("/proc/stat begins with %q", first)
	}
	return ticks(append(fields[1:4:4], fields[6:9]...))
}

// Memory is what a process that still runs has resident, in bytes, and the most
// it has had.
func Memory(pid int) (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	if now, err = kibibytes(status, "VmRSS:"); err != nil {
		return 0, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	peak, err = kibibytes(status, "VmHWM:")
	return now, peak, err
}

// kibibytes is a line of proc_pid_status(5), in bytes.
func kibibytes(status []byte, name string) (kib int64, err error) {
	_, after, found := bytes.Cut(status, []byte("\n"+name))
	if !found {
		return 0, fmt.Errorf("there is no %s in its status", name)
	}
	_, err = fmt.Sscan(string(after), &kib)
	return kib << 10, err
}
