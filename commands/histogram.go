package commands

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are a thirty-second of their value
// wide at most.
type histogram struct {
	counts [64 * histogramSteps]int64
	n      int64
}

const histogramSteps = 32

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
}

// merge adds what other has counted.
func (h *histogram) merge(other *histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
}

// quantile is the duration that a share q of all does not exceed, to a
// thirty-second of it; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := int64(q*float64(h.n)), int64(0)
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= max(rank, 1) {
			return bucketTop(i)
		}
	}
	return 0
}

// bucketOf keeps the five bits behind the highest one.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 2*histogramSteps {
		return int(v)
	}
	shift := bits.Len64(v) - 6
	return shift*histogramSteps + int(v>>shift)
}

// bucketTop is the longest duration of a bucket.
func bucketTop(i int) time.Duration {
	if i < 2*histogramSteps {
		return time.Duration(i)
	}
	shift := i/histogramSteps - 1
	return time.Duration(uint64(i-shift*histogramSteps+1)<<shift - 1)
}
