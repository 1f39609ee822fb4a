#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Two recoveries in a row make timelines 2 and 3; afterwards each of them can
# be recovered to, and what cannot be reached is refused (T26 to T28, T88, T89).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE story (n serial, what text)"
tell() { sql "$1" "INSERT INTO story (what) VALUES ('$2')"; }
story() { sql "$1" "SELECT string_agg(what, ' ' ORDER BY n) FROM story"; }
now() { sql "$1" "SELECT clock_timestamp()"; }

take_backup
backup1=$LABEL
tell src a1
time1=$(now src)
tell src b1
archive_now src
time1_end=$(now src)
tell src c1
archive_now src
pg_stop src

note "first recovery: timeline 2, which archives on"
restored two "$MAIN" --target-time "$time1" --keep-archiving
assert_eq "$(story two)" 'a1' "the story at the first target"
tell two a2
time2=$(now two)
tell two b2
archive_now two
wait_for 30 "the history file of timeline 2" eval '[ -n "$(stored_wal 00000002.history)" ]'
sed -e "s,^pgdata = .*,pgdata = $T/two," \
	-e "s,^conninfo = .*,conninfo = host=${SOCK[two]} port=${PORT[two]} user=postgres dbname=postgres," \
	"$CONF" >"$T/two.conf"
expect 0 as_user "$BIN" --config "$T/two.conf" backup
backup2=$(newest_label)
assert_ne "$backup2" "$backup1" "a backup of timeline 2"
tell two c2
archive_now two
pg_stop two

note "second recovery, from the first backup across the switch: timeline 3"
restored three "$MAIN" --target-time "$time2" --backup "$backup1" --keep-archiving
assert_eq "$(story three)" 'a1 a2' "the story at the second target"
tell three a3
archive_now three
wait_for 30 "the history file of timeline 3" eval '[ -n "$(stored_wal 00000003.history)" ]'
pg_stop three

note "latest follows the newest timeline; current stays on the backup's"
restored new "$MAIN"
assert_eq "$(story new)" 'a1 a2 a3' "latest"
drop new
restored new "$MAIN" --timeline latest --backup "$backup1"
assert_eq "$(story new)" 'a1 a2 a3' "latest from the first backup"
drop new
restored new "$MAIN" --timeline current --backup "$backup1"
assert_eq "$(story new)" 'a1 b1 c1' "the first timeline's end"
drop new
restored new "$MAIN" --timeline 1
assert_eq "$(story new)" 'a1 b1 c1' "timeline 1 by number"
drop new
restored new "$MAIN" --timeline 2
assert_eq "$(story new)" 'a1 a2 b2 c2' "timeline 2 by number"
drop new
restored new "$MAIN" --timeline 3
assert_eq "$(story new)" 'a1 a2 a3' "timeline 3 by number"
drop new
restored new "$MAIN" --timeline 2 --backup "$backup2"
assert_eq "$(story new)" 'a1 a2 b2 c2' "timeline 2 from its own backup"
drop new
restored new "$MAIN" --target-time "$time1_end" --timeline 1
assert_eq "$(story new)" 'a1 b1' "a time on timeline 1"
drop new

note "a backup on the wrong side of a switch is refused, before a byte is written (T89)"
assert_refused "$T/new" 'timeline' --backup "$backup2" --timeline 1
assert_refused "$T/new" 'timeline' --backup "$backup2" --timeline 3
assert_refused "$T/new" 'timeline' --timeline 9
expect 0 dapk info
for n in 1 2 3; do assert_match "$OUT" "timeline[^0-9]*$n|^ *$n\b" "timelines in info"; done

note "a timeline that died before its first segment was archived: latest does not replay the accident"
restored four "$MAIN" --target-time "$time1" --timeline 1 --keep-archiving
wait_for 30 "the history file of timeline 4" eval '[ -n "$(stored_wal 00000004.history)" ]'
pg_kill four
rm -rf "${T:?}/four"
assert_refused "$T/new" 'timeline 4 left timeline 1'
assert_hint
fork=$(grep -o -- '--target-lsn [0-9A-F/]*' <<<"$OUT$ERR" | head -n 1 | cut -d ' ' -f 2)
restored new "$MAIN" --timeline 1 --target-lsn "$fork"
assert_eq "$(story new)" 'a1' "what the hint leads to"
drop new
note "a target before that fork is reached on the way to it"
restored new "$MAIN" --target-time "$time1" --exclusive --timeline 1
assert_eq "$(story new)" 'a1' "the story at the first target"
drop new
