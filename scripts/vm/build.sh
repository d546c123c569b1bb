#!/usr/bin/env bash
# build.sh KERNEL DIR DEBS: make in DIR what rig.sh boots, from Debian's
# packages of KERNEL (6.1.0-56-amd64), which are kept in DEBS. Nothing is
# installed. DIR gets
#
#   vmlinux       the kernel, uncompressed
#   modules.cpio  busybox, and modules in /modules: panels and disk there name
#                 those for backlights and for ext4 on virtio, in their order
#   acpivid.aml   an ACPI table with a panel, for the kernel's own video driver
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=$1 dir=$2 debs=$3
PATH=$PATH:/usr/sbin:/sbin # depmod and modprobe, for who is not root
say() { echo "vm: $*" >&2; }

mkdir -p "$dir" "$debs"
dir=$(realpath "$dir") debs=$(realpath "$debs")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# logged runs a command that is worth reading only when it fails.
logged() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
}

say "fetching $kernel"
headers=linux-headers-$kernel
mapfile -t built_with < <(apt-cache depends "$headers" |
    sed -En 's/^ *Depends: (linux-headers-.*-common|linux-kbuild-.*)/\1/p')
packages=("linux-image-$kernel" "$headers" "${built_with[@]}")
mapfile -t files < <(apt-get download --print-uris "${packages[@]}" | awk '{ print $2 }')
# apt-get keeps a file that is there and whole. It warns about a folder that
# its own user cannot write to, and goes on.
(cd "$debs" && logged apt-get -q download "${packages[@]}")

say "unpacking"
for file in "${files[@]}"; do
    dpkg -x "$debs/$file" "$work/root"
done
depmod -b "$work/root" "$kernel"

# The bzImage carries the ELF kernel as one xz stream, and QEMU boots that
# directly (PVH). This starts 5 s sooner than a kernel that unpacks itself.
image=$work/root/boot/vmlinuz-$kernel
offset=$(LC_ALL=C grep -abo $'\xfd7zXZ' "$image" | LC_ALL=C sed -n '1s/:.*//p')
xz -dc --single-stream < <(tail -c "+$((offset + 1))" "$image") >"$dir/vmlinux"

say "compiling"
mkdir "$work/dconn_bl"
cp "$here/dconn_bl.c" "$work/dconn_bl"
echo 'obj-m := dconn_bl.o' >"$work/dconn_bl/Kbuild"
src=$work/root/usr/src
# the packaged Makefile includes the common one by its installed path
echo "include $src/${built_with[0]}/Makefile" >"$src/$headers/Makefile"
logged make -s -C "$src/$headers" M="$work/dconn_bl" modules
strip --strip-debug "$work/dconn_bl/dconn_bl.ko"
logged iasl -p "$dir/acpivid" "$here/acpivid.asl"

mkdir -p "$work/initrd/bin" "$work/initrd/modules"
cp /bin/busybox "$work/initrd/bin"
# order MODULE...: what insmod needs, each after those that it needs
order() {
    local module
    for module; do
        modprobe -d "$work/root" -S "$kernel" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}
{ order video && echo "$work/dconn_bl/dconn_bl.ko"; } >"$work/panels"
order virtio_pci virtio_blk ext4 >"$work/disk"
for list in panels disk; do
    while read -r module; do
        cp "$module" "$work/initrd/modules"
        basename "$module"
    done <"$work/$list" >"$work/initrd/modules/$list"
done
(cd "$work/initrd" && find . | cpio -o -H newc -R 0:0 --quiet) >"$dir/modules.cpio"
