#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The second and third repository are in an S3 bucket and behind SFTP: they
# follow in the background, catch up after an outage of the line, and each
# brings back a first one that was lost.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

# What goes to S3 passes a line with faults.
store_s3_start
store_sftp_start
store_proxy line "${S3_ENDPOINT##*:}"
endpoint=$(sed -E "s,:[0-9]+,:${PROXY[line]}," <<<"$S3_ENDPOINT")
REPO_S3=$(conf_set "$REPO_S3" endpoint "$endpoint")
REPO_S3=$(conf_set "$REPO_S3" timeout 3s)
pg_new src "$MAIN" --wal-segsize=1
archive_with src "$BIN --config $CONF archive-push %p"
pg_conf src "autovacuum = off"
stores_conf src local s3 sftp
sed -i 's/^repositories = .*/repositories = local, s3, sftp/' "$CONF"
expect 0 dapk init
pg_start src
sql src "CREATE TABLE t (v text)"

lag() { find "$T/state/queue" -path "*/$1/items/*" | wc -l; }
no_lag() { [ "$(lag s3)" = 0 ] && [ "$(lag sftp)" = 0 ]; }
nobody_works() {
	local lock
	while IFS= read -r lock; do
		flock -n "$lock" true || return 1
	done < <(find "$T/state/queue" -name lock)
}
new_segment() {
	sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 2000)"
	SEG=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
}
try_now() { find "$T/state/queue" -name note -exec sed -i -E 's/"next_try": [0-9]+/"next_try": 0/' {} +; }

note "WAL, a backup and a dump follow"
for ((i = 0; i < 10; i++)); do new_segment; done
take_backup
label=$LABEL
expect 0 dapk dump postgres
archive_now src
wait_for 120 "both" no_lag
wait_for 60 "the end of the work" nobody_works
for name in s3 sftp; do
	expect 0 dapk --repository $name verify
	expect 0 dapk --repository $name info "$label"
done

note "the line to S3 is down: SFTP follows, the lag of S3 alone grows"
proxy_rules line refuse
for ((i = 0; i < 20; i++)); do new_segment; done
archive_now src
try_now
new_segment
archive_now src
sftp_done() { [ "$(lag sftp)" = 0 ]; }
wait_for 60 "SFTP" sftp_done
assert_between "$(lag s3)" 20 40 "lag of S3"
assert_eq "$(sql src "SELECT failed_count FROM pg_stat_archiver")" 0 "failed archive commands"
wait_for 60 "the end of the attempts" nobody_works
proxy_rules line
try_now
new_segment
archive_now src
wait_for 90 "S3 to catch up" no_lag
wait_for 60 "the end of the work" nobody_works
expect 0 dapk copy
assert_match "$OUT" '^s3: got 0 WAL files, 0 backups, 0 dumps' "what S3 still lacked"
assert_match "$OUT" '^sftp: got 0 WAL files, 0 backups, 0 dumps' "what SFTP still lacked"

note "each of them brings the first one back"
pg_stop src
rows_in() { find "$REPO/clusters" -name '*.zst' | wc -l; }
count=$(rows_in)
for name in s3 sftp; do
	rm -rf "${REPO:?}"
	expect 0 dapk init
	expect 0 dapk copy --from $name --to local
	assert_eq "$(rows_in)" "$count" "objects that came back from $name"
	expect 0 dapk --repository local verify
done
assert_no_secret
