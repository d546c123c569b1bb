#!/usr/bin/env bash
# stream.sh [MIB]: so many MiB, 1024 unless given, through publish --lines to
# nobody, and again to a subscriber. Every line arrives, and no process ever
# has more than 64 MiB of memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD:$PATH
bound=$((64 << 10)) # KiB
count=$((${1:-1024} * 16))
fill=$(head -c 65528 /dev/zero | tr '\0' x)
lines() { seq -f "%07.0f$fill" "$count"; } # of 64 KiB, no two alike

dir=$(mktemp -d)
export DCONN_SOCKET=$dir/dconn.sock
mkfifo "$dir/lines" "$dir/ready" "$dir/events"
dconn serve --listen none 2>"$dir/log" & daemon=$!
trap 'kill $daemon; wait; rm -rf "$dir"' EXIT
dconn wait

failed=0
ok() { # ok WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; failed=1; fi
}
small() { # small WHO PID: at the end of its work
    local peak
    peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$2/status")
    ok "$1 had $((peak >> 10)) of 64 MiB at most" [ "$peak" -le $bound ]
}
publish() { # publish TOPIC: its memory counts before its input ends
    dconn publish --lines -s "$1" <"$dir/lines" & local publisher=$!
    exec 8>"$dir/lines"
    lines >&8
    small "the publisher" $publisher
    exec 8>&-
    wait $publisher
    small "the daemon" $daemon
}

begin=$SECONDS
publish org.t.nobody
cksum <"$dir/events" >"$dir/sum" & sum=$!
dconn subscribe -n $((count + 1)) -W 300 --ready-fd 9 org.t.topic 9>"$dir/ready" >"$dir/events" & subscriber=$!
read -r _ <"$dir/ready"
publish org.t.topic
small "the subscriber" $subscriber
dconn publish org.t.topic end
ok "the subscriber ends with 0" wait $subscriber
wait $sum
ok "every line arrived" cmp -s "$dir/sum" <({ lines; echo end; } | cksum)
echo "$((SECONDS - begin)) s"
exit $failed
