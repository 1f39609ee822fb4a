#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backlog of WAL into an S3 store that is the only repository: archive-push
# stores ahead, answers from its records without the store, loses nothing when
# it is killed, when the store goes away, or when the records do; and a server
# comes back from the store alone.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_s3_start
store_proxy s3 "${S3_ENDPOINT##*:}"
REPO_S3=$(conf_set "$REPO_S3" endpoint "http://127.0.0.1:${PROXY[s3]}")
pg_new src "$MAIN" --wal-segsize=1
W=$T/src/pg_wal
pg_conf src "wal_keep_size = 1GB"
GLOBAL='push-ahead = 16MB' stores_conf src s3
expect 0 dapk init
pg_start src

backlog() { # N: segments that nobody archives yet, the last one in SEG
	local i
	for ((i = 0; i < $1; i++)); do
		sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 3000)"
		SEG=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
	done
}

waiting() { find "$W/archive_status" -name '*.ready' -printf '%f\n' | sed 's/\.ready$//' | sort; }
records() { find "$T/state/pushed" -type f 2>/dev/null | wc -l; }
done_all() { [ -z "$(waiting)" ]; }
caught_up() { # SEGMENT
	sql_true src "SELECT last_archived_wal >= '$1' FROM pg_stat_archiver"
}

# All that PostgreSQL has been told is stored, each once.
assert_acknowledged_stored() {
	local seg keys n=0
	keys=$(store_s3_keys repo/clusters/)
	while read -r seg; do
		assert_eq "$(grep -c "/$seg-[0-9a-f]*\.zst$" <<<"$keys")" 1 "objects of $seg"
		n=$((n + 1))
	done < <(find "$W/archive_status" -name '*.done' -printf '%f\n' | sed 's/\.done$//')
	note "$n acknowledged files are in the store"
}


note "a backup, then a backlog of 60 segments"
sql src "CREATE TABLE t (v text)"
expect 0 dapk backup
archive_with src false
pg_reload src
backlog 60
note "the real archiver takes it"
archive_with src "$BIN --config $CONF --verbose archive-push %p"
pg_reload src
wait_for 120 "the archiver to catch up" caught_up "$SEG"
assert_acknowledged_stored
ahead=$(grep -c 'was stored ahead' "$T/src.log")
assert_between "$ahead" 40 60 "segments answered from records"
assert_eq "$(records)" 0 "records left"

note "no request is made for what was stored ahead"
archive_with src false
pg_reload src
backlog 24
mapfile -t list < <(waiting)
expect 0 dapk archive-push "pg_wal/${list[0]}"
assert_between "$(records)" 10 16 "records"
proxy_rules s3 refuse
for i in 1 2 3 4 5 6 7 8 9 10; do
	expect 0 dapk archive-push "pg_wal/${list[$i]}"
done
note "what was not is an error, in time, and below 126"
start=$SECONDS
run dapk archive-push "pg_wal/${list[1]}" # answered once already
assert_between "$RC" 1 125 "exit code with a dead store"
assert_clear_error '127.0.0.1|s3://'
assert_between $((SECONDS - start)) 0 45 "seconds until a dead store is given up"
rm -f "$T/s3-start.log" # the server says its own
assert_no_secret
proxy_rules s3 pass
run dapk archive-push "pg_wal/${list[1]}"
assert_eq "$RC" 0 "exit code of a file that is stored already: $ERR"

note "records that are lost, or spoiled, cost time"
find "$T/state/pushed" -type f -exec sh -c 'echo spoiled >"$1"' _ {} \;
expect 0 dapk archive-push "pg_wal/${list[11]}"
rm -rf "$T/state/pushed"
expect 0 dapk archive-push "pg_wal/${list[12]}"
rm -rf "$T/state/pushed"
: >"$T/state/pushed"
expect 0 dapk archive-push "pg_wal/${list[23]}"
assert_match "$ERR" 'warning.*ahead' "the warning"
rm "$T/state/pushed"

note "another repository at the same address: its predecessor's records say nothing"
backlog 6
rm -rf "$T/state/address" # a failure was remembered: nothing would be ahead
mapfile -t list < <(waiting)
next=${list[-5]}
expect 0 dapk archive-push "pg_wal/${list[-6]}"
[ "$(records)" -gt 0 ] || fail "no records"
good=$REPO_S3
REPO_S3=$(conf_set "$good" url s3://dapk/other)
GLOBAL='push-ahead = 16MB' stores_conf src s3
expect 0 dapk init
expect 0 dapk archive-push "pg_wal/$next"
store_s3_keys other/clusters/ | grep -q "/$next-" || fail "$next is not in the other repository"
REPO_S3=$good
GLOBAL='push-ahead = 16MB' stores_conf src s3

note "any: what is stored ahead in a store that died needs no other; what is not goes there"
GLOBAL='push-ahead = 16MB' stores_conf src s3 local
sed -i 's/^repositories = .*/repositories = s3, local\npush-success = any/' "$CONF"
rm -rf "$T/state/address" "$T/state/pushed"
expect 0 dapk init
backlog 20
mapfile -t list < <(waiting)
expect 0 dapk archive-push "pg_wal/${list[-20]}"
[ "$(records)" -gt 5 ] || fail "$(records) records"
known=$(find "$T/state/pushed" -type f -printf '%f\n' | sort | tail -n 1)
beyond=${list[-1]}
proxy_rules s3 refuse
expect 0 dapk archive-push "pg_wal/$known"
assert_eq "$ERR" '' "messages"
rm -rf "$T/state/address" # a failure that is remembered is not told again
expect 0 dapk archive-push "pg_wal/$beyond"
assert_match "$ERR" 'warning.*s3://' "the warning"
[ -n "$(stored_wal "$beyond")" ] || fail "$beyond is nowhere"
find "$T/state/queue" -path '*/s3/items/*' | grep -q "$beyond" || fail "s3 is not told of $beyond"
proxy_rules s3 pass
rm -rf "$T/state/queue" "$T/state/address"
GLOBAL='push-ahead = 16MB' stores_conf src s3

note "killed at random times, with a store that comes and goes"
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
for ((i = 0; i < 30; i++)); do
	backlog 2
	case $i in
	6) proxy_rules s3 'delay=20' ;;
	12) proxy_rules s3 '1-3 up-reset=300000' ;;
	18) proxy_rules s3 'http=503' ;;
	20) proxy_rules s3 pass ;;
	esac
	if [ $((i % 4)) = 1 ]; then
		pid=$(pgrep -f -- "^$BIN --config $CONF archive-push" | head -n 1) || :
		[ -z "$pid" ] || kill -s KILL "$pid" 2>/dev/null || :
	fi
done
proxy_rules s3 pass
wait_for 200 "the archiver to catch up" caught_up "$SEG"
assert_acknowledged_stored

note "the server comes back from the store alone"
sql src "INSERT INTO t SELECT 'the last row'"
rows=$(sql src "SELECT count(*) FROM t")
sql src "SELECT pg_switch_wal()" >/dev/null
wait_for 60 "the last segment" done_all
pg_stop src
rm -rf "$T/state"
restored back "$MAIN"
assert_eq "$(sql back "SELECT count(*) FROM t")" "$rows" "rows after the restore"
pg_stop back
