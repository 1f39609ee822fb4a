#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Thirty incrementals in a row while the server is written to, backups removed
# between them at random (parents and the newest too): each is restored over
# what the one before left, started and compared, and what is left at the end
# leads to the server's last state. Old packs are compacted on the way, and
# what info says that a removal frees is what it frees.
# DAPK_TEST_SEED repeats a run.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

SEED=${DAPK_TEST_SEED:-$$}
RANDOM=$SEED
note "seed $SEED"
BACKUPS=30

pg_with_repository src
pg_conf src "autovacuum = off"
bench_init src 3
sql src "CREATE EXTENSION amcheck;
	CREATE TABLE ticks (n int PRIMARY KEY, sum text NOT NULL, filler text);
	CREATE TABLE hot AS SELECT g AS id, 0 AS n, repeat('h', 200) AS filler FROM generate_series(1, 20000) g;
	CREATE TABLE cold AS SELECT g AS id, repeat(md5(g::text), 10) AS filler FROM generate_series(1, 30000) g"
cold=$(sql src "SELECT md5(string_agg(id || filler, '' ORDER BY id)) FROM cold")

commit_of() { tail -n +2 "$(backup_dir "$1")/commit"; } # LABEL
stored() { # bytes of packs and manifests
	find "$REPO/clusters" -path '*/backups/*/*.zst' -type f -printf '%s\n' |
		awk '{ s += $1 } END { print s + 0 }'
}
tick() { # N: a row that tells by itself whether it is whole
	sql src "INSERT INTO ticks SELECT $1, md5('tick $1'), repeat(md5('$1'), 100)"
}

# What each night may bring beside pgbench's transactions.
events=(
	"UPDATE cold SET filler = filler WHERE id % 211 = 3"
	"VACUUM pgbench_accounts"
	"DROP TABLE IF EXISTS made; CREATE TABLE made AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g"
	"VACUUM FULL hot"
	"DROP TABLE IF EXISTS made"
	"CREATE TABLE IF NOT EXISTS made (g int, md5 text); TRUNCATE made; INSERT INTO made SELECT g, md5(g::text) FROM generate_series(1, 500) g"
	"REINDEX TABLE pgbench_accounts"
	"SELECT 1"
)
one_night() {
	local event=${events[RANDOM % ${#events[@]}]} part
	while IFS= read -rd ';' part; do sql src "$part" >/dev/null; done <<<"$event;"
	sql src "UPDATE hot SET n = n + 1" >/dev/null
}

# Every pack that the commit refers to is there.
check_packs() { # LABEL
	while read -r label attempt number size; do
		assert_eq "$(stat -c %s "$(backup_dir "$label")/$(printf 'pack-%02d-%06d.zst' "$attempt" "$number")")" \
			"$size" "the size of a pack of $label"
	done < <(commit_of "$1" | jq -r '.packs[] | "\(.label) \(.attempt) \(.number) \(.size)"')
}

# Of its parent's packs of which hardly anything was left it has none. Adds to
# COMPACTED.
COMPACTED=0
check_compaction() { # LABEL
	local parent worn kept
	parent=$(commit_of "$1" | jq -r .parent)
	worn=$(commit_of "$parent" | jq -c '.packs[] | select(.live * 10 < .plain) | [.label, .attempt, .number]')
	[ -n "$worn" ] || return 0
	kept=$(commit_of "$1" | jq -c '.packs[] | [.label, .attempt, .number]' | grep -xF "$worn" || :)
	[ -z "$kept" ] || fail "$1 has packs that were not compacted: $kept
		of parent $parent: $(commit_of "$parent" | jq -c '.packs[] | select(.live * 10 < .plain)')
		now: $(commit_of "$1" | jq -c '.packs[] | select(.live * 10 < .plain)')"
	COMPACTED=$((COMPACTED + $(wc -l <<<"$worn")))
}

# Over what is in $T/check, started, compared. FIRST to LAST: ticks that must
# be there; those behind may be there up to the one that was written when the
# backup had ended.
check_backup() { # LABEL LAST-BEFORE FIRST-AFTER
	restored check "$MAIN" --delta --backup "$1" --target immediate
	assert_bench_invariant check
	assert_eq "$(sql check "SELECT count(*) FROM ticks WHERE n <= $2")" "$2" "ticks before the backup"
	assert_eq "$(sql check "SELECT count(*) FROM ticks WHERE n >= $3 OR sum <> md5('tick ' || n)
		OR filler <> repeat(md5(n::text), 100)")" 0 "ticks after the backup, or wrong ones"
	assert_eq "$(sql check "SELECT count(DISTINCT n) || ' ' || count(*) || ' ' || min(length(filler)) FROM hot")" \
		"1 20000 200" "the updated table"
	assert_eq "$(sql check "SELECT md5(string_agg(id || filler, '' ORDER BY id)) FROM cold")" "$cold" "the unchanged table"
	pg_stop check
	assert_checksums check
}

note "a full one, then $BACKUPS incrementals"
bench_start src 2
tick 1
take_backup
labels=("$LABEL")
ticks=1
aged=0
removed=0
for ((i = 1; i <= BACKUPS; i++)); do
	one_night
	tick $((ticks += 1))
	before=$ticks
	options=()
	# Some nights all that is older than a second may be stored again.
	if ((RANDOM % 4 == 0)); then
		options+=(--refresh-age 1s)
		((aged += 1))
	fi
	take_backup --verbose "${options[@]}"
	tick $((ticks += 1))
	labels+=("$LABEL")
	[ "$(commit_of "$LABEL" | jq -r .parent)" != null ] || fail "it has no parent: $ERR"
	check_packs "$LABEL"
	check_compaction "$LABEL"
	check_backup "$LABEL" "$before" "$ticks"

	# The newest may go as well: then the next one's parent is another.
	if ((${#labels[@]} > 3 && RANDOM % 2 == 0)); then
		k=$((RANDOM % ${#labels[@]}))
		frees=$(dapk info --json | jq -r '.incarnations[0].backups[] | select(.label == "'"${labels[k]}"'") | .frees_bytes')
		was=$(stored)
		expect 0 dapk expire --backup "${labels[k]}"
		# Packs of others that only it needed are listed when it has gone.
		expect 0 dapk expire --grace 0
		expect 0 dapk expire --grace 0
		assert_lacks "$OUT" "runs after" "what expire leaves for later"
		[ -z "$(find "$REPO/clusters" -path "*/backups/${labels[k]}/commit")" ] || fail "${labels[k]} is still there"
		assert_eq "$((was - $(stored)))" "$frees" "what the removal freed"
		labels=("${labels[@]:0:k}" "${labels[@]:k+1}")
		((removed += 1))
	fi
done
bench_stop
note "$removed were removed, $aged renewed by age, $COMPACTED packs compacted"
assert_between "$removed" 3 "$BACKUPS" "removed backups"
assert_between "$COMPACTED" 1 10000 "packs that were compacted"
for label in "${labels[@]}"; do check_packs "$label"; done

note "${#labels[@]} are left; up to 8 of them, restored again, lead to the server's last state"
mapfile -t labels < <(shuf -n 8 --random-source=<(yes "$SEED") -e "${labels[@]}")
sql src "CHECKPOINT"
archive_now src
dump_db src "$T/src.dump"
for label in "${labels[@]}"; do
	restored check "$MAIN" --delta --backup "$label"
	dump_db check "$T/check.dump"
	assert_same_dump "$T/src.dump" "$T/check.dump"
	pg_stop check
done
restored check "$MAIN" --delta --backup "${labels[0]}"
assert_amcheck check
drop check
