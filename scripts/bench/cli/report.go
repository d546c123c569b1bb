package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/deskconn/dconn/scripts/bench/figures"
)

// bars are what dconn must do, in calls or lines a second: so many times what a
// peer does, or, without one, so many.
var bars = []struct {
	contest    int
	name, than string
	limit      float64
	word       string
}{
	{0, nameBatch, nameLoop, 50, "bar"},
	{0, nameParallel, nameLoop, 50, "bar"},
	{1, nameAcknowledged, nameMosquitto, 1, "bar"},
	{1, nameAcknowledged, nameUnix, 1, "stretch, it has a unix socket too"},
	{1, nameAcknowledged, nameQoS1, 1, "bar, both acknowledged"},
	{1, nameNoAck, nameMosquitto, 1, "bar"},
	{2, nameAcknowledged, "", 50_000, "bar, lines/s"},
}

// report prints a table for each contest, one of the daemons, which must have
// ended, and one of the bars.
func report(w io.Writer, versions string, contests []*contest, buses []*bus) error {
	_, err := fmt.Fprintf(w, "%d rounds, medians; %s\n\n", len(contests[0].contestants[0].samples), versions)
	for _, c := range contests {
		err = errors.Join(err, figures.Print(w, c.table()))
	}
	rows := [][]string{{"daemon, of all this", "CPU s", "peak MiB"}}
	for _, b := range buses {
		u := b.usage()
		rows = append(rows, []string{b.name, figures.Decimal(u.cpu.Seconds(), 1), u.text()})
	}
	return errors.Join(err, figures.Print(w, rows), figures.Print(w, verdicts(contests)))
}

func (c *contest) table() [][]string {
	head := []string{c.title, c.unit + "/s", "p10", "p90", "×", "lost", "CPU µs each", "daemon", "peak MiB"}
	if c.receives {
		head = append(head, "receiver: CPU µs", "peak MiB")
	}
	rows := [][]string{head}
	for _, p := range c.contestants {
		rows = append(rows, c.row(p))
		if p.base != nil {
			rows = append(rows, c.row(p.base))
		}
	}
	return rows
}

// besides are the rows that this tree and the base have in common.
func besides(contests []*contest) (rows []figures.Paired) {
	for _, c := range contests {
		for _, p := range c.contestants {
			if p.base != nil {
				rows = append(rows, figures.Paired{
					Name: c.title + ", " + c.unit + "/s: " + p.name, This: p.measured(), Base: p.base.measured(),
				})
			}
		}
	}
	return rows
}

// measured are the rates of all rounds; one in which something was lost has none.
func (p *contestant) measured() []float64 {
	rates := p.rates()
	for i, s := range p.samples {
		if s.lost > 0 {
			rates[i] = figures.Failed
		}
	}
	return rates
}

func (c *contest) row(p *contestant) []string {
	row := []string{p.name, "-", "-", "-", "-"} // what lost something was not measured
	rates := p.rates()
	if p.lost() == 0 {
		for i, q := range []float64{0.5, 0.1, 0.9} {
			row[i+1] = figures.Decimal(figures.Quantile(rates, q), 0)
		}
		if c.peer >= 0 && c.contestants[c.peer].lost() == 0 {
			row[4] = figures.Decimal(figures.PairedRatio(rates, c.contestants[c.peer].rates()), 2)
		}
	}
	row = append(row, fmt.Sprint(p.lost()), p.each(func(s sample) time.Duration { return s.sender.cpu }),
		p.each(func(s sample) time.Duration { return s.daemon }), p.peak(func(s sample) usage { return s.sender }))
	if c.receives {
		row = append(row, p.each(func(s sample) time.Duration { return s.receiver.cpu }),
			p.peak(func(s sample) usage { return s.receiver }))
	}
	return row
}

func (p *contestant) rates() []float64 {
	rates := make([]float64, len(p.samples))
	for i, s := range p.samples {
		rates[i] = s.rate()
	}
	return rates
}

// lost is how much was lost in all rounds.
func (p *contestant) lost() (n int) {
	for _, s := range p.samples {
		n += s.lost
	}
	return n
}

// each is the median CPU time of a call or line, in µs.
func (p *contestant) each(of func(sample) time.Duration) string {
	each := make([]float64, len(p.samples))
	for i, s := range p.samples {
		each[i] = of(s).Seconds() * 1e6 / math.Max(1, float64(s.count))
	}
	return figures.Decimal(figures.Quantile(each, 0.5), 1)
}

// peak is the largest of all rounds.
func (p *contestant) peak(of func(sample) usage) string {
	var peak usage
	for _, s := range p.samples {
		peak.peak = max(peak.peak, of(s).peak)
	}
	return peak.text()
}

// verdicts compares with the bars, where the peer was measured.
func verdicts(contests []*contest) [][]string {
	rows := [][]string{{"bar", "is", "at least", "", ""}}
	for _, b := range bars {
		c := contests[b.contest]
		p, peer := c.named(b.name), c.named(b.than)
		what, is, digits := b.name+" ÷ "+b.than, 0.0, 2
		switch {
		case b.than == "":
			what, is, digits = b.name+", "+c.title, figures.Quantile(p.rates(), 0.5), 0
		case peer == nil || peer.lost() > 0:
			continue
		default:
			is = figures.PairedRatio(p.rates(), peer.rates())
		}
		met := is >= b.limit && p.lost() == 0
		rows = append(rows, []string{what, figures.Decimal(is, digits), figures.Decimal(b.limit, digits), b.word, figures.Verdict(met)})
	}
	return rows
}

func (c *contest) named(name string) *contestant {
	i := slices.IndexFunc(c.contestants, func(p *contestant) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return c.contestants[i]
}
