#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What this program says of WAL is what PostgreSQL's own tools say, record for
# record, and names every page whose LSN shows that it changed (T61).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/churn.sh
. "$(dirname "$0")/../lib/churn.sh"

[ -x "${DAPK_WALBLOCKS:-}" ] || fail "DAPK_WALBLOCKS is not set; run scripts/test $TEST_NAME"
SEED=${DAPK_TEST_SEED:-$RANDOM}
note "seed $SEED"

segments() { # NAME FROM TO: their files
	local first last
	first=$(sql "$1" "SELECT pg_walfile_name('$2')")
	last=$(sql "$1" "SELECT pg_walfile_name('$3')")
	find "$T/$1/pg_wal" -maxdepth 1 -type f -printf '%f\n' | grep -xE '[0-9A-F]{24}' | sort |
		awk -v f="$first" -v l="$last" '$0 "" >= f "" && $0 "" <= l ""' | sed "s,^,$T/$1/pg_wal/,"
}

# "TABLESPACE DATABASE RELATION FORK BLOCK" as pg_waldump prints it.
waldump_blocks() { # NAME FROM TO
	local prog
	prog=$(program_for "${MAJOR[$1]}" pg_waldump)
	as_user "$prog" -p "$T/$1/pg_wal" -s "$2" -e "$3" |
		grep -oE 'blkref #[0-9]+: rel [0-9]+/[0-9]+/[0-9]+ (fork (fsm|vm|init) )?blk [0-9]+' |
		sed -E 's,^blkref #[0-9]+: rel ([0-9]+)/([0-9]+)/([0-9]+) ,\1 \2 \3 ,
			s,fork fsm blk,1,; s,fork vm blk,2,; s,fork init blk,3,; s, blk , 0 ,' | sort -u
}

inspect_blocks() { # NAME FROM TO
	sql "$1" "SELECT DISTINCT reltablespace, reldatabase, relfilenode, relforknumber, relblocknumber
		FROM pg_get_wal_block_info('$2', '$3')" | tr '|' ' ' | sort -u
}

for major in ${DAPK_TEST_MAJORS:-$MAIN}; do
	src=src$major
	CONF=$T/dapk$major.conf REPO=$T/repo$major
	pg_new "$src" "$major"
	pg_conf "$src" "max_prepared_transactions = 5" "wal_keep_size = 2GB" "archive_command = 'true'"
	[ "$major" -lt 17 ] || pg_conf "$src" "summarize_wal = on"
	pg_start "$src"
	churn_init "$src"
	[ "$major" != 16 ] || sql "$src" "CREATE EXTENSION pg_walinspect"
	sql "$src" "CHECKPOINT"
	from=$(sql "$src" "SELECT redo_lsn FROM pg_control_checkpoint()")
	churn "$src" "$SEED" 2
	sql "$src" "CHECKPOINT"
	to=$(sql "$src" "SELECT redo_lsn FROM pg_control_checkpoint()")

	mapfile -t files < <(segments "$src" "$from" "$to")
	"$DAPK_WALBLOCKS" wal "$from" "$to" "${files[@]}" >"$T/changes$major" ||
		fail "PostgreSQL $major: WAL is not understood"
	awk '$5 == "block" { print $1, $2, $3, $4, $6 }' "$T/changes$major" | sort -u >"$T/ours"
	for kind in limit database; do
		grep -q " $kind " "$T/changes$major" || fail "no $kind in the changes of $major"
	done
	case $major in
	15 | 17 | 18) waldump_blocks "$src" "$from" "$to" >"$T/theirs" ;;
	16) inspect_blocks "$src" "$from" "$to" >"$T/theirs" ;;
	*) rm -f "$T/theirs" ;; # no tool of 13 and 14 at hand: page LSNs below
	esac
	if [ -e "$T/theirs" ]; then
		cmp -s "$T/ours" "$T/theirs" ||
			fail "PostgreSQL $major: $(diff "$T/ours" "$T/theirs" | head -n 10)"
		note "PostgreSQL $major: $(wc -l <"$T/ours") blocks as its tools say"
	fi

	if [ "$major" -ge 17 ]; then
		wait_for 60 "the summary up to $to" sql_true "$src" \
			"SELECT max(end_lsn) >= '$to' FROM pg_available_wal_summaries()"
		sql "$src" "SELECT DISTINCT reltablespace, reldatabase, relfilenode, relforknumber,
				CASE WHEN is_limit_block THEN 'limit' ELSE 'block' END, relblocknumber
			FROM pg_available_wal_summaries() s,
				pg_wal_summary_contents(tli::bigint, start_lsn, end_lsn)
			WHERE start_lsn >= '$from' AND end_lsn <= '$to'" |
			tr '|' ' ' | sort -u >"$T/theirs"
		sql "$src" "SELECT lpad(upper(to_hex(tli::bigint)), 8, '0')
				|| lpad(upper(to_hex((start_lsn - '0/0')::bigint)), 16, '0')
				|| lpad(upper(to_hex((end_lsn - '0/0')::bigint)), 16, '0') || '.summary'
			FROM pg_available_wal_summaries()
			WHERE start_lsn >= '$from' AND end_lsn <= '$to'" >"$T/names"
		while read -r f; do
			"$DAPK_WALBLOCKS" summary "$T/$src/pg_wal/summaries/$f" || fail "summary $f"
		done <"$T/names" | sed 's/ database / limit /' | sort -u >"$T/summaries"
		cmp -s "$T/summaries" "$T/theirs" ||
			fail "PostgreSQL $major: summaries: $(diff "$T/summaries" "$T/theirs" | head -n 10)"
		[ -s "$T/summaries" ] || fail "no summaries of $major"
		awk '$5 == "block" && $4 != 1 { print $1, $2, $3, $4, $6 }' "$T/summaries" | sort -u >"$T/blocks"
		lacks=$(comm -23 "$T/blocks" "$T/ours" | wc -l)
		assert_eq "$lacks" 0 "blocks of summaries that WAL does not name"
		note "PostgreSQL $major: $(wc -l <"$T/summaries") entries as its summaries say, $(
			wc -l <"$T/blocks") blocks, of WAL's $(awk '$4 != 1' "$T/ours" | wc -l)"
	fi

	pg_stop "$src"
	expect 0 python3 "$TEST_TOP/tests/lib/pages.py" superset "$T/$src" "$from" "$to" "$T/changes$major"
	note "PostgreSQL $major: $OUT"
	rm -rf "${T:?}/$src"
done
