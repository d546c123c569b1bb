#!/usr/bin/env bash
# brightness-by-hour.sh [HOUR]: set the brightness that the table at the end has
# for this hour, or for HOUR. It makes one call, so let cron run it:
#
#   PATH=/usr/local/bin:/usr/bin:/bin
#   0 * * * * /usr/local/share/doc/dconn/examples/brightness-by-hour.sh
#
# or a systemd user timer with OnCalendar=hourly. Without a daemon, or without a
# backlight, it ends with the exit code of dconn call, and cron mails why.
set -euo pipefail

printf -v now '%(%H)T' -1
hour=$((10#${1:-$now}))
while read -r from level; do
    if ((hour >= from)); then percent=$level; fi
done <<'TABLE'
0 10
7 60
9 100
18 70
21 30
TABLE
# cron does not say where the sockets of a user are
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$UID} dconn call .brightness.set "$percent"
