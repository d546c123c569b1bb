// Package all is the list of what a daemon can offer to others, and so the
// attack surface a reviewer must see at one glance. A capability is one
// folder and one line here.
package all

import (
	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/brightness"
	"github.com/deskconn/dconn/capabilities/system"
)

// New makes every capability, in the order `describe` shows them.
func New(env capabilities.Env) []capabilities.Capability {
	return []capabilities.Capability{
		brightness.New(env),
		system.New(env),
	}
}
