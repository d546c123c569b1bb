package main

// mutants are the checks that the router's promises rest on, each with a test that must
// fail without it. How much an idle session holds is measured by `make bench-bus` only;
// the test here is of what it must not keep.
var mutants = []mutant{
	{
		"identity comes from the connection only", "router/guard.go",
		"own := &wamp.Hello{Realm: m.Realm, Details: details}", "own := &wamp.Hello{Realm: m.Realm, Details: m.Details}",
		"./router", "FuzzHello|TestJunkHello",
	},
	{
		"a message of nexus that finds its channel full ends the session", "router/transport/peer.go",
		"		p.cut(p.slow())\n", "",
		"./router/transport", "TestPumpLosesNothingSilently",
	},
	{
		"a subscriber that is not served is cut off", "router/transport/peer.go",
		"](err); !unsupported {", "](err); unsupported {",
		"./router", "TestStalledSubscriber",
	},
	{
		"events of one publisher arrive in order", "router/broker/publish.go",
		"	if !to.peer.Deliver(&d.by.event) {\n		return\n	}\n", "	e := d.by.event\n	go func() { to.peer.Deliver(&e); to.peer.Flush() }()\n	return\n",
		"./router", "TestEventsInOrder",
	},
	{
		"calls arrive in order, while the procedure comes and goes", "router/dealer/call.go",
		"				err = to.invoke(c, r, m)\n", "				go func() { _ = to.invoke(c, r, m) }()\n",
		"./router", "TestCallsInOrder",
	},
	{
		"the locks of two sessions are never held at once", "router/dealer/answer.go",
		"	c.answer(s, &wamp.Result{", "	s.mu.Lock()\n	defer s.mu.Unlock()\n	c.answer(s, &wamp.Result{",
		"./router", "TestModel|TestStress",
	},
	{
		"SUBSCRIBED is queued before an event", "router/broker/broker.go",
		"	tell()\n", "	go tell()\n",
		"./router", "TestSubscribeInHaste|TestModel",
	},
	{
		"REGISTERED is queued before an INVOCATION", "router/dealer/session.go",
		"	tell()\n", "	go tell()\n",
		"./router", "TestCallsInOrder|TestModel",
	},
	{
		"the end of a callee answers every open call", "router/dealer/session.go",
		"		c.answer(nil, calleeLost(c.request), true)\n", "		_ = c\n",
		"./router", "TestCalleeVanishes|TestCalleeLeaves",
	},
	{
		"the end of a caller interrupts every open call", "router/dealer/session.go",
		"		c.interrupt(nil, wire.ErrCanceled, wamp.CancelModeKillNoWait)\n", "		_ = c\n",
		"./router", "TestCallThenViolation|TestProgressiveCallAlone",
	},
	{
		"a publisher does not wait for a subscriber that has stopped", "router/transport/lag.go",
		"		p.patience.Add(-int64(waited))\n		silent += waited\n", "		_ = waited\n",
		"./router/transport", "TestAwaitRoomEnds",
	},
	{
		"text is checked before it passes", "router/transport/codec_binary.go",
		"if err == nil && k == text && !utf8.Valid(b) {", "if err == nil && k == text && b == nil && utf8.Valid(b) {",
		"./router/transport", "TestPayload|TestDecode",
	},
	{
		"no peer chooses the name of a counter", "router/ledger.go",
		"		return endNormal\n", "		return a.agent\n",
		"./router", "TestEndings",
	},
	{
		"org.deskconn.* and wamp.* are reserved", "router/access.go",
		"		if covers(space, uri, match) {", "		if covers(space, uri, match) && rule.why == \"\" {",
		"./router", "TestRules|TestPatternRegistrations",
	},
	{
		"Close is bounded", "router/router.go",
		"const shutdown = 4500 * time.Millisecond", "const shutdown = 45 * time.Second",
		"./router", "TestCloseDespiteCapability",
	},
	{
		"imports point one way", "capabilities/args.go",
		"import (\n", "import (\n	_ \"github.com/deskconn/dconn/router/wire\"\n",
		"./cmd/dconn", "TestImportsFlowOneWay",
	},
	{
		"exit codes do not change", "commands/exit.go",
		"	exitNotFound    = 3\n", "	exitNotFound    = 33\n",
		"./commands", "TestScripts/codes_call",
	},
	{
		"a late chunk of a stream is no call", "router/dealer/call.go",
		"	case s.gone, s.isLate(m):", "	case s.gone:",
		"./router", "TestProgressiveCallEndsEarly",
	},
	{
		"CANCEL by kill waits for the callee", "router/dealer/call.go",
		"kill := mode == wamp.CancelModeKill && c.callee != nil", "kill := mode == \"\" && c.callee != nil",
		"./router", "TestCancelModes|TestKill",
	},
	{
		"a call is authorised", "router/requests.go",
		"	if err := g.rights.check(m); err != nil {\n		return nil, refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())\n	}\n	if wire.IsMeta(", "	if err := g.rights.check(m); err != nil && m == nil {\n		return nil, refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())\n	}\n	if wire.IsMeta(",
		"./router", "TestDeviceCallsSession|TestLoweredRights",
	},
	{
		"a lowered session may do what it kept only", "router/access.go",
		"	case r.lowered && !r.kept(action, uri, match):", "	case !r.lowered && !r.kept(action, uri, match) && r.lowered:",
		"./router", "TestLoweredRights",
	},
	{
		"a callee cannot speak for the router", "router/dealer/answer.go",
		"	if !s.Trusted && !c.mayFailWith(m.Error) {", "	if s.Trusted && !c.mayFailWith(m.Error) {",
		"./router", "TestCalleeErrors",
	},
	{
		"what waits for the daemon's own is bounded", "router/transport/local.go",
		"	case l.waiting >= l.lim.Queue:", "	case l.waiting >= l.lim.Queue && l.guard == nil:",
		"./router/transport", "TestLocalQueue",
	},
	{
		"the reading is handed on where a call takes long", "router/transport/handon.go",
		"				go c.read()\n", "				_ = c\n",
		"./router", "TestSlowCallIsHandedOn",
	},
	{
		"CANCEL by skip leaves the callee alone", "router/dealer/call.go",
		"tell := open && to.interruptible && mode != wamp.CancelModeSkip", "tell := open && to.interruptible",
		"./router", "TestCancelModes",
	},
	{
		"CANCEL by killnowait answers at once", "router/dealer/call.go",
		"kill := mode == wamp.CancelModeKill && c.callee != nil", "kill := mode != wamp.CancelModeSkip && c.callee != nil",
		"./router", "TestCancelModes",
	},
	{
		"describe shows a device what it may use only", "router/access.go",
		"	r.who.Device, _ = trust.ParseID(call.AuthID)\n", "	r.who.Role = roleOwner\n",
		"./router", "TestDescribeShows",
	},
	{
		"describe shows a lowered session what it kept only", "router/access.go",
		"	if call.Scopes != nil {", "	if call.Scopes != nil && call.AuthRole == roleDaemon {",
		"./router", "TestLoweredRights",
	},
	{
		"nexus attaches who the connection has identified", "router/access.go",
		"	if !ok || id.Method != a.method {", "	if !ok {",
		"./router", "TestAuthenticator",
	},
	{
		"JSON text is checked before it passes", "router/transport/reader_json.go",
		"	if !utf8.Valid(data) {", "	if len(data) == 0 && !utf8.Valid(data) {",
		"./router/transport", "TestPayload|TestJSON|TestForeign",
	},
	{
		"a JSON payload nests no deeper than others", "router/transport/reader_json.go",
		"		if inside > depth {", "		if inside > depth+1000 {",
		"./router/transport", "TestPayload|TestJSON|TestDecode|TestMessageDepth",
	},
	{
		"a JSON payload is a list and a dict", "router/transport/reader_json.go",
		"	case '{':\n		return map[string]any(nil)\n", "	case '{':\n		return []any(nil)\n",
		"./router/transport", "TestPayload|TestJSON|TestMessage|TestDecode",
	},
	{
		"no write waits for a peer", "router/transport/write.go",
		"		go c.write(c.going.take()) // an error is met there again\n",
		"		rest := c.going.take()\n		c.mu.Unlock()\n		c.write(rest)\n		c.mu.Lock()\n",
		"./router", "TestStalled|TestPublisherWaits",
	},
	{
		"a log line names the peer as the connection does", "router/ledger.go",
		"\"peer\", a.identity.AuthID, \"message\"", "\"peer\", a.agent, \"message\"",
		"./router", "TestLimitsAreLoggedByAuthID",
	},
	{
		"an idle session keeps nothing of its last message", "router/broker/publish.go",
		"	defer func() { s.event = transport.Event{} }() // an idle session holds nothing of its last message\n", "",
		"./router", "TestIdleSessionsHoldNothing",
	},
	{
		"JSON shapes do not change", "commands/exit.go",
		"\"message\": f.Message, \"args\":", "\"text\": f.Message, \"args\":",
		"./commands", "TestScripts/json",
	},
}
