#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Retention on a real cluster: the server and every command live some 80 days
# in a minute. What the promise needs stays and restores, what it does not need
# goes in two steps, and each item's sentence says why.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

faketime=$(find /usr/lib -name libfaketimeMT.so.1 | head -n 1)
DAY=0 # how many days ago it is
PLAIN=("${AS_USER[@]}")
# All of it, the store's clock too: what was written by a clock that is behind
# gets the time that it was written at by that clock.
day() { # DAYS AGO
	[ "$DAY" = 0 ] || find "$REPO" "$T/state" -newer "$T/day" -exec touch -h -d "-$DAY days" {} +
	DAY=$1
	AS_USER=("${PLAIN[@]}" env "LD_PRELOAD=$faketime" "FAKETIME=-${DAY}d")
	[ "$DAY" != 0 ] || AS_USER=("${PLAIN[@]}")
	sleep 0.02
	touch "$T/day"
}
live() { # DAYS AGO: a row of that day, WAL, and what there is of it
	pg_stop src
	day "$1"
	pg_start src
	sql src "INSERT INTO days VALUES ($1, clock_timestamp())"
	archive_now src
}
there() { [ -e "$(backup_dir "$1")/commit" ]; } # LABEL; others may need its packs
sets() { find "$REPO/clusters" -path "*/$1/*/commit" | wc -l; }
sentence() { grep -F " $1 " <<<"$OUT" || fail "nothing is said of $1: $OUT"; }
why() { jq -r --arg l "$1" '.repositories[0].incarnations[].sets[] | select(.label == $l) | .reason' <<<"$OUT"; }
oldest_wal() { find "$REPO/clusters" -path '*/wal/*' -name '[0-9A-F]*-*.zst' -printf '%f\n' | sort | head -n 1 | cut -c 1-24; }

pg_new src "$MAIN" --wal-segsize=1
write_conf src 'expire = no'
day 80
dapk init >"$T/init.out" || fail "init: $(cat "$T/init.out")"
pg_start src
sql src "CREATE TABLE days (ago int, at timestamptz)"
sql src "CREATE DATABASE shop"
declare -A BACKUP=() DUMP=()
for ago in 80 60 50 34 31 20 10 1; do
	live "$ago"
	take_backup
	BACKUP[$ago]=$LABEL
	expect 0 dapk dump shop
	DUMP[$ago]=$(find "$REPO/clusters" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -n | tail -n 1 | sed 's,.*/,,')
	sql src "INSERT INTO days VALUES ($ago, clock_timestamp())"
	archive_now src
done
live 0

note "a dry run says of each why it stays or goes, and does nothing"
before=$(tree_sum "$REPO")
expect 0 dapk expire --dry-run
assert_match "$OUT" 'every moment of the last 30 days, since 20'
assert_match "$(sentence "${BACKUP[80]}")" 'goes: 80 days old, and nothing within 30 days needs it'
assert_match "$(sentence "${BACKUP[34]}")" 'goes: 3[34] days old'
assert_match "$(sentence "${BACKUP[31]}")" "kept although 3[01] days old: needed to restore $(date -u -d '30 days ago' +%F)"
assert_match "$(sentence "${BACKUP[20]}")" 'kept: (20|19) days old, within 30 days'
assert_match "$(sentence "${DUMP[60]}")" 'goes: .* and a newer one of the same database is kept'
assert_match "$OUT" 'WAL kept from [0-9A-F]{24} on: needed to restore'
assert_match "$OUT" '4 backups and [0-9]+ WAL segments .* would go'
assert_eq "$(tree_sum "$REPO")" "$before" "the repository after a dry run"
expect 0 dapk expire --dry-run --json
assert_eq "$(for a in 80 60 50 34 31 20 10 1; do why "${BACKUP[$a]}"; done | xargs)" \
	"goes goes goes goes base window window window" "reasons"
assert_eq "$(jq '.dry_run, .repositories[0].retain_seconds' <<<"$OUT" | xargs)" "true 2592000" "JSON"

note "keep-*, pins and what info says go by the same rules"
expect 0 dapk expire --dry-run --json --keep-monthly=12
assert_match "$(for a in 80 60 50 34; do why "${BACKUP[$a]}"; done | xargs)" 'snapshot'
expect 0 dapk pin "${BACKUP[60]}" --until "$(date -d '+5 days' '+%F %T%:z')" --reason 'audit "Q3"'
expect 0 dapk info
assert_match "$OUT" 'why +kept: pinned until .* \(audit "Q3"\)'
assert_match "$OUT" 'why +goes: 80 days old'
expect 0 dapk info --json
assert_eq "$(jq -r --arg l "${BACKUP[80]}" '.incarnations[0].backups[] | select(.label == $l) | .expires' <<<"$OUT")" true "info"

note "first they are listed, and still restore"
expect 0 dapk expire
assert_match "$OUT" '3 backups and [0-9]+ WAL segments .* are to go'
assert_match "$OUT" '5 dumps are to go'
assert_eq "$(sets backups) $(sets dumps)" "8 8" "backups and dumps before the grace period"
expect 0 dapk expire
assert_match "$OUT" 'waits?, the first until'
expect 0 dapk expire --grace=0s --backup "${BACKUP[80]}"
expect 0 dapk expire --grace=0s --backup "${DUMP[80]}"
assert_eq "$(sets backups) $(sets dumps)" "8 8" "a removal by name, where retention is not asked again"
restored check "$MAIN" --backup "${BACKUP[50]}" --target immediate
assert_eq "$(sql check "SELECT min(ago) FROM days")" 50 "the newest row of the backup"
drop check

note "what retention wants again by then stays, with its WAL: a longer promise, a pin"
expect 0 dapk pin "${DUMP[60]}"
expect 0 dapk expire --grace=0s --retain=45d
assert_match "$OUT" 'removed [0-9]+ objects, 1 backup among them'
assert_match "$OUT" '2 backups that were listed stay: pinned, or wanted by retention again'
! there "${BACKUP[80]}" || fail "the oldest backup is still there"
for a in 60 50 34 31; do there "${BACKUP[$a]}" || fail "backup of $a days ago is gone"; done
[ -d "$(find "$REPO/clusters" -path "*/dumps/${DUMP[60]}")" ] || fail "a pinned dump is gone"
restored check "$MAIN" --target-time "$(date -d '44 days ago' '+%F %T%:z')" --action promote
assert_eq "$(sql check "SELECT min(ago) FROM days")" 50 "the state of 44 days ago"
drop check

note "then they go, and every moment of the window restores"
expect 0 dapk expire --grace=0s
expect 0 dapk expire --grace=0s
for a in 80 50 34; do ! there "${BACKUP[$a]}" || fail "backup of $a days ago is still there"; done
assert_eq "$(sets backups) $(sets dumps)" "5 4" "backups and dumps, two of them pinned"
assert_match "$(oldest_wal)" "$(commit_of "${BACKUP[60]}" | jq -r .wal.first)" "the oldest WAL: the pinned backup's"
expect 0 dapk verify
restored check "$MAIN" --target-time "$(date -d "@$(($(date +%s) - 30 * 86400 + 600))" '+%F %T%:z')" --action promote
assert_eq "$(sql check "SELECT min(ago) FROM days")" 31 "the state of 30 days ago"
drop check
restored check "$MAIN" --backup "${BACKUP[60]}" --target immediate
assert_eq "$(sql check "SELECT min(ago) FROM days")" 60 "the pinned backup's state"
drop check
restored check "$MAIN"
assert_eq "$(sql check "SELECT count(*), min(ago) FROM days")" "17|0" "the end of the WAL"
drop check
before=$(tree_sum "$REPO/clusters")
expect 0 dapk expire --grace=0s
assert_contains "$OUT" "nothing is to go" "again"
assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository after one more"

note "a clock that is wrong lets nothing go, and that is said"
for clock in '2090-01-01 00:00:00' '1970-01-03 00:00:00'; do
	run as_user env NO_FAKE_STAT=1 faketime -f "@$clock" "$BIN" --config "$CONF" expire --grace=0s
	assert_match "$OUT$ERR" 'clock' "$clock"
	assert_eq "$(sets backups) $(sets dumps)" "5 4" "sets after $clock"
done
expect 0 dapk expire --grace=0s --retain=1s
expect 0 dapk expire --grace=0s --retain=1s
assert_eq "$(sets backups)" 2 "a retention that would remove all keeps the newest, and the pinned"
there "${BACKUP[1]}" || fail "the newest is gone"

note "after a backup it runs by itself, unless told otherwise; a hold stops it"
sed -i -e '/^expire = no/d' -e 's/^\[repository local\]/&\nretain = 1h/' "$CONF"
grep -q '^retain = 1h' "$CONF" || fail "the configuration: $(cat "$CONF")"
expect 0 dapk unpin "${BACKUP[60]}"
expect 0 dapk backup
assert_match "$OUT" 'retention: removed 0 objects; listed to go: 1 backup or dump'
expect 0 dapk backup --no-expire
assert_lacks "$OUT" "retention" "--no-expire"
note "what is left of a backup that was removed, younger than the clock, is no label to go on under"
sql src "INSERT INTO days SELECT 0, clock_timestamp() FROM generate_series(1, 1000)"
take_backup --no-expire
removed=$LABEL
find "$(backup_dir "$removed")" -type f ! -name commit -exec touch -d '2090-01-01' {} +
expect 0 dapk expire --grace=0s --backup "$removed"
sleep 1.1
expect 0 dapk expire --grace=1s
! there "$removed" || fail "a backup that was removed by name is there"
take_backup --no-expire
assert_ne "$LABEL" "$removed" "the next backup's label"
expect 0 dapk hold
expect 6 dapk expire
expect 0 dapk release
end_test
