#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# S3 that refuses: a quota is reached in mid-backup, a session token is none, the
# bucket is removed. One clear error with the store and the server's own
# word, no secret, nothing half-visible; and afterwards all goes on. A foreign
# object under our name is named, and never taken for ours.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_s3_start
pg_with_stores src s3
sql src "CREATE TABLE t AS SELECT n, gen_random_uuid() u FROM generate_series(1, 300000) n"
sql src "CHECKPOINT"
good=$REPO_S3

commits() { store_s3_keys repo/ | grep -c '/commit$' || :; }
refuses() { # REGEX COMMAND...
	local regex=$1 start=$SECONDS
	shift
	expect 2,3 dapk "$@"
	assert_clear_error "$regex"
	assert_contains "$ERR" s3:// "the store's name"
	assert_no_secret
	assert_between $((SECONDS - start)) 0 60 "seconds until the error"
}

note "a quota is reached in mid-backup"
"$SERVICES/s3-server" admin "$T/s3" quota set --quota-scope=user --uid=test --max-size=3000000 >/dev/null
"$SERVICES/s3-server" admin "$T/s3" quota enable --quota-scope=user --uid=test >/dev/null
refuses 'QuotaExceeded' backup
assert_eq "$(commits)" 0 "commits after a backup that failed"
"$SERVICES/s3-server" admin "$T/s3" quota disable --quota-scope=user --uid=test >/dev/null
expect 0 dapk backup
assert_eq "$(commits)" 1 "commits"

note "a session token that is none (any more)"
REPO_S3=$(conf_set "$(conf_set "$good" access-key-id)" secret-access-key)
stores_conf src s3
SECRETS+=(dG9rZW4tdGhhdC1oYXMtZXhwaXJlZA==)
expect 2,3 as_user env AWS_ACCESS_KEY_ID="$S3_ACCESS_KEY" AWS_SECRET_ACCESS_KEY="$S3_SECRET_KEY" \
	AWS_SESSION_TOKEN=dG9rZW4tdGhhdC1oYXMtZXhwaXJlZA== "$BIN" --config "$CONF" info
assert_clear_error 'token|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch'
assert_no_secret
REPO_S3=$good
stores_conf src s3

note "a foreign object under our name"
key=$(store_s3_keys repo/clusters/ | grep '/commit$')
store_s3 GET "/dapk/$key" >"$T/commit"
echo 'not ours' >"$T/foreign"
store_s3 PUT "/dapk/$key" -d "$T/foreign"
expect 5 dapk verify
assert_match "$OUT$ERR" 'commit' "what verify says"
run dapk restore -D "$T/none" --dry-run
assert_ne "$RC" 0 "restore's exit code"
store_s3 PUT "/dapk/$key" -d "$T/commit"
expect 0 dapk verify

note "the bucket is removed"
"$SERVICES/s3-server" admin "$T/s3" bucket rm --bucket=dapk --purge-objects >/dev/null 2>&1
refuses 'NoSuchBucket|bucket' info
refuses 'NoSuchBucket|bucket' backup
