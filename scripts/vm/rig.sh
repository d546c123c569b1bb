#!/usr/bin/env bash
# rig.sh: what test.sh and power.sh have in common, which read it: the packages,
# and Debian's kernel with its modules, ready to boot. Whoever reads it sets me
# to its name and calls set_up.
#
#   DCONN_VM_DIR    where the kernel is kept between runs
#                   (default: ${XDG_CACHE_HOME:-~/.cache}/dconn/vm)
#   DCONN_TEST_ALL  1: a machine that cannot run this is a failure, not a skip
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DCONN_VM_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/dconn/vm}
# for the kernel, to run it, and to look at its disk
packages=(qemu-system-x86 busybox-static cpio kmod acpica-tools gcc-12 make xz-utils libelf1 e2fsprogs)

say() { echo "${me:?}: $*" >&2; }

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

# set_up sets rig, and tmp to a folder that ends with the run.
set_up() {
    if ! command -v apt-get >/dev/null || [ "$(dpkg --print-architecture)" != amd64 ]; then
        cannot "needs Debian on amd64, whose kernel it boots"
    fi
    install_missing
    find_rig
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/root/bin"
}

# for_guest runs go for the guest's machine: QEMU's default processor is the
# oldest that amd64 has.
for_guest() {
    (cd "$here/../.." && CGO_ENABLED=0 GOOS=linux GOARCH=amd64 GOAMD64=v1 go "$@")
}

# pack makes the guest's first file system, $tmp/initrd, of $tmp/root.
pack() {
    # The kernel unpacks archives that follow each other in turn.
    (cd "$tmp/root" && find . | cpio -o -H newc -R 0:0 --quiet) | cat "$rig/modules.cpio" - >"$tmp/initrd"
}
