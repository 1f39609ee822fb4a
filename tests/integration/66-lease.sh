#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# One process at a time changes a cluster's backups, on whatever host (T72).
# The other host is a pid namespace of its own with another name: there, pids
# of this one mean nothing, so that only the store's time can end a lease.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ "$(id -u)" = 0 ] || fail "needs root, for namespaces"
pg_with_repository src
bench_init src 4
take_backup
restored standby "$MAIN" --standby \
	--primary-conninfo "host=$T/src.sock port=${PORT[src]} user=postgres"
# The other host of the two, with a data directory of its own.
sed "s|^pgdata = .*|pgdata = $T/standby|
	s|^conninfo = .*|conninfo = host=$T/src.sock,${SOCK[standby]} port=${PORT[src]},${PORT[standby]} user=postgres dbname=postgres|" "$CONF" >"$T/other.conf"
other=("$BIN" --config "$T/other.conf" backup --backup-from=standby)
leases() { find "$REPO/clusters" -path '*/leases/*' -type f; }
commits() { find "$REPO/clusters" -path '*/backups/*/commit' | wc -l; }
copying() { grep -q "starts at" "$T/$1.err.log"; }
elsewhere() { # COMMAND...: on another host, as far as processes go
	unshare --pid --fork --kill-child --mount-proc --uts \
		bash -c 'hostname elsewhere; exec "$@"' - "${AS_USER[@]}" "$@"
}

slow_backup() { # NAME OPTION...: leaves SLOW, in the middle of copying
	local name=$1
	shift
	: >"$T/$name.err.log"
	"${AS_USER[@]}" "$BIN" --config "$CONF" backup --full --max-rate 6MB "$@" \
		>"$T/$name.out.log" 2>"$T/$name.err.log" &
	SLOW=$!
	wait_for 30 "the copying to begin" eval "copying $name || ! alive $SLOW"
	alive "$SLOW" || fail "the backup ended early: $(cat "$T/$name.err.log")"
}

note "a second backup is refused, here and elsewhere"
slow_backup first
expect 6 as_user "${other[@]}"
assert_clear_error "another process holds the lease.*backup on host $(hostname), pid $SLOW, since .*ends at"
assert_hint "type the same again"
expect 6 elsewhere "${other[@]}"
assert_clear_error "host $(hostname), pid $SLOW"
exited "$SLOW"
assert_eq "$RC" 0 "the first backup's exit code: $(cat "$T/first.err.log")"
assert_eq "$(commits)" 2 "commits"
assert_eq "$(leases)" "" "leases after it"

note "killed on this machine: the next one goes on at once"
slow_backup killed
kill -s KILL "$SLOW"
exited "$SLOW" 2>/dev/null
assert_ne "$(leases)" "" "the lease that was left"
expect 0 as_user "${other[@]}"
assert_match "$ERR" "pid $SLOW, has ended without" "what was said of the dead"
assert_eq "$(leases)" "" "leases after it"

note "killed elsewhere: it ends by time"
elsewhere "$BIN" --config "$CONF" backup --full --max-rate 6MB --lease-timeout 4s \
	>"$T/far.out.log" 2>"$T/far.err.log" &
far=$!
wait_for 30 "the copying elsewhere" eval "copying far || ! alive $far"
expect 6 as_user "${other[@]}"
assert_clear_error "host elsewhere, pid"
kill -s KILL "$far" # and with it all of its namespace
exited "$far" 2>/dev/null
assert_ne "$(leases)" "" "the lease that was left elsewhere"
works() { run as_user "${other[@]}" && [ "$RC" = 0 ]; }
start=$SECONDS
until works; do
	assert_eq "$RC" 6 "exit code while the dead host's lease lasts: $ERR"
	[ $((SECONDS - start)) -lt 60 ] || fail "it does not end"
	sleep 0.5
done
note "ended after $((SECONDS - start)) s"
assert_between $((SECONDS - start)) 0 30 "seconds until the lease ended"

note "a holder that slept past its lease stops and removes nothing"
slow_backup sleeper --lease-timeout 3s
sleeper=$SLOW
kill -s STOP "$sleeper"
sleep 4 # its time passes: nothing else can be waited for
expect 0 elsewhere "${other[@]}"
commits=$(commits)
kill -s CONT "$sleeper"
exited "$sleeper"
assert_eq "$RC" 6 "the sleeper's exit code"
assert_match "$(cat "$T/sleeper.err.log")" 'lost its lease' "its message"
assert_eq "$(commits)" "$commits" "commits"

note "what is there restores"
restored new "$MAIN" --target immediate
assert_bench_invariant new
