#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# scram-sha-256 over TLS with a verified certificate, peer over the socket, and
# a password that never shows up anywhere.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# The environment may name CAs for other programs: this test has its own.
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
"$TEST_TOP/tests/services/mk-tls" "$T/tls"
chmod 755 "$T/tls"
pg_with_repository src
secret='s3cr3t-of-the-test'
sql src "SET password_encryption = 'scram-sha-256'; CREATE ROLE keeper LOGIN PASSWORD '$secret' IN ROLE dapk_backup"
install -o "$CLUSTER_USER" -m 644 "$T/tls/server.crt" "$T/src/server.crt"
install -o "$CLUSTER_USER" -m 600 "$T/tls/server.key" "$T/src/server.key"
pg_conf src "ssl = on" "ssl_cert_file = 'server.crt'" "ssl_key_file = 'server.key'"
cat >"$T/src/pg_hba.conf" <<END
local all dapk_backup peer map=dapk
local all postgres peer map=test
local all keeper scram-sha-256
hostssl all keeper 127.0.0.1/32 scram-sha-256
END
printf '%s\n' "dapk $CLUSTER_USER dapk_backup" "test $CLUSTER_USER postgres" >"$T/src/pg_ident.conf"
pg_stop src
pg_start src
tls="host=localhost hostaddr=127.0.0.1 port=${PORT[src]} user=keeper dbname=postgres sslmode=verify-full"

note "peer over the socket"
expect 0 dapk check
take_backup

note "scram over TLS, the password from a file of mode 0600"
printf '%s:%s:*:keeper:%s\n' localhost "${PORT[src]}" "$secret" >"$T/pass"
chmod 600 "$T/pass"
[ "$(id -u)" != 0 ] || chown postgres "$T/pass"
expect 0 dapk backup --conninfo "$tls sslrootcert=$T/tls/ca.crt passfile=$T/pass" --verbose
assert_lacks "$OUT$ERR" "$secret" "the output"
expect 0 dapk check --conninfo "$tls sslrootcert=$T/tls/ca.crt passfile=$T/pass" --verbose
assert_lacks "$OUT$ERR" "$secret" "the output"
expect 0 as_user env PGPASSWORD="$secret" "$BIN" --config "$CONF" check \
	--conninfo "$tls sslrootcert=$T/tls/ca.crt"

note "a wrong CA, a wrong name, no TLS, a wrong password"
expect 4 dapk backup --conninfo "$tls sslrootcert=$T/tls/other-ca.crt passfile=$T/pass"
assert_clear_error 'certificate'
expect 4 dapk backup --conninfo "${tls/host=localhost/host=other.example} sslrootcert=$T/tls/ca.crt passfile=$T/pass"
assert_clear_error 'certificate|does not match'
expect 4 dapk backup --conninfo "${tls/verify-full/disable} passfile=$T/pass"
assert_clear_error 'pg_hba|encryption|no entry'
expect 4 as_user env PGPASSWORD=wrong-secret "$BIN" --config "$CONF" backup \
	--conninfo "$tls sslrootcert=$T/tls/ca.crt"
assert_clear_error 'password'
assert_lacks "$ERR" wrong-secret "the error"
expect 4 dapk backup --conninfo "$tls sslrootcert=$T/tls/ca.crt passfile=$T/none"
assert_clear_error 'password'

note "a password in the connection string is not shown, nor in argv of children, nor stored"
sed "s,^conninfo = .*,conninfo = $tls sslrootcert=$T/tls/ca.crt password=$secret," "$CONF" >"$T/secret.conf"
chmod 600 "$T/secret.conf"
[ "$(id -u)" != 0 ] || chown postgres "$T/secret.conf"
expect 0 as_user strace -f -qq -s 4096 -e trace=execve -o "$T/exec.trace" \
	"$BIN" --config "$T/secret.conf" backup --verbose
assert_lacks "$OUT$ERR" "$secret" "the output"
assert_lacks "$(tail -n +2 "$T/exec.trace")" "$secret" "argv of a child"
while IFS= read -r f; do
	! zstd -dcq "$f" 2>/dev/null | grep -qF "$secret" || fail "the password is stored in $f"
done < <(find "$REPO" -type f -name '*.zst')
! grep -rqF "$secret" "$REPO" || fail "the password is in the repository"
sed 's/user=keeper/user=nobody/' "$T/secret.conf" >"$T/nobody.conf"
chmod 600 "$T/nobody.conf"
[ "$(id -u)" != 0 ] || chown postgres "$T/nobody.conf"
expect 4 as_user "$BIN" --config "$T/nobody.conf" backup --log-format json
assert_lacks "$OUT$ERR" "$secret" "the error"
note "on the command line everybody could read it: refused"
expect 2 dapk backup --conninfo "$tls sslrootcert=$T/tls/ca.crt password=$secret"
assert_lacks "$OUT$ERR" "$secret" "the error"
newest=$LABEL
free_port
expect 0 dapk restore -D "$T/new" --backup "$newest"
assert_lacks "$(cat "$T/new/postgresql.auto.conf")" "$secret" "the recovery settings"
