#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# info over S3 and SFTP: what it remembers spares requests, is what is there,
# and what it did not ask for now is said to be older; a store that is away.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

[ -x "${DAPK_WALMANY:-}" ] || fail "DAPK_WALMANY is not set; run scripts/test $TEST_NAME"
install -m 755 "$DAPK_WALMANY" "$T/bin/walmany"
store_s3_start
store_sftp_start
pg_new src "$MAIN" --wal-segsize=1
stores_conf src s3
expect 0 dapk init
pg_start src
expect 0 dapk backup
archive_segment() {
	sql src "SELECT pg_logical_emit_message(false, 'tests', 'x')" >/dev/null
	SEGMENT=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
	wait_for 60 "the archiving of $SEGMENT" sql_true src \
		"SELECT last_archived_wal >= '$SEGMENT' FROM pg_stat_archiver"
}
archive_segment
pg_stop src
last() { jq -r '.incarnations[0].wal[0].ranges[-1].last' <<<"$OUT"; }
count() { jq '[.incarnations[0].wal[0].ranges[].segments] | add' <<<"$OUT"; }
wal() { jq -c '.incarnations[0] | {wal, recovery}' <<<"$OUT"; }
segment() { # NUMBER: that many after the last real one
	local n=$((16#${SEGMENT:8:8} * 4096 + 16#${SEGMENT:16:8} + $1))
	printf '00000001%08X%08X' $((n / 4096)) $((n % 4096))
}
many() { # FIRST COUNT
	local url=s3://dapk/repo
	[ "$1" = s3 ] || url=$SFTP_URL/repo
	shift
	as_user env S3_ACCESS_KEY="${S3_ACCESS_KEY:-}" S3_SECRET_KEY="${S3_SECRET_KEY:-}" \
		"$T/bin/walmany" "$url" main "$(segment "$1")" "$2" $((1 << 20)) \
		"endpoint=$S3_ENDPOINT" "region=$S3_REGION" "ca-file=$S3_CA" \
		"key-file=${SFTP_KEY:-}" "known-hosts=${SFTP_KNOWN_HOSTS:-}"
}

note "S3: cold and warm are the same, and warm says how old it is"
expect 0 dapk info --json
SEGMENT=$(last)
many s3 1 1200
expect 0 dapk info --json
cold=$(wal)
assert_eq "$(last)" "$(segment 1200)" "the last segment"
assert_eq "$(jq '.incarnations[0].recovery.windows | length' <<<"$OUT")" 1 "windows"
expect 0 dapk info --json
assert_eq "$(wal)" "$cold" "warm"
[ "$(jq -r .repository.listed_at <<<"$OUT")" != null ] || fail "how old it is is not said"
expect 0 dapk info
assert_match "$OUT" 'as listed .* ago' "info"
expect 0 dapk info --json --refresh
assert_eq "$(wal)" "$cold" "listed anew"
assert_eq "$(jq -r .repository.listed_at <<<"$OUT")" null "how old it is"

note "S3: what came is seen at once, what went when it is listed anew"
many s3 1201 300
expect 0 dapk info --json
assert_eq "$(last)" "$(segment 1500)" "the last segment"
gone=$(store_s3_keys repo/clusters | grep "/$(segment 20)-")
store_s3 DELETE "/dapk/$gone" >/dev/null
expect 0 dapk info --json --refresh
assert_eq "$(jq -r '.incarnations[0].wal[0].gaps[].first' <<<"$OUT")" "$(segment 20)" "the gap"

note "S3: the store is away"
whole=$(wal)
"$SERVICES/s3-server" kill "$T/s3" >/dev/null 2>&1
REPO_S3=$(conf_set "$REPO_S3" timeout 3s)
stores_conf src s3
expect 3 dapk info --json
assert_eq "$(jq -r .repository.reached <<<"$OUT")" false "reached"
assert_eq "$(wal)" "$whole" "what was known"
assert_match "$ERR" 'warning: the repository could not be looked at' "stderr"
expect 0,1,2,3 dapk status

note "SFTP"
stores_conf src sftp
expect 0 dapk init
pg_start src
expect 0 dapk backup
archive_segment
pg_stop src
expect 0 dapk info --json
SEGMENT=$(last)
many sftp 1 400
expect 0 dapk info --json
cold=$(wal)
assert_eq "$(last)" "$(segment 400)" "the last segment"
expect 0 dapk info --json
assert_eq "$(wal)" "$cold" "warm"
many sftp 401 1
expect 0 dapk info --json
assert_eq "$(last)" "$(segment 401)" "the last segment"
