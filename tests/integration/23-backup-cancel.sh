#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup that is interrupted leaves PostgreSQL out of backup mode, no commit,
# nothing running, and nothing that stops the next one (T67). So does a server
# that goes away, and kill -9.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
bench_init src 4
commits() { find "$REPO/clusters" -path '*/backups/*/commit' | wc -l; }
copying() { grep -q "starts at" "$T/slow.err.log"; }
in_backup() { sql_true src "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'dapk%'"; }
out_of_backup() { ! in_backup; }

slow_backup() { # leaves SLOW: its pid, in the middle of copying
	: >"$T/slow.err.log" # what the one before said must not be taken for this one's
	"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 6MB >"$T/slow.out.log" 2>"$T/slow.err.log" &
	SLOW=$!
	wait_for 30 "the copying to begin" eval "copying || ! alive $SLOW"
	alive "$SLOW" || fail "the backup ended early: $(cat "$T/slow.err.log")"
}

for signal in INT TERM; do
	slow_backup
	start=$SECONDS
	kill -s $signal "$SLOW"
	exited "$SLOW"
	[ $signal = INT ] && code=130 || code=143
	assert_eq "$RC" "$code" "exit code after SIG$signal"
	assert_between $((SECONDS - start)) 0 10 "seconds to end after SIG$signal"
	assert_match "$(cat "$T/slow.err.log")" 'cancel|interrupt|signal' "the message"
	wait_for 10 "the end of backup mode" out_of_backup
	[ ! -e "$T/src/backup_label" ] || fail "backup_label in the running cluster"
	assert_eq "$(commits)" 0 "commits after SIG$signal"
done
expect 0,1 dapk info
assert_lacks "$OUT" "Z-" "backups in info"

note "while it waits for WAL that does not come"
archive_with src 'sleep 600'
pg_reload src
"${AS_USER[@]}" "$BIN" --config "$CONF" backup >"$T/slow.out.log" 2>"$T/slow.err.log" &
SLOW=$!
waiting() {
	sql_true src "SELECT count(*) > 0 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
}
wait_for 30 "a segment that is not archived" waiting
kill -s TERM "$SLOW"
exited "$SLOW"
assert_eq "$RC" 143 "exit code while waiting for WAL"
wait_for 10 "the end of backup mode" out_of_backup
assert_eq "$(commits)" 0 "commits"
archive_with src "$BIN --config $CONF archive-push %p"
pg_stop src immediate
pg_start src

note "kill -9"
slow_backup
kill -s KILL "$SLOW"
exited "$SLOW" 2>/dev/null
wait_for 30 "the end of backup mode" out_of_backup
assert_eq "$(commits)" 0 "commits after SIGKILL"

note "the server goes away in the middle"
slow_backup
pg_stop src immediate
exited "$SLOW"
assert_eq "$RC" 4 "exit code when the server goes away"
assert_eq "$(commits)" 0 "commits"
pg_start src

note "the next backup works and restores"
take_backup
assert_eq "$(commits)" 1 "commits"
restored new "$MAIN" --target immediate
assert_bench_invariant new
