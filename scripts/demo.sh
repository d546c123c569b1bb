#!/usr/bin/env bash
# demo.sh: the main job in a minute, on a daemon of its own that nobody else
# sees. It leaves nothing behind: no process, no socket, no file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
PATH=$PWD:$PATH
dir=$(mktemp -d)
export DCONN_SOCKET=$dir/dconn.sock DCONN_STATE=$dir/state
pids=()
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$dir"
}
trap cleanup EXIT
failed=0

# show COMMAND: print it as a user would type it, run it, and insist on its
# exit code, 0 unless $expect says otherwise
show() {
    local status
    printf '\n$ %s\n' "$*"
    eval "$*"
    status=$?
    [ "$status" = 0 ] || echo "  (exit code $status)"
    if [ "$status" != "${expect:-0}" ]; then
        echo "demo: expected exit code ${expect:-0}"
        failed=1
    fi
}

printf '$ dconn serve &\n'
dconn serve --name desk --listen 127.0.0.1:0 2>"$dir/log" & # of which the demo shows less
pids+=($!)
show dconn wait

printf '\n# what can be called here, and how\n'
show dconn describe
show dconn describe .brightness.set

printf '\n# a command becomes a procedure\n'
# shellcheck disable=SC2016 # shown, not expanded
printf '$ dconn register org.example.disk -- df -h {0} &\n'
dconn register org.example.disk -- df -h '{0}' &
pids+=($!)
show dconn wait org.example.disk
show dconn call org.example.disk /

printf '\n# an event in a pipe\n'
printf '$ dconn subscribe -n 2 org.example.door | sed "s/^/the door is /" &\n'
mkfifo "$dir/ready"
dconn subscribe -n 2 -W 20 --ready-fd 9 org.example.door 9>"$dir/ready" | sed 's/^/the door is /' &
door=$!
read -r _ <"$dir/ready"
show dconn publish org.example.door open
show dconn publish org.example.door closed
wait $door

printf '\n# this machine\n'
show dconn call .system.name
show dconn call -o json .system.load
if [ -n "$(ls /sys/class/backlight 2>/dev/null)" ]; then
    show dconn call -o table .brightness.list
    show dconn call .brightness.get
else
    printf '\n# no backlight here: the error says so\n'
    expect=1 show dconn call .brightness.get
fi

printf '\n# another machine: here one with a directory of its own; a code pairs the two\n'
at=$(sed -n 's/.*msg=serving.* listen=//p' "$dir/log")
printf 'desk$ dconn pair &\n'
dconn pair 2>"$dir/pair" >"$dir/code" &
pair=$!
until [ -s "$dir/code" ] || ! kill -0 $pair 2>/dev/null; do sleep 0.02; done
cat "$dir/code"
export DCONN_STATE=$dir/laptop # whose commands follow
DCONN_PAIR_CODE=$(cat "$dir/code") show dconn pair "$at"
wait $pair || failed=1
show dconn call -d desk .system.name
expect=5 show dconn call -d desk org.example.disk /
DCONN_STATE=$dir/state show dconn devices

printf '\n# what goes wrong has an exit code: dconn help exit-codes\n'
expect=1 show dconn call org.example.disk /nonexistent
expect=2 show dconn call .brightness.set 101
expect=3 show dconn call org.example.nothing
expect=5 show dconn call wamp.session.add_testament
expect=5 show dconn register org.deskconn.mine -- true

exit $failed
