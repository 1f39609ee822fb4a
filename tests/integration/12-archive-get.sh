#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-get never says "absent" about what it merely cannot reach: exit 1
# only when absence is proved, 126 for every error, a plain code on a standby
# (T1, T21, T24). What it delivers is what was archived; a failure leaves DEST.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t (v text)"
segments=()
mkdir "$T/kept"
for i in 1 2 3 4 5 6; do
	sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 3000)"
	seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
	cp "$T/src/pg_wal/$seg" "$T/kept/"
	segments+=("$seg")
done
archive_now src
pg_stop src immediate
id=$(tail -n +2 "$REPO/dapk-repository" | jq -r .id)

# A data directory as far as archive-get looks at it.
data_dir() { # DIR
	as_user mkdir -p "$1/global" "$1/pg_wal"
	as_user cp "$T/src/global/pg_control" "$1/global/"
	as_user cp "$T/src/PG_VERSION" "$1/"
}
data_dir "$T/rec"
data_dir "$T/standby"
as_user touch "$T/standby/standby.signal"
as_user mkdir "$T/dest"

get() { # CODE DATADIR NAME [option...]
	local code=$1 data=$2 name=$3
	shift 3
	rm -f "$T/dest/x"
	expect "$code" dapk archive-get --pgdata "$data" --prefetch 0 "$@" "$name" "$T/dest/x"
	if [ "$code" = 0 ]; then
		cmp -s "$T/dest/x" "$T/kept/$name" || fail "$name was not delivered as archived"
	else
		[ ! -e "$T/dest/x" ] || fail "exit $code and DEST exists"
		assert_eq "$(ls -A "$T/dest")" '' "left over beside DEST"
	fi
}
both() { # NAME REGEX [option...]: 126 on a primary, a plain code but 1 on a standby
	local name=$1 regex=$2
	shift 2
	get 126 "$T/rec" "$name" "$@"
	assert_clear_error "$regex"
	get 2,3,4,5 "$T/standby" "$name" "$@"
	assert_clear_error "$regex"
}

note "delivered; relative to the data directory too, as %p is"
for seg in "${segments[@]}"; do get 0 "$T/rec" "$seg"; done
get 0 "$T/standby" "${segments[0]}"
(cd "$T/rec" && dapk archive-get --pgdata "$T/rec" "${segments[1]}" pg_wal/RECOVERYXLOG)
cmp "$T/rec/pg_wal/RECOVERYXLOG" "$T/kept/${segments[1]}"

note "proved absent"
absent=0000000100000000000000F0
get 1 "$T/rec" $absent
get 1 "$T/standby" $absent
get 1 "$T/rec" 00000002.history
get 1 "$T/standby" 00000002.history

note "an unmounted disk, a mistyped prefix, another repository: an error, never absent"
for name in "${segments[2]}" $absent 00000002.history; do
	both "$name" 'repository|no such|typo' --repository-url "file://$T/typo"
	mkdir -p "$T/unmounted"
	both "$name" 'repository|unmounted' --repository-url "file://$T/unmounted"
	both "$name" "repository|$id" --repository-id 0123456789abcdef0123456789abcdef
	get 126 "$T/rec" "$name" --cluster othercluster
done
get 0 "$T/rec" "${segments[2]}" --repository-id "$id"
chmod 000 "$REPO/clusters"
if [ "$(as_user id -u)" != 0 ]; then both $absent 'permission'; fi
chmod 755 "$REPO/clusters"

note "another cluster's pg_control (incarnation)"
pg_new foreign "$MAIN" --wal-segsize=1
as_user cp "$T/rec/global/pg_control" "$T/saved_control"
as_user cp "$T/foreign/global/pg_control" "$T/rec/global/pg_control"
get 126 "$T/rec" "${segments[0]}"
get 126 "$T/rec" $absent
as_user cp "$T/saved_control" "$T/rec/global/pg_control"

note "a gap is an error, since later segments exist"
hole=$(stored_wal "${segments[3]}")
mv "$hole" "$T/hole"
both "${segments[3]}" "${segments[3]}"
mv "$T/hole" "$hole"

note "a flipped bit, a cut, an empty object: damage, never absent"
object=$(stored_wal "${segments[4]}")
size=$(stat -c %s "$object")
cp -p "$object" "$T/object"
for offset in 0 10 40 100 $((size / 4)) $((size / 2)) $((size * 3 / 4)) $((size - 60)) $((size - 9)) $((size - 2)); do
	byte=$(od -An -tu1 -j "$offset" -N 1 "$object")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 4)))" |
		dd of="$object" bs=1 seek="$offset" conv=notrunc status=none
	# Bytes that nobody needs may be wrong: then the content must be right.
	rm -f "$T/dest/x"
	expect 0,126 dapk archive-get --pgdata "$T/rec" --prefetch 0 "${segments[4]}" "$T/dest/x"
	if [ "$RC" = 0 ]; then
		cmp "$T/dest/x" "$T/kept/${segments[4]}" || fail "a flip at $offset was delivered"
		note "a flip at $offset of $size does no harm"
	else
		assert_clear_error 'damage|corrupt|checksum|crc|hash|not what|header|length|index'
	fi
	cp -p "$T/object" "$object"
done
for size in $((size / 2)) 100 0; do
	truncate -s "$size" "$object"
	both "${segments[4]}" 'damage|corrupt|short|trunc|length|size|crc|hash|header|bytes|index|empty'
	cp -p "$T/object" "$object"
done
get 0 "$T/rec" "${segments[4]}"

note "a failure leaves what stands at DEST"
echo mine >"$T/dest/y"
chmod 666 "$T/dest/y"
truncate -s 100 "$object"
expect 126 dapk archive-get --pgdata "$T/rec" --prefetch 0 "${segments[4]}" "$T/dest/y"
assert_eq "$(cat "$T/dest/y")" mine "DEST after a failure"
cp -p "$T/object" "$object"
rm "$T/dest/y"

note "an unusable DEST is an error of its own"
expect 126 dapk archive-get --pgdata "$T/rec" --prefetch 0 "${segments[0]}" "$T/none/x"
assert_clear_error 'none'

note "usage errors stop recovery too; they are no 'absent'"
for args in '' 'onlyone' "a b c" "--no-such ${segments[0]} $T/dest/x" "garbage $T/dest/x"; do
	# shellcheck disable=SC2086
	run as_user "$BIN" --config "$CONF" archive-get $args
	assert_ne "$RC" 0 "exit code of: archive-get $args"
	assert_ne "$RC" 1 "exit code of: archive-get $args"
done
run as_user "$BIN" --config "$T/none.conf" archive-get "${segments[0]}" "$T/dest/x"
assert_ne "$RC" 1 "exit code without the configuration file"
assert_ne "$RC" 0 "exit code without the configuration file"

note "a mistyped archive-get must not promote either; a standby asks again"
as_user touch "$T/standby/recovery.signal" # PostgreSQL then goes by standby.signal
for args in "archive-gte ${segments[0]} x" "${segments[0]} x" "get --prefetch 0 00000002.history x"; do
	# shellcheck disable=SC2086
	(cd "$T/rec" && expect 126 dapk $args)
	# shellcheck disable=SC2086
	(cd "$T/standby" && expect 2 dapk $args)
done
expect 2 dapk bakcup
expect 2 dapk archive-psuh "pg_wal/${segments[0]}"
both garbage 'garbage'

note "DEST tells the data directory when nothing else does (pg_rewind -c)"
grep -v '^pgdata' "$CONF" >"$T/bare.conf"
rm -f "$T/rec/pg_wal/RECOVERYXLOG"
expect 0 as_user "$BIN" --config "$T/bare.conf" archive-get --prefetch 0 "${segments[1]}" "$T/rec/pg_wal/RECOVERYXLOG"
cmp "$T/rec/pg_wal/RECOVERYXLOG" "$T/kept/${segments[1]}"

note "ahead: the next segments wait in the spool, and are the right ones"
for seg in "${segments[@]}"; do
	rm -f "$T/dest/x"
	expect 0 dapk archive-get --pgdata "$T/rec" --prefetch 8MB "$seg" "$T/dest/x"
	cmp "$T/dest/x" "$T/kept/$seg" || fail "prefetching delivered another $seg"
done
[ "$(ls -A "$T/rec/pg_wal")" = RECOVERYXLOG ] || fail "something was spooled in pg_wal (T23)"

note "a spool of an earlier recovery does not poison this one (T21)"
wait_for 20 "the prefetcher's end" nothing_runs # one at a time
expect 0 dapk archive-get --pgdata "$T/rec" --prefetch 8MB "${segments[0]}" "$T/dest/x"
spooled() { [ -n "$(find "$T/state" -type f -size +500k)" ]; }
wait_for 20 "the spool to fill" spooled
wait_for 20 "the prefetcher's end" nothing_runs
# The same names with other content: another cluster in another repository.
archive_with foreign "$BIN --config $T/foreign.conf archive-push %p"
CONF=$T/foreign.conf REPO=$T/repo2
write_conf foreign
dapk init >/dev/null
pg_start foreign
sql foreign "CREATE TABLE t (v text)"
mkdir "$T/kept2"
for i in 1 2 3 4 5 6; do
	sql foreign "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 3000)"
	seg=$(sql foreign "SELECT pg_walfile_name(pg_switch_wal())")
	cp "$T/foreign/pg_wal/$seg" "$T/kept2/"
done
archive_now foreign
pg_stop foreign immediate
both_have=$(comm -12 <(ls "$T/kept") <(ls "$T/kept2"))
[ -n "$both_have" ] || fail "the two clusters share no segment name"
as_user cp "$T/foreign/global/pg_control" "$T/rec/global/pg_control"
for seg in $both_have; do
	expect 0 dapk archive-get --pgdata "$T/rec" --prefetch 8MB "$seg" "$T/dest/x"
	cmp "$T/dest/x" "$T/kept2/$seg" || fail "$seg came from the earlier recovery's spool"
done

note "a spool that was tampered with, or cannot be used, costs time and no more"
wait_for 20 "the prefetcher's end" nothing_runs
find "$T/state" -type f -size +100k | while IFS= read -r f; do
	printf 'tampered' | dd of="$f" bs=1 seek=300000 conv=notrunc status=none
done
for seg in $both_have; do
	expect 0 dapk archive-get --pgdata "$T/rec" --prefetch 8MB "$seg" "$T/dest/x"
	cmp "$T/dest/x" "$T/kept2/$seg" || fail "$seg came damaged out of the spool"
done
wait_for 20 "the prefetcher's end" nothing_runs
rm -rf "$T/state"
: >"$T/state" # a file where the directory should be
expect 0 dapk archive-get --pgdata "$T/rec" --prefetch 8MB "$seg" "$T/dest/x"
cmp "$T/dest/x" "$T/kept2/$seg"
