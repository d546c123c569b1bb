#!/usr/bin/env bash
# test.sh: try dconn between hosts, each a network namespace of its own. With
# DCONN_TEST_ALL=1 a machine that cannot run this is a failure, not a skip.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cannot() {
    echo "test-net: $*" >&2
    [ "${DCONN_TEST_ALL:-}" != 1 ] || exit 1
    exit 0
}

[ "$(id -u)" = 0 ] || cannot "needs root, to make network namespaces"
missing=$("$here/../need.sh" iproute2 avahi-daemon avahi-utils dbus nftables)
[ -z "$missing" ] || cannot "$missing"
space=dconn-probe-$$
ip netns add "$space" 2>/dev/null || cannot "this kernel, or this container, makes no network namespaces"
ip netns del "$space"
cd "$here/../.."
# with what the tests have measured
go test -tags netns -count 1 -timeout 15m -v "$@" ./scripts/net | { grep -v '^=== ' || true; }
