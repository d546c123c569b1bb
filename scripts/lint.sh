#!/usr/bin/env bash
# lint.sh STATICCHECK: gofmt, go vet, staticcheck, shellcheck and a tidy
# go.mod. Which package may import what is a test: cmd/dconn/house_test.go.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
staticcheck=$1
failed=0
check() { # check WHAT COMMAND...
    local what=$1 out
    shift
    if ! out=$("$@" 2>&1) || { [ "$what" = gofmt ] && [ -n "$out" ]; }; then
        echo "lint: $what:"
        echo "$out"
        failed=1
    fi
}

command -v shellcheck >/dev/null || scripts/need.sh shellcheck
check gofmt gofmt -l .
check vet go vet ./...
check staticcheck go run "$staticcheck" ./...
check "go mod tidy" go mod tidy -diff
if command -v shellcheck >/dev/null; then
    mapfile -t shell < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run scripts/vm/init)
    check shellcheck shellcheck "${shell[@]}"
elif [ "${DCONN_TEST_ALL:-}" = 1 ]; then
    echo "lint: shellcheck is missing"
    failed=1
else
    echo "lint: shellcheck is missing, shell scripts are not checked"
fi
exit $failed
