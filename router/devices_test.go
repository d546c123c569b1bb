package router

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	"pgregory.net/rapid"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

func storeOf(t testing.TB, list ...*trust.Device) *trust.Store {
	t.Helper()
	s, err := trust.OpenStore(t.TempDir())
	if err == nil {
		err = s.Change(func(l *trust.Devices) error {
			for _, d := range list {
				l.Add(d)
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func paired(n byte, scopes ...trust.Scope) *trust.Device {
	return &trust.Device{ID: trust.ID{n}, Name: fmt.Sprint("d", n), Scopes: scopes, Paired: time.Now().UTC()}
}

// as are the rights of a session of a device.
func as(store *trust.Store, id trust.ID) *rights {
	return &rights{
		devices: newDevices(&Options{Trust: store, Log: slog.New(slog.DiscardHandler)}),
		who:     Identity{AuthID: id.String(), Role: roleDevice, Device: id},
	}
}

func TestDevicesMay(t *testing.T) {
	store := storeOf(t, paired(1, "test", "call:org.x", "subscribe:org.news", "register:org.mine", "publish:org.loud", "call:org.deskconn", "subscribe:org"))
	a, stranger := as(store, trust.ID{1}), as(store, trust.ID{2})
	subscribe := func(topic wamp.URI, match string) wamp.Message {
		return &wamp.Subscribe{Topic: topic, Options: wamp.Dict{"match": match}}
	}
	for _, row := range []struct {
		msg  wamp.Message
		want bool
	}{
		{&wamp.Call{Procedure: wire.Describe}, true},
		{&wamp.Call{Procedure: "org.deskconn.test.set"}, true},
		{&wamp.Call{Procedure: "org.x.y"}, true},
		{&wamp.Call{Procedure: "org.xy"}, false},
		{&wamp.Call{Procedure: wire.Status}, false},
		{&wamp.Call{Procedure: wire.Pair}, false},
		{&wamp.Call{Procedure: "wamp.session.list"}, false},
		{subscribe("org.deskconn.test.on_x", "exact"), true},
		{subscribe("org.news.", "prefix"), true},
		{subscribe("org.other.", "prefix"), true},
		{subscribe("org.", "prefix"), false},
		{&wamp.Call{Procedure: "org.deskconn.keyboard.press"}, false},
		{subscribe("", "prefix"), false},
		{subscribe("..", "wildcard"), false},
		{subscribe("wamp.session.on_join", "exact"), false},
		{&wamp.Register{Procedure: "org.mine.a"}, true},
		{&wamp.Register{Procedure: "org.other"}, false},
		{&wamp.Register{Procedure: "org.deskconn.test.set"}, false},
		{&wamp.Publish{Topic: "org.loud"}, true},
		{&wamp.Publish{Topic: "org.deskconn.test.on_x"}, false},
	} {
		if why := a.check(row.msg); why == nil != row.want {
			t.Errorf("%s %+v: %v", row.msg.MessageType(), row.msg, why)
		}
		_, isAction := actions[row.msg.MessageType()]
		if isAction && stranger.check(row.msg) == nil {
			t.Errorf("a stranger may %s %+v", row.msg.MessageType(), row.msg)
		}
	}
}

// describe shows a device what it may use, and a session that has lowered its rights
// what it kept of that.
func TestDescribeShows(t *testing.T) {
	store := storeOf(t, paired(1, "test", "subscribe:org.news"))
	d := as(store, trust.ID{1}).devices
	entry := func(kind, uri string) map[string]any { return map[string]any{"kind": kind, "uri": uri} }
	set, other := entry("procedure", "org.deskconn.test.set"), entry("procedure", "org.x")
	news := entry("topic", "org.news.today")
	device := session.Invocation{AuthID: trust.ID{1}.String(), AuthRole: roleDevice}
	lowered, owner := device, session.Invocation{AuthID: "uid:1000", AuthRole: roleOwner}
	lowered.Scopes = []any{"test", "call:org.x"}
	for name, row := range map[string]struct {
		call  session.Invocation
		shown []bool // set, other, news
	}{
		"owner": {owner, []bool{true, true, true}}, "device": {device, []bool{true, false, true}}, "lowered": {lowered, []bool{true, false, false}},
	} {
		rights := d.rightsOf(&row.call)
		for i, e := range []map[string]any{set, other, news} {
			if rights.shows(e) != row.shown[i] {
				t.Errorf("%s: %v is shown: %v", name, e["uri"], !row.shown[i])
			}
		}
	}
}

// nexus attaches nobody whom the connection has not identified by the method that the
// session uses.
func TestAuthenticator(t *testing.T) {
	id := Identity{AuthID: "uid:1000", Role: roleOwner, Method: wire.AuthPeerCred}
	details := func(v any) wamp.Dict { return wamp.Dict{"transport": wamp.Dict{"auth": wamp.Dict{"identity": v}}} }
	welcome, err := authenticator{wire.AuthPeerCred}.Authenticate(1, details(id), nil)
	if err != nil || welcome.Details["authid"] != id.AuthID || welcome.Details["authrole"] != roleOwner {
		t.Errorf("got %+v, %v", welcome, err)
	}
	for _, d := range []wamp.Dict{{}, details(nil), details("uid:0"), details(map[string]any{"AuthID": "uid:0"})} {
		if _, err := (authenticator{wire.AuthPeerCred}).Authenticate(1, d, nil); err == nil {
			t.Errorf("%v is an identity", d)
		}
	}
	if _, err := (authenticator{wire.AuthTLS}).Authenticate(1, details(id), nil); err == nil {
		t.Error("an identity of another method is one")
	}
}

// What a device was refused is in the audit log: a burst once, and not more than it
// can be read; nobody waits for it.
func TestDeniedIsAudited(t *testing.T) {
	store := storeOf(t, paired(1))
	a := as(store, trust.ID{1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { a.devices.noteDenials(ctx); close(done) }()
	refuse := func(uri string) {
		if a.check(&wamp.Call{Procedure: wamp.URI(uri)}) == nil {
			t.Fatal("it may")
		}
	}
	for range 50 {
		refuse("org.deskconn.test.set")
	}
	for n := range 1000 {
		refuse(fmt.Sprint("org.x.", n))
	}
	for limit := time.Now().Add(10 * time.Second); len(a.devices.refused) > 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	var list []trust.Entry
	if err := trust.OpenAudit(store.Dir()).Entries(func(e trust.Entry) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(list) != denialLines || list[0].Event != "denied" || list[0].Name != "d1" || list[0].URI != "org.deskconn.test.set" || list[0].Action != "call" {
		t.Errorf("%d lines, %+v", len(list), list)
	}
}

// Whatever is granted, revoked, renamed or expires, and whoever restarts: what is
// allowed is what the store says at that moment, compared with a model that knows
// nothing of how it is written.
func TestModelOfGrants(t *testing.T) {
	uris := []string{"org.deskconn.test.set", "org.deskconn.tests.set", "org.deskconn.keyboard.press", "org.deskconn.brightness.set", "org", "org.x", "org.x.y", "org.xy", "org.deskconn.status", "wamp.session.list"}
	scopes := []trust.Scope{"test", "call:org.x", "subscribe:org.x", "publish:org.x", "register:org.x", "call:org", "subscribe:org", "call:org.deskconn.keyboard"} // the last three are of an older version
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		store, err := trust.OpenStore(dir)
		if err != nil {
			rt.Fatal(err)
		}
		model, expired := map[trust.ID][]trust.Scope{}, map[trust.ID]bool{}
		pick := func() trust.ID { return trust.ID{byte(rapid.IntRange(1, 3).Draw(rt, "device"))} }
		update := func(change func(*trust.Devices)) {
			// always by another than the daemon's own
			other, err := trust.OpenStore(dir)
			if err == nil {
				err = other.Change(func(l *trust.Devices) error { change(l); return nil })
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"grant": func(rt *rapid.T) {
				id, scope := pick(), rapid.SampledFrom(scopes).Draw(rt, "scope")
				update(func(l *trust.Devices) {
					d := l.ByID(id)
					if d == nil {
						d = paired(id[0])
						l.Add(d)
					}
					if !slices.Contains(d.Scopes, scope) {
						d.Scopes = append(d.Scopes, scope)
					}
				})
				if !slices.Contains(model[id], scope) {
					model[id] = append(model[id], scope)
				}
			},
			"deny": func(rt *rapid.T) {
				id, scope := pick(), rapid.SampledFrom(scopes).Draw(rt, "scope")
				update(func(l *trust.Devices) {
					if d := l.ByID(id); d != nil {
						d.Scopes = slices.DeleteFunc(d.Scopes, func(s trust.Scope) bool { return s == scope })
					}
				})
				model[id] = slices.DeleteFunc(model[id], func(s trust.Scope) bool { return s == scope })
			},
			"revoke": func(rt *rapid.T) {
				id := pick()
				update(func(l *trust.Devices) { l.Remove(id) })
				delete(model, id)
				delete(expired, id)
			},
			"expire": func(rt *rapid.T) {
				id := pick()
				update(func(l *trust.Devices) {
					if d := l.ByID(id); d != nil {
						d.Expires = time.Now().Add(-time.Second)
						expired[id] = true
					}
				})
			},
			"renew": func(rt *rapid.T) {
				id := pick()
				update(func(l *trust.Devices) {
					if d := l.ByID(id); d != nil {
						d.Expires = time.Time{}
						expired[id] = false
					}
				})
			},
			"restart": func(rt *rapid.T) {
				if store, err = trust.OpenStore(dir); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				id, uri := pick(), rapid.SampledFrom(uris).Draw(rt, "uri")
				match := rapid.SampledFrom([]string{"exact", "prefix", "wildcard"}).Draw(rt, "match")
				a := as(store, id)
				for _, msg := range []wamp.Message{
					&wamp.Call{Procedure: wamp.URI(uri)}, &wamp.Publish{Topic: wamp.URI(uri)}, &wamp.Register{Procedure: wamp.URI(uri)},
					&wamp.Subscribe{Topic: wamp.URI(uri + "."), Options: wamp.Dict{"match": match}},
				} {
					want := !expired[id] && modelAllows(model[id], msg)
					if why := a.check(msg); why == nil != want {
						rt.Fatalf("%v, %s %+v: %v with %v", id[0], msg.MessageType(), msg, why, model[id])
					}
				}
			},
		})
	})
}

// modelAllows is the rule as a user would say it.
func modelAllows(scopes []trust.Scope, msg wamp.Message) bool {
	uri, match := subject(msg)
	verb := strings.ToLower(msg.MessageType().String())
	owned := strings.HasPrefix(uri, "org.deskconn") && (verb == "register" || verb == "publish")
	if strings.HasPrefix(uri, "wamp") || verb == "call" && uri == wire.Status || owned {
		return false
	}
	// Of what dconn offers, an action with a URI reaches what an older version could
	// grant that way, the brightness; a pattern that could match anything else does not.
	kept := strings.HasPrefix(uri, "org.deskconn.brightness.")
	ours := strings.HasPrefix(uri, "org.deskconn") || uri == "org." && match != "exact"
	for _, s := range scopes {
		space, right := strings.CutPrefix(string(s), verb+":")
		right = right && (!ours || kept)
		if s == "test" && (verb == "call" || verb == "subscribe") {
			space, right = "org.deskconn.test", true
		}
		if right && (uri == space && match != "prefix" || strings.HasPrefix(uri, space+".")) {
			return true
		}
	}
	return false
}
