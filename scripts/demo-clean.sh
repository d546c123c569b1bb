#!/usr/bin/env bash
# demo-clean.sh: run the demo and check that it works, is quick, and leaves
# nothing behind: no process of its own, no file, no socket.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/tmp" "$tmp/run" "$tmp/home"
failed=0
ok() { # ok WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; failed=$((failed + 1)); fi
}
processes() { grep -lz "^DCONN_DEMO_MARK=$mark" /proc/[0-9]*/environ 2>/dev/null | grep -v "/$$/"; }

mark=$$-$RANDOM
git status --porcelain >"$tmp/before"
begin=$SECONDS
env DCONN_DEMO_MARK="$mark" TMPDIR="$tmp/tmp" XDG_RUNTIME_DIR="$tmp/run" HOME="$tmp/home" scripts/demo.sh >"$tmp/out" 2>&1
status=$?
took=$((SECONDS - begin))
git status --porcelain >"$tmp/after"
[ $status = 0 ] || cat "$tmp/out"
ok "the demo ends with 0" [ $status = 0 ]
ok "it calls what it registered" grep -q '^Filesystem' "$tmp/out"
ok "its events came through the pipe" grep -q '^the door is closed$' "$tmp/out"
ok "it called another machine" grep -A1 -x '\$ dconn call -d desk .system.name' "$tmp/out"
ok "within 60 s (took $took)" [ $took -lt 60 ]
ok "no process is left" [ -z "$(processes)" ]
ok "no file is left" [ -z "$(find "$tmp/tmp" "$tmp/run" "$tmp/home" -mindepth 1)" ]
ok "the checkout is as it was" cmp -s "$tmp/before" "$tmp/after"
echo "$((8 - failed)) passed, $failed failed"
[ $failed = 0 ]
