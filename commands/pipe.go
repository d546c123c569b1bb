package commands

import (
	"os"

	"golang.org/x/sys/unix"
)

// inPipe is how many bytes wait in stdout, if it is a pipe, to be read.
func inPipe() int {
	n, err := unix.IoctlGetInt(int(os.Stdout.Fd()), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}
