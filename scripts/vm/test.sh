#!/usr/bin/env bash
# test.sh [SCRIPT]: try dconn on real backlights: Debian's kernel, booted in
# QEMU, with two panels that are kernel devices like any other. SCRIPT runs in
# the guest, guest.sh if none is given. The exit status is the verdict.
#
#   DCONN_VM_DIR    where the kernel is kept between runs
#                   (default: ${XDG_CACHE_HOME:-~/.cache}/dconn/vm)
#   DCONN_TEST_ALL  1: a machine that cannot run this is a failure, not a skip
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(realpath -e "${1:-$here/guest.sh}")
cache=${DCONN_VM_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/dconn/vm}
packages=(qemu-system-x86 busybox-static cpio kmod acpica-tools gcc-12 make xz-utils libelf1)
limit=180 # seconds for the guest, from power on to the verdict
pass=16   # what init reports for a pass, see verdict

say() { echo "test-vm: $*" >&2; }

# cannot ends the run on a machine that is not made for it.
cannot() {
    if [ "${DCONN_TEST_ALL:-}" = 1 ]; then
        say "$*"
        exit 1
    fi
    say "skipped: $*"
    exit 0
}

# quietly runs a command that is worth reading only when it fails.
quietly() {
    local log
    if ! log=$("$@" 2>&1); then
        say "$* failed:"
        echo "$log" >&2
        return 1
    fi
}

updated=
update() {
    if [ -z "$updated" ] && [ "$(id -u)" = 0 ]; then
        say "updating the package lists"
        quietly apt-get -q -o DPkg::Lock::Timeout=120 update
        updated=1
    fi
}

install_missing() {
    local missing
    missing=$("$here/../need.sh" "${packages[@]}")
    [ -z "$missing" ] || cannot "$missing"
}

# newest_kernel prints the version that the package lists have, 6.1.0-56-amd64.
newest_kernel() {
    apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: linux-image-//p'
}

# find_rig sets rig to the folder of the kernel and its modules. Its name holds
# the kernel's version and a checksum of what it is made from, so that a change
# of either makes another. It appears under that name only when complete.
find_rig() {
    local kernel sum
    sum=$(cat "$here/build.sh" "$here/acpivid.asl" "$here/dconn_bl.c" | sha256sum | cut -c1-12)
    kernel=$(newest_kernel)
    rig=$cache/$kernel-$sum
    if [ -n "$kernel" ] && [ -d "$rig" ]; then
        touch "$rig"
        return
    fi
    update # an old list names packages that the archive no longer has
    kernel=$(newest_kernel)
    [ -n "$kernel" ] || cannot "the package lists have no linux-image-amd64"
    rig=$cache/$kernel-$sum
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # another run may be building the same
    if ! [ -d "$rig" ]; then
        # what nobody used for a month, and what an interrupted build left
        find "$cache" -mindepth 1 -maxdepth 1 -type d \( -mtime +30 -o -name 'new.*' \) -exec rm -rf {} +
        "$here/build.sh" "$kernel" "$cache/new.$$" "$cache/debs.$kernel" 9>&-
        mv -T "$cache/new.$$" "$rig"
    fi
    exec 9>&-
}

build_dconn() {
    # QEMU's default processor is the oldest that amd64 has
    (cd "$here/../.." && CGO_ENABLED=0 GOOS=linux GOARCH=amd64 GOAMD64=v1 \
        go build -trimpath -ldflags='-s -w' -o "$tmp/root/bin/dconn" ./cmd/dconn)
}

# boot runs the guest and sets status to what QEMU exits with.
#
# Only QEMU's own translator (tcg): a machine that has /dev/kvm may still be
# unable to use it, which shows only as a guest that hangs. The kernel is
# uncompressed, since unpacking itself is the slowest thing it would do here.
# The VGA card is the device that acpivid.asl describes a panel of.
boot() {
    # The kernel unpacks archives that follow each other in turn.
    (cd "$tmp/root" && find . | cpio -o -H newc -R 0:0 --quiet) | cat "$rig/modules.cpio" - >"$tmp/initrd"
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

if ! command -v apt-get >/dev/null || [ "$(dpkg --print-architecture)" != amd64 ]; then
    cannot "needs Debian on amd64, whose kernel it boots"
fi
install_missing
find_rig
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/root/bin"
build_dconn
install -m 755 "$here/init" "$tmp/root/init"
install -m 755 "$script" "$tmp/root/bin/guest"
boot
verdict
