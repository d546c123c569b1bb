// Package system tells what machine this is and how it fares.
package system

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/deskconn/dconn/capabilities"
)

type system struct{ env capabilities.Env }

// New makes the capability.
func New(env capabilities.Env) capabilities.Capability {
	s := system{env}
	return capabilities.Capability{
		Name: "system",
		Doc:  "what machine this is and how it fares",
		Procedures: []capabilities.Procedure{
			{Verb: "name", Doc: "the name this machine goes by", Result: "text", Handle: s.name},
			{Verb: "uptime", Doc: "how long the machine is up", Result: "float, seconds", Handle: s.uptime},
			{Verb: "load", Doc: "average number of processes that ran or waited, over 1, 5 and 15 minutes", Result: "list of 3 floats", Handle: s.load},
			{Verb: "kernel", Doc: "the kernel's name, release and machine type", Result: "dict: sysname, release, machine", Handle: s.kernel},
			{Verb: "version", Doc: "the version of dconn that serves", Result: "text", Handle: s.version},
		},
	}
}

func (s system) name(context.Context, capabilities.Call) (any, error) { return s.env.Name, nil }

func (s system) version(context.Context, capabilities.Call) (any, error) { return s.env.Version, nil }

func (s system) uptime(context.Context, capabilities.Call) (any, error) {
	text, err := s.read("uptime")
	if err != nil {
		return nil, err
	}
	numbers, err := parseFloats(text, 1)
	if err != nil {
		return nil, capabilities.Unavailable("/proc/uptime: %v", err)
	}
	return numbers[0], nil
}

func (s system) load(context.Context, capabilities.Call) (any, error) {
	text, err := s.read("loadavg")
	if err != nil {
		return nil, err
	}
	numbers, err := parseFloats(text, 3)
	if err != nil {
		return nil, capabilities.Unavailable("/proc/loadavg: %v", err)
	}
	return []any{numbers[0], numbers[1], numbers[2]}, nil
}

func (s system) kernel(context.Context, capabilities.Call) (any, error) {
	out := map[string]any{"machine": machine()}
	for key, file := range map[string]string{"sysname": "sys/kernel/ostype", "release": "sys/kernel/osrelease"} {
		text, err := s.read(file)
		if err != nil {
			return nil, err
		}
		out[key] = strings.TrimSpace(text)
	}
	return out, nil
}

// read reads a file of proc(5).
func (s system) read(name string) (string, error) {
	b, err := os.ReadFile(s.env.Path("proc", name))
	if err != nil {
		return "", capabilities.Unavailable("cannot read /proc/%s: %v", name, err)
	}
	return string(b), nil
}

// parseFloats reads the first n fields of a file like /proc/loadavg.
func parseFloats(text string, n int) ([]float64, error) {
	fields := strings.Fields(text)
	if len(fields) < n {
		return nil, fmt.Errorf("%d fields, expected %d", len(fields), n)
	}
	numbers := make([]float64, n)
	for i := range numbers {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, fmt.Errorf("not a number: %q", fields[i])
		}
		numbers[i] = v
	}
	return numbers, nil
}
