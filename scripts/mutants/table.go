package main

// mutants are the checks that the router's promises rest on, each with a test that must
// fail without it. Of what an idle session holds there is no test but `make bench-bus`.
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
		"if err != nil && err != ErrClosed && !unsupported {", "if err == ErrClosed && unsupported {",
		"./router", "TestStalledSubscriber",
	},
	{
		"events of one publisher arrive in order", "router/broker/publish.go",
		"	if !to.peer.Deliver(event) {\n		return\n	}\n", "	e := *event\n	go to.peer.Deliver(&e)\n",
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
		"./router", "TestModel|TestStress|TestCallsItself",
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
		"./router", "TestPublisherWaits",
	},
	{
		"text is checked before it passes", "router/transport/codec_binary.go",
		"if err == nil && k == text && !utf8.Valid(b) {", "if err == nil && k == text && b == nil && utf8.Valid(b) {",
		"./router/transport", "Payload|Decode|UTF8|Forged",
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
		"./router", "TestCloseIsBounded|TestCloseUnderLoad",
	},
	{
		"imports point one way", "capabilities/args.go",
		"import (\n", "import (\n	_ \"github.com/deskconn/dconn/router/wire\"\n",
		"./cmd/dconn", ".",
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
		"	if err := g.rights.check(m); err != nil {\n		return nil, refuse(", "	if err := g.rights.check(m); err != nil && m == nil {\n		return nil, refuse(",
		"./router", "TestDeviceCallsSession|TestLoweredRights",
	},
	{
		"a lowered session may do what it kept only", "router/access.go",
		"	case r.lowered && !r.kept(action, uri, match):", "	case !r.lowered && !r.kept(action, uri, match) && r.lowered:",
		"./router", "TestLoweredRights",
	},
	{
		"a callee cannot speak for the router", "router/dealer/answer.go",
		"	if !s.trusted && !c.mayFailWith(m.Error) {", "	if s.trusted && !c.mayFailWith(m.Error) {",
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
}
