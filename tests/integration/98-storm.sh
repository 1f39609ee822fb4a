#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Storms: many archive-push at once, of the same and of different segments,
# two contents under one name, some killed; a backlog of segments; and every
# command within 128 MiB. Elsewhere: relations that come and go under load
# (64-thirty-incrementals, 67-incremental-traps), the server stopped in the
# middle (23-backup-cancel, 67-resume), a standby promoted and full_page_writes
# off (60-standby-source), wal_level (27-check), full disks (22-backup-bad-input,
# 64-stream, 78-dump-interrupted, 85-sftp-logins, 94-archive-queue-max).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

BACKLOG=${DAPK_STORM_BACKLOG:-300} # segments of 1 MiB; 10,000 by hand

pg_with_repository src "$MAIN" --wal-segsize=1
archive_with src false
pg_reload src
sql src "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 80000) n"
sql src "SELECT pg_switch_wal()" >/dev/null
mapfile -t segs < <(find "$T/src/pg_wal/archive_status" -name '0*.ready' -printf '%f\n' | sort | head -n 12)
segs=("${segs[@]%.ready}")
[ ${#segs[@]} -ge 8 ] || fail "only ${#segs[@]} segments are ready"
push() { as_user "$BIN" --config "$CONF" archive-push --pgdata "$T/src" "$1"; }
comes_back() { # SEGMENT FILE
	rm -f "$T/got"
	expect 0 dapk archive-get --pgdata "$T/src" "$1" "$T/got"
	cmp -s "$T/got" "$2" || fail "$1 comes back with other bytes"
}

note "twelve processes for one segment, two contents, and the others at the same time; some are killed"
one=${segs[0]}
as_user mkdir "$T/other"
as_user cp "$T/src/pg_wal/$one" "$T/other/$one"
printf 'another content' | as_user dd of="$T/other/$one" bs=1 seek=700000 conv=notrunc status=none
pids=() what=()
for ((i = 0; i < 12; i++)); do
	file=$T/src/pg_wal/$one
	[ $((i % 4)) != 3 ] || file=$T/other/$one
	(exec "${AS_USER[@]}" "$BIN" --config "$CONF" archive-push --pgdata "$T/src" "$file" >"$T/push.$i" 2>&1) &
	pids+=($!) what+=("$file")
done
for seg in "${segs[@]:1}"; do
	(exec "${AS_USER[@]}" "$BIN" --config "$CONF" archive-push --pgdata "$T/src" "$T/src/pg_wal/$seg" >"$T/push.$seg" 2>&1) &
	pids+=($!) what+=("$T/src/pg_wal/$seg")
done
for i in 1 5 13 15; do kill -KILL "${pids[i]}" 2>/dev/null || true; done
said=()
for i in "${!pids[@]}"; do
	if wait "${pids[i]}"; then said+=("${what[i]}"); fi
done
[ ${#said[@]} -ge $((${#segs[@]} - 3)) ] || fail "only ${#said[@]} were stored: $(cat "$T"/push.*)"
# None, when both were put before either was seen: at most one content.
contents=$(printf '%s\n' "${said[@]}" | awk -v name="/$one" 'index($0, name)' | sort -u)
[ "$(wc -l <<<"$contents")" = 1 ] || fail "two contents of $one were both acknowledged: $contents"
for file in "${said[@]}"; do
	[ "${file##*/}" = "$one" ] || comes_back "${file##*/}" "$file"
done
if [ "$(find "$REPO" -name "$one-*" | wc -l)" = 1 ]; then
	[ -z "$contents" ] || comes_back "$one" "$contents"
	as_user find "$REPO" -name "$one-*" -delete # which of the two: as it came
else # nobody guesses, and it is told; what was acknowledged is one of them
	if [ -n "$contents" ]; then
		found=''
		for object in "$(dirname "$(find "$REPO" -name "$one-*" -print -quit)")/$one-"*; do
			if zstd -dcq "$object" | cmp -s - "$contents"; then found=$object; fi
		done
		[ -n "$found" ] || fail "$contents was acknowledged and is not there"
	fi
	expect 1,3,126,127,128,129,130,131,132,133,134,135,136,137,138,139,140,255 \
		dapk archive-get --pgdata "$T/src" "$one" "$T/got"
	assert_match "$ERR" 'two contents' "what archive-get says"
	as_user find "$REPO" -name "$one-*" -delete
fi
for seg in "${segs[@]}"; do expect 0 push "$T/src/pg_wal/$seg"; done # the killed ones' too
for seg in "${segs[@]}"; do comes_back "$seg" "$T/src/pg_wal/$seg"; done

note "a backlog of $BACKLOG segments"
sql src "DO \$\$ BEGIN FOR i IN 1..$BACKLOG LOOP
	PERFORM pg_logical_emit_message(false, 'storm', i::text), pg_switch_wal(); END LOOP; END \$\$"
waiting=$(find "$T/src/pg_wal/archive_status" -name '0*.ready' | wc -l)
[ "$waiting" -ge "$BACKLOG" ] || fail "only $waiting segments are ready"
start=$SECONDS
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
wait_for 240 "the end of the backlog" eval '[ "$(find "$T/src/pg_wal/archive_status" -name "0*.ready" | wc -l)" = 0 ]'
note "$waiting segments in $((SECONDS - start)) s"
expect 0 dapk verify --wal-only
assert_lacks "$OUT" 'gap' "verify of the backlog"

note "within 128 MiB"
limited() { as_user prlimit --data=$((128 << 20)) "$BIN" --config "$CONF" "$@"; }
sql src "INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 400000) n"
expect 0 limited backup
expect 0 limited backup
expect 0 limited dump postgres
expect 0 limited verify
expect 0 limited restore -D "$T/new" --target immediate
archive_with src false
pg_reload src
seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
expect 0 limited archive-push --pgdata "$T/src" "$T/src/pg_wal/$seg"
expect 0 limited archive-get --pgdata "$T/src" "$seg" "$T/got"
cmp -s "$T/got" "$T/src/pg_wal/$seg" || fail "$seg comes back with other bytes"
