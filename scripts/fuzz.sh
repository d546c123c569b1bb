#!/usr/bin/env bash
# fuzz.sh TIME: run every fuzz target for TIME (60s).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
    sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file" | while read -r target; do
        echo "fuzz: $(dirname "$file") $target"
        # left to itself the engine spends a minute on the length of each input
        if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 2s "$(dirname "$file")" </dev/null 2>&1 | tee "$out"; then
            # the engine says only that when its time ends in the middle of an input
            grep -qx ' *context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out" || exit 1
        fi
    done
done
echo "fuzz: a million hostile messages beside ordinary traffic"
DCONN_FUZZ_MESSAGES=1000000 go test -count 1 -timeout 10m -run '^TestHostileMessages$' ./router
