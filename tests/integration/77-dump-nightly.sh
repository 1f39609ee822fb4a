#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What replaces pg_dump, gzip and find -mtime: every night all databases, stored
# once where nothing changed, shown by info, proved by verify, removed by
# expire; and the shipments come back, all of them or one table.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
sql src "CREATE USER dapk_user WITH PASSWORD 'secure_password_here'"
new_db src dapk -O dapk_user
ROWS=120000 fixture src dapk shipments
sql src "CREATE DATABASE closed ALLOW_CONNECTIONS false"
new_db src other
sql src "CREATE TABLE t AS SELECT 1 AS n" other
label_of() { # DATABASE: its newest
	local label
	find "$REPO" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -rn | sed 's,.*/,,' |
		while read -r label; do
			if tail -n +2 "$(dump_dir "$label")/commit" | jq -e --arg d "$1" '.dump.database == $d' >/dev/null; then
				echo "$label"
				break
			fi
		done
}

note "the first night"
expect 0 dapk dump --all
first=$(label_of dapk)
assert_eq "$(dump_commits)" 4 "dumps: postgres, dapk, other and the globals"
db_text src dapk "$T/first.text"
stored=$(dump_bytes "$first")
note "$stored bytes stored"

note "a dry run says what it would do and stores nothing"
before=$(tree_sum "$REPO")
expect 0 dapk dump dapk --dry-run
assert_match "$OUT" 'shipments_2026'
assert_eq "$(tree_sum "$REPO")" "$before" "the repository after a dry run"

note "nothing changed: next to nothing is stored"
take_dump dapk
again=$(dump_bytes "$LABEL")
note "$again bytes"
assert_between "$again" 0 $((stored / 100)) "bytes of a dump in which nothing changed"

note "one per cent came and changed: below a tenth"
sql src "UPDATE shipments SET status = 'delivered', updated_at = now() WHERE awb_number > 'AWB000119400';
	INSERT INTO shipments (awb_number, created_at) SELECT 'NEW' || n, '2027-06-01' FROM generate_series(1, 600) n;
	INSERT INTO tracking_events (awb_number, at) SELECT 'NEW' || n, now() FROM generate_series(1, 600) n" dapk
take_dump dapk
second=$LABEL
now=$(dump_bytes "$LABEL")
note "$now bytes, $((1000 * now / stored)) per mille"
assert_between "$now" 1 $((stored / 10)) "bytes of a dump in which 1 % changed"
db_text src dapk "$T/second.text"

note "one per cent spread evenly, for the record"
sql src "UPDATE shipments SET status = 'sent' WHERE right(awb_number, 2) = '55'" dapk
take_dump dapk
note "$((1000 * $(dump_bytes "$LABEL") / stored)) per mille of the first"

note "both nights come back"
for night in first second; do
	load_dump src "${!night}" back
	db_text src back "$T/back.text"
	assert_same_text "$T/back.text" "$T/$night.text" "the $night night"
	assert_eq "$(PGDATABASE=back client src psql -XqAtc "SELECT count(*) FROM shipments WHERE awb_number LIKE '%00119%'")" \
		"$(sed -n '/^COPY public.shipments_2/,/^\\\.$/p' "$T/$night.text" | cut -f 2 | grep -c 00119)" "rows found by trigrams"
	drop_db src back
done

note "an accident: one table comes back beside what is there"
sql src "DELETE FROM shipments" dapk
expect 0 dapk load "$second" -U postgres --database dapk --schema public --into-schema rescued -t 'shipments*' -t warehouses
assert_eq "$(sql src "SELECT count(*) FROM rescued.shipments_2026 UNION SELECT 0 ORDER BY 1 DESC LIMIT 1" dapk)" \
	"$(sed -n '/^COPY public.shipments_2026 /,/^\\\.$/p' "$T/second.text" | sed '1d;$d' | wc -l)" "rescued rows"
sql src "INSERT INTO shipments SELECT * FROM rescued.shipments_2026" dapk

note "info, verify, expire"
expect 0 dapk info
assert_contains "$OUT" "${first:0:16}" info
assert_match "$OUT" 'dapk'
expect 0 dapk info --json
assert_eq "$(jq '[.incarnations[].dumps[]] | length' <<<"$OUT")" 7 "dumps in info --json"
expect 0 dapk verify
expect 0 dapk expire --backup "$first" --grace=0s
expect 0 dapk expire --grace=0s
[ ! -e "$(dump_dir "$first")/commit" ] || fail "$first is still there"
expect 0 dapk verify
load_dump src "$second" back
db_text src back "$T/back.text"
assert_same_text "$T/back.text" "$T/second.text" "the second night, the first gone"
