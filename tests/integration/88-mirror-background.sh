#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The second repository is brought up to date in the background: WAL, backups
# and dumps, by themselves. While it is away nothing changes but its lag, and
# when it is back it catches up; an idle server's by a `copy` from cron.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
FAR=$T/far
sed -i "s,^repositories = .*,repositories = local\, far," "$CONF"
printf '\n[repository far]\nurl = file://%s\n' "$FAR" >>"$CONF"
expect 0 dapk init
pg_conf src "autovacuum = off"
pg_start src
sql src "CREATE TABLE t (v text)"

wal_in() { find "$1/clusters" -path '*/wal/*' -name '*.zst' -printf '%f\n' 2>/dev/null | sort; }
lag() { find "$T/state/queue" -path '*/far/items/*' | wc -l; }
no_lag() { [ "$(lag)" = 0 ]; }
up_to_date() { no_lag && diff <(wal_in "$REPO") <(wal_in "$FAR") >/dev/null; }
note_of_far() { jq -r ".$1" "$(find "$T/state/queue" -path '*/far/note')"; }
new_segment() {
	sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 2000)"
	SEG=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
}
find_one() { [ -n "$(find "$1" -path "$2")" ]; }
stored_far() { [ -n "$(find "$FAR" -name "$1-*")" ]; }
# A process in the background holds the lock of its queue.
nobody_works() {
	local lock
	while IFS= read -r lock; do
		flock -n "$lock" true || return 1
	done < <(find "$T/state/queue" -name lock)
}
kill_workers() {
	local pid
	for pid in $(pgrep -f -- "^$BIN --config $CONF archive-push" || :); do
		kill -s KILL "$pid" 2>/dev/null || :
	done
}
far_dies() { mv "$FAR" "$FAR.away"; }
far_comes() { mv "$FAR.away" "$FAR"; }
# The pause is over.
try_now() {
	local note
	note=$(find "$T/state/queue" -path '*/far/note')
	sed -i -E 's/"next_try": [0-9]+/"next_try": 0/' "$note"
}

note "each segment follows by itself"
for ((i = 0; i < 10; i++)); do new_segment; done
archive_now src
wait_for 60 "the mirror" up_to_date
[ "$(note_of_far last_success)" -gt 0 ] || fail "no success is noted"
assert_eq "$(note_of_far error)" '' "the noted error"
assert_ne "$(note_of_far last_compared)" 0 "when both were compared"

note "a backup and a dump too, the commit last"
take_backup
label=$LABEL
wait_for 60 "the backup in the mirror" find_one "$FAR" "*/backups/$label/commit"
expect 0 dapk dump postgres
wait_for 60 "the dump in the mirror" find_one "$FAR" '*/dumps/*/commit'
wait_for 60 "the queue's end" up_to_date
expect 0 dapk --repository far verify

note "while it is away archiving goes on, its lag grows, and few try"
far_dies
before=$(lag)
for ((i = 0; i < 60; i++)); do new_segment; done
archive_now src
wait_for 30 "the end of the attempts" nobody_works
[ "$(lag)" -ge 60 ] || fail "the lag is $(lag) after 60 segments (before: $before)"
assert_between "$(note_of_far failures)" 1 8 "attempts during the outage"
assert_match "$(note_of_far error)" 'far' "the noted error"
assert_eq "$(sql src "SELECT failed_count FROM pg_stat_archiver")" 0 "failed archive commands"
take_backup
during=$LABEL

note "it is back: the next segment wakes, and all that waits goes"
far_comes
try_now
new_segment
archive_now src
wait_for 90 "the mirror to catch up" up_to_date
wait_for 60 "the backup of the outage" find_one "$FAR" "*/backups/$during/commit"
wait_for 30 "the end of the work" nobody_works
expect 0 dapk --repository far verify

note "an idle server's mirror: copy brings it up to date, and the queue ends"
far_dies
for ((i = 0; i < 20; i++)); do new_segment; done
archive_now src
wait_for 30 "the end of the attempts" nobody_works
far_comes
[ "$(lag)" -ge 20 ] || fail "the lag is $(lag)"
expect 0 dapk copy
up_to_date || fail "the mirror is not up to date after copy: lag $(lag)"
assert_eq "$(note_of_far failures)" 0 "failures that are noted"

note "killed in mid-work, the next one goes on"
for ((i = 0; i < 40; i++)); do
	new_segment
	[ $((i % 4)) != 0 ] || kill_workers
done
try_now
new_segment
archive_now src
try_now
expect 0 dapk archive-push "$T/src/pg_wal/$SEG"
wait_for 60 "the mirror" up_to_date

note "any: what the second has got goes back to the first"
wait_for 30 "the end of the work" nobody_works
sed -i 's/^repositories = .*/&\npush-success = any/' "$CONF"
mv "$REPO" "$REPO.away"
for ((i = 0; i < 5; i++)); do new_segment; done
wait_for 60 "archiving into the second" stored_far "$SEG"
mv "$REPO.away" "$REPO"
wait_for 30 "the end of the work" nobody_works
find "$T/state/queue" -name note -exec sed -i -E 's/"next_try": [0-9]+/"next_try": 0/' {} +
new_segment
archive_now src
expect 0 dapk copy --from far --to local
diff <(wal_in "$REPO") <(wal_in "$FAR") || fail "the places differ"
