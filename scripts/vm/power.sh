#!/usr/bin/env bash
# power.sh [N [PROOFS]]: cut the power of a machine N times (100) while it
# changes the trust store, and look at what is left on its disk. scripts/power
# says how. First it shows, with PROOFS losses of power for each (5), that it
# would find a store that is careless: copies of it that leave out one fsync.
# rig.sh has what else may be set. The exit status is the verdict.
set -euo pipefail

me=test-power
# shellcheck source=scripts/vm/rig.sh
source "$(dirname "${BASH_SOURCE[0]}")/rig.sh"
PATH=$PATH:/usr/sbin:/sbin # e2fsck and debugfs, for who is not root

# writer NAME [SED] makes the test binary of the store, of a copy that SED edits.
writer() {
    local overlay=() source=$here/../../router/trust/file.go
    if [ -n "${2:-}" ]; then
        sed "$2" "$source" >"$tmp/$1.go"
        if cmp -s "$source" "$tmp/$1.go"; then
            say "$source has nothing for $2 any more"
            return 1
        fi
        echo "{\"Replace\": {\"router/trust/file.go\": \"$tmp/$1.go\"}}" >"$tmp/$1.json"
        overlay=(-overlay "$tmp/$1.json")
    fi
    for_guest test -c -trimpath -ldflags='-s -w' "${overlay[@]}" -o "$tmp/root/bin/$1" ./router/trust
}

set_up
writer writer
writer no-file-sync 's/return f\.Sync()/return nil/'
writer no-dir-sync 's/return syncDir(dir)/return nil/'
install -m 755 "$here/power-guest.sh" "$tmp/root/init"
pack
cd "$here/../.."
go build -o "$tmp/power" ./scripts/power
if ! "$tmp/power" -dir "$tmp" -kernel "$rig/vmlinux" -initrd "$tmp/initrd" -rounds "${1:-100}" -proofs "${2:-5}"; then
    mv "$tmp/image" "$tmp.image" && say "what was left on the disk is in $tmp.image"
    exit 1
fi
