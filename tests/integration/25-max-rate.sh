#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# --max-rate holds, in total over all workers, and does not stand in the way of
# cancelling (T86: test effects, not parsing).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
bench_init src 1
take_backup --jobs 4 # warms what is cold

timed_backup() { # leaves MS
	local start=$EPOCHREALTIME
	take_backup --full --jobs 4 "$@" # all is read, whatever WAL tells
	MS=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')
}

bytes=$(tail -n +2 "$(backup_dir "$LABEL")/commit" | jq -r .original_bytes)
assert_between "$bytes" 20000000 200000000 "bytes of the backup"
timed_backup
free=$MS
rate=$((bytes / 4)) # four seconds of reading
timed_backup --max-rate $((rate / 1024))kB
assert_between "$MS" 3200 $((6000 + free)) "milliseconds at a quarter of the bytes a second (free: $free)"
restored new 15 --target immediate
assert_bench_invariant new
