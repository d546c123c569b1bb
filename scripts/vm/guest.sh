#!/bin/busybox sh
# shellcheck shell=sh
# guest.sh: what a user would try with two panels, checked against what the
# kernel says. acpi_video0 (firmware, 0 to 10) is the kernel's own ACPI driver,
# intel_backlight (raw, 0 to 96000) is dconn_bl.c. Runs in the guest, as root.
set -u

class=/sys/class/backlight
parameters=/sys/module/dconn_bl/parameters
failed=0

# is WHAT GOT EXPECTED
is() {
    if [ "$2" = "$3" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1 (got '$2', expected '$3')"
        failed=$((failed + 1))
    fi
}

# says WHAT TEXT: the last message has TEXT in it
says() {
    case $err in
    *"$2"*) echo "ok - $1" ;;
    *) is "$1" "$err" "...$2..." ;;
    esac
}

# run CMD...: sets status, out and err
run() {
    out=$("$@" 2>/tmp/err)
    status=$?
    err=$(cat /tmp/err)
}

# panels prints what all panels show, the driver's own variable last.
panels() {
    echo "$(cat $class/acpi_video0/actual_brightness)" \
        "$(cat $class/intel_backlight/actual_brightness)" "$(cat $parameters/hw)"
}

# sets WHAT PANELS ARG...: set succeeds in silence, and then the panels are so
sets() {
    what=$1 expected=$2
    shift 2
    run dconn call "$@"
    is "$what" "exit $status, panels $(panels)$out$err" "exit 0, panels $expected"
}

# refuses WHAT MESSAGE ARG...: a wrong argument moves nothing
refuses() {
    what=$1 message=$2 before=$(panels)
    shift 2
    run dconn call "$@"
    is "$what is refused, nothing moves" "exit $status, panels $(panels)" "exit 2, panels $before"
    says "$what: the message has the rule and the value" "$message"
}

# watch ARG...: collect events in the background, from the return on
watch() {
    rm -f /tmp/subscribed
    mkfifo /tmp/subscribed
    dconn subscribe --ready-fd 3 -o json "$@" .brightness.on_changed >/tmp/events 3>/tmp/subscribed &
    watcher=$!
    read -r _ </tmp/subscribed
}

# watched WHAT STATUS EVENT...: they came, no others, and the watch ended so
watched() {
    what=$1 expected="exit $2"
    shift 2
    for event; do
        expected="$expected, $event"
    done
    wait $watcher
    got="exit $?"
    while read -r line; do
        event=${line#*'"kwargs":{'}
        got="$got, ${event%%\}*}"
    done </tmp/events
    is "$what" "$got" "$expected"
}

acpi() { echo "\"device\":\"acpi_video0\",\"max\":10,\"percent\":$1,\"raw\":$2"; }
intel() { echo "\"device\":\"intel_backlight\",\"max\":96000,\"percent\":$1,\"raw\":$2"; }

# steps FILE VALUE...: write each VALUE once the one before is an event. With
# three of them in 4 s (watch -n 3 -W 4) only notices are quick enough: looking
# every 5 s finds one step at most.
steps() {
    file=$1 count=0
    shift
    for value; do
        echo "$value" >"$file"
        count=$((count + 1)) tries=0
        while [ "$(wc -l </tmp/events)" -lt $count ] && [ $((tries += 1)) -le 40 ]; do
            sleep 0.1
        done
    done
}

# keys WHAT: a key is held that the firmware handles
keys() {
    watch -n 3 -W 4
    steps $parameters/hotkey 9600 19200 28800
    watched "$1" 0 "$(intel 10 9600)" "$(intel 20 19200)" "$(intel 30 28800)"
}

# The daemon, where root's daemon belongs.
unset XDG_RUNTIME_DIR
dconn serve --listen none 2>/tmp/log &
serve=$!
run dconn wait
is "the daemon serves" "exit $status$err" "exit 0"
is "its socket is /run/dconn/dconn.sock" "$(ls /run/dconn)" dconn.sock

run dconn call .brightness.list
is "list has both panels, firmware before raw" "$out" '[{"device":"acpi_video0","max":10,"percent":60,"raw":6,"type":"firmware"},{"device":"intel_backlight","max":96000,"percent":50,"raw":48000,"type":"raw"}]'

sets "set 80 moves the default panel" "8 48000 48000" org.deskconn.brightness.set 80
run dconn call org.deskconn.brightness.get
is "get prints 80" "exit $status, $out" "exit 0, 80"
sets "device= moves the other panel" "8 76800 76800" -k device=intel_backlight .brightness.set 80
run dconn call -k device=intel_backlight .brightness.get
is "get device= prints 80" "exit $status, $out" "exit 0, 80"
sets "set 1 is not off" "8 960 960" -k device=intel_backlight .brightness.set 1
sets "set 1 is not off on a coarse panel" "1 960 960" .brightness.set 1
sets "set 0" "0 960 960" .brightness.set 0
sets "set 100" "10 960 960" .brightness.set 100
sets "raw= is the driver's own value" "10 4711 4711" -k device=intel_backlight -k raw=4711 .brightness.set

refuses "101" "from 0 to 100, got 101" .brightness.set 101
refuses "-1" "from 0 to 100, got -1" .brightness.set -1
refuses "raw above max" "from 0 to 96000 for intel_backlight, got 96001" -k device=intel_backlight -k raw=96001 .brightness.set
refuses "raw below 0" "from 0 to 96000 for intel_backlight, got -1" -k device=intel_backlight -k raw=-1 .brightness.set
refuses "a word" "from 0 to 100, got \"bright\"" .brightness.set bright
refuses "a fraction" "from 0 to 100, got 0.5" .brightness.set 0.5
refuses "no value" "give percent or raw=" .brightness.set
refuses "an unknown device" "one of acpi_video0, intel_backlight, got \"lamp\"" -k device=lamp .brightness.set 50

# The class keeps a value in `brightness` that the driver failed to set.
echo 5 >$parameters/fail
run dconn call -k device=intel_backlight .brightness.set 30
is "a driver that fails is exit code 1" "$status" 1
says "a driver that fails: the message has the kernel's error" "input/output error"
is "a driver that fails: the kernel keeps the value" "$(cat $class/intel_backlight/brightness)" 28800
is "a driver that fails: the panel does not" "$(panels)" "10 4711 4711"
run dconn call -k device=intel_backlight .brightness.get
is "a driver that fails: get is not deceived" "exit $status, $out" "exit 0, 4"
echo 0 >$parameters/fail
sets "a driver that works again" "10 28800 28800" -k device=intel_backlight .brightness.set 30

# The class gives no notice of blanking; only the write to bl_power shows it.
watch -n 3 -W 4
steps $class/intel_backlight/bl_power 4 0 4
watched "every blanking and lighting is an event" 0 "$(intel 0 0)" "$(intel 30 28800)" "$(intel 0 0)"
sets "a blanked panel is set" "10 0 0" -k device=intel_backlight .brightness.set 40
watch -n 1 -W 3
echo 0 >$class/intel_backlight/bl_power
is "a panel that is lit again shows what was set" "$(panels)" "10 38400 38400"
watched "and that is an event" 0 "$(intel 40 38400)"

watch -n 1 -W 3
echo 24000 >$class/intel_backlight/brightness
watched "another program's change is an event" 0 "$(intel 25 24000)"
watch -n 1 -W 3
echo 3 >$class/acpi_video0/brightness
watched "another program's change of the other panel is an event" 0 "$(acpi 30 3)"
keys "every step of a hardware key is an event"
watch -W 3
run dconn call .brightness.set 70
watched "a set is one event" 0 "$(acpi 70 7)"
watch -W 2
echo 5 >$parameters/fail
run dconn call -k device=intel_backlight .brightness.set 90
echo 0 >$parameters/fail
run dconn call .brightness.set 70
watched "a set that fails or changes nothing is no event" 0

rmmod dconn_bl
run dconn call .brightness.list
is "an unplugged panel is not listed" "$out" '[{"device":"acpi_video0","max":10,"percent":70,"raw":7,"type":"firmware"}]'
run dconn call -k device=intel_backlight .brightness.set 50
is "an unplugged panel is an unknown device" "exit $status" "exit 2"
rmmod video
run dconn call .brightness.list
is "without panels the list is empty" "exit $status, $out" "exit 0, []"
run dconn call .brightness.set 50
is "without panels set is exit code 1" "$status" 1
says "without panels set says so" "no backlight"
watch -n 1 -W 10
insmod /modules/dconn_bl.ko
watched "a panel that comes back is an event" 0 "$(intel 50 48000)"
keys "every step of its hardware key is an event"

run dconn call -o json .system.kernel
release=${out#*'"release":"'}
is ".system.kernel has the kernel's release" "${release%%\"*}" "$(uname -r)"

(sleep 10; kill -KILL $serve) &
read -r from _ </proc/uptime
kill -TERM $serve
wait $serve
is "the daemon ends with 0 on SIGTERM" "$?" 0
read -r to _ </proc/uptime
is "within 5 s" $((${to%.*} - ${from%.*} < 5)) 1
is "and takes its socket away" "$(ls /run/dconn)" ""

[ $failed = 0 ] && exit 0
sed 's/^/# serve: /' /tmp/log
exit 1
