#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A command that crashes leaves no core dump, which would have keys and
# passwords in it; a server that restore starts may leave one, as before.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
take_backup
ulimit -c unlimited || note "the limit of core dumps here is $(ulimit -c)"
as_user mkdir "$T/here"

crashed() { # COMMAND...: killed by SIGABRT in $T/here
	(cd "$T/here" && exec "${AS_USER[@]}" "$@" >"$T/crash.log" 2>&1) &
	pid=$!
	sleep 1
	LIMIT=$(sed -nE 's/^Max core file size +([^ ]+) .*/\1/p' "/proc/$pid/limits")
	kill -ABRT "$pid"
	exited "$pid"
	[ "$RC" = 134 ] || fail "exit code $RC instead of 134: $(cat "$T/crash.log")"
}
crashed sleep 60
if [ -z "$(ls -A "$T/here")" ]; then
	note "not even sleep leaves one here ($(cat /proc/sys/kernel/core_pattern)): only the limit is looked at"
fi
rm -f "$T/here"/*
crashed "$BIN" --config "$CONF" backup --full --max-rate 2MB
[ "$LIMIT" = 1 ] || [ "$LIMIT" = 0 ] || fail "the limit is $LIMIT"
[ -z "$(ls -A "$T/here")" ] || fail "a core dump: $(ls "$T/here")"
restored new "$MAIN" --target immediate
assert_eq "$(sed -nE 's/^Max core file size +([^ ]+) .*/\1/p' "/proc/$(head -n 1 "$T/new/postmaster.pid")/limits")" \
	"$(ulimit -c)" "what the server may do"
pg_stop new
