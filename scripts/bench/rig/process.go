package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Tick is the unit of CPU time in /proc.
const Tick = 10 * time.Millisecond

// CPUTime is what a process that still runs has taken.
func CPUTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; utime and stime are the 12th
	// and 13th field after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 || fields[0] == "Z" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * Tick, nil
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
