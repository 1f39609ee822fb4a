#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-queue-max: while nothing can be archived WAL is given up before it
# fills the disk, loudly, with a name, and never otherwise. What is lost is
# never taken for the end of the archive, nor for "nothing changed".
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
sed -i 's/^repositories = .*/&\narchive-queue-max = 3MB/' "$CONF"
expect 0 dapk init
pg_start src
change() { sql src "UPDATE t SET v = '$1'" >/dev/null; }
segments() { # N: of WAL
	local i
	for ((i = 0; i < $1; i++)); do
		sql src "SELECT pg_logical_emit_message(true, 'x', 'y'); SELECT pg_switch_wal()" >/dev/null
	done
}
waiting() { find "$T/src/pg_wal/archive_status" -name '*.ready' | wc -l; }
read_of() { commit_of "$LABEL" | jq -r .read; }
by_hand() { # FILE IN pg_wal
	(cd "$T/src" && as_user "$BIN" --config "$CONF" archive-push "pg_wal/$1")
}
given_up() { grep -c "IS GIVEN UP" "$T/src.log" || :; }

note "the second backup goes by WAL alone"
sql src "CREATE TABLE t AS SELECT g, 'first' AS v FROM generate_series(1, 1000) g"
take_backup
change second
take_backup
assert_eq "$(read_of)" changes "what the second backup read"

note "much waits, and archiving works: nothing is given up"
archive_with src /bin/false
pg_reload src
segments 6
assert_between "$(waiting)" 5 7 "what waits"
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
archive_now src
assert_eq "$(given_up)" 0 "segments given up"
change before
reachable=$(sql src 'SELECT pg_current_wal_lsn()')
archive_now src

note "the store is away: up to the limit WAL waits, beyond it the oldest is given up"
mv "$REPO" "$T/away"
before=$(sql src 'SELECT archived_count FROM pg_stat_archiver')
segments 2
wait_for 10 "a failure" sql_true src 'SELECT failed_count > 0 FROM pg_stat_archiver'
assert_eq "$(given_up)" 0 "segments given up below the limit"
change lost
segments 4
drops() { segments 1 && sql_true src "SELECT archived_count >= $before + 3 FROM pg_stat_archiver"; }
wait_for 30 "WAL to be given up" drops
few_wait() { [ "$(waiting)" -le 3 ]; }
wait_for 20 "the queue to be within its limit" few_wait
assert_eq "$(waiting)" 3 "what waits on"
assert_match "$(cat "$T/src.log")" 'WAL FILE [0-9A-F]{24} IS GIVEN UP and will never be archived: .* more than archive-queue-max'
lost=$(sed -n 's/.*WAL FILE \([0-9A-F]*\) IS GIVEN UP.*/\1/p' "$T/src.log" | head -n 1)
expect 2 dapk status
assert_match "$OUT" "critical.* WAL segments? from $lost on.* given up \(archive-queue-max\), and no backup has followed"

note "a history file never is, nor what the archiver does not wait for"
n=$(given_up)
as_user cp "$T/src/pg_wal/$(basename "$(find "$T/src/pg_wal/archive_status" -name '*.ready' | sort | head -n 1)" .ready)" "$T/other"
printf '1\t0/1000000\tno recovery target specified\n' | as_user tee "$T/src/pg_wal/00000002.history" >/dev/null
as_user touch "$T/src/pg_wal/archive_status/00000002.history.ready"
expect 2,3 by_hand 00000002.history
rm "$T/src/pg_wal/00000002.history" "$T/src/pg_wal/archive_status/00000002.history.ready"
as_user cp "$T/other" "$T/src/pg_wal/00000001000000000000FF00"
expect 2,3 by_hand 00000001000000000000FF00
rm "$T/src/pg_wal/00000001000000000000FF00"

note "it is back: the rest is archived, and the gap has a name"
mv "$T/away" "$REPO"
archive_now src
expect 0,1,5 dapk info
assert_match "$OUT" "GAP: [0-9]+ missing, $lost to"
assert_match "$OUT" 'given up by archive-queue-max from .* on, on .*: '
expect 0,1,5 dapk info --json
assert_eq "$(jq -r '[.. | .gaps? // empty | .[]] | .[0] | [.first, (.reason | length > 10)] | @csv' <<<"$OUT")" \
	"\"$lost\",true" "the gap"
[ ! -e "$T/state/gaps" ] || fail "the note of what was given up stays"

note "recovery is told of the gap, not of an end"
expect 126 dapk archive-get "$lost" "$T/got"
assert_clear_error "WAL from $lost to [0-9A-F]* was given up by archive-queue-max"
assert_refused "$T/check" "WAL from $lost to [0-9A-F]* was given up by archive-queue-max"
restored check "$MAIN" --target-lsn "$reachable"
assert_eq "$(sql check 'SELECT DISTINCT v FROM t')" before "the table before the gap"
drop check

note "the next backup does not believe WAL that has a hole: it reads everything, and status is well"
expect 2 dapk status
take_backup
assert_eq "$(read_of)" all "what the backup after the gap read"
expect 0,1 dapk status
assert_lacks "$OUT" 'given up' "status"
change last
archive_now src
restored check "$MAIN"
assert_eq "$(sql check 'SELECT DISTINCT v FROM t')" last "the table after the gap"
drop check
change next
take_backup
assert_eq "$(read_of)" changes "what the backup after that read"

note "with a second repository nothing is given up: it takes what the first does not"
sed -i 's/^repositories = .*/repositories = local, second/' "$CONF"
printf '\n[repository second]\nurl = file://%s\n' "$T/second" >>"$CONF"
expect 0 dapk init
n=$(given_up)
mv "$REPO" "$T/away"
segments 6
wait_for 30 "the queue to be within its limit" few_wait
assert_eq "$(given_up)" "$n" "segments given up"
[ -n "$(find "$T/second/clusters" -path '*/wal/*' -name '0000*')" ] || fail "the second repository got nothing"
mv "$T/away" "$REPO"
archive_now src
expect 0 dapk copy --from second --to local
expect 5 dapk verify --quick # the gap from before, and no other
expect 0,1,5 dapk info
assert_eq "$(grep -c GAP: <<<"$OUT")" 1 "gaps"
note "the second repository is told of the gap too"
expect 0 dapk copy
expect 0,1,5 dapk --repository second info
assert_match "$OUT" "GAP: [0-9]+ missing, $lost to"
assert_match "$OUT" 'given up by archive-queue-max from .* on, on .*: '

note "a store that hangs: the next file goes at once, and what comes when it is back does not"
archive_with src /bin/false
pg_reload src
segments 6
python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0), backlog=50)
print(s.getsockname()[1], flush=True)
time.sleep(60)' >"$T/hangs" 2>/dev/null &
hangs=$!
stop_hanging() { stop_pid "$hangs"; }
AT_END+=(stop_hanging)
wait_for 10 "the port" test -s "$T/hangs"
cp -p "$CONF" "$T/back"
sed -i -e '/^\[repository/,$d' -e 's/^repositories = .*/repositories = away/' "$CONF"
cat >>"$CONF" <<-END
	[repository away]
	url = s3://bucket/prefix
	endpoint = http://127.0.0.1:$(cat "$T/hangs")
	access-key-id = x
	secret-access-key = y
	timeout = 2s
END
chmod 600 "$CONF"
[ "$(id -u)" != 0 ] || chown "$CLUSTER_USER" "$CONF"
mapfile -t ready < <(find "$T/src/pg_wal/archive_status" -name '*.ready' -printf '%f\n' | sed 's/\.ready$//' | sort)
expect 0 by_hand "${ready[0]}"
assert_match "$ERR" "WAL FILE ${ready[0]} IS GIVEN UP"
expect 0 by_hand "${ready[1]}"
assert_match "$ERR" "WAL FILE ${ready[1]} IS GIVEN UP"
# A moment later it is asked again, briefly, though it hangs on.
find "$T/state/unreachable" -name 'queue-*' -exec touch -d '10 seconds ago' {} +
expect 0 by_hand "${ready[2]}"
assert_match "$ERR" "WAL FILE ${ready[2]} IS GIVEN UP"
cp -p "$T/back" "$CONF"
find "$T/state/unreachable" -name 'queue-*' -exec touch -d '10 seconds ago' {} +
expect 0 by_hand "${ready[3]}"
assert_lacks "$ERR" "GIVEN UP"
[ -n "$(find "$REPO/clusters" -name "${ready[3]}-*")" ] || fail "${ready[3]} is not stored"
[ -z "$(find "$T/state/unreachable" -name 'queue-*')" ] || fail "what was slow is not forgotten"
