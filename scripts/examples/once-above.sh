#!/usr/bin/env bash
# once-above.sh TOPIC LIMIT CMD [ARG...]: run CMD once, as soon as an event of
# TOPIC is a whole number above LIMIT, and end with its exit code. A Pi that must
# not cook, in thousandths of a degree:
#
#   while cat /sys/class/thermal/thermal_zone0/temp; do sleep 10; done |
#       dconn publish --lines org.example.temperature &
#   once-above.sh org.example.temperature 80000 sudo poweroff
set -euo pipefail

topic=${1:?usage: once-above.sh TOPIC LIMIT CMD [ARG...]} limit=${2:?no LIMIT} cmd=${3:?no CMD}
shift 3
exec 3< <(exec dconn subscribe --reconnect "$topic")
watcher=$!
while read -r -u 3 value; do
    if [[ $value =~ ^(0|-?[1-9][0-9]*)$ ]] && ((value > limit)); then
        kill "$watcher"
        exec "$cmd" "$@" 3<&-
    fi
done
wait "$watcher" # it ended first, and said why: so does its exit code
