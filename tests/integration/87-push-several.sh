#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-push with several repositories: 0 means that the WAL is where the
# rule (first, any, all) says, whatever is dead meanwhile, and what the others
# lack is in their queues.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# One cluster with repositories one, two, three: $T/one, ...
several_conf() { # RULE [REPOSITORY...]
	local rule=$1 name list
	shift
	list=$(printf '%s, ' "$@")
	{
		printf '[global]\njobs = 2\nstate-directory = %s\n' "$T/state"
		printf '\n[cluster main]\npgdata = %s\npush-success = %s\n' "$T/src" "$rule"
		printf 'conninfo = host=%s port=%s user=postgres dbname=postgres\n' \
			"$T/src.sock" "${PORT[src]}"
		printf 'repositories = %s\n' "${list%, }"
		for name in "$@"; do
			printf '\n[repository %s]\nurl = file://%s\n' "$name" "$T/$name"
		done
	} >"$CONF"
}

stored_in() { # REPOSITORY NAME: its objects
	find "$T/$1/clusters" -path '*/wal/*' -name "$2-*" 2>/dev/null
}

assert_in() { # REPOSITORY NAME [FILE]
	local object
	object=$(stored_in "$1" "$2")
	[ -n "$object" ] || fail "$2 is not in repository $1"
	cmp -s "${3:-$W/$2}" <(zstd -dcq "$object") || fail "$2 in $1 is not what was pushed"
}

assert_not_in() { # REPOSITORY NAME
	[ -z "$(stored_in "$1" "$2")" ] || fail "$2 is in repository $1"
}

queued() { # REPOSITORY: names, sorted
	[ ! -d "$T/state/queue" ] ||
		find "$T/state/queue" -path "*/$1/items/*" -printf '%f\n' | sort
}

assert_queued() { # REPOSITORY NAME
	queued "$1" | grep -qx "$2" || fail "$2 is not in the queue of $1: $(queued "$1")"
}

forget_queues() {
	quiet
	rm -rf "$T/state/queue"
}
# What is remembered of failures.
forget_failures() { rm -rf "$T/state/address"; }

new_segment() { # leaves its name in SEG
	sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 3000)"
	SEG=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
}

# Nothing brings another repository up to date just now.
no_pusher() { ! pgrep -f -- "^$BIN --config $CONF archive-push" >/dev/null; }
quiet() { wait_for 60 "what runs in the background" no_pusher; }
die_repo() { mv "$T/$1" "$T/$1.away"; }
revive_repo() { mv "$T/$1.away" "$T/$1"; }

pg_new src "$MAIN" --wal-segsize=1
W=$T/src/pg_wal
archive_with src false
pg_conf src "wal_keep_size = 1GB"
several_conf first one two
expect 0 dapk init
several_conf first one two three
expect 0 dapk init
pg_start src
sql src "CREATE TABLE t (v text)"

note "first: the others' queues know, and nothing of them is touched"
several_conf first one two three
# What the others hold is looked at while nobody is there to bring them the rest.
die_repo two
die_repo three
new_segment
expect 0 as_user strace -qq -o "$T/strace.log" -e trace=%file "$BIN" --config "$CONF" \
	archive-push "pg_wal/$SEG"
assert_in one "$SEG"
assert_queued two "$SEG"
assert_queued three "$SEG"
assert_lacks "$(queued one)" "$SEG"
run grep -E "\"$T/(two|three)[/\"]" "$T/strace.log"
assert_eq "$OUT" '' "what archive-push did in the other repositories"

note "history, .backup and .partial files, and what is stored besides"
forget_queues
mkdir "$T/other"
printf '1\t0/2000000\tno recovery target specified\n' >"$T/other/00000002.history"
expect 0 dapk archive-push "$T/other/00000002.history"
as_user "$CLIENTS/psql" -X -q -h "$T/src.sock" -p "${PORT[src]}" -U postgres -d postgres \
	-c "$([ "$MAIN" -ge 15 ] && echo "SELECT pg_backup_start('x', true)" || echo "SELECT pg_start_backup('x', true, false)")" \
	-c "$([ "$MAIN" -ge 15 ] && echo 'SELECT pg_backup_stop(false)' || echo 'SELECT pg_stop_backup(false, false)')" >/dev/null 2>&1
backup_file=$(basename "$(find "$W" -name '*.backup')")
expect 0 dapk archive-push "pg_wal/$backup_file"
new_segment
cp "$W/$SEG" "$T/other/$SEG.partial"
chmod 644 "$T/other/$SEG.partial"
expect 0 dapk archive-push "$T/other/$SEG.partial"
for name in 00000002.history "$backup_file" "$SEG.partial"; do
	assert_queued two "$name"
	assert_queued three "$name"
done
note "a history file that was left behind is queued with the segment that needs it"
printf '1\t0/2000000\tx\n2\t0/3000000\ty\n' >"$T/other/00000003.history"
cp "$W/$SEG" "$T/other/00000003${SEG:8}"
chmod 644 "$T/other/00000003${SEG:8}"
expect 0 dapk archive-push "$T/other/00000003${SEG:8}"
assert_queued two 00000003.history
assert_queued two "00000003${SEG:8}"

note "first: the first one dead is a failure that goes nowhere else"
revive_repo two
die_repo one
forget_queues
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code"
assert_clear_error 'one'
assert_not_in two "$SEG"
revive_repo one

note "a queue that cannot be written is a warning"
forget_queues
: >"$T/state/queue"
new_segment
expect 0 dapk archive-push "pg_wal/$SEG"
assert_in one "$SEG"
assert_match "$ERR" 'warning.*queue' "the warning"
rm -f "$T/state/queue"

note "any: the next one takes it, and the one that failed is queued for"
several_conf any one two
die_repo one
forget_failures
new_segment
expect 0 dapk archive-push "pg_wal/$SEG"
assert_in two "$SEG"
assert_match "$ERR" 'warning.*one' "the warning"
assert_queued one "$SEG"
note "the one that failed is not asked first again at once"
new_segment
expect 0 dapk archive-push "pg_wal/$SEG"
assert_in two "$SEG"
assert_queued one "$SEG"
assert_eq "$ERR" '' "messages of the second push"
revive_repo one
die_repo two
note "but it is when the other fails"
new_segment
expect 0 dapk archive-push "pg_wal/$SEG"
assert_in one "$SEG"
assert_queued two "$SEG"
revive_repo two
note "any: none of them"
die_repo one
die_repo two
forget_failures
new_segment
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code without any repository"
assert_match "$ERR" 'error.*one' "the error"
revive_repo one
revive_repo two

note "any: another content in one of them is never passed over"
forget_failures
new_segment
cp "$W/$SEG" "$T/other/$SEG"
chmod 644 "$T/other/$SEG"
printf 'other' | dd of="$T/other/$SEG" bs=1 seek=600000 conv=notrunc status=none
expect 0 dapk --repository one archive-push "$T/other/$SEG"
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code of a conflict"
assert_clear_error 'another content'
assert_not_in two "$SEG"
rm "$(stored_in one "$SEG")"
die_repo one
new_segment
cp "$W/$SEG" "$T/other/$SEG"
chmod 644 "$T/other/$SEG"
printf 'other' | dd of="$T/other/$SEG" bs=1 seek=600000 conv=notrunc status=none
expect 0 dapk --repository two archive-push "$T/other/$SEG"
forget_failures
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code of a conflict in the second"
assert_match "$ERR" 'another content' "the error"
rm "$(stored_in two "$SEG")"
revive_repo one

note "all: only when each one has it"
several_conf all one two three
revive_repo three
die_repo two
new_segment
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code with one of three dead"
assert_match "$ERR" 'error.*two' "the error"
revive_repo two
expect 0 dapk archive-push "pg_wal/$SEG"
for name in one two three; do assert_in $name "$SEG"; done
forget_queues
new_segment
expect 0 dapk archive-push "pg_wal/$SEG"
for name in one two three; do assert_in $name "$SEG"; done
for name in one two three; do assert_eq "$(queued $name)" '' "queue of $name"; done

note "a repository that is named is alone"
quiet
new_segment
expect 0 dapk --repository two archive-push "pg_wal/$SEG"
assert_not_in one "$SEG"
assert_in two "$SEG"

# Every segment that PostgreSQL counts as archived is where the rule says.
assert_acknowledged() { # REPOSITORY...: each of them has all
	local name seg n=0
	for name in "$@"; do
		while read -r seg; do
			assert_in "$name" "$seg"
			n=$((n + 1))
		done < <(find "$W/archive_status" -name '????????????????????????.done' -newer "$T/mark" \
			-printf '%f\n' | sed 's/\.done$//' | sort)
	done
	[ "$n" -gt 20 ] || fail "only $n segments were acknowledged"
}

for rule in first any all; do
	note "$rule: PostgreSQL's own archiver, its commands killed at random times"
	several_conf $rule one two
	forget_failures
	touch "$T/mark"
	archive_with src "$BIN --config $CONF archive-push %p"
	pg_reload src
	for ((i = 0; i < 40; i++)); do
		new_segment
		[ "$i" != 10 ] || [ $rule = all ] || die_repo two
		[ "$i" != 30 ] || [ $rule = all ] || revive_repo two
		pid=$(pgrep -f -- "^$BIN --config $CONF archive-push" | head -n 1) || :
		[ -z "$pid" ] || [ $((i % 3)) != 0 ] || kill -s KILL "$pid" 2>/dev/null || :
	done
	wait_for 120 "the archiver to catch up" sql_true src \
		"SELECT last_archived_wal >= '$SEG' FROM pg_stat_archiver"
	archive_with src false
	pg_reload src
	if [ $rule = all ]; then assert_acknowledged one two; else assert_acknowledged one; fi
done

note "salvage: the first gets it, the others' queues know; with all each gets it"
pg_stop src
several_conf first one two
forget_queues
die_repo two
expect 0 dapk archive-push --all "$T/src"
assert_match "$OUT" 'stored [0-9]+ files' "what it says"
[ "$(queued two | wc -l)" -gt 50 ] || fail "the queue of two has $(queued two | wc -l) items"
quiet
revive_repo two
several_conf all one two
expect 0,1 dapk archive-push --all "$T/src"
assert_match "$OUT" 'repository two: stored [1-9]' "what it says of the second"
