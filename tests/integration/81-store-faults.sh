#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# S3 and SFTP behind a line with faults (tests/contract/storage_faults.c): cut at
# many bytes of what is asked and of what is answered, silent, slow, refused,
# 503 with Retry-After, a bit turned over. What passes must not be noticed, what
# stays must be an error in time, and nothing may ever be wrong.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

install -m 755 "$DAPK_CONTRACT/storage_faults" "$T/bin/storage_faults"
store_s3_start
store_sftp_start
PIDS=()

# Most of the time is waiting: side by side, each with a line of its own.
faults() { # NAME SCHEME PORT OPERATION...
	local name=$1 scheme=$2 port=$3
	store_proxy "$name" "$port"
	[ "$(id -u)" != 0 ] || chown "$CLUSTER_USER" "$T/$name.rules" "$T/$name.lines"
	"${AS_USER[@]}" env DAPK_TEST_S3_KEY="$S3_ACCESS_KEY" DAPK_TEST_S3_SECRET="$S3_SECRET_KEY" \
		DAPK_TEST_CA="$S3_CA" DAPK_TEST_S3_URL="s3://dapk/$name" \
		DAPK_TEST_S3_ENDPOINT="${TLS:-http}://127.0.0.1:${PROXY[$name]}" \
		DAPK_TEST_S3_DIRECT="$S3_ENDPOINT" \
		DAPK_TEST_SFTP_KEY="$SFTP_KEY" DAPK_TEST_SFTP_KNOWN_HOSTS="$(known_at "${PROXY[$name]}")" \
		DAPK_TEST_SFTP_URL="${SFTP_URL/:$SFTP_PORT/:${PROXY[$name]}}/$name" \
		DAPK_TEST_SFTP_DIRECT="$SFTP_URL/$name" \
		"$T/bin/storage_faults" "$scheme" "$T/$name.rules" "$T/$name.lines" "${@:4}" \
		>"$T/$name.found" 2>&1 &
	PIDS+=("$!:$name")
}

ended() {
	local p name bad=''
	for p in "${PIDS[@]}"; do
		name=${p#*:}
		exited "${p%%:*}"
		sed "s/^/$name: /" "$T/$name.found"
		[ "$RC" = 0 ] || bad+=" $name (exit code $RC)"
		grep -q 'wrong: 0$' "$T/$name.found" || bad+=" $name"
	done
	PIDS=()
	[ -z "$bad" ] || fail "a storage behind faults was wrong:$bad"
	assert_no_secret
}

note "S3 over http and https"
for op in put taken get range stat absent list remove; do
	faults "http-$op" s3 "$S3_PORT" $op
done
for op in put get list; do
	TLS=https faults "https-$op" s3 "$S3_TLS_PORT" $op
done
ended
note "SFTP"
for op in put taken get range stat absent list remove; do
	faults "sftp-$op" sftp "$SFTP_PORT" $op
done
ended
