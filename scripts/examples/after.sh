#!/usr/bin/env bash
# after.sh URI CMD [ARG...]: wait until URI can be called, at most a minute or
# $AFTER_WAIT seconds, then become CMD. If it never comes CMD does not run, and
# the exit code is that of dconn wait, 124. A kiosk that needs its lights:
#
#   after.sh org.example.lights.on chromium --kiosk http://localhost/
#
# For a systemd unit that is ExecStartPre=dconn wait -W 60 org.example.lights.on
set -euo pipefail

uri=${1:?usage: after.sh URI CMD [ARG...]} cmd=${2:?no CMD}
shift 2
dconn wait -W "${AFTER_WAIT:-60}" "$uri" || {
    code=$?
    echo "after.sh: $uri cannot be called: $cmd is not run" >&2
    exit "$code"
}
exec "$cmd" "$@"
