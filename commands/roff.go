package commands

import (
	"fmt"
	"strings"
)

// page is a manual page in the man macros: see groff_man(7).
type page struct{ strings.Builder }

// newPage begins the page NAME(section). Its title has no date or version:
// pages are compared with what is committed. Words are not hyphenated: a reader
// may paste them.
func newPage(name, section, short string) *page {
	p := &page{}
	p.WriteString(".\\\" made by dconn man\n")
	p.macro(".TH", strings.ToUpper(name), section, "", "dconn", "dconn manual")
	p.WriteString(".nh\n.ad l\n")
	p.section("NAME")
	p.line(roff(name) + ` \- ` + roff(short))
	return p
}

// macro writes a request with its arguments.
func (p *page) macro(name string, args ...string) {
	p.WriteString(name)
	for _, a := range args {
		p.WriteString(` "` + roff(a) + `"`)
	}
	p.WriteString("\n")
}

func (p *page) section(name string) { p.macro(".SH", name) }

// line writes text that is escaped already and may change fonts.
func (p *page) line(text string) {
	if strings.HasPrefix(text, ".") {
		p.WriteString(`\&`)
	}
	p.WriteString(text + "\n")
}

// tagged writes a paragraph under a tag, which is escaped already.
func (p *page) tagged(tag string, body ...string) {
	p.macro(".TP")
	p.line(tag)
	for _, b := range body {
		if b != "" {
			p.line(roff(b))
		}
	}
}

// prose writes a help text: paragraphs, and indented lines as they stand.
func (p *page) prose(text string) {
	var indented, gap bool
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if line == "" {
			gap = true
			continue
		}
		if was := indented; was != isIndented(line) {
			indented = !was
			p.example(indented)
		} else if gap {
			p.macro(".PP")
		}
		gap = false
		p.line(roff(strings.TrimPrefix(strings.ReplaceAll(line, "\t", "    "), "  ")))
	}
	if indented {
		p.example(false)
	}
}

func isIndented(line string) bool { return line[0] == ' ' || line[0] == '\t' }

// example begins lines that stand as they are, or ends them.
func (p *page) example(begin bool) {
	if begin {
		p.WriteString(".PP\n.RS 4\n.nf\n")
		return
	}
	p.WriteString(".fi\n.RE\n.PP\n")
}

func bold(t string) string   { return `\fB` + roff(t) + `\fR` }
func italic(t string) string { return `\fI` + roff(t) + `\fR` }

// roff escapes t so that what a reader pastes is what was written.
func roff(t string) string {
	var b strings.Builder
	for i, r := range t {
		switch {
		case r == '.' && i == 0:
			b.WriteString(`\&.`)
		case special[r] != "":
			b.WriteString(special[r])
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

var special = map[rune]string{
	'\\': `\(rs`, '-': `\-`, '\'': `\(aq`, '"': `\(dq`, '`': `\(ga`, '^': `\(ha`, '~': `\(ti`,
}
