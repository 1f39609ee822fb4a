#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Many incrementals: each comes back alone, as a plain restore and as a delta
# over whatever backup was restored before it, with pg_wal behind a link, and
# is read with each frame fetched once.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

as_user mkdir "$T/ts"
pg_with_repository src "$MAIN" -X "$T/src-wal"
bench_init src 5
sql src "CREATE TABLESPACE one LOCATION '$T/ts'"
sql src "CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) AS v FROM generate_series(1, 50000) n"
labels=()
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	bench_for src 400
	sql src "UPDATE in_one SET v = '$i' WHERE n % 97 = $i; CREATE TABLE t$i AS SELECT $i AS n; DROP TABLE IF EXISTS t$((i > 3 ? i - 3 : 0))"
	[ "$i" != 6 ] || sql src "VACUUM FULL in_one"
	take_backup
	labels+=("$LABEL")
done
archive_now src
dump_db src "$T/src.dump"
pg_stop src
rm -rf "$T/src-wal" "$T/src" # their places may be used

listing() { # DIR TABLESPACE
	(
		cd "$1"
		# Where the one has its WAL through a link, the other has a directory.
		find . \( -path ./pg_tblspc -o -path './pg_wal*' \) -prune -o \( ! -name backup_manifest ! -name postgresql.auto.conf \
			-printf '%y %m %P\n' \) | sort
		find . -type f ! -name backup_manifest ! -name postgresql.auto.conf -print0 | sort -z | xargs -0 sha256sum
		cd "$2" && find . -type f -print0 | sort -z | xargs -0 sha256sum
	)
}

note "one after the other over the same directory, forth and back"
for i in 11 0 5 6 3 11; do
	rm -rf "$T/plain" "$T/ts.plain"
	expect 0 dapk restore -D "$T/plain" --backup "${labels[i]}" --target immediate -T "$T/ts=$T/ts.plain"
	expect 0 dapk restore --delta -D "$T/over" --backup "${labels[i]}" --target immediate -T "$T/ts=$T/ts.over"
	note "backup $((i + 1)): $(grep 'equal already' <<<"$OUT" || :)"
	listing "$T/plain" "$T/ts.plain" >"$T/plain.list"
	listing "$T/over" "$T/ts.over" >"$T/over.list"
	cmp -s "$T/plain.list" "$T/over.list" ||
		fail "backup $i differs: $(diff "$T/plain.list" "$T/over.list" | head -n 10)"
done

note "a pg_wal that is a link stays one, and is emptied; the link's other end is kept"
rm -rf "$T/plain" "$T/ts.plain"
[ -d "$T/over/pg_wal" ] || fail "no pg_wal"
if [ ! -L "$T/over/pg_wal" ]; then
	as_user mv "$T/over/pg_wal" "$T/elsewhere"
	as_user ln -s "$T/elsewhere" "$T/over/pg_wal"
fi
target=$(readlink "$T/over/pg_wal")
as_user touch "$T/over/pg_wal/leftover" "$T/over/pg_wal/archive_status/00000001000000000000000A.done"
restored over "$MAIN" --delta -T "$T/ts=$T/ts.over"
assert_eq "$(readlink "$T/over/pg_wal")" "$target" "the link of pg_wal"
[ ! -e "$T/over/pg_wal/leftover" ] || fail "a leftover in pg_wal"
dump_db over "$T/over.dump"
assert_same_dump "$T/src.dump" "$T/over.dump"
assert_amcheck over

note "a tablespace that moves: the link is corrected, its old place is left alone"
pg_stop over
before=$(tree_sum "$T/ts.over")
restored over "$MAIN" --delta -T "$T/ts=$T/ts.new"
assert_match "$ERR" 'now leads to'
assert_eq "$(tree_sum "$T/ts.over")" "$before" "the tablespace's old place"
assert_eq "$(sql over "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'one'")" "$T/ts.new" "its location"
assert_eq "$(sql over "SELECT count(*) FROM in_one")" 50000 "rows in it"
