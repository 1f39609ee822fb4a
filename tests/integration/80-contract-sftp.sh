#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What every storage must do, over OpenSSH: each kind of key, a password, a
# server that has no fsync. And what the user must put right is told so, at
# once: an unknown or changed host key, a wrong key, a wrong passphrase, a
# server that may only be read.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/stores.sh
. "$TEST_TOP/tests/lib/stores.sh"

contract() { # WHAT VARIABLE=VALUE...
	note "$1"
	run as_user env DAPK_TEST_SFTP_URL="$SFTP_URL" DAPK_TEST_SFTP_KEY="$SFTP_KEY" \
		DAPK_TEST_SFTP_KNOWN_HOSTS="$SFTP_KNOWN_HOSTS" "${@:2}" "$T/bin/test_storage"
	[ "$RC" = 0 ] || fail "the contract over $1: $OUT $ERR"
	assert_match "$OUT$ERR" 'PASSED.* 1[4-9] test' "the suite over $1"
	assert_lacks "$OUT$ERR" SKIPPED "the suite over $1"
}
install -m 755 "$DAPK_CONTRACT/test_storage" "$T/bin/test_storage"

store_sftp_start
contract "an ed25519 key"
SFTP_ARGS='-P fsync,statvfs,hardlink,posix-rename' store_sftp_start "$T/plain"
contract "a server without extensions"
if [ "$(id -u)" = 0 ]; then
	mkdir "$T/password"
	SFTP_PASSWORD='pass word: 1' "$SERVICES/sftp-server" start "$T/password" >"$T/password.out"
	STORE_DIRS+=("$SERVICES/sftp-server:$T/password")
	(umask 077 && as_user tee "$T/password-file" >/dev/null <<<'pass word: 1')
	chmod 600 "$T/password-file"
	take_env "$T/password"
	contract "a password" DAPK_TEST_SFTP_KEY= DAPK_TEST_SFTP_PASSWORD="$T/password-file"
fi
# The server is asked for real: without it the suite fails.
run as_user env DAPK_TEST_SFTP_URL="$SFTP_URL" DAPK_TEST_SFTP_KEY="$T/sftp/id_stranger" \
	DAPK_TEST_SFTP_KNOWN_HOSTS="$SFTP_KNOWN_HOSTS" "$T/bin/test_storage"
assert_ne "$RC" 0 "the suite's exit code with a stranger's key"

note "the program itself: init, and a look at what is there"
take_env "$T/sftp"
REPO_SFTP=$(repo_sftp sftp "$SFTP_URL/repo")
pg_new src
stores_conf src sftp
expect 0 dapk init
[ -f "$SFTP_DATA/repo/dapk-repository" ] || fail "init said 0 and made no repository"
expect 0 dapk init
good=$REPO_SFTP

note "other kinds of keys"
REPO_SFTP=$(conf_set "$good" key-file "$T/sftp/id_ecdsa")
stores_conf src sftp
expect 0 dapk info
REPO_SFTP=$(conf_set "$(conf_set "$good" key-file "$T/sftp/id_encrypted")" \
	key-passphrase-file "$T/sftp/passphrase")
stores_conf src sftp
expect 0 dapk info

# One error, at once, with the store, why, and what to do.
mistake() { # WHAT REGEX HINT [KEY VALUE]...
	local what=$1 regex=$2 hint=$3 start=$SECONDS command
	shift 3
	REPO_SFTP=$good
	while [ $# -gt 1 ]; do
		REPO_SFTP=$(conf_set "$REPO_SFTP" "$1" "$2")
		shift 2
	done
	stores_conf src sftp
	note "$what"
	for command in init info; do
		expect 2,3 dapk $command
		assert_clear_error "$regex"
		assert_contains "$ERR" sftp:// "the store's name"
		assert_hint "$hint"
		assert_lacks "$OUT$ERR" "$(cat "$T/sftp/passphrase")" "what was said"
		assert_between $((SECONDS - start)) 0 10 "seconds until the error"
	done
}
mistake "a host that is not known yet" 'not known|unknown|known_hosts' 'ssh-keyscan|accept-new' \
	known-hosts "$T/sftp/known_hosts.none"
fingerprints=$(for t in ed25519 ecdsa rsa; do ssh-keygen -lf "$T/sftp/host_$t.pub"; done | cut -d' ' -f2)
grep -qF "$(tr ' ' '\n' <<<"$fingerprints")" <<<"$ERR" ||
	fail "none of the host's fingerprints $fingerprints in: $ERR"
mistake "a host with another key" 'host key|changed|differ' '' known-hosts "$T/sftp/known_hosts.wrong"
mistake "a key that is not authorized" 'authen|refused|key' 'authorized_keys|key' \
	key-file "$T/sftp/id_stranger"
mistake "a key with a passphrase, and none" 'passphrase' '' \
	key-file "$T/sftp/id_encrypted"
as_user cp "$T/sftp/passphrase" "$T/wrong"
echo 'not it' >"$T/wrong"
mistake "a wrong passphrase" 'passphrase' '' key-file "$T/sftp/id_encrypted" \
	key-passphrase-file "$T/wrong"
assert_lacks "$ERR" 'not it' "the error"
mistake "a user that may not log in" 'authen|refused|key' '' url "sftp://nobody@127.0.0.1:$SFTP_PORT$SFTP_DATA/repo"
free_port
mistake "nobody listens" 'refused' '' url "sftp://$SFTP_USER@127.0.0.1:$FREE_PORT$SFTP_DATA/repo" \
	timeout 1s

note "accept-new: the first key is kept, another one is refused"
as_user touch "$T/new-hosts"
REPO_SFTP=$(conf_set "$(conf_set "$good" known-hosts "$T/new-hosts")" host-key accept-new)
stores_conf src sftp
expect 0 dapk info
assert_match "$(cat "$T/new-hosts")" "127.0.0.1.*:$SFTP_PORT" "the new known_hosts"
expect 0 dapk info
as_user "$SERVICES/sftp-server" stop "$T/sftp"
rm "$T"/sftp/host_*
for t in ed25519 ecdsa rsa; do as_user ssh-keygen -q -t $t -N '' -f "$T/sftp/host_$t"; done
as_user "$SERVICES/sftp-server" start "$T/sftp" >"$T/sftp.out"
expect 2,3 dapk info
assert_clear_error 'host key|changed|differ'

note "a server that may only be read"
for t in ed25519 ecdsa rsa; do
	echo "[127.0.0.1]:$SFTP_PORT $(cut -d' ' -f1,2 "$T/sftp/host_$t.pub")"
done >"$T/sftp/known_hosts"
as_user "$SERVICES/sftp-server" stop "$T/sftp"
as_user env SFTP_ARGS=-R "$SERVICES/sftp-server" start "$T/sftp" >"$T/sftp.out"
REPO_SFTP=$good
stores_conf src sftp
expect 0 dapk info
REPO_SFTP=$(repo_sftp sftp "$SFTP_URL/second")
stores_conf src sftp
expect 2,3 dapk init
assert_clear_error 'sftp://.*(permission|denied|refuse|failure)'
[ ! -e "$SFTP_DATA/second" ] || fail "something was made on a server that may only be read"
