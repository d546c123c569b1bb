package runner

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// maxElement is the longest argument execve(2) takes, less its NUL.
const maxElement = 128<<10 - 1

// placeholder is {0}, {name} or {a.path}, or one of them in a second pair of
// braces, which stands for itself.
// Compiled at first use: every command would pay for it otherwise.
var placeholder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\{\{?(?:[0-9]+|[A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z0-9_]+)*\}\}?`)
})

// Expand replaces the placeholders in template by their values.
func Expand(template string, value func(name string) (string, error)) (string, error) {
	var first error
	filled := placeholder().ReplaceAllStringFunc(template, func(m string) string {
		name := strings.Trim(m, "{}")
		switch {
		case strings.HasPrefix(m, "{{") && strings.HasSuffix(m, "}}"):
			return "{" + name + "}"
		case len(m) != len(name)+2: // {{x} and {x}} are no placeholders
			return m
		}
		v, err := value(name)
		first = cmp.Or(first, err)
		return v
	})
	return filled, first
}

// Fill replaces the placeholders in template by the texts of a call's
// arguments. A text never becomes more than one element, nor an option: one
// that would make its element begin with a dash is refused unless allowDash.
func Fill(template, args []string, kwargs map[string]string, allowDash bool) ([]string, error) {
	argv := make([]string, len(template))
	for i, t := range template {
		filled, err := fill(t, args, kwargs)
		if err == nil {
			err = check(filled, t, allowDash || strings.HasPrefix(t, "-"))
		}
		if err != nil {
			return nil, err
		}
		argv[i] = filled
	}
	return argv, nil
}

// Shell is the argv by which sh runs script with args as $1, $2 and so on, so
// that they stay data. They obey the rules of Fill.
func Shell(script string, args []string, allowDash bool) ([]string, error) {
	for i, a := range args {
		if err := check(a, fmt.Sprintf("$%d", i+1), allowDash); err != nil {
			return nil, err
		}
	}
	return append([]string{"sh", "-c", script, "sh"}, args...), nil
}

// HasPlaceholder reports whether Fill would replace something in text.
func HasPlaceholder(text string) bool { return placeholder().MatchString(text) }

// check refuses an element that execve(2) or a command would misread.
func check(element, place string, allowDash bool) error {
	switch {
	case strings.Contains(element, "\x00"):
		return fmt.Errorf("an argument for %s contains a NUL byte", place)
	case len(element) > maxElement:
		return fmt.Errorf("an argument for %s has %d bytes, more than %d", place, len(element), maxElement)
	case !allowDash && strings.HasPrefix(element, "-"):
		return fmt.Errorf("an argument for %s begins with a dash: %.40q", place, element)
	}
	return nil
}

func fill(template string, args []string, kwargs map[string]string) (string, error) {
	return Expand(template, func(name string) (string, error) {
		if n, err := strconv.Atoi(name); err == nil && n < len(args) {
			return args[n], nil
		}
		if v, ok := kwargs[name]; ok {
			return v, nil
		}
		return "", fmt.Errorf("argument {%s} is missing", name)
	})
}
