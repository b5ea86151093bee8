#!/usr/bin/env bash
# Usage: tests/fuzz/run_libfuzzer.sh PROGRAM CORPUS WORK_DIR
#
# Runs one libFuzzer target for EVS_FUZZ_SECONDS (default 5). New inputs and crashes stay in
# WORK_DIR, in the build directory; the corpus in the tree is only read.
set -euo pipefail
program=$1 corpus=$2 work=$3
seconds=${EVS_FUZZ_SECONDS:-5}

mkdir -p "$work/new" "$work/crashes"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
status=0
"$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$work/crashes/" "$work/new" "$corpus" >"$work/log" 2>&1 || status=$?
if [ $status -ne 0 ]; then
    grep -v '^#[0-9]' "$work/log" | tail -n 60
    echo "the input is in $work/crashes; put it into $corpus with the fix"
    exit 1
fi
grep -E '^(Done|stat::number_of_executed_units|stat::peak_rss_mb)' "$work/log"
