#!/usr/bin/env bash
# avahi.sh NAME COMMAND...: run COMMAND beside an avahi-daemon for host NAME, on a
# bus and in directories of its own. All of it ends with COMMAND.
set -euo pipefail
if [ "${AVAHI_INSIDE:-}" != 1 ]; then
    AVAHI_INSIDE=1 exec unshare --mount --pid --fork --kill-child "$0" "$@"
fi
name=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t proc proc /proc
mkdir -p /run/dbus /run/avahi-daemon
cat >/run/avahi.conf <<CONF
[server]
host-name=$name
use-ipv4=yes
use-ipv6=yes
[publish]
publish-workstation=no
CONF
dbus-daemon --system --fork --nopidfile
avahi-daemon --no-chroot --no-rlimits --file /run/avahi.conf >/run/avahi.log 2>&1 &
state() { dbus-send --system --print-reply --dest=org.freedesktop.Avahi / org.freedesktop.Avahi.Server.GetState 2>/dev/null; }
for _ in $(seq 100); do
    ! state | grep -q 'int32 2' || exec "$@"
    sleep 0.1
done
cat /run/avahi.log >&2
exit 1
