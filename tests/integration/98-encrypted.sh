#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# An encrypted repository: everything comes back on a bare host with the key
# and nothing without it; a host whose key was taken away goes on writing; what
# is changed, exchanged or put there by others is found; a host with a public
# key alone goes on when it has lost its state (T84, T85, T127).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$(dirname "$0")/../lib/dumps.sh"

KEY=$T/vault.key
bare() { # COMMAND...: no configuration, no state, no environment
	local dir
	dir=$(as_user mktemp -d "$T/bare.XXXXXX")
	as_user env -C "$dir" "$BIN" "$@" --state-directory "$dir/state" --cluster main
}
rows() { sql "$1" "SELECT count(*), md5(string_agg(v, ',' ORDER BY id)) FROM hidden_table"; }
flipped() { # FILE COMMAND...: with one bit of the file's middle changed
	local file=$1 size byte
	shift
	size=$(stat -c %s "$file")
	byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$file")
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 16)))" | as_user dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
	"$@"
	# shellcheck disable=SC2059
	printf "\\$(printf %o "$byte")" | as_user dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
}
damage_found() { expect 5 dapk verify --dry-run; } # leaves no mark

pg_new src
write_conf src
printf 'encryption-key-file = %s\n' "$KEY" >>"$CONF"
expect 0 dapk init --encrypt
[ "$(stat -c %a "$KEY")" = 600 ] || fail "the key file may be read by others: $(stat -c %A "$KEY")"
pg_start src
sql src "CREATE TABLE hidden_table (id int, v text);
	INSERT INTO hidden_table SELECT g, 'visible-nowhere ' || g FROM generate_series(1, 20000) g"
take_backup
first=$LABEL
sql src "UPDATE hidden_table SET v = 'visible-nowhere later' WHERE id % 100 = 0"
take_backup
second=$LABEL
assert_eq "$(commit_of "$second" | jq -r .parent)" "$first" "the parent"
expect 0 dapk info
assert_lacks "$OUT" unusable "info with the key"
expect 0 dapk dump postgres
expect 0 dapk dump postgres
archive_now src
truth=$(rows src)

note "nothing of the content or of names in clear"
! grep -rlaE 'visible-nowhere|hidden_table' "$REPO" || fail "content is readable in the repository"
! find "$REPO" -name '*.zst' -exec zstd -dcq {} \; 2>"$T/zstd.log" | grep -qaE 'visible-nowhere|hidden_table|base/5' ||
	fail "zstd shows what is stored"

note "a bare host with the key has it all"
expect 0 bare info --repository-url "file://$REPO" --key-file "$KEY"
assert_contains "$OUT" "${second:0:16}" "info"
expect 0 bare restore --repository-url "file://$REPO" --key-file "$KEY" -D "$T/new"
free_port
printf 'port = %s\nunix_socket_directories = %s\n' "$FREE_PORT" "'$T'" >>"$T/new/postgresql.auto.conf"
pg_adopt new "$FREE_PORT" 15 "$T"
as_user "$CLIENTS/pg_ctl" -w -D "$T/new" -l "$T/new.log" start >/dev/null || fail "the restored server: $(cat "$T/new.log")"
wait_for 30 "the end of recovery" eval '[ "$(sql new "SELECT pg_is_in_recovery()")" = f ]'
assert_eq "$(rows new)" "$truth" "rows restored on a bare host"
sql new "CREATE DATABASE loaded"
expect 0 as_user "$BIN" load --repository-url "file://$REPO" --key-file "$KEY" --cluster main --state-directory "$T/bare2" \
	-h "$T" -p "$FREE_PORT" --database loaded "$(newest_dump)"
assert_eq "$(sql new "SELECT count(*) FROM hidden_table" loaded)" 20000 "rows of the dump"
pg_stop new
expect 0 dapk verify

note "nobody without it has anything"
for what in "restore -D $T/no" "verify" "export --output $T/no.tar $first"; do
	# shellcheck disable=SC2086
	expect 1,2 bare $what --repository-url "file://$REPO"
	assert_clear_error 'is encrypted, and no key is given'
	assert_hint
done
[ ! -e "$T/no" ] || fail "something was restored without a key"
as_user cp "$KEY" "$T/other.key"
as_user sed -i '2s/^\(.\)\(.\)/\2\1/' "$T/other.key"
expect 1,2,5 bare restore --repository-url "file://$REPO" --key-file "$T/other.key" -D "$T/no"
assert_lacks "$ERR$OUT" "$(sed -n 2p "$KEY")" "the key in a message"

note "what is changed or exchanged is found"
pack=$(find "$(backup_dir "$first")" -name 'pack-*' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
flipped "$pack" damage_found
flipped "$(backup_dir "$first")/manifest-00.zst" damage_found
mapfile -t wal < <(find "$REPO" -path '*/wal/*' -name '0000000100000000000000*.zst' | grep -v partial | sort | head -n 2)
flipped "${wal[0]}" damage_found
expect 0 dapk verify
as_user mv "${wal[0]}" "$T/one" && as_user cp "${wal[1]}" "${wal[0]}"
damage_found # another segment's WAL under this one's name
as_user mv "$T/one" "${wal[0]}"
commit=$(backup_dir "$second")/commit
as_user cp "$commit" "$T/commit"
python3 - "$commit" <<'EOF'
import re, sys
# A commit changed by one who knows the format: lengths and CRC are right.
path = sys.argv[1]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


head, json = open(path, "rb").read().split(b"\n", 1)
start = head.split(b" crc32c=")[0]
assert int(re.search(rb"crc32c=([0-9a-f]{8})", head).group(1), 16) == crc32c(json)
json = json.replace(b'"files": ', b'"files": 1', 1)
with open(path, "wb") as f:
    f.write(start + b" crc32c=%08x length=%d\n" % (crc32c(json), len(json)) + json)
EOF
expect 1,5 dapk restore --backup "$second" -D "$T/no"
assert_match "$ERR" 'was changed, or put there by somebody who has not this repository' "a forged commit"
as_user cp "$T/commit" "$commit"

note "a copy is opened by the same key"
{
	sed 's/^repositories = local$/repositories = local, second/' "$CONF"
	printf '\n[repository second]\nurl = file://%s/second\nencryption-key-file = %s\n' "$T" "$KEY"
} >"$T/two.conf"
expect 0 as_user "$BIN" --config "$T/two.conf" init
expect 0 as_user "$BIN" --config "$T/two.conf" copy
expect 0 bare verify --repository-url "file://$T/second" --key-file "$KEY"

note "without the key, by its state, this host goes on writing and cannot read"
as_user mv "$KEY" "$T/in.the.safe"
sed -i '/^encryption-key-file/d' "$CONF"
sql src "UPDATE hidden_table SET v = 'visible-nowhere last' WHERE id = 1"
take_backup
assert_eq "$(commit_of "$LABEL" | jq -r .parent)" "$second" "the parent of a backup made without the key"
archive_now src
done_one=$(find "$T/src/pg_wal/archive_status" -name '0*[0-9A-F].done' -printf '%f\n' | grep -v backup | sort | tail -n 1)
expect 0 dapk archive-push --pgdata "$T/src" "pg_wal/${done_one%.done}" # again: it is there
expect 0 dapk info
assert_lacks "$OUT" unusable "info without the key"
expect 0 dapk expire
expect 0 dapk verify --quick
expect 1,2 dapk restore -D "$T/no"
assert_clear_error 'no key is given'
truth=$(rows src)
expect 0 bare restore --repository-url "file://$REPO" --key-file "$T/in.the.safe" -D "$T/new2"
expect 0 dapk info --repository-url "file://$REPO" --key-file "$T/in.the.safe" # what was not known is read now
assert_contains "$(dapk info --json --key-file "$T/in.the.safe" --repository-url "file://$REPO")" '"last_commit' "info with the key again"
printf 'port = %s\nunix_socket_directories = %s\n' "$FREE_PORT" "'$T'" >>"$T/new2/postgresql.auto.conf"
as_user "$CLIENTS/pg_ctl" -w -D "$T/new2" -l "$T/new2.log" start >/dev/null
pg_adopt new2 "$FREE_PORT" 15 "$T"
wait_for 30 "the end of recovery" eval '[ "$(sql new2 "SELECT pg_is_in_recovery()")" = f ]'
assert_eq "$(rows new2)" "$truth" "rows of what was stored without the key"
pg_stop new2

note "a host with a public key alone, and one that has lost its state"
pg_stop src
expect 0 as_user "$BIN" keys generate "$T/dba.key"
REPO=$T/public
write_conf src
printf 'encryption-public-key-file = %s\n' "$T/dba.key.pub" >>"$CONF"
expect 0 dapk init --encrypt
as_user mv "$T/dba.key" "$T/far.away"
pg_start src
take_backup
take_backup
assert_ne "$(commit_of "$LABEL" | jq -r .parent)" null "the parent"
rm -rf "$T/state"
sql src "UPDATE hidden_table SET v = 'visible-nowhere at the very end' WHERE id = 2"
take_backup
assert_eq "$(commit_of "$LABEL" | jq -r .read)" all "what a backup without state reads"
set=$(commit_of "$LABEL" | jq -r .set)
archive_now src
truth=$(rows src)
expect 0 dapk info
assert_lacks "$OUT" unusable "info of a host with a public key"
expect 1,2,5 bare restore --repository-url "file://$REPO" --key-file "$T/far.away" -D "$T/no"
assert_clear_error 'nobody vouches'
assert_hint "keys rotate --accept $set"
expect 0 as_user "$BIN" keys rotate --accept "$set" --repository-url "file://$REPO" --key-file "$T/far.away" \
	--state-directory "$T/state3"
expect 0 bare verify --repository-url "file://$REPO" --key-file "$T/far.away"
expect 0 bare restore --repository-url "file://$REPO" --key-file "$T/far.away" -D "$T/new3"
printf 'port = %s\nunix_socket_directories = %s\n' "$FREE_PORT" "'$T'" >>"$T/new3/postgresql.auto.conf"
as_user "$CLIENTS/pg_ctl" -w -D "$T/new3" -l "$T/new3.log" start >/dev/null
pg_adopt new3 "$FREE_PORT" 15 "$T"
wait_for 30 "the end of recovery" eval '[ "$(sql new3 "SELECT pg_is_in_recovery()")" = f ]'
assert_eq "$(rows new3)" "$truth" "rows of what was stored by a host of the public key"
pg_stop new3
