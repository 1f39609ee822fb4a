#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Whatever object of the repository is cut, flipped, empty or gone: one clear
# error that names it, exit 5 (or a refusal), never a silently wrong restore,
# and the other backup stays listed and restorable.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 30000) n"
take_backup
first=$LABEL
sql src "INSERT INTO t SELECT n, 'second' FROM generate_series(1, 1000) n"
take_backup
second=$LABEL
archive_now src
sum=$(sql src "SELECT md5(string_agg(t::text, '' ORDER BY n, v)) FROM t")
pg_stop src

do_damage() { # OBJECT N
	local size byte at
	size=$(stat -c %s "$1")
	case $2 in
	0) rm "$1" ;;
	1) : >"$1" ;;
	2) truncate -s $((size / 2)) "$1" ;;
	3) truncate -s $((size - 1)) "$1" ;;
	4) at=3 ;;
	5) at=$((size / 3)) ;;
	6) at=$((size / 2)) ;;
	7) at=$((size - 5)) ;;
	8) head -c "$size" /dev/urandom >"$1" ;;
	esac
	[ -n "${at:-}" ] || return 0
	byte=$(od -An -tu1 -j "$at" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 32)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# Restores the backup whose object is damaged: it must fail, or have survived
# because the bytes are checked and did not matter.
try_restore() { # LABEL OBJECT
	expect 0,1,3,5 dapk restore -D "$T/new" --backup "$1" --target immediate
	if [ "$RC" = 0 ]; then
		fail "restored without a word from a damaged $2"
	fi
	assert_clear_error '.'
	assert_match "$ERR" "$(basename "$2" | sed 's/\..*//')|${1:0:16}" "the damaged object's name"
	rm -rf "$T/new"
}

promoted() { # the server in $T/new has left recovery
	pg_running "$T/new" || return 1
	pg_adopt new "$FREE_PORT" "$MAIN" "$(sed -n 5p "$T/new/postmaster.pid")"
	sql_true new "SELECT NOT pg_is_in_recovery()" 2>/dev/null
}

for kind in commit manifest-00.zst pack; do
	object=$(find "$(backup_dir "$second")" -name "$kind*" | sort | head -n 1)
	[ -n "$object" ] || fail "no $kind"
	cp -p "$object" "$T/saved"
	for n in 0 1 2 3 4 5 6 7 8; do
		do_damage "$object" $n
		if [ "$kind" = commit ] && [ $n = 0 ]; then
			# No commit, no backup: it is as if it had never been.
			expect 0 dapk info
			assert_lacks "$OUT" "$second" "info"
		else
			try_restore "$second" "$object"
			expect 0,1,5 dapk info
		fi
		assert_contains "$OUT" "${first:0:16}" "the other backup in info"
		cp -p "$T/saved" "$object"
	done
	note "$kind"
done

note "the other backup restores while its sister is damaged"
object=$(find "$(backup_dir "$second")" -name 'pack-*' | sort | head -n 1)
cp -p "$object" "$T/saved"
truncate -s 100 "$object"
expect 5 dapk info # no window may rest on what is lost
assert_match "$OUT" "unusable .*${second:0:16}.* has 100 bytes instead of" "info"
expect 5 dapk info --json
assert_eq "$(jq -c '[.incarnations[].backups[].usable]' <<<"$OUT")" '[true,false]' "usable in info --json"
expect 0 dapk restore -D "$T/new" --dry-run
assert_match "$OUT$ERR" "${second:0:16}.* is passed over: .*$(basename "$object")" "what the plan says"
restored new "$MAIN" # without being told which
assert_eq "$(sql new "SELECT md5(string_agg(t::text, '' ORDER BY n, v)) FROM t")" "$sum" "the rows"
drop new
cp -p "$T/saved" "$object"

note "a damaged commit does not hide the others, nor choose itself"
object=$(backup_dir "$second")/commit
cp -p "$object" "$T/saved"
truncate -s 50 "$object"
expect 0,1,5 dapk info
assert_contains "$OUT" "${first:0:16}" "info"
assert_match "$OUT$ERR" "${second:0:16}" "the damaged one in info"
restored new "$MAIN"
assert_eq "$(sql new "SELECT md5(string_agg(t::text, '' ORDER BY n, v)) FROM t")" "$sum" "the rows"
drop new
cp -p "$T/saved" "$object"

note "the repository's own object"
object=$REPO/dapk-repository
cp -p "$object" "$T/saved"
for n in 0 1 2 3 4 5 8; do
	do_damage "$object" $n
	before=$(tree_sum "$REPO/clusters")
	for command in info 'restore -D new' 'archive-push pg_wal/none'; do
		# shellcheck disable=SC2086
		run dapk $command
		assert_ne "$RC" 0 "exit code of $command with damage $n to dapk-repository"
		assert_clear_error 'dapk-repository|repository|pg_wal/none'
	done
	assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the objects"
	cp -p "$T/saved" "$object"
done
note "a newer version is refused by name"
sed -i '1s/repository 1/repository 2/' "$object"
expect 2,5,3 dapk info
assert_clear_error 'version'
cp -p "$T/saved" "$object"

note "init is no repair: it never overwrites"
truncate -s 20 "$object"
sum_before=$(tree_sum "$REPO")
run dapk init
assert_ne "$RC" 0 "exit code of init over a damaged repository"
assert_eq "$(tree_sum "$REPO")" "$sum_before" "the repository after init"
cp -p "$T/saved" "$object"
sum_before=$(sha256sum <"$object")
expect 0 dapk init
assert_eq "$(sha256sum <"$object")" "$sum_before" "dapk-repository after a second init"

note "WAL that the target needs"
segment=$(find "$REPO/clusters" -path '*/wal/00000001/*' -name '*.zst' ! -name '*backup*' | sort | tail -n 2 | head -n 1)
cp -p "$segment" "$T/saved"
name=$(basename "$segment" | cut -c1-24)
for n in 0 1 2 5 8; do
	do_damage "$segment" $n
	free_port
	expect 1,2,3,4,5 dapk restore -D "$T/new" --start --port "$FREE_PORT" --start-timeout 60s
	assert_match "$ERR$(cat "$T/new/"*log* "$T/new/log/"* 2>/dev/null || :)" "$name" "the segment's name"
	! promoted || fail "promoted though $name is damaged"
	if pg_running "$T/new"; then stop_pid "$(head -n 1 "$T/new/postmaster.pid")" QUIT; fi
	rm -rf "$T/new"
	cp -p "$T/saved" "$segment"
done
restored new "$MAIN"
assert_eq "$(sql new "SELECT md5(string_agg(t::text, '' ORDER BY n, v)) FROM t")" "$sum" "the rows"
