#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Into an SFTP server: by key, encrypted key, agent, password. Not into a host
# that is not known, or has another key; and what is wrong is said at once, with
# the next thing to type, and no secret (T119 to T124). Servers without fsync,
# read only, full.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

store_sftp_start
pg_new src
SFTP_DIR=$T/sftp
good=$REPO_SFTP
SECRETS+=("$(cat "$SFTP_DIR/passphrase")")

with() { # KEY VALUE...: the good repository, changed
	REPO_SFTP=$good
	while [ $# -gt 1 ]; do
		REPO_SFTP=$(conf_set "$REPO_SFTP" "$1" "$2")
		shift 2
	done
	stores_conf src sftp
}
refused() { # WHAT REGEX KEY VALUE...
	local start=$SECONDS
	note "$1"
	with "${@:3}"
	expect 2,3 dapk info
	assert_clear_error "$2"
	assert_contains "$ERR" sftp:// "the store's name"
	assert_hint
	assert_no_secret
	assert_between $((SECONDS - start)) 0 10 "seconds until the error"
}

note "a key"
with
expect 0 dapk init
expect 0 dapk info
[ -s "$SFTP_DATA/repo/dapk-repository" ] || fail "nothing is stored on the server"

note "other keys: ecdsa, encrypted with its passphrase"
with key-file "$SFTP_DIR/id_ecdsa"
expect 0 dapk info
with key-file "$SFTP_DIR/id_encrypted" key-passphrase-file "$SFTP_DIR/passphrase"
expect 0 dapk info
assert_no_secret
as_user sh -c "umask 077; echo nonsense >'$T/wrong-passphrase'; cp '$SFTP_DIR/passphrase' '$T/open-passphrase'; chmod 644 '$T/open-passphrase'"
refused "an encrypted key without its passphrase" 'key-passphrase-file' key-file "$SFTP_DIR/id_encrypted"
refused "with another one" 'passphrase' key-file "$SFTP_DIR/id_encrypted" \
	key-passphrase-file "$T/wrong-passphrase"
refused "a passphrase that everybody can read" 'mode|0600|others' key-file "$SFTP_DIR/id_encrypted" \
	key-passphrase-file "$T/open-passphrase"
refused "a key that the server does not know" 'cannot log in.*refused' key-file "$SFTP_DIR/id_stranger"
note "a key that is no file"
with key-file "$T/no-such-key"
expect 2 dapk info
assert_clear_error 'no-such-key'

note "the agent"
with
REPO_SFTP=$(conf_set "$good" key-file)
stores_conf src sftp
as_user ssh-agent -a "$T/agent" >"$T/agent.out"
AGENT_PID=$(sed -n 's/.*SSH_AGENT_PID=\([0-9]*\);.*/\1/p' "$T/agent.out")
stop_agent() { stop_pid "$AGENT_PID"; }
AT_END+=(stop_agent)
as_user env SSH_AUTH_SOCK="$T/agent" ssh-add -q "$SFTP_KEY" 2>/dev/null
expect 0 as_user env SSH_AUTH_SOCK="$T/agent" "$BIN" --config "$CONF" info
expect 2 as_user env SSH_AUTH_SOCK="$T/no-agent" HOME="$T" "$BIN" --config "$CONF" info
assert_clear_error 'agent'

refused "a host that is not known" 'not known.*SHA256:' known-hosts "$SFTP_DIR/known_hosts.none"
assert_match "$ERR" 'ssh-keyscan -p [0-9]+ 127.0.0.1' "what to type"
fingerprint=$(grep -o 'SHA256:[A-Za-z0-9+/]*' <<<"$ERR" | head -n 1)
assert_contains "$(for k in "$SFTP_DIR"/host_*.pub; do ssh-keygen -lf "$k"; done)" "$fingerprint" "the fingerprint as ssh shows it"
refused "a host with another key" 'HAS CHANGED' known-hosts "$SFTP_DIR/known_hosts.wrong"
note "accept-new: once, and never over a key that changed"
with known-hosts "$T/hosts" host-key accept-new
expect 0 dapk info
assert_contains "$ERR" "$fingerprint"
as_user test -s "$T/hosts" || fail "the host was not written down"
with known-hosts "$T/hosts"
expect 0 dapk info
assert_eq "$ERR" "" "what is said of a known host"
refused "accept-new does not take a changed key" 'HAS CHANGED' \
	known-hosts "$SFTP_DIR/known_hosts.wrong" host-key accept-new
note "hashed names"
as_user cp "$SFTP_KNOWN_HOSTS" "$T/hashed"
as_user ssh-keygen -q -H -f "$T/hashed" 2>/dev/null
with known-hosts "$T/hashed"
expect 0 dapk info

note "backup and WAL through it, then a server that is away for a moment"
with
pg_start src
sql src "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g"
archive_now src
expect 0 dapk backup --progress never
as_user "$SERVICES/sftp-server" stop "$SFTP_DIR"
(
	sleep 2
	as_user "$SERVICES/sftp-server" start "$SFTP_DIR" >/dev/null
) &
expect 0 dapk backup --progress never
wait $!
expect 0 dapk verify --progress never

note "a folder that may not be read, or not entered, is an error and not empty"
folder=$(dirname "$(find "$SFTP_DATA/repo/clusters" -name '*.zst' -path '*/wal/*' | head -n 1)")
name=$(basename "$(find "$folder" -name '0*.zst' | sort | head -n 1)")
name=${name:0:24}
seg=$(sql src "SELECT pg_walfile_name(pg_current_wal_lsn())")
for mode in 0300 0600 0400; do
	chmod $mode "$folder"
	expect 126 dapk archive-get "$name" "$T/got"
	assert_clear_error 'permission denied'
	assert_contains "$ERR" sftp://
	expect 3 dapk --state-directory "$T/other-state-$mode" info
	assert_clear_error 'permission denied'
	expect 3 dapk archive-push --pgdata "$T/src" "pg_wal/$seg"
	chmod 0700 "$folder"
done
expect 0 dapk archive-get "$name" "$T/got"

restart() { # VARIABLE=VALUE...
	as_user "$SERVICES/sftp-server" stop "$SFTP_DIR"
	as_user env "$@" "$SERVICES/sftp-server" start "$SFTP_DIR" >/dev/null
}
note "a server without fsync serves"
restart SFTP_ARGS='-P fsync'
sql src "INSERT INTO t SELECT 1"
archive_now src
expect 0 dapk verify --progress never
note "a server that may only be read says so"
restart SFTP_ARGS=-R
expect 0 dapk info
sql src "INSERT INTO t SELECT 2" # a segment that nobody has archived yet
seg=$(sql src "SELECT pg_walfile_name(pg_current_wal_lsn())")
expect 3 dapk archive-push --pgdata "$T/src" "pg_wal/$seg"
assert_clear_error 'permission denied|write protected|read-only|failure'
assert_contains "$ERR" sftp://
restart SFTP_ARGS=

if [ "$(id -u)" = 0 ]; then
	note "a full disk is told, and leaves nothing half"
	mkdir "$T/small"
	mount -t tmpfs -o size=3m,mode=777 tmpfs "$T/small"
	unmount() { umount "$T/small" || umount -l "$T/small"; }
	AT_END+=(unmount)
	with url "sftp://$SFTP_USER@127.0.0.1:$SFTP_PORT$T/small/repo"
	expect 0 dapk init
	as_user sh -c "cat /dev/zero >'$T/small/fill' 2>/dev/null" || :
	expect 3 dapk archive-push --pgdata "$T/src" "pg_wal/$seg"
	assert_clear_error 'full|no space|quota'
	assert_eq "$(find "$T/small/repo" -name '*.zst' -o -name '.tmp-*')" "" "what is left"

	note "a password"
	"$SERVICES/sftp-server" stop "$SFTP_DIR"
	as_user sh -c "umask 077; printf 'pass-%s\r\n' word1 >'$T/password'; echo other >'$T/other-password'"
	SECRETS+=(pass-word1)
	mkdir "$T/sftp-password"
	STORE_DIRS+=("$SERVICES/sftp-server:$T/sftp-password")
	SFTP_PASSWORD=pass-word1 SFTP_DATA=$T/password-data "$SERVICES/sftp-server" start "$T/sftp-password" >/dev/null
	take_env "$T/sftp-password"
	chmod a+rx "$T/sftp-password"
	chmod a+r "$SFTP_KNOWN_HOSTS"
	good=$(conf_set "$(repo_sftp sftp "$SFTP_URL/repo")" key-file)
	with password-file "$T/password"
	expect 0 dapk init
	assert_no_secret
	refused "another password" 'cannot log in.*password' password-file "$T/other-password"
	chmod 640 "$T/password"
	refused "a password that others can read" 'mode|0600|others' password-file "$T/password"
fi
