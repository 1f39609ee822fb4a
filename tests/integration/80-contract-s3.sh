#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What every storage must do, over a real S3 server: http and https, the bucket
# in the path and before the host, a versioned bucket. And what the user must
# put right is told so, at once, without a secret: keys, bucket, endpoint, CA.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_s3_start

contract() { # WHAT VARIABLE=VALUE...
	note "$1"
	run env DAPK_TEST_S3_KEY="$S3_ACCESS_KEY" DAPK_TEST_S3_SECRET="$S3_SECRET_KEY" \
		DAPK_TEST_CA="$S3_CA" DAPK_TEST_S3_URL=s3://dapk/contract "${@:2}" \
		"$DAPK_CONTRACT/test_storage"
	[ "$RC" = 0 ] || fail "the contract over $1: $OUT $ERR"
	assert_match "$OUT$ERR" 'PASSED.* 1[4-9] test' "the suite over $1"
	assert_lacks "$OUT$ERR" SKIPPED "the suite over $1"
}
contract "http" DAPK_TEST_S3_ENDPOINT="$S3_ENDPOINT"
contract "https, bucket before the host" DAPK_TEST_S3_ENDPOINT="$S3_TLS_HOST_ENDPOINT" \
	DAPK_TEST_S3_PATH_STYLE=no
VERSIONED_FAILS='of_parallel_puts_of_one_name_exactly_one_wins the_check_passes_and_leaves_nothing '
store_s3 PUT /versioned
echo '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>' >"$T/versioning"
store_s3 PUT '/versioned?versioning' -d "$T/versioning"
# Ceph 16 leaves If-None-Match out of account in such a bucket (Amazon does not):
# what was there lives on as an older version, and all else must hold.
note "a bucket with versions"
run env DAPK_TEST_S3_KEY="$S3_ACCESS_KEY" DAPK_TEST_S3_SECRET="$S3_SECRET_KEY" \
	DAPK_TEST_S3_ENDPOINT="$S3_ENDPOINT" DAPK_TEST_S3_URL=s3://versioned \
	"$DAPK_CONTRACT/test_storage"
assert_eq "$(grep -o '^\[  FAILED  \] .*' <<<"$OUT" | sed 's/.*\] //' | sort | tr '\n' ' ')" \
	"$VERSIONED_FAILS" "what does not hold with versions"
# The server is asked for real: without it the suite fails.
run env DAPK_TEST_S3_KEY="$S3_ACCESS_KEY" DAPK_TEST_S3_SECRET=wrong \
	DAPK_TEST_S3_ENDPOINT="$S3_ENDPOINT" DAPK_TEST_S3_URL=s3://dapk/x "$DAPK_CONTRACT/test_storage"
assert_ne "$RC" 0 "the suite's exit code with a wrong key"

note "the program itself: init, and a look at what is there"
pg_new src
stores_conf src s3
expect 0 dapk init
assert_contains "$(store_s3_keys repo/)" repo/dapk-repository
expect 0 dapk init
assert_no_secret
good=$REPO_S3

# One error, at once, with the store, the server's words and what to do.
mistake() { # WHAT REGEX [KEY VALUE]...
	local what=$1 regex=$2 start=$SECONDS
	shift 2
	REPO_S3=$good
	while [ $# -gt 1 ]; do
		REPO_S3=$(conf_set "$REPO_S3" "$1" "$2")
		shift 2
	done
	stores_conf src s3
	note "$what"
	for command in init info; do
		expect 2,3 dapk $command
		assert_clear_error "$regex"
		assert_contains "$ERR" s3:// "the store's name"
		assert_hint
		assert_no_secret
		assert_between $((SECONDS - start)) 0 10 "seconds until the error"
	done
}
mistake "a wrong secret" 'SignatureDoesNotMatch|AccessDenied|InvalidAccessKeyId' \
	secret-access-key "${S3_SECRET_KEY}x"
SECRETS+=("${S3_SECRET_KEY}x")
mistake "an unknown key" 'InvalidAccessKeyId|AccessDenied' access-key-id AKIANOBODYKNOWSTHIS0
mistake "another's bucket" 'AccessDenied' access-key-id "$S3_OTHER_ACCESS_KEY" \
	secret-access-key "$S3_OTHER_SECRET_KEY"
mistake "no such bucket" 'NoSuchBucket' url s3://nobodys-bucket/repo
mistake "another CA" 'certificate|CA' endpoint "$S3_TLS_ENDPOINT" ca-file "$S3_WRONG_CA"
mistake "a CA that is no file" 'no-such' endpoint "$S3_TLS_ENDPOINT" ca-file "$T/no-such.crt"
mistake "https, which the certificate does not name" 'certificate|host name|subject' \
	endpoint "https://nobody.localhost:$S3_TLS_PORT"
mistake "https to a port of http" 'SSL|TLS' endpoint "https://127.0.0.1:$S3_PORT"

note "the system's authorities do not know the test's CA"
REPO_S3=$(conf_set "$(conf_set "$good" endpoint "$S3_TLS_ENDPOINT")" ca-file)
stores_conf src s3
expect 2,3 dapk info
assert_clear_error 'certificate'
assert_hint 'ca-file'

note "all is well when it is right again, over https, too"
REPO_S3=$(conf_set "$good" endpoint "$S3_TLS_ENDPOINT")
stores_conf src s3
expect 0 dapk info
