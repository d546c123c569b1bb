package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
)

// The kinds of ids. An invocation id belongs to one session.
const (
	sessionID      = "S"
	subscriptionID = "U"
	registrationID = "R"
	publicationID  = "P"
	invocationID   = "I"
)

// names maps the ids of one router to names that are equal at both, in the order
// in which ids appear.
type names struct {
	byID map[string]string // of kind and id
	id   map[string]wamp.ID
	next map[string]int
}

func newNames() *names {
	return &names{byID: map[string]string{}, id: map[string]wamp.ID{}, next: map[string]int{}}
}

func ownKey(kind string, id any) string { return fmt.Sprint(kind, " ", id) }

func (n *names) of(kind string, v any) string {
	id, ok := wamp.AsID(v)
	if !ok || id == 0 {
		return fmt.Sprintf("no %s: %v", kind, v)
	}
	key := ownKey(kind, id)
	if n.byID[key] == "" {
		n.next[kind]++
		name := fmt.Sprint(kind, n.next[kind])
		n.byID[key], n.id[name] = name, id
	}
	return n.byID[key]
}

// known is the name of an id that has appeared before.
func (n *names) known(kind string, id wamp.ID) string {
	if name := n.byID[ownKey(kind, id)]; name != "" {
		return name
	}
	return "no " + kind
}

// pattern is what a session subscribes to or registers.
type pattern struct {
	uri, match, invoke string
	discloses          bool // callers to the callee
}

// canonical is a message as it is compared.
type canonical struct {
	kind    wamp.MessageType
	request string // or what the message is about
	grants  string // the id that comes with it
	details wamp.Dict
	uri     string
	args    []any
	kwargs  map[string]any

	topic       string // of an EVENT
	publication wamp.ID
	stream      string // messages of one stream keep their order
}

func (c *canonical) String() string {
	text := []string{c.kind.String(), c.request, c.grants, c.uri}
	if c.details != nil {
		text = append(text, strings.TrimPrefix(fmt.Sprint(map[string]any(c.details)), "map"))
	}
	if len(c.args) > 0 || len(c.kwargs) > 0 {
		text = append(text, fmt.Sprint(c.args), strings.TrimPrefix(fmt.Sprint(c.kwargs), "map"))
	}
	return strings.Join(slices.DeleteFunc(text, func(s string) bool { return s == "" }), " ")
}

func copied(d wamp.Dict) wamp.Dict {
	c := wamp.Dict{}
	for k, v := range d {
		c[k] = v
	}
	return c
}

// canonical gives a message that session by heard its canonical form. Publications
// get their names in the end.
func (r *playedRouter) canonical(by int, msg wamp.Message) *canonical {
	s, n := r.sessions[by], r.names
	inv := fmt.Sprint(invocationID, by+1, ".")
	c := &canonical{kind: msg.MessageType()}
	switch m := msg.(type) {
	case *wamp.Subscribed:
		c.request, c.grants = fmt.Sprint(m.Request), n.of(subscriptionID, m.Subscription)
		r.patterns[c.grants] = s.asked[m.Request]
	case *wamp.Registered:
		c.request, c.grants = fmt.Sprint(m.Request), n.of(registrationID, m.Registration)
		r.patterns[c.grants] = s.asked[m.Request]
		s.held[c.grants] = s.asked[m.Request]
	case *wamp.Unsubscribed:
		c.request = fmt.Sprint(m.Request)
	case *wamp.Unregistered:
		c.request = fmt.Sprint(m.Request)
	case *wamp.Published:
		c.request, c.publication = fmt.Sprint(m.Request), m.Publication
	case *wamp.Event:
		r.event(c, m)
	case *wamp.Invocation:
		c.request, c.grants, c.details = n.of(inv, m.Request), n.of(registrationID, m.Registration), copied(m.Details)
		r.callerIn(c.details)
		c.args, c.kwargs, c.stream = m.Arguments, m.ArgumentsKw, "callee"
	case *wamp.Interrupt:
		c.request, c.details, c.stream = n.known(inv, m.Request), copied(m.Options), "callee"
	case *wamp.Result:
		c.request, c.details, c.args, c.kwargs = fmt.Sprint(m.Request), copied(m.Details), m.Arguments, m.ArgumentsKw
		c.stream = "caller"
		r.meta(c, metaResults[s.called[m.Request]])
	case *wamp.Error:
		c.request, c.details, c.uri = fmt.Sprint(m.Type, " ", m.Request), copied(m.Details), string(m.Error)
		c.args, c.kwargs = m.Arguments, m.ArgumentsKw
		if m.Type == wamp.CALL {
			c.stream = "caller"
		}
	case *wamp.Goodbye:
		c.details, c.uri = copied(m.Details), string(m.Reason)
	case *wamp.Abort:
		c.details, c.uri = copied(m.Details), string(m.Reason)
	}
	return c
}

func (r *playedRouter) event(c *canonical, m *wamp.Event) {
	c.request, c.publication, c.details = r.names.of(subscriptionID, m.Subscription), m.Publication, copied(m.Details)
	c.args, c.kwargs, c.topic = m.Arguments, m.ArgumentsKw, r.patterns[c.request].uri
	if topic, ok := m.Details["topic"].(string); ok {
		c.topic = topic
	}
	if id, ok := c.details["publisher"]; ok {
		c.details["publisher"] = r.names.of(sessionID, id)
	}
	c.stream = c.request
	if kinds, ok := metaEvents[c.topic]; ok {
		r.meta(c, kinds)
		c.stream = fmt.Sprint(c.request, c.topic, c.args) // nexus tells of several in any order
	}
}

func (r *playedRouter) callerIn(details wamp.Dict) {
	if id, ok := details["caller"]; ok {
		details["caller"] = r.names.of(sessionID, id)
	}
}

// What the arguments of meta events and results are, one kind each. "#" counts
// sessions.
var (
	metaEvents = map[string][]string{
		"wamp.session.on_join":             {sessionID},
		"wamp.session.on_leave":            {sessionID, "", ""},
		"wamp.registration.on_create":      {sessionID, registrationID},
		"wamp.registration.on_register":    {sessionID, registrationID},
		"wamp.registration.on_unregister":  {sessionID, registrationID},
		"wamp.registration.on_delete":      {sessionID, registrationID},
		"wamp.subscription.on_create":      {sessionID, subscriptionID},
		"wamp.subscription.on_subscribe":   {sessionID, subscriptionID},
		"wamp.subscription.on_unsubscribe": {sessionID, subscriptionID},
		"wamp.subscription.on_delete":      {sessionID, subscriptionID},
	}
	metaResults = map[string][]string{
		"wamp.session.count":                  {"#"},
		"wamp.session.list":                   {sessionID},
		"wamp.session.get":                    {sessionID},
		"wamp.registration.list":              {registrationID},
		"wamp.registration.lookup":            {registrationID},
		"wamp.registration.match":             {registrationID},
		"wamp.registration.get":               {registrationID},
		"wamp.registration.list_callees":      {sessionID},
		"wamp.registration.count_callees":     {""},
		"wamp.subscription.list":              {subscriptionID},
		"wamp.subscription.lookup":            {subscriptionID},
		"wamp.subscription.match":             {subscriptionID},
		"wamp.subscription.get":               {subscriptionID},
		"wamp.subscription.list_subscribers":  {sessionID},
		"wamp.subscription.count_subscribers": {""},
	}
)

// meta names the ids in the arguments.
func (r *playedRouter) meta(c *canonical, kinds []string) {
	if len(kinds) != len(c.args) {
		return
	}
	c.args = slices.Clone(c.args)
	for i, kind := range kinds {
		if kind == "#" {
			n, _ := wamp.AsInt64(c.args[i])
			c.args[i] = n - r.ownCount
		} else if kind != "" {
			c.args[i] = r.named(kind, c.args[i])
		}
	}
}

// named names the ids in one argument: an id, a list of them, or a dict with ids
// or with lists. What the router has from the start is left out of lists.
func (r *playedRouter) named(kind string, v any) any {
	switch v := v.(type) {
	case []any:
		list := []string{}
		for _, id := range v {
			if !r.own[ownKey(kind, id)] {
				list = append(list, r.names.of(kind, id))
			}
		}
		slices.Sort(list)
		return list
	case map[string]any:
		dict := wamp.Dict{}
		for k, e := range v {
			switch k {
			case "id", "session", session.Exact, session.Prefix, session.Wildcard:
				e = r.named(kind, e)
			case "created":
				_, isText := e.(string)
				e = fmt.Sprint("text: ", isText)
			}
			dict[k] = e
		}
		return dict
	case nil:
		return []string{}
	}
	return r.names.of(kind, v)
}

// withList is the lists of a dict, or the one list that there is.
func withList(lists map[string]any, v any) map[string]any {
	if lists == nil {
		return map[string]any{"": v}
	}
	return lists
}

// heard takes what the sessions have heard since the last time, in canonical form
// and in an order that is equal at both routers: that of arrival within a stream,
// unless everything came at once because a session has left.
func (r *playedRouter) heard(by int, atOnce bool) [][]*canonical {
	all := make([][]*canonical, len(r.sessions))
	order := []int{by}
	for i := range r.sessions {
		if i != by {
			order = append(order, i)
		}
	}
	for _, i := range order {
		for _, m := range r.sessions[i].heard {
			c := r.canonical(i, m)
			if atOnce {
				c.stream = c.String()
			}
			all[i] = append(all[i], c)
		}
		slices.SortStableFunc(all[i], func(a, b *canonical) int {
			return cmp.Compare(a.stream, b.stream)
		})
	}
	publications := newNames()
	for _, i := range order {
		for _, c := range all[i] {
			if c.publication != 0 {
				c.grants = publications.of(publicationID, c.publication)
			}
		}
	}
	return all
}
