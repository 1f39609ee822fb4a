#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# restore chooses among repositories: each is proved alone, the nearest first;
# without a target the one whose WAL reaches furthest; one that cannot be read
# is warned of. Recovery then contacts the chosen one alone.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
FAR=$T/far
sed -i "s,^repositories = .*,repositories = local\, offsite," "$CONF"
printf '\n[repository offsite]\nurl = file://%s\n' "$FAR" >>"$CONF"
dapk init >/dev/null
# Nothing brings the offsite one up to date but `mirror`.
sed -i "s,^repositories = .*,repositories = local," "$CONF"
pg_start src
sql src "CREATE TABLE t (n int)"
point() { # N: row N and a restore point after it, archived
	sql src "INSERT INTO t VALUES ($1)"
	sql src "SELECT pg_create_restore_point('p$1')" >/dev/null
	sql src "SELECT pg_switch_wal()" >/dev/null
	archive_now src
}
mirror() { as_user cp -rn "$REPO/clusters" "$FAR/"; }
# As the objects lie; only the commit makes it a backup, as a copy would.
take_backup
first=$LABEL
point 1
mirror
point 2
archive_now src
pg_stop src
sed -i "s,^repositories = .*,repositories = local\, offsite," "$CONF"

comes_back() { # NAME ROWS: start what was restored
	free_port
	pg_adopt "$1" "$FREE_PORT" "$MAIN" "$T"
	pg_start "$1" "port=$FREE_PORT" "unix_socket_directories=$T" >/dev/null
	wait_for 60 "the end of recovery" sql_true "$1" "SELECT NOT pg_is_in_recovery()"
	assert_eq "$(sql "$1" "SELECT coalesce(max(n), 0) FROM t")" "$2" "rows in $1"
	pg_stop "$1" immediate
}
plan() { # REGEX [option...]: the dry run's line
	local want=$1
	shift
	expect 0 dapk restore -D "$T/none" --dry-run "$@"
	grep -Eq "^repository +$want" <<<"$OUT" || fail "not from '$want': $OUT"
}

note "the nearest, or without a target the one that reaches furthest"
plan 'local, .*furthest'
plan 'local, .*the nearest$' --target-name p1
plan 'offsite, ' --target-name p1 --repository offsite
mv "$REPO/clusters" "$T/kept"
as_user mkdir "$REPO/clusters"
plan 'offsite, .*target is reached' --target-name p1
expect 1 dapk restore -D "$T/none" --dry-run --target-name p2
assert_clear_error 'p2'
rmdir "$REPO/clusters"
mv "$T/kept" "$REPO/clusters"
# Now the offsite one has more, as when the local disk was put back.
mirror
lost=$(find "$REPO/clusters" -path '*/wal/*' -newer "$FAR/dapk-repository" -name '*.zst' -printf '%T@ %p\n' | sort -n | tail -n 1 | sed 's/^[^ ]* //')
mv "$lost" "$T/lost"
plan 'offsite, .*furthest'
plan 'local, .*the nearest$' --target-name p1
mv "$T/lost" "$lost"
plan 'local, .*the nearest$'

note "a backup that only the other has"
dir=$(find "$REPO/clusters" -type d -name "$first")
mv "$dir" "$T/$first"
plan 'offsite, ' --backup "$first"
expect 0 dapk export "$first" --output "$T/first.tar"
assert_contains "$ERR" "is taken from repository offsite" "message of export"
for command in "info $first" "verify $first" "expire --backup=$first --dry-run"; do
	# shellcheck disable=SC2086
	expect 1 dapk $command
	assert_contains "$ERR" "repository offsite has $first: add --repository offsite" "hint of $command"
done
expect 1 dapk export 20010101T000000Z --output "$T/none.tar"
mv "$FAR" "$FAR.away"
expect 3 dapk export "$first" --output "$T/none.tar"
assert_contains "$ERR" "not all others could be asked" "message of export"
mv "$FAR.away" "$FAR"
mv "$T/$first" "$dir"

note "one that cannot be read is named, and does not block"
mv "$REPO" "$REPO.away"
plan 'offsite, ' --target-name p2
assert_contains "$ERR" "repository local is left out" "warning"
expect 0 dapk restore -D "$T/one" --target-name p1
assert_contains "$ERR" "repository local is left out" "warning"
command=$(grep restore_command "$T/one/postgresql.auto.conf")
assert_contains "$command" "--config ''$CONF'' --repository ''offsite''" "restore_command"
assert_contains "$command" "--repository-id" "restore_command"
comes_back one 1
expect 2,3 dapk restore -D "$T/two" --repository local
mv "$FAR" "$FAR.away"
expect 2,3 dapk restore -D "$T/two"
assert_clear_error 'none of the 2 repositories'
mv "$REPO.away" "$REPO"

note "recovery from the nearest contacts nothing else"
expect 0 dapk restore -D "$T/two"
assert_contains "$ERR" "repository offsite is left out" "warning"
comes_back two 2
mv "$FAR.away" "$FAR"
expect 0 dapk restore -D "$T/three" --target-name p2
mv "$FAR" "$FAR.away"
comes_back three 2
mv "$FAR.away" "$FAR"

note "on a bare host: a URL, no configuration, no state"
mv "$CONF" "$CONF.away"
expect 0 as_user "$BIN" restore -D "$T/four" --repository-url "file://$FAR" \
	--state-directory "$T/state4"
command=$(grep restore_command "$T/four/postgresql.auto.conf")
assert_contains "$command" "archive-get --repository-url ''file://$FAR'' --repository-id" "restore_command"
comes_back four 2
mv "$CONF.away" "$CONF"
