#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# info, expire --dry-run and status over 800 backups and 80,000 segments, from
# local state: memory and CPU stay within bounds that are far from those of
# keeping all WAL in memory, or of looking at each backup for each other one.
# The limits for 2,000 and 1,000,000 are measured by hand (bench/RESULTS.md).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ -x "${DAPK_WALMANY:-}" ] || fail "DAPK_WALMANY is not set; run scripts/test $TEST_NAME"
install -m 755 "$DAPK_WALMANY" "$T/bin/walmany"

# In memory: a disk would be timed, and what the last test removed slows it down.
tmpfs "$T/ram" 1g

make() { # NAME BACKUPS SEGMENTS: a repository of so many over 400 days
	as_user mkdir -m 700 "$T/state-$1"
	printf '%s\n' '[global]' "state-directory = $T/state-$1" \
		'[cluster main]' "pgdata = $T/none" 'repositories = local' \
		'[repository local]' "url = file://$T/ram/$1" 'retain = 100d' >"$T/$1.conf"
	expect 0 as_user "$BIN" --config "$T/$1.conf" init
	as_user "$T/bin/walmany" "file://$T/ram/$1" main 000000010000000000000001 "$3" \
		$((16 << 20)) system=7312345678901234567 days=400 "backups=$2"
}

# The best of three, since other work only adds: CPU in ms, and memory in kB.
measure() { # NAME COMMAND...: leaves CPU and PEAK, and what it printed in OUT
	local all='' i
	for i in 1 2 3; do
		expect 0 as_user python3 -c '
import os, sys
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
print("used", int((used.ru_utime + used.ru_stime) * 1000), used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))' "$BIN" --config "$T/$1.conf" "${@:2}"
		all+=$(sed -n 's/^used //p' <<<"$ERR")$'\n'
	done
	CPU=$(cut -d' ' -f1 <<<"$all" | grep . | sort -n | head -n 1)
	PEAK=$(cut -d' ' -f2 <<<"$all" | grep . | sort -n | head -n 1)
	note "$*: $CPU ms of CPU, $PEAK kB"
}

make few 200 5000
make wal 200 45000
make many 800 80000
sleep 2.1 # what changed within two seconds is listed again
for name in few wal many; do
	expect 0 as_user "$BIN" --config "$T/$name.conf" info --json
done

note "info: memory does not grow with WAL, and time not with the square of backups"
measure few info --json
few_cpu=$CPU few_peak=$PEAK
measure wal info --json
assert_between "$PEAK" 1000 $((few_peak + 2560)) "kB with 40,000 segments more than $few_peak kB"
measure many info --json
assert_eq "$(jq '.incarnations[0] | (.backups | length), .wal[0].ranges[0].segments' <<<"$OUT" | xargs)" \
	"800 80000" "backups and segments"
assert_between "$PEAK" 1000 24576 "kB of info"
assert_between "$CPU" 1 600 "ms of CPU for info"
assert_between "$CPU" 1 $((8 * few_cpu + 50)) "ms of CPU for info with four times as many"

note "expire --dry-run: what goes, and when nothing goes"
measure many expire --dry-run
assert_match "$OUT" '[56][0-9][0-9] backups and [56][0-9]{4} WAL segments .* would go'
# 8 MB more: what is relied on is read, for which libcrypto and buffers are needed.
assert_between "$PEAK" 1000 32768 "kB of expire --dry-run"
assert_between "$CPU" 1 1200 "ms of CPU for expire --dry-run"
measure few --retain=1000d expire --dry-run
few_cpu=$CPU
measure many --retain=1000d expire --dry-run
[[ $OUT != *'would go'* ]] || fail "something would go: $OUT"
assert_between "$PEAK" 1000 24576 "kB of expire --dry-run that keeps all"
assert_between "$CPU" 1 $((8 * few_cpu + 50)) "ms of CPU for expire --dry-run with four times as many"

note "status asks nobody"
mv "$T/ram/many" "$T/ram/away"
measure many status
assert_between "$CPU" 0 100 "ms of CPU for status"
