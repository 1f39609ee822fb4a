#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# An interrupted backup goes on under its label with what it has stored, as far
# as that is proved equal (T51, T52): after kill -9, a server that went away, a
# store that failed; a cancelled one leaves nothing.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
sql src "CREATE TABLE noise (id int, b bytea);
	ALTER TABLE noise ALTER COLUMN b SET STORAGE EXTERNAL;
	INSERT INTO noise SELECT g, (SELECT string_agg(decode(md5(random()::text || g || i), 'hex'), ''::bytea)
		FROM generate_series(1, 500) i) FROM generate_series(1, 6000) g" >/dev/null
sql src CHECKPOINT
bench_init src 2
commits() { find "$REPO/clusters" -path '*/backups/*/commit' | wc -l; }
open_label() { # the folder without a commit
	local d
	for d in "$REPO"/clusters/*/*/backups/*/; do
		[ -e "$d/commit" ] || basename "$d"
	done
}
packs() { # ATTEMPT: of the one that is being made
	local label
	label=$(open_label)
	[ -n "$label" ] || { echo 0; return; }
	find "$REPO"/clusters/*/*/backups/"$label" -name "pack-$1-*.zst" | wc -l
}
slow() { # MIN-PACKS ATTEMPT [option...]: SLOW is its pid, in the middle
	local min=$1 attempt=$2
	shift 2
	: >"$T/slow.err.log"
	"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 16MB "$@" \
		>"$T/slow.out.log" 2>"$T/slow.err.log" &
	SLOW=$!
	wait_for 60 "$min packs" eval "[ \$(packs $attempt) -ge $min ] || ! alive $SLOW"
	alive "$SLOW" || fail "the backup ended early: $(cat "$T/slow.err.log")"
}
killed() {
	kill -s KILL "$SLOW"
	exited "$SLOW" 2>/dev/null
}
reused() { # bytes that the last backup took from earlier attempts
	sed -n 's/.*attempt [0-9]*: \([0-9]*\) bytes that earlier ones stored.*/\1/p' <<<"$ERR"
}
restores_whole() { # the backup LABEL, compared with the source as it is
	restored new "$MAIN" --backup "$LABEL"
	dump_db src "$T/src.dump"
	dump_db new "$T/new.dump"
	assert_same_dump "$T/src.dump" "$T/new.dump"
	pg_stop new
	assert_checksums new
	pg_start new
	drop new
}

note "killed twice, the third attempt goes on with both"
slow 2 01
first=$(open_label)
sql src "UPDATE noise SET id = -id WHERE id % 50 = 0" >/dev/null
killed
slow 1 02
assert_match "$(cat "$T/slow.err.log")" "backup $first was interrupted: going on with it, attempt 2"
killed
assert_eq "$(open_label)" "$first" "the label"
assert_eq "$(commits)" 0 "commits"
run dapk info
assert_lacks "$OUT" "$first" "info"
sql src "UPDATE noise SET id = id + 1000000 WHERE id % 77 = 0" >/dev/null
take_backup
assert_eq "$LABEL" "$first" "the label"
assert_match "$ERR" "attempt 3"
assert_between "$(reused)" 8000000 200000000 "bytes that were used again"
commit=$(backup_dir "$LABEL")/commit
assert_contains "$(cat "$commit")" '"attempt": 3' "the commit"
assert_contains "$(cat "$commit")" "\"label\": \"$LABEL\", \"attempt\": 1" "the commit's packs"
assert_contains "$(cat "$commit")" "\"label\": \"$LABEL\", \"attempt\": 2" "the commit's packs"
assert_eq "$(find "$REPO/clusters" -path '*/intents/*' -type f | wc -l)" 0 "intents"
sql src "SELECT pg_switch_wal()" >/dev/null
restores_whole

note "an incremental that was killed, with damage in what it left"
sql src "UPDATE noise SET id = id + 1, b = b || '\x00'::bytea" >/dev/null
sql src CHECKPOINT
slow 3 01
second=$(open_label)
killed
# whichever is there: workers seal theirs in no certain order
left=$(find "$(backup_dir "$second")" -name 'pack-01-*.zst' | sort | head -n 1)
[ -n "$left" ] || fail "nothing was left of $second"
as_user dd if=/dev/zero of="$left" bs=1 seek=30 count=20 conv=notrunc status=none
parent=$LABEL
take_backup
assert_eq "$LABEL" "$second" "the label"
assert_match "$ERR" "${left##*/}.*not used"
assert_contains "$(cat "$(backup_dir "$LABEL")/commit")" "\"parent\": \"$parent\"" "the commit"
assert_between "$(reused)" 200000 200000000 "bytes that were used again"
restores_whole

note "the server goes away: what is stored stays"
sql src "UPDATE noise SET id = id + 1, b = b || '\x01'::bytea" >/dev/null
sql src CHECKPOINT
slow 2 01
third=$(open_label)
pg_stop src immediate
exited "$SLOW"
assert_eq "$RC" 4 "exit code when the server goes away"
assert_match "$(cat "$T/slow.err.log")" 'is kept: the next backup goes on with it'
pg_start src
take_backup
assert_eq "$LABEL" "$third" "the label"
assert_between "$(reused)" 200000 200000000 "bytes that were used again"
restores_whole

note "killed while it waits for WAL, with its manifest's place taken"
sql src "UPDATE noise SET id = id + 1 WHERE id % 3 = 0" >/dev/null
archive_with src 'sleep 600'
pg_reload src
"${AS_USER[@]}" "$BIN" --config "$CONF" backup >"$T/slow.out.log" 2>"$T/slow.err.log" &
SLOW=$!
wait_for 60 "the wait for WAL" grep -q 'all files copied' "$T/slow.err.log"
fourth=$(open_label)
killed
echo "not a manifest" | as_user tee "$(backup_dir "$fourth")/manifest-00.zst" >/dev/null
archive_with src "$BIN --config $CONF archive-push %p"
pg_stop src immediate
pg_start src
take_backup
assert_eq "$LABEL" "$fourth" "the label"
[ -e "$(backup_dir "$LABEL")/manifest-00.g1.zst" ] || fail "no manifest of the second attempt"
restores_whole

note "cancelled in a second attempt: nothing is left"
sql src "UPDATE noise SET id = id + 1, b = b || '\x02'::bytea" >/dev/null
sql src CHECKPOINT
slow 2 01
fifth=$(open_label)
killed
: >"$T/slow.err.log"
"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 6MB >"$T/slow.out.log" 2>"$T/slow.err.log" &
SLOW=$!
wait_for 30 "the copying to begin" grep -q "starts at" "$T/slow.err.log"
kill -s TERM "$SLOW"
exited "$SLOW"
assert_eq "$RC" 143 "exit code"
[ -z "$(backup_dir "$fifth")" ] || fail "$fifth is still there: $(ls "$(backup_dir "$fifth")")"
take_backup
assert_ne "$LABEL" "$fifth" "the label"
restores_whole

note "what is left too long is garbage, and no backup is harmed by its removal"
sql src "UPDATE noise SET id = id + 1, b = b || '\x03'::bytea" >/dev/null
sql src CHECKPOINT
slow 2 01
killed
expect 0 dapk expire --grace=0s
expect 0 dapk expire --grace=0s
assert_eq "$(open_label)" "" "folders without a commit"
take_backup
restores_whole
