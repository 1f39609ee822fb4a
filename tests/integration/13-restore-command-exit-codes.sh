#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# How each major takes restore_command's exit codes (T1, T1b): a plain one ends
# recovery and promotes, one above 125 is FATAL. So a repository that dies
# during recovery must give the latter, or a truncated cluster goes live.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# Starts recovery in a copy of the cluster; leaves "promoted" or "fatal".
outcome() { # NAME RESTORE_COMMAND
	local name=$1 dir=$1.try
	rm -rf "${T:?}/$dir" "$T/$dir.log"
	as_user cp -a "$T/$name" "$T/$dir"
	as_user touch "$T/$dir/recovery.signal"
	pg_adopt "$dir" "${PORT[$name]}" "${MAJOR[$name]}" "$T/$name.sock"
	pg_conf "$dir" "restore_command = '${2//\'/\'\'}'" "archive_mode = off"
	as_user "${PGBIN[$name]}/pg_ctl" -D "$T/$dir" -l "$T/$dir.log" -W \
		-o "-p ${PORT[$name]}" start >/dev/null
	wait_for 60 "the outcome of recovery" grep -qE \
		'database system is ready to accept connections|database system is shut down|aborting startup due to startup process failure' \
		"$T/$dir.log"
	if grep -q 'database system is ready to accept connections' "$T/$dir.log"; then
		OUTCOME=promoted
		[ "$(sql "$dir" 'SELECT pg_is_in_recovery()')" = f ] || OUTCOME=recovering
		pg_stop "$dir" immediate
	else
		OUTCOME=fatal
		wait_for 20 "the server's end" eval "! pg_running '$T/$dir'"
	fi
}

for major in 13 14 15 16 17 18; do
	src=pg$major
	REPO=$T/repo$major CONF=$T/dapk$major.conf
	pg_with_repository "$src" "$major" --wal-segsize=1
	sql "$src" "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)"
	archive_now "$src"
	pg_stop "$src"

	for code in 1 2 125; do
		[ $major = 15 ] || [ $code = 1 ] || continue
		outcome "$src" "exit $code"
		assert_eq "$OUTCOME" promoted "PostgreSQL $major after exit $code"
	done
	for code in 126 127 255; do
		[ $major = 15 ] || [ $code = 126 ] || continue
		outcome "$src" "exit $code"
		assert_eq "$OUTCOME" fatal "PostgreSQL $major after exit $code"
	done

	get="$BIN --config $CONF archive-get %f \"%p\""
	outcome "$src" "$get"
	assert_eq "$OUTCOME" promoted "PostgreSQL $major at the archive's proved end"
	mv "$REPO" "$REPO.unmounted"
	outcome "$src" "$get"
	assert_eq "$OUTCOME" fatal "PostgreSQL $major with a dead repository"
	mkdir "$REPO"
	outcome "$src" "$get"
	assert_eq "$OUTCOME" fatal "PostgreSQL $major with an unmounted repository"
	note "PostgreSQL $major: 1 ends recovery, 126 stops it"
done
