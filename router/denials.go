package router

import (
	"context"
	"time"

	"github.com/deskconn/dconn/router/trust"
)

const (
	// maxDenials is how many denials may wait to be noted: what comes on top is not.
	maxDenials = 256
	// denialLines is how many lines the audit log has about one device in sayEvery.
	denialLines = 8
)

// denial is what a device was not allowed to do.
type denial struct {
	device trust.ID
	action trust.Action
	uri    string
}

// quota is how much the log has about one device.
type quota struct {
	since time.Time
	lines int
	more  int // that had no line
}

// refuse has a denial noted. It waits for nothing: whoever asks holds up others.
func (d *devices) refuse(what denial) {
	select {
	case d.refused <- what:
	default:
	}
}

// noteDenials writes what devices were refused to the audit log, until ctx ends: a
// burst as one line, and no more than a few lines about one device.
func (d *devices) noteDenials(ctx context.Context) {
	var burst fold[denial]
	quotas := map[trust.ID]*quota{}
	for {
		select {
		case <-ctx.Done():
			return
		case what := <-d.refused:
			now := time.Now()
			if len(quotas) >= maxSaid {
				clear(quotas)
			}
			if quotas[what.device] == nil {
				quotas[what.device] = &quota{since: now}
			}
			if times, due := burst.note(what, now); due {
				d.noteDenial(what, times, quotas[what.device], now)
			}
		}
	}
}

func (d *devices) noteDenial(what denial, times int, q *quota, now time.Time) {
	if now.Sub(q.since) >= sayEvery {
		if q.more > 0 {
			d.writeDenial(denial{device: what.device}, q.more)
		}
		*q = quota{since: now}
	}
	if q.lines >= denialLines {
		q.more++
		return
	}
	q.lines++
	d.writeDenial(what, times)
}

func (d *devices) writeDenial(what denial, times int) {
	device, known := d.store.Find(what.device)
	if !known {
		return
	}
	d.write(trust.Entry{
		Event: "denied", Device: what.device.String(), Name: device.Name, Action: string(what.action), URI: what.uri, Times: times,
	})
}
