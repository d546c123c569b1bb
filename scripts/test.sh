#!/usr/bin/env bash
# test.sh: the tests that run anywhere with Go, with the race detector where
# there is a C compiler. With DCONN_TEST_ALL=1 a skipped test is a failure.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
race=()
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then
    race=(-race)
fi
if [ "${DCONN_TEST_ALL:-}" = 1 ] && ! command -v dbus-daemon >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install --no-install-recommends dbus-daemon >/dev/null
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go test "${race[@]}" -v -timeout 10m ./... >"$out" 2>&1
status=$?
grep -a -E '^(ok|FAIL|panic:)' "$out" # -a: tests print bytes
if [ $status != 0 ]; then # what led to each failure, and a race or panic whole
    grep -a -E -B40 -A10 '(FAIL: |--- FAIL|_test\.go:[0-9]+: |^panic:)' "$out" | grep -a -vE '^ *(=== |--- PASS)' | tail -300
    grep -a -A40 'DATA RACE' "$out" | head -100
fi
passed=$(grep -a -cE '^ *--- PASS' "$out")
failed=$(grep -a -cE '^ *--- FAIL' "$out")
skipped=$(grep -a -cE '^ *--- SKIP' "$out")
grep -a -A3 -E '^ *--- SKIP' "$out"
if [ "${DCONN_TEST_ALL:-}" = 1 ] && [ "$skipped" != 0 ]; then
    echo "test: $skipped tests were skipped, and DCONN_TEST_ALL=1 forbids that"
    status=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
