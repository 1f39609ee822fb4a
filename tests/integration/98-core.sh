#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A command that crashes leaves no core dump, which would have keys and
# passwords in it; a server that restore starts may leave one, as before.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
take_backup
ulimit -c unlimited
as_user mkdir "$T/here"

crashed() { # COMMAND...: killed by SIGABRT in $T/here
	(cd "$T/here" && exec "${AS_USER[@]}" "$@" >"$T/crash.log" 2>&1) &
	pid=$!
	sleep 1
	kill -ABRT "$pid"
	exited "$pid"
	[ "$RC" = 134 ] || fail "exit code $RC instead of 134: $(cat "$T/crash.log")"
}
pattern=$(cat /proc/sys/kernel/core_pattern)
crashed sleep 60
case $pattern in
/* | \|*) note "core dumps go to $pattern: only the limit is looked at" ;;
*)
	[ -n "$(ls -A "$T/here")" ] || fail "not even sleep leaves a core dump here: nothing is tried"
	rm -f "$T/here"/*
	;;
esac
crashed "$BIN" --config "$CONF" backup --full --max-rate 2MB
[ -z "$(ls -A "$T/here")" ] || fail "a core dump: $(ls "$T/here")"
restored new "$MAIN" --target immediate
assert_contains "$(grep '^Max core file size' "/proc/$(head -n 1 "$T/new/postmaster.pid")/limits")" unlimited \
	"what the server may do"
pg_stop new
