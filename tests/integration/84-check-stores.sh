#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# check says in one line a store what works there; one that is out of order
# is a failure of its own line, told within seconds, and stops no other check.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

works='put, get, range, list, create-if-absent \(the store refuses a taken name itself\), remove; clock [^;]*; [0-9.]+ ms a request, [0-9.]+ MB/s up, [0-9.]+ MB/s down'
store_s3_start
pg_with_stores src local s3

line() { # REPOSITORY: its line
	grep -E "^(ok|FAILED) +$1 (file|s3|sftp)://" <<<"$OUT"
}
quick() { # CODES [option...]: check, which must not take long
	local codes=$1 begun=$SECONDS secret
	shift
	expect "$codes" dapk check "$@"
	assert_between $((SECONDS - begun)) 0 60 "seconds of check"
	for secret in "${SECRETS[@]}"; do assert_lacks "$OUT$ERR" "$secret" "what check says"; done
}

note "all is well: one line each"
expect 0 dapk check
assert_match "$(line local)" "^ok +local file://$REPO: $works"
assert_match "$(line s3)" "^ok +s3 s3://dapk/repo: $works; id [0-9a-f]{32}\$"
assert_match "$OUT" '^ok +archiving local: segment'
[ -z "$(store_s3_keys repo/tmp-probe)" ] || fail "check left its probe in the bucket"
good=$REPO_S3

wrong() { # REGEX KEY [VALUE]: in the store's line; the other's is still there
	local regex=$1
	shift
	REPO_S3=$(conf_set "$good" "$@")
	stores_conf src local s3
	quick 1,2,3
	assert_match "$(line s3)" '^FAILED' "the line of s3"
	assert_match "$(line s3)" "$regex" "the line of s3"
	assert_match "$OUT" 'next: '
	assert_match "$(line local)" '^ok ' "the line of local"
	assert_match "$OUT" '^ok +archiving local: segment'
	REPO_S3=$good
}

note "wrong key, secret, bucket, server, CA"
wrong 'InvalidAccessKeyId|AccessDenied' access-key-id NOBODY
wrong 'SignatureDoesNotMatch|AccessDenied' secret-access-key wrongwrongwrong
wrong 'NoSuchBucket|bucket' url s3://typo/repo
wrong 'connect' endpoint https://127.0.0.1:9
good=$(conf_set "$good" endpoint "$S3_TLS_ENDPOINT")
REPO_S3=$good
stores_conf src local s3
quick 0
assert_match "$(line s3)" "^ok .*$works"
wrong 'certificate' ca-file "$S3_WRONG_CA"

note "a store that hangs"
store_proxy hang "$S3_PORT"
proxy_rules hang '* hang'
wrong 'time|no answer|slow|hung' endpoint "http://127.0.0.1:${PROXY[hang]}"

note "files that others may read, or that are not there"
REPO_S3=$(conf_set "$(conf_set "$(conf_set "$good" access-key-id)" secret-access-key)" credentials "file:$T/keys")
stores_conf src local s3
quick 1,2,3
assert_match "$OUT" '^FAILED +s3 credentials: .*No such file'
printf '[default]\naws_access_key_id = %s\r\naws_secret_access_key = %s\r\n' \
	"$S3_ACCESS_KEY" "$S3_SECRET_KEY" >"$T/keys"
[ "$(id -u)" != 0 ] || chown "$CLUSTER_USER" "$T/keys"
chmod 644 "$T/keys"
quick 1,2,3
assert_match "$OUT" "next: chmod 600 $T/keys"
chmod 600 "$T/keys"
quick 0

note "keys of the environment, of a profile, of the instance"
REPO_S3=$(conf_set "$(conf_set "$good" access-key-id)" secret-access-key)
stores_conf src local s3
quick 1,2,3 # nothing says where keys are; the server's archiver has none either
assert_match "$(line s3)" 'there are no keys for S3: AWS_ACCESS_KEY_ID is not set; AWS_WEB'
AWS_ACCESS_KEY_ID=$S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET_KEY quick 0,1
assert_match "$(line s3)" '^ok '
mkdir -p "$T/home/.aws"
printf '[backup]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
	"$S3_ACCESS_KEY" "$S3_SECRET_KEY" >"$T/home/.aws/credentials"
chmod -R a+rX "$T/home"
REPO_S3=$(conf_set "$REPO_S3" credentials profile:backup)
stores_conf src local s3
AWS_SHARED_CREDENTIALS_FILE=$T/home/.aws/credentials quick 0,1
assert_match "$(line s3)" '^ok '

note "locks that end too early, with the number to set"
REPO_S3=$(conf_set "$good" object-lock-days 40)
GLOBAL='refresh-age = 20d' stores_conf src local s3
quick 1
assert_match "$OUT" '^FAILED +s3 object-lock-days: is 40: .*20 days.* 52 days'
assert_match "$OUT" 'next: set object-lock-days = 52'
REPO_S3=$good

note "a repository that is no copy of the first; the same place twice"
REPO_S3=$(repo_s3 s3 dapk/another)
stores_conf src s3
expect 0 dapk init
stores_conf src local s3
quick 1
assert_match "$(line s3)" 'is repository [0-9a-f]+ and no place for copies of local'
REPO_S3=$(printf '[repository s3]\nurl = file://%s\n' "$REPO")
stores_conf src local s3
quick 1
assert_match "$(line s3)" 'is the same place as local'
REPO_S3=$good

note "the only repository is S3"
stores_conf src s3
quick 0
assert_match "$(line s3)" "$works"
assert_match "$OUT" '^ok +archiving: segment'

note "SFTP: with and without fsync, wrong host key, nobody there"
store_sftp_start
stores_conf src local sftp
expect 0 dapk init
quick 0
assert_match "$(line sftp)" "^ok .*$works; synced \\(fsync\\)"
good=$REPO_SFTP
for bad in "url = sftp://127.0.0.1:9/nowhere" "known-hosts = /dev/null" "key-file = $T/no-such-key"; do
	# What brings it up to date in the background gives up soon, too.
	REPO_SFTP=$(conf_set "$(conf_set "$good" timeout 2s)" "${bad%% = *}" "${bad#* = }")
	stores_conf src local sftp
	quick 1,2,3
	assert_match "$(line sftp)" '^FAILED' "the line of sftp with $bad"
	assert_match "$(line local)" '^ok ' "the line of local"
	assert_match "$OUT" 'next: '
done
