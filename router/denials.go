package router

import (
	"context"
	"strings"
	"time"

	"github.com/deskconn/dconn/router/trust"
)

const (
	// maxDenials is how many denials may wait to be noted: what comes on top is not.
	maxDenials = 256
	// denialLines is how many lines the audit log has about one peer in sayEvery.
	denialLines = 8
)

// denial is what a session was not allowed to do: that of a device, or one that had
// lowered its rights.
type denial struct {
	authID string
	action trust.Action
	uri    string
	scopes string // that a session kept, with commas, where it has lowered its rights
}

// quota is how much the log has about one peer.
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

// noteDenials writes what peers were refused to the audit log, until ctx ends: a
// burst as one line, and no more than a few lines about one peer.
func (d *devices) noteDenials(ctx context.Context) {
	var burst fold[denial]
	quotas := map[string]*quota{}
	for {
		select {
		case <-ctx.Done():
			return
		case what := <-d.refused:
			now := time.Now()
			if len(quotas) >= maxSaid {
				clear(quotas)
			}
			if quotas[what.authID] == nil {
				quotas[what.authID] = &quota{since: now}
			}
			if times, due := burst.note(what, now); due {
				d.noteDenial(what, times, quotas[what.authID], now)
			}
		}
	}
}

func (d *devices) noteDenial(what denial, times int, q *quota, now time.Time) {
	if now.Sub(q.since) >= sayEvery {
		if q.more > 0 {
			d.writeDenial(denial{authID: what.authID}, q.more)
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
	entry := trust.Entry{Event: "denied", Name: what.authID, Action: string(what.action), URI: what.uri, Times: times}
	for scope := range strings.SplitSeq(what.scopes, ",") {
		if scope != "" {
			entry.Scopes = append(entry.Scopes, trust.Scope(scope))
		}
	}
	if id, err := trust.ParseID(what.authID); err == nil {
		device, known := d.store.Find(id)
		if !known {
			return
		}
		entry.Device, entry.Name = id.String(), device.Name
	}
	d.write(entry)
}
