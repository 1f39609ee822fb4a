#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# info remembers what WAL it has seen: 100,000 segments are shown in a moment,
# and what it remembers is what is there, or is looked at again.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ -x "${DAPK_WALMANY:-}" ] || fail "DAPK_WALMANY is not set; run scripts/test $TEST_NAME"
install -m 755 "$DAPK_WALMANY" "$T/bin/walmany"
SEGMENTS=100000

pg_with_repository src "$MAIN" --wal-segsize=1
take_backup
archive_now src
pg_stop src
sleep 2.1 # what changed within two seconds is listed again
last=$(find "$REPO/clusters" -path '*/wal/00000001/*' -name '*.zst' ! -name '*backup*' |
	sed 's,.*/\(.\{24\}\)-.*,\1,' | sort | tail -n 1)
segment() { # NUMBER: that many after the last real one
	local n=$((16#${last:8:8} * 4096 + 16#${last:16:8} + $1))
	printf '00000001%08X%08X' $((n / 4096)) $((n % 4096))
}
stored_at() { # SEGMENT: the file
	find "$REPO/clusters" -path "*/wal/00000001/${1:8:8}/$1-*"
}
cpu() { # COMMAND...: sets CPU, in ms of it and its children
	local TIMEFORMAT='%U %S'
	{ time "$@" >"$T/.out" 2>"$T/.err"; } 2>"$T/.time"
	CPU=$(awk '{ printf "%d", ($1 + $2) * 1000 }' "$T/.time")
}
# Without what moves with the clock, not with what is stored: retention's
# window and its sentences, which say a day or an age.
still() {
	jq 'del(.incarnations[] | .promised_from, .wal_kept, (.backups[], .dumps[] | .why)) | .odd |= length' <<<"$OUT"
}
wal() { jq -c '.incarnations[0].wal[0] | {ranges, gaps, conflicts, partial}' <<<"$OUT"; }

note "$SEGMENTS segments"
as_user "$T/bin/walmany" "file://$REPO" main "$(segment 1)" "$SEGMENTS" $((1 << 20))
sleep 2.1
cpu dapk info --json
cold=$CPU
expect 0 dapk info --json
first=$(still)
[ "$(wc -l <<<"$first")" -gt 50 ] || fail "what is compared is too little: $first"
assert_eq "$(jq '.incarnations[0].wal[0].gaps | length' <<<"$OUT")" 0 "gaps"
assert_eq "$(jq -r '.incarnations[0].wal[0].ranges[0].last' <<<"$OUT")" "$(segment "$SEGMENTS")" "the last segment"
assert_eq "$(jq '.incarnations[0].recovery.windows | length' <<<"$OUT")" 1 "windows"
best=1000000
for _ in 1 2 3 4 5; do
	cpu dapk info --json
	[ "$CPU" -ge "$best" ] || best=$CPU
done
note "cold: $cold ms of CPU, warm: $best ms"
assert_between "$best" 0 100 "ms of CPU for info with local state"
assert_between "$best" 0 $((cold / 10)) "ms of CPU for info with local state, against $cold without"
expect 0 dapk info --json
assert_eq "$(still)" "$first" "warm output"

note "without local state, and listed anew, the answer is the same"
expect 0 dapk info --json --state-directory "$T/other-state"
assert_eq "$(still)" "$first" "cold output"
expect 0 dapk info --json --refresh
assert_eq "$(still)" "$first" "refreshed output"

note "a segment that is taken out of the middle of an old folder is missed"
hole=$(stored_at "$(segment 30000)")
as_user mv "$hole" "$T/hole"
expect 0 dapk info --json
assert_eq "$(jq -r '.incarnations[0].wal[0].gaps[].first' <<<"$OUT")" "$(segment 30000)" "the gap"
assert_eq "$(jq -r '.incarnations[0].recovery.windows[0].missing_segment' <<<"$OUT")" "$(segment 30000)" "the window's end"
# Also when someone gives the folder its old time again.
as_user touch -d '2020-01-01' "$(dirname "$hole")"
as_user mv "$T/hole" "$hole"
as_user touch -d '2020-01-01' "$(dirname "$hole")"
expect 0 dapk info --json
assert_eq "$(still)" "$first" "with the segment again"

note "a new segment, and a second content of an old one, are seen"
cp "$(stored_at "$(segment 1)")" "$T/second"
second=$(dirname "$(stored_at "$(segment 1)")")/$(segment 1)-00000000000000000000000000000000.zst
install -m 600 -o "$CLUSTER_USER" "$T/second" "$second"
expect 0,1,5 dapk info --json
assert_eq "$(jq -r '.incarnations[0].wal[0].conflicts[]' <<<"$OUT")" "$(segment 1)" "the conflict"
rm "$second"
as_user "$T/bin/walmany" "file://$REPO" main "$(segment $((SEGMENTS + 1)))" 1 $((1 << 20))
expect 0 dapk info --json
assert_eq "$(jq -r '.incarnations[0].wal[0].ranges[-1].last' <<<"$OUT")" "$(segment $((SEGMENTS + 1)))" "the last segment"
whole=$(wal)

note "a damaged cache, one of another repository, one that cannot be written"
cache=$(find "$T/state/catalogue" -name wal)
[ "$(wc -l <<<"$cache")" = 1 ] || fail "caches: $cache"
assert_between "$(stat -c %s "$cache")" 1000000 10000000 "bytes of the cache"
for kind in truncated flipped empty other long; do
	cp -p "$cache" "$T/cache"
	case $kind in
	truncated) truncate -s 5000000 "$cache" ;;
	flipped) printf '\xff' | dd of="$cache" bs=1 seek=777777 conv=notrunc status=none ;;
	empty) : >"$cache" ;;
	other) printf 'x' | dd of="$cache" bs=1 seek=20 conv=notrunc status=none ;;
	long) echo x >>"$cache" ;;
	esac
	expect 0 dapk info --json
	assert_eq "$(wal)" "$whole" "info with a cache that is $kind"
	assert_eq "$ERR" '' "messages about a cache that is $kind"
	as_user cmp -s "$cache" "$T/cache" || [ "$(stat -c %s "$cache")" -gt 1000000 ] ||
		fail "a cache that is $kind stayed"
	cp -p "$T/cache" "$cache"
done
chmod 500 "$(dirname "$cache")"
expect 0 dapk info --json --refresh
assert_eq "$(wal)" "$whole" "info that cannot remember"
assert_eq "$ERR" '' "messages of info that cannot remember"
chmod 700 "$(dirname "$cache")"

note "another repository at the same place"
mv "$REPO" "$T/away"
expect 0 dapk init
expect 0,1 dapk info --json
assert_eq "$(jq -c '[.incarnations[]]' <<<"$OUT")" '[]' "what an empty repository has"
