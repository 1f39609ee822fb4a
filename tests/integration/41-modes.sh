#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Whatever the umask, what the program makes is for its user alone: files 0600
# and directories 0700 in an encrypted repository, its copy, the state directory
# with WAL fetched ahead, dumps, exports and keys. A restored data directory has
# the source's modes, also group access (initdb -g); what is for others to read
# (a public key, the report) is as the umask has it, the metrics are 0644.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

modes() { # DIR: of everything in it
	find "$1" ! -type l -printf '%y%m %p\n'
}
assert_private() { # WHAT DIR...: these and what is below
	local what=$1 dir others
	shift
	for dir in "$@"; do
		[ -e "$dir" ] || fail "$what: $dir was not made"
		others=$(modes "$dir" | grep -vE '^(d700|f600) ' || :)
		[ -z "$others" ] ||
			fail "$what: for others than its user: $(head -n 10 <<<"$others")"
	done
	SEEN=$((SEEN + $(modes "$dir" | wc -l)))
}
assert_mode() { assert_eq "$(stat -c %a "$1")" "$2" "mode of $1"; } # FILE MODE
data_modes() { # DIR: of what a backup has
	(
		cd "$1"
		find . \( -name pg_wal -o -name 'postmaster.*' -o -name 'pg_internal.init*' -o -name 'recovery.*' \
			-o -name 'backup_*' -o -name '*.conf' -o -name pg_stat_tmp -o -name 'pgsql_tmp*' -o -path './pg_replslot/*' \) \
			-prune -o -printf '%y%m %p\n' | sort
	)
}

pg_new src "$MAIN" -g
pg_conf src "log_file_mode = 0640"
write_conf src
{
	sed 's/^repositories = .*/repositories = local, far/' "$CONF" | grep -v '^encryption-key-file'
	printf 'encryption-key-file = %s/key\n' "$T"
	printf '\n[repository far]\nurl = file://%s/far\nencryption-key-file = %s/key\n' "$T" "$T"
} >"$T/conf.new"
mv "$T/conf.new" "$CONF"
as_user mkdir -m 777 "$T/out"
SEEN=0

under() { # UMASK
	local out=$T/out/$1 other others seg name
	others=$(printf '%o' $((0644 & ~0$1)))
	rm -rf "$REPO" "$T/far" "$T/state" "$T/key"
	umask "$1"
	as_user mkdir "$out"
	note "umask $1: keys, repositories, WAL"
	expect 0 dapk keys generate "$out/pair"
	expect 0 as_user "$BIN" --config "$CONF" init --encrypt
	expect 0 dapk keys sheet --with-secret --output "$out/sheet"
	assert_private keys "$out/pair" "$out/sheet" "$T/key"
	assert_mode "$out/pair.pub" "$others"
	pg_start src
	sql src "CREATE TABLE t$1 AS SELECT n, md5(n::text) AS v FROM generate_series(1, 2000) n"
	sql src "SELECT lo_from_bytea(0, 'large')" >/dev/null
	archive_now src
	seg=$(find "$T/src/pg_wal" -maxdepth 1 -type f -name '0000000*' | sort | head -n 1)
	expect 0 dapk archive-push "$seg"
	expect 0 dapk check
	note "umask $1: backup, dump, copy and what is said about them"
	take_backup
	expect 0 dapk dump postgres
	expect 0 dapk dump postgres --output "$out/dump.d"
	expect 0 dapk copy
	expect 0 dapk pin "$LABEL" --reason modes
	expect 0 dapk hold --reason modes
	expect 0 dapk release
	expect 0 dapk verify
	expect 0 dapk expire
	archive_now src
	pg_stop src
	expect 0 dapk archive-push --all "$T/src/pg_wal"
	assert_private repositories "$REPO" "$T/far"
	assert_private "the state directory" "$T/state"
	expect 0 dapk report --output "$out/report.html"
	expect 0 dapk status --format prometheus --output "$out/metrics.prom"
	assert_mode "$out/report.html" "$others"
	assert_mode "$out/metrics.prom" 644
	note "umask $1: exports, restored data"
	expect 0 dapk export "$LABEL" --output "$out/tar"
	for name in directory custom tar plain; do
		expect 0 dapk export "$(newest_dump)" --format "$name" --output "$out/dump.$name"
	done
	assert_private exports "$out/tar" "$out/dump".*
	expect 0 dapk restore -D "$out/new" --backup "$LABEL" --target immediate
	assert_mode "$out/new" 750
	data_modes "$T/src" >"$T/modes.src"
	data_modes "$out/new" >"$T/modes.new"
	other=$(comm -13 "$T/modes.src" "$T/modes.new")
	[ -z "$other" ] || fail "other modes than the source's: $(head -n 10 <<<"$other")"
	[ "$(grep -c '^f640 ' "$T/modes.new")" -gt 500 ] || fail "group access did not come back"
	[ -z "$(find "$out/new" -perm /007)" ] || fail "others may: $(find "$out/new" -perm /007 | head)"
	expect 0 as_user env -C "$out/new" "$BIN" --config "$CONF" --pgdata "$out/new" archive-get "$(basename "$seg")" pg_wal/got
	assert_private "WAL that was fetched" "$out/new/pg_wal/got" "$T/state"
	expect 0 dapk restore -D "$out/new" --delta --backup "$LABEL" --target immediate
	[ -z "$(find "$out/new" -perm /007)" ] || fail "others may: $(find "$out/new" -perm /007 | head)"
}
for mask in 000 077; do under "$mask"; done
[ "$SEEN" -gt 200 ] || fail "only $SEEN files were looked at"
