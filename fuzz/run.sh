#!/usr/bin/env bash
# Runs targets one after the other: fuzz/run.sh SECONDS TARGET…, or all of them without names. Logs go to
# fuzz/artifacts/TARGET.log, inputs that end a target to fuzz/artifacts/TARGET/.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?seconds for each target}
shift
[ $# -gt 0 ] || set -- $(cd fuzz/targets && ls ./*.rs | sed 's,^\./,,; s,\.rs$,,')
mkdir -p fuzz/artifacts
for target in "$@"; do
    # A picture may have 100 megapixels, so that an input of a few bytes may take a gigabyte and a half.
    nice -n 19 cargo +nightly fuzz run -s none "$target" -- -max_total_time="$seconds" -timeout=25 \
        -rss_limit_mb=3072 -print_final_stats=1 > "fuzz/artifacts/$target.log" 2>&1
    echo "$target: exit $?, $(grep -E 'stat::number_of_executed_units' "fuzz/artifacts/$target.log" | grep -oE '[0-9]+$') runs"
done
