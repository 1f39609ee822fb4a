#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# How a dump reaches its server: poolers (T128), TLS and passwords that never
# show up, and the right pg_dump or an error that says which package has it.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src 15
new_db src shop
sql src "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 5000) n" shop

pooler() { # MODE [line of pgbouncer.ini...]: leaves POOL, its port
	free_port
	POOL=$FREE_PORT
	mkdir -p "$T/pool"
	printf '"%s" ""\n' postgres "$BACKUP_ROLE" >"$T/pool/users"
	printf '%s\n' '[databases]' "* = host=$T/src.sock port=${PORT[src]}" '[pgbouncer]' \
		"listen_addr = 127.0.0.1" "listen_port = $POOL" "unix_socket_dir =" "auth_type = trust" \
		"auth_file = $T/pool/users" "pool_mode = $1" "logfile = $T/pool.log" "pidfile = $T/pool/pid" \
		"ignore_startup_parameters = extra_float_digits,options" "default_pool_size = 5" "${@:2}" >"$T/pool/ini"
	[ "$(id -u)" != 0 ] || chown -R postgres "$T/pool"
	"${AS_USER[@]}" /usr/sbin/pgbouncer -q "$T/pool/ini" &
	BOUNCER=$!
	wait_for 20 "the pooler" as_user "$CLIENTS/psql" -Xqc 'SELECT 1' -h 127.0.0.1 -p "$POOL" -U postgres shop
}
for mode in transaction statement; do
	note "a pooler in $mode mode is refused with the reason"
	pooler $mode
	for size in 5 1; do
		start=$SECONDS
		expect 1,2,4 dapk dump shop -h 127.0.0.1 -p "$POOL"
		assert_clear_error 'pool'
		assert_match "$ERR" 'session' "the error"
		assert_hint
		assert_between $((SECONDS - start)) 0 20 "seconds until it refused"
		stop_pid "$BOUNCER" INT
		[ $size = 1 ] || pooler $mode "default_pool_size = 1"
	done
done
assert_eq "$(dump_commits)" 0 "commits of dumps"
note "a pooler in session mode works"
pooler session
take_dump shop -h 127.0.0.1 -p "$POOL" --jobs 2
stop_pid "$BOUNCER" INT
load_dump src "$LABEL" back
assert_same_db src shop src back
drop_db src back

note "passwords: from a file, the environment, the configuration; over TLS; in no argument and no message"
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
"$TEST_TOP/tests/services/mk-tls" "$T/tls"
chmod 755 "$T/tls"
secret='s3cr3t of "the" te\st'
sql src "SET password_encryption = 'scram-sha-256'; CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '$secret'"
install -o "$CLUSTER_USER" -m 644 "$T/tls/server.crt" "$T/src/server.crt"
install -o "$CLUSTER_USER" -m 600 "$T/tls/server.key" "$T/src/server.key"
pg_conf src "ssl = on" "ssl_cert_file = 'server.crt'" "ssl_key_file = 'server.key'"
printf '%s\n' 'local all postgres,dapk_backup trust' 'local all keeper scram-sha-256' 'hostssl all keeper 127.0.0.1/32 scram-sha-256' >"$T/src/pg_hba.conf"
pg_stop src
pg_start src
AS_USER+=("PGSSLROOTCERT=$T/tls/ca.crt")
tls="host=localhost port=${PORT[src]} user=keeper dbname=postgres sslmode=verify-full"
own() { chmod 600 "$1"; [ "$(id -u)" != 0 ] || chown postgres "$1"; }
printf 'localhost:%s:*:keeper:%s\n' "${PORT[src]}" "${secret//\\/\\\\}" >"$T/pass"
own "$T/pass"
sed "s|^conninfo = .*|conninfo = $tls passfile=$T/pass|" "$CONF" >"$T/file.conf"
quoted=${secret//\\/\\\\}
awk -v new="conninfo = $tls password='${quoted//\\/\\\\}'" '/^conninfo = / { print new; next } { print }' "$CONF" >"$T/secret.conf"
own "$T/secret.conf"
nowhere() { # WHAT: the secret was not to be seen
	assert_lacks "$OUT$ERR" "$secret" "the output with $1"
	[ ! -e "$T/exec.trace" ] || ! tail -n +2 "$T/exec.trace" | grep -qE 's3cr3t' || fail "argv of a child with $1: $(grep -n s3cr3t "$T/exec.trace")"
	! grep -rqF s3cr3t "$REPO" || fail "the password is in the repository"
}
traced() { as_user strace -f -qq -s 4096 -e trace=execve -o "$T/exec.trace" "$BIN" "$@"; }
for way in file secret; do
	expect 0 traced --config "$T/$way.conf" dump shop --verbose
	grep -q pg_dump "$T/exec.trace" || fail "the trace shows no pg_dump"
	nowhere "the dump by $way"
	LABEL=$(newest_dump)
	new_db src back
	expect 0 traced --config "$T/$way.conf" load "$LABEL" --database back --verbose
	nowhere "the load by $way"
	drop_db src back
done
expect 0 as_user env PGPASSWORD="$secret" "$BIN" --config "$CONF" dump shop --conninfo "$tls"
expect 4 as_user "$BIN" --config "$T/file.conf" dump shop --conninfo "$tls passfile=$T/pass sslrootcert=$T/tls/other-ca.crt"
assert_clear_error 'certificate verify failed'
expect 4 as_user "$BIN" --config "$T/file.conf" dump shop --conninfo "${tls/localhost/other.example} hostaddr=127.0.0.1 passfile=$T/pass"
assert_clear_error 'does not match host name'
expect 0 traced --config "$T/secret.conf" dump --globals
nowhere "the globals"
sed 's/user=keeper/user=nobody/' "$T/secret.conf" >"$T/nobody.conf"
own "$T/nobody.conf"
expect 4 as_user "$BIN" --config "$T/nobody.conf" dump shop
assert_clear_error 'nobody|password'
nowhere "a user that is not there"

note "pg_dump: of the right version, or an error with the package's name"
as_user mkdir "$T/none" "$T/old"
expect 2,4 dapk dump shop --pg-bin-dir "$T/none"
assert_clear_error 'pg_dump'
assert_match "$ERR" 'postgresql-client-15' "the error"
printf '#!/bin/sh\necho "pg_dump (PostgreSQL) 14.9"\n' >"$T/old/pg_dump"
chmod 755 "$T/old/pg_dump"
expect 2,4 dapk dump shop --pg-bin-dir "$T/old"
assert_clear_error '14'
assert_match "$ERR" 'postgresql-client-15' "the error"
pg_new new18 18
pg_start new18 archive_mode=off
make_role new18
expect 2,4 dapk dump postgres -h "$T/new18.sock" -p "${PORT[new18]}"
assert_clear_error 'pg_dump'
assert_match "$ERR" 'postgresql-client-18' "the error"
assert_eq "$(dump_commits)" 5 "commits of dumps"
