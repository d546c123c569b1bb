#!/usr/bin/env bash
# bridge.sh FROM TO: publish each event of topic FROM as one of topic TO, with all
# its arguments, until it is ended. It survives a restart of the router; what is
# published while that is away is lost, and subscribe says so. Tell a room what
# the backlight does:
#
#   bridge.sh .brightness.on_changed org.example.room.light
set -euo pipefail

from=${1:?usage: bridge.sh FROM TO} to=${2:?no TO}
dconn wait -W 0
dconn publish --json-lines "$to" </dev/null # a wrong TO is said at once
dconn subscribe --reconnect -o ndjson --fields args,kwargs "$from" |
    until dconn publish --json-lines "$to"; do
        code=$?
        [ "$code" = 6 ] || exit "$code"
        dconn wait -W 0 # 6: the router is gone, and comes back
    done
