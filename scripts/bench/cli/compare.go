package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
)

// compare counts the lines of the file sent that are in the file got, and those
// that are not. A line that is got twice, too early, or was never sent is an
// error. No line may be sent twice.
func compare(sent, got string) (arrived, lost int, err error) {
	s, err := os.Open(sent)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = s.Close() }()
	g, err := os.Open(got)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = g.Close() }()
	from, to := bufio.NewScanner(s), bufio.NewScanner(g)
	for to.Scan() {
		more := from.Scan()
		for ; more && !bytes.Equal(from.Bytes(), to.Bytes()); more = from.Scan() {
			lost++
		}
		if !more {
			return arrived, lost, fmt.Errorf("line %d of the output was not sent, or not at this point: %q", arrived+1, to.Text())
		}
		arrived++
	}
	for from.Scan() {
		lost++
	}
	return arrived, lost, errors.Join(from.Err(), to.Err())
}
