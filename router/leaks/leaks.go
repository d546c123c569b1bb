// Package leaks keeps tests from leaving goroutines behind.
package leaks

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package: it runs its tests and exits, with 1 if
// goroutines are left. On a busy machine the last ones of a closed router take a
// while to end: they have 10 s.
func Main(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for i := 0; err != nil && i < 20; i++ {
		time.Sleep(500 * time.Millisecond)
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}
