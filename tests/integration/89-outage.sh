#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A store that goes away: a backup in progress waits and finishes when it is
# there again; one that hangs holds up neither recovery nor restore when another
# has what is wanted, and is not waited for again with each segment.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_s3_start
store_proxy line "$S3_PORT"
pg_new src "$MAIN" --wal-segsize=1
REPO_S3=$(conf_set "$REPO_S3" endpoint "http://127.0.0.1:${PROXY[line]}")
stores_conf src s3 local
sed -i 's/^pgdata = .*/&\npush-success = all/' "$CONF"
dapk init >/dev/null
pg_start src
sql src "CREATE TABLE t AS SELECT n, gen_random_uuid() u FROM generate_series(1, 600000) n"
sql src "CHECKPOINT"

note "the gateway is killed in mid-backup and comes back"
"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 4MB --lease-timeout 2min \
	>"$T/backup.out" 2>&1 &
backup=$!
some_packs() { [ "$(store_s3_keys repo/clusters/ | grep -c pack-)" -ge 1 ]; }
wait_for 60 "the first pack" some_packs
stop_pid "$(cat "$T/s3/run/rgw.pid")" KILL
sleep 5 # the outage
alive "$backup" || fail "the backup ended in the outage: $(cat "$T/backup.out")"
"$SERVICES/s3-server" start "$T/s3" >/dev/null
wait "$backup" || fail "the backup failed: $(cat "$T/backup.out")"
expect 0 dapk verify

note "a backup on disk too; then the store hangs"
expect 0 dapk copy # waits for the process in the background, which has the lease
expect 0 dapk backup --repository local
segments=()
for i in 1 2 3 4; do
	sql src "INSERT INTO t SELECT $i, gen_random_uuid() FROM generate_series(1, 1000)"
	segments+=("$(sql src "SELECT pg_walfile_name(pg_switch_wal())")")
done
rows=$(sql src "SELECT count(*) FROM t")
archive_now src
pg_stop src immediate
proxy_rules line hang
as_user mkdir -p "$T/rec/global" "$T/rec/pg_wal"
as_user cp "$T/src/global/pg_control" "$T/rec/global/"
as_user cp "$T/src/PG_VERSION" "$T/rec/"
seconds() { # COMMAND...: how long it takes, in SPENT
	local begin=$SECONDS
	expect 0 "$@"
	SPENT=$((SECONDS - begin))
}
seconds dapk archive-get --pgdata "$T/rec" --prefetch 0 "${segments[0]}" "$T/rec/pg_wal/x"
[ "$SPENT" -lt 40 ] || fail "the first segment took $SPENT s"
cmp "$T/rec/pg_wal/x" "$T/src/pg_wal/${segments[0]}"
seconds dapk archive-get --pgdata "$T/rec" --prefetch 0 "${segments[1]}" "$T/rec/pg_wal/x"
[ "$SPENT" -lt 8 ] || fail "the second segment took $SPENT s too"
as_user touch "$T/rec/standby.signal"
begin=$SECONDS
expect 2,3,4,5 dapk archive-get --pgdata "$T/rec" --prefetch 0 0000000100000000000000F0 "$T/rec/pg_wal/y"
[ $((SECONDS - begin)) -lt 8 ] || fail "a standby was kept waiting"

note "restore says what it leaves out, and recovers from the other"
restored back "$MAIN"
assert_contains "$ERR" "repository s3 is left out" "warning"
assert_eq "$(sql back "SELECT count(*) FROM t")" "$rows" "rows"
drop back
