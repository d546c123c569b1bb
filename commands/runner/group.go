package runner

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lives reports whether a process of the group runs. One that has ended and
// that nobody reaps, as in a container whose init does not, counts for kill(2)
// but not here.
func lives(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil && runsIn(e.Name(), group) {
			return true
		}
	}
	return false
}

// runsIn reads the state and the process group of a process: proc(5), fields 3
// and 5 of stat.
func runsIn(pid string, group int) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // the name may hold anything
	if err != nil || len(fields) < 3 {
		return false
	}
	return fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X"
}
