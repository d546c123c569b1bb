#!/usr/bin/env bash
# test.sh [SCRIPT]: try dconn on real backlights: Debian's kernel, booted in
# QEMU, with two panels that are kernel devices like any other. SCRIPT runs in
# the guest, guest.sh if none is given. The exit status is the verdict. rig.sh
# has what may be set.
set -euo pipefail

me=test-vm
# shellcheck source=scripts/vm/rig.sh
source "$(dirname "${BASH_SOURCE[0]}")/rig.sh"
script=$(realpath -e "${1:-$here/guest.sh}")
limit=180 # seconds for the guest, from power on to the verdict
pass=16   # what init reports for a pass, see verdict

# boot runs the guest and sets status to what QEMU exits with.
#
# Only QEMU's own translator (tcg): a machine that has /dev/kvm may still be
# unable to use it, which shows only as a guest that hangs. The kernel is
# uncompressed, since unpacking itself is the slowest thing it would do here.
# The VGA card is the device that acpivid.asl describes a panel of.
boot() {
    status=0
    timeout --foreground -k 5 "$limit" qemu-system-x86_64 \
        -M q35,accel=tcg -m 256 -smp 1 -nodefaults -no-user-config -no-reboot -display none \
        -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -device VGA,addr=1e.0 -acpitable file="$rig/acpivid.aml" \
        -kernel "$rig/vmlinux" -initrd "$tmp/initrd" \
        -append "console=ttyS0 panic=-1 quiet loglevel=4 pass=$pass" \
        </dev/null | sed -u 's/\r$//' | tee "$tmp/out" || status=${PIPESTATUS[0]}
}

# verdict judges status. isa-debug-exit makes QEMU exit with (n<<1)|1 when the
# guest writes n. Anything else is no pass: 0 is a guest that stopped by
# itself (a panic, with -no-reboot), 1 is QEMU that could not start.
verdict() {
    local ok failed
    ok=$(grep -c '^ok - ' "$tmp/out" || true)
    failed=$(grep -c '^not ok - ' "$tmp/out" || true)
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        echo "not ok - the guest ends by itself (still running after $limit s)"
        failed=$((failed + 1))
    elif [ "$status" != $((pass << 1 | 1)) ] && [ "$failed" = 0 ]; then
        echo "not ok - the guest reports a pass (QEMU's exit status is $status)"
        failed=1
    fi
    echo "$ok passed, $failed failed"
    [ "$failed" = 0 ] && [ "$ok" -gt 0 ]
}

set_up
for_guest build -trimpath -ldflags='-s -w' -o "$tmp/root/bin/dconn" ./cmd/dconn
install -m 755 "$here/init" "$tmp/root/init"
install -m 755 "$script" "$tmp/root/bin/guest"
pack
boot
verdict
