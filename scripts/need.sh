#!/usr/bin/env bash
# need.sh PACKAGE...: have these Debian packages, installing what is missing.
# It prints nothing when all are there, else one line with what only root could
# install: that is no failure, whoever needs it will say so.
set -euo pipefail
missing=()
for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} != 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "only root, on Debian, can install what is missing: ${missing[*]}"
    exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
# old lists name packages that the archive no longer has; they may do
apt update || true
if ! apt install --no-install-recommends "${missing[@]}"; then
    echo "need: cannot install ${missing[*]}:" >&2
    cat "$log" >&2
    exit 1
fi
