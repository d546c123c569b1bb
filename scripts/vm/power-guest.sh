#!/bin/busybox sh
# shellcheck shell=sh
# The first process of the guest of power.sh: mount the disk, then change the
# store on it with the program that the console names, until there is no power.
/bin/busybox mkdir -p /proc /sys /dev /tmp /disk
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/bin
busybox --install -s /bin

while read -r module; do
    insmod "/modules/$module" 2>/dev/null # crc32c-intel needs another processor
done </modules/disk
stty -echo

# Without noauto_da_alloc, ext4 itself saves programs that rename a file which
# they have not synced.
mount -t ext4 -o noauto_da_alloc,data=ordered /dev/vda /disk || echo "the disk is not mounted"
[ "$(cat /sys/block/vda/queue/write_cache)" = "write back" ] || echo "the kernel does not know of the disk's cache"

# A machine whose state was saved here says once more that it is ready.
# shellcheck disable=SC3045 # busybox has -t
until read -r -t 0.2 writer; do
    echo ready
done
GOMAXPROCS=1 DCONN_TEST_WRITER=/disk/dconn exec "/bin/$writer"
