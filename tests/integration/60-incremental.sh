#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Backups after the first store only what changed, and each of them restores
# alone to exactly the files that were there: after updates, vacuum, bulk load,
# truncation, growth, drop and a file made anew under the same name.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src
pg_conf src "autovacuum = off"
write_conf src
dapk init >"$T/init.out"
pg_start src
bench_init src 5
sql src "CREATE TABLE wide AS SELECT g AS id, repeat('x', g % 50) AS v FROM generate_series(1, 200000) g;
	CREATE TABLE gone AS SELECT g FROM generate_series(1, 50000) g;
	CREATE TABLE again AS SELECT g FROM generate_series(1, 50000) g;
	CHECKPOINT"

note "the first one is full, and says so"
take_backup
assert_contains "$ERR" "this is the first backup" "the message"
labels=("$LABEL")
full_bytes=$(own_bytes "$LABEL")
assert_eq "$(commit_of "$LABEL" | jq -r .parent)" null "the parent"
assert_eq "$(commit_of "$LABEL" | jq -r .read)" all "what it read"
keep_truth src 0

steps=(
	"SELECT 1"
	"UPDATE wide SET v = v || 'y' WHERE id % 500 = 7"
	"VACUUM wide; DELETE FROM wide WHERE id % 300 < 5; INSERT INTO wide SELECT g, 'new' FROM generate_series(300000, 330000) g"
	"DROP TABLE gone; TRUNCATE again; INSERT INTO again SELECT g * 2 FROM generate_series(1, 40000) g"
	"VACUUM FULL wide; CREATE INDEX ON wide (v)"
	"DELETE FROM wide WHERE id > 120000; VACUUM wide; REINDEX TABLE pgbench_accounts"
)
for i in "${!steps[@]}"; do
	note "step $((i + 1)): ${steps[i]:0:60}"
	while IFS= read -rd ';' one; do sql src "$one" >/dev/null; done <<<"${steps[i]};"
	[ "$i" = 0 ] || bench_for src 100
	sql src "CHECKPOINT"
	if [ $((i % 3)) = 2 ]; then
		take_backup --full-read-every 0
		read_mode=all
	else
		take_backup
		read_mode=changes
		assert_contains "$ERR" "tells what to read" "the message"
	fi
	assert_eq "$(commit_of "$LABEL" | jq -r .read)" "$read_mode" "what it read"
	assert_contains "$ERR" "parent is backup ${labels[-1]}" "the message"
	assert_eq "$(commit_of "$LABEL" | jq -r .parent)" "${labels[-1]}" "the parent"
	labels+=("$LABEL")
	keep_truth src "$((i + 1))"
	assert_restores_truth "$LABEL" "$((i + 1))"
	[ "$i" != 0 ] || assert_between "$(own_bytes "$LABEL")" 1 $((full_bytes / 20)) \
		"bytes stored when nothing changed"
done
assert_between "$(own_bytes "${labels[2]}")" 1 $((full_bytes / 2)) "bytes of a small change"

note "every one of them still restores, also when others are gone"
for i in "${!labels[@]}"; do assert_restores_truth "${labels[i]}" "$i"; done
commit=$(commit_of "${labels[-1]}")
[ "$(jq '[.packs[] | select(.label != "'"${labels[-1]}"'")] | length' <<<"$commit")" -gt 0 ] ||
	fail "the last backup refers to no other"
jq -e '[.packs[] | select(.live > .plain or .live == 0)] == []' <<<"$commit" >/dev/null ||
	fail "live bytes: $(jq -c '.packs' <<<"$commit")"
# Only commits go: packs stay while another one refers to them.
rm "$(backup_dir "${labels[-2]}")/commit" "$(backup_dir "${labels[2]}")/commit"
assert_restores_truth "${labels[-1]}" $((${#labels[@]} - 1))

note "the folder of a removed backup is not an interrupted one's: others need its packs"
for i in 1 2; do
	"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 1MB --full-read-every 0 >"$T/cancelled.log" 2>&1 &
	pid=$!
	wait_for 60 "the copy" grep -q "parent is backup" "$T/cancelled.log"
	stop_pid "$pid" INT
	exited "$pid"
	assert_ne "$RC" 0 "the exit code of a cancelled backup"
	assert_lacks "$(<"$T/cancelled.log")" "interrupted: going on" "the message"
done
assert_restores_truth "${labels[-1]}" $((${#labels[@]} - 1))

note "--full refers to none"
take_backup --full
[[ " ${labels[*]} " != *" $LABEL "* ]] || fail "label $LABEL is used twice"
assert_eq "$(commit_of "$LABEL" | jq -r .parent)" null "the parent"
assert_eq "$(commit_of "$LABEL" | jq -r '[.packs[].label] | unique[]')" "$LABEL" "packs"
assert_restores_truth "$LABEL" $((${#labels[@]} - 1))

note "while the server is written to"
sql src "CREATE EXTENSION amcheck"
bench_start src 4
for i in 1 2 3; do
	take_backup
	[ "$i" = 2 ] || sql src "VACUUM pgbench_accounts"
done
bench_stop
archive_now src
restored new "$MAIN" --backup "$LABEL" --target immediate
assert_bench_invariant new
assert_amcheck new
pg_stop new
assert_checksums new
drop new
dump_db src "$T/src.dump"
restored new "$MAIN" --backup "$LABEL"
dump_db new "$T/new.dump"
assert_same_dump "$T/src.dump" "$T/new.dump"
