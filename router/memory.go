package router

import (
	"runtime/debug"
	"runtime/metrics"
)

// The garbage of what a device sends is bounded as what it holds is: while a device is
// here, the heap is collected before it has grown by more than deviceMemory. Without
// one, Options.MemoryLimit lets garbage lie longer, which costs less time.

// deviceMemory is how much more memory there may be, in bytes, than what is needed
// without what the devices hold.
const deviceMemory = 40 << 20

// limitStep is how much the limit changes at least, in bytes: to set it stops the world.
const limitStep = 2 << 20

// boundMemory sets the soft limit of memory. The runtime works harder the nearer it
// comes to it.
func (r *Router) boundMemory(devices bool) {
	most := r.opts.MemoryLimit
	if most == 0 {
		return
	}
	if devices {
		held := r.heldByAll.input.Held() + r.heldByAll.backlog.Waiting()
		most = min(most, needed()-int64(held)+deviceMemory)
	}
	if off := most - r.memoryLimit; off <= -limitStep || off >= limitStep {
		r.memoryLimit = most
		debug.SetMemoryLimit(most)
	}
}

// needed is how much memory was in use after the last collection, in bytes.
func needed() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	all := int64(samples[0].Value.Uint64()) + int64(samples[1].Value.Uint64())
	for _, s := range samples[2:] {
		all -= int64(s.Value.Uint64())
	}
	return all
}
