#!/usr/bin/env bash
# Usage: tests/abi/abidiff.sh BASELINE LIBRARY INCLUDE_DIR
#
# Gate: the library's binary interface is the baseline's. Any difference fails, an added function
# too, so that the baseline never lags behind; scripts/abi-baseline refreshes it. No suppressions:
# one that allows fields added at the end would also hide a narrowed one.
set -euo pipefail
baseline=$1 library=$2 include=$3

[ -f "$baseline" ] || {
    echo "no baseline $baseline: run scripts/abi-baseline"
    exit 1
}
status=0
abidiff --no-show-locs --headers-dir1 "$include" --headers-dir2 "$include" \
    "$baseline" "$library" || status=$?
# 1 and 2: wrong use; 4: changed; 8: changed incompatibly.
[ $status -eq 0 ] || {
    echo "abidiff: status $status; if meant and compatible: scripts/abi-baseline"
    exit 1
}
