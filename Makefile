# make build test demo are all a user needs; CI runs test and test-all.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/deskconn/dconn/commands.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.6.1
# nexus links a codec that dconn does not run: without its fast paths a call
# starts 9 % faster and the binary is 6 MiB smaller
TAGS := codec.notfastpath
PREFIX ?= /usr/local
export GOTOOLCHAIN := local

.PHONY: all build test test-all test-vm race fuzz lint bench bench-cold bench-cli bench-bus demo completions man install

all: build

build:
	CGO_ENABLED=0 go build -tags '$(TAGS)' -trimpath -ldflags '$(LDFLAGS)' -o dconn ./cmd/dconn

# unit tests and the binary's scripts, with the race detector where there is a
# C compiler
test:
	go vet ./...
	scripts/test.sh

race:
	CGO_ENABLED=1 go test -race -timeout 10m ./...

# every layer, installing what is missing; a layer that cannot run is a failure
test-all: export DCONN_TEST_ALL = 1
test-all: lint test-vm test-power test-net test-stream test-soak demo-clean

test-vm:
	scripts/vm/test.sh

# how often a machine loses its power while it changes the trust store; a run of
# 100 takes three minutes
POWER ?= 15
.PHONY: test-power
test-power:
	scripts/vm/power.sh $(POWER)

# hosts that find each other, and whoever stands between them
.PHONY: test-net
test-net:
	scripts/net/test.sh

# a GiB in constant memory
.PHONY: test-stream
test-stream: build
	scripts/stream.sh

# the daemon after hard use, in a bounded form of a minute or two; soak is the long
# one
.PHONY: test-soak soak
test-soak:
	go run ./scripts/soak -tags '$(TAGS)' -sessions 200 -stalled 20 -connects 5000 -messages 500000

soak:
	go run ./scripts/soak -tags '$(TAGS)'

# a paired device that turned hostile, for a minute
.PHONY: test-guests
test-guests:
	go run ./scripts/guests -tags '$(TAGS)' -seconds 60

# the demo leaves nothing behind
.PHONY: demo-clean
demo-clean: build
	scripts/demo-clean.sh

# each check of the router taken out, and the test that fails for it; some minutes
.PHONY: test-mutants
test-mutants:
	go run ./scripts/mutants

lint:
	scripts/lint.sh $(STATICCHECK)

FUZZTIME ?= 60s
fuzz:
	scripts/fuzz.sh $(FUZZTIME)

bench-cold:
	go run ./scripts/bench/cold -tags '$(TAGS)'

bench-cli:
	go run ./scripts/bench/cli -tags '$(TAGS)'

bench-bus:
	go run ./scripts/bench/bus -tags '$(TAGS)'

.PHONY: bench-isolation
bench-isolation:
	go run ./scripts/bench/isolation -tags '$(TAGS)'

.PHONY: bench-discover
bench-discover:
	go run ./scripts/bench/discover -tags '$(TAGS)'

# this tree beside another binary of dconn, such as one of an earlier commit, in
# about 20 minutes: BASE=path. It fails if a row is below the bar.
.PHONY: bench-base
bench-base: BASE ?=
bench-base:
	@test -x '$(BASE)' || { echo 'bench-base: BASE must be a binary of dconn, got "$(BASE)"' >&2; exit 1; }
	failed=0; \
	go run ./scripts/bench/bus -tags '$(TAGS)' -base '$(BASE)' -rounds 6 -seconds 1 -idle-runs 3 || failed=1; \
	go run ./scripts/bench/cli -tags '$(TAGS)' -base '$(BASE)' -rounds 6 || failed=1; \
	go run ./scripts/bench/isolation -tags '$(TAGS)' -base '$(BASE)' -rounds 6 -load 2s || failed=1; \
	exit $$failed

bench: bench-cold bench-cli bench-bus bench-isolation

demo: build
	scripts/demo.sh

completions: build
	./dconn completion bash >completions/dconn.bash
	./dconn completion zsh >completions/_dconn
	./dconn completion fish >completions/dconn.fish

man: build
	rm -rf docs/man
	mkdir -p docs/man
	./dconn man docs/man

install: build
	install -D -m 755 dconn $(DESTDIR)$(PREFIX)/bin/dconn
	install -D -m 644 completions/dconn.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/dconn
	install -D -m 644 completions/_dconn $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dconn
	install -D -m 644 completions/dconn.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dconn.fish
	for page in docs/man/*; do \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page; done
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/doc/dconn/examples scripts/examples/*.sh
	install -D -m 644 scripts/systemd/dconn.socket $(DESTDIR)$(PREFIX)/share/systemd/user/dconn.socket
	install -D -m 644 scripts/systemd/dconn.service $(DESTDIR)$(PREFIX)/share/systemd/user/dconn.service
	sed -i 's|^ExecStart=dconn|ExecStart=$(PREFIX)/bin/dconn|' $(DESTDIR)$(PREFIX)/share/systemd/user/dconn.service
