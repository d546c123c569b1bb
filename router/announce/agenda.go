package announce

import "time"

// agenda is what is to be done later, by the goroutine that waits for its timer.
type agenda struct {
	timer *time.Timer
	jobs  []job
}

type job struct {
	at time.Time
	do func()
}

func (g *agenda) init() {
	g.timer = time.NewTimer(time.Hour)
	g.timer.Stop()
}

func (g *agenda) after(d time.Duration, do func()) {
	g.jobs = append(g.jobs, job{time.Now().Add(d), do})
	g.wind()
}

// run does what is due.
func (g *agenda) run() {
	now := time.Now()
	var due, later []job
	for _, j := range g.jobs {
		if j.at.After(now) {
			later = append(later, j)
		} else {
			due = append(due, j)
		}
	}
	g.jobs = later
	for _, j := range due {
		j.do()
	}
	g.wind()
}

// wind sets the timer to the first of the jobs.
func (g *agenda) wind() {
	if len(g.jobs) == 0 {
		g.timer.Stop()
		return
	}
	first := g.jobs[0].at
	for _, j := range g.jobs {
		if j.at.Before(first) {
			first = j.at
		}
	}
	g.timer.Reset(time.Until(first))
}

// budget bounds what is sent to single machines, which anybody can ask for.
type budget struct {
	since time.Time
	spent int
}

// repliesPerSecond is far above what people's machines ask.
const repliesPerSecond = 200

func (b *budget) take() bool {
	if now := time.Now(); now.Sub(b.since) >= time.Second {
		b.since, b.spent = now, 0
	}
	b.spent++
	return b.spent <= repliesPerSecond
}
