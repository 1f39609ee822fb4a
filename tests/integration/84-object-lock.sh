#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# object-lock-days: what lasts is put locked, and no key can take that away;
# leases, intents, tombstones and probes are not. What expire removes is gone
# from reads and listings, its locked version stays underneath.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_s3_start
store_s3 PUT /locked 'x-amz-bucket-object-lock-enabled:true'
REPO_S3=$(repo_s3 s3 locked/repo)
REPO_S3=$(conf_set "$REPO_S3" object-lock-days 160)
pg_with_stores src s3
sql src "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"

versions() { # of one key: "VERSION retain-until or nothing"
	store_s3 GET "/locked?versions&prefix=$1"
}
keys() { store_s3 GET "/locked?list-type=2&prefix=$1" | grep -o '<Key>[^<]*' | sed 's/<Key>//' || :; }

note "check, a backup, and what was locked"
expect 0 dapk check
assert_match "$OUT" 'ok +s3 .*objects locked for 160 days'
expect 0 dapk backup
expect 0 dapk backup
expect 0 dapk info --json
mapfile -t labels < <(grep -oE '[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}' <<<"$OUT" | sort -u)
assert_eq "${#labels[@]}" 2 "backups"
commit=$(keys repo/clusters | grep "${labels[0]}/commit")
store_s3 GET "/$commit" >/dev/null 2>&1 || store_s3 GET "/locked/$commit" >"$T/commit"
until=$(sed -n 's/.*"lock_until": "\([^"]*\)".*/\1/p' "$T/commit")
days=$((($(date -d "$until" +%s) - $(date +%s)) / 86400))
assert_between "$days" 159 160 "days that the commit says"

locked() { # KEY: does the server say so of its newest version?
	store_s3 GET "/locked/$1?retention" 2>/dev/null | grep -q '<Mode>COMPLIANCE</Mode>'
}
n=0
while IFS= read -r key; do
	case $key in
	*/leases/* | */intents/* | */tombstones/* | */tmp-probe/*)
		! locked "$key" || fail "$key is locked" ;;
	*)
		locked "$key" || fail "$key is not locked"
		n=$((n + 1)) ;;
	esac
done < <(keys repo/)
assert_between "$n" 8 100 "locked objects"
! keys repo/ | grep -E '/(leases|intents|tombstones)/|tmp-probe' || fail "leases or probes are left"

note "no key can take a version away"
version=$(versions "$commit" | grep -o '<VersionId>[^<]*' | head -n 1 | sed 's/<VersionId>//')
run store_s3 DELETE "/locked/$commit?versionId=$version"
[ "$RC" != 0 ] || fail "the locked version of the commit was removed"

note "expire removes it all the same: it is gone, and can be brought back"
expect 0 dapk expire --grace 0 --backup "${labels[0]}"
expect 0 dapk expire --grace 0
expect 0 dapk info --json
assert_lacks "$OUT" "\"label\": \"${labels[0]}\"" "the removed backup"
assert_contains "$OUT" "${labels[1]}" "the one that stays"
[ -z "$(keys "$commit")" ] || fail "the removed commit is still listed"
versions "$commit" | grep -q "<VersionId>$version" || fail "the locked version is gone"
expect 0 dapk verify
pg_stop src
expect 0 dapk restore -D "$T/back"

note "a bucket without object lock refuses, and the error says what to do"
REPO_S3=$(conf_set "$(repo_s3 s3 dapk/repo)" object-lock-days 160)
stores_conf src s3
expect 2,3 dapk init
assert_clear_error 's3://dapk/repo'
assert_no_secret_said() { assert_lacks "$OUT$ERR" "$S3_SECRET_KEY" "what was said"; }
assert_no_secret_said
