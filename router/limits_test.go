package router

import "testing"

// Every limit takes its bounds and its default, as it writes them itself, and
// nothing beyond.
func TestLimitsRange(t *testing.T) {
	for _, l := range Limits {
		o := DefaultOptions()
		for _, v := range []int64{l.Min, l.Max, l.Of(&o)} {
			if err := l.Set(&o, l.Text(v)); err != nil || l.Of(&o) != v {
				t.Errorf("%s=%s: %v, and it is %d, want %d", l.Name, l.Text(v), err, l.Of(&o), v)
			}
		}
		was := l.Of(&o)
		for _, text := range []string{l.Text(l.Min - 1), l.Text(l.Max + 1), "", "-1", "x", " 1", "1 ", "NaN", "Inf", "9223372036854775807GiB"} {
			if err := l.Set(&o, text); err == nil || l.Of(&o) != was {
				t.Errorf("%s=%s is taken as %d", l.Name, text, l.Of(&o))
			}
		}
		for _, text := range []string{"1.5", "1e3"} {
			if err := l.Set(&o, text); err == nil && l.Unit != Duration {
				t.Errorf("%s=%s is taken as %d", l.Name, text, l.Of(&o))
			}
		}
		if err := l.Set(&o, "0"); err == nil != (l.Name == "keepalive") || err == nil && l.Of(&o) != 0 {
			t.Errorf("%s=0: %v", l.Name, err)
		}
		if l.Doc == "" {
			t.Errorf("%s has no doc", l.Name)
		}
	}
}

func TestLimitsText(t *testing.T) {
	for _, test := range []struct{ limit, in, out string }{
		{"message", "1048576", "1MiB"}, {"message", "5KiB", "5KiB"}, {"message", "4097B", "4097B"},
		{"queue", "1GiB", "1GiB"}, {"queue", "1mib", "1MiB"}, {"message", "5KIB", "5KiB"}, {"message", "4097b", "4097B"},
		{"stall", "5", "5s"}, {"stall", "0.5", "500ms"}, {"calls", "007", "7"}, {"stall", "60s", "1m"}, {"stall", "90s", "1m30s"}, {"stall", "60m", "1h"},
	} {
		l, _ := LimitNamed(test.limit)
		o := DefaultOptions()
		if err := l.Set(&o, test.in); err != nil || l.Text(l.Of(&o)) != test.out {
			t.Errorf("%s=%s: %v, %s, want %s", test.limit, test.in, err, l.Text(l.Of(&o)), test.out)
		}
	}
	if l, ok := LimitNamed("nope"); ok {
		t.Errorf("there is a limit %v", l)
	}
}
