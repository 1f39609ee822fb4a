#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# No command works as root: it refuses, and says what to type, or becomes the
# user that run-as names, for good and before it opens anything. What it makes
# is that user's and closed to all others, whatever the umask.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ "$(id -u)" = 0 ] || fail "needs root"
pg_with_repository src
label_of() { sed -n 's/^backup //p' <<<"$OUT"; }
not_ours() { find "$@" ! -user postgres -printf '%u %p\n'; }
open_to_others() { find "$@" ! -type l -perm /077 -printf '%m %p\n'; }

note "each command refuses root"
archive_now src
seg=$(cd "$T/src/pg_wal" && printf '%s\n' 0000000100* | head -n 1)
# The object is seen before its archive-push has written its note and ended.
wait_for 30 "the end of archive-push" sql_true src "SELECT last_archived_wal >= '$seg' FROM pg_stat_archiver"
before=$(find "$REPO" "$T/state" | sort)
while read -r command; do
	case $command in
	completion | help) continue ;;
	archive-push) arguments=("$T/src/pg_wal/$seg") ;;
	archive-get) arguments=("$seg" "$T/got") ;;
	load | export | pin | unpin) arguments=(20260101T000000Z) ;;
	keys) arguments=(list) ;;
	dump) arguments=(postgres) ;;
	*) arguments=() ;;
	esac
	run "$BIN" --config "$CONF" "$command" "${arguments[@]}"
	case $command in
	archive-get) assert_eq "$RC" 126 "exit code of archive-get, on which recovery stops" ;;
	status) assert_eq "$RC" 3 "exit code of status" ;;
	*) assert_eq "$RC" 2 "exit code of $command" ;;
	esac
	assert_contains "$ERR" "$command does not run as root" "the error of $command"
	assert_contains "$ERR" "sudo -u postgres dapk-backup $command" "what to type"
	assert_contains "$ERR" "--run-as=postgres" "what to type"
done < <("$BIN" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p')
assert_eq "$(find "$REPO" "$T/state" | sort)" "$before" "what is there afterwards"
[ ! -e "$T/got" ] || fail "archive-get wrote"

note "but for those that open no repository"
expect 0 "$BIN" completion bash
expect 0 "$BIN" --config "$CONF" keys generate "$T/own.key"
assert_eq "$(stat -c '%U %a' "$T/own.key")" "root 600" "the key file"

note "run-as: all that is made is the user's, and nobody else may read it"
sed "s/^\[global\]$/&\nrun-as = postgres/; s,^url = .*,url = file://$T/theirs/repo,; s,^state-directory = .*,state-directory = $T/theirs/state," \
	"$CONF" >"$T/as.conf"
install -d -o postgres -m 700 "$T/theirs"
printf '%s\n' '#!/bin/sh' "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status >$T/theirs/hook.status" \
	"echo \$HOME \$USER >>$T/theirs/hook.status" >"$T/hook"
chmod 755 "$T/hook"
sed -i "s,^pgdata,hook-after = $T/hook\n&," "$T/as.conf"
for mask in 000 077; do
	umask "$mask"
	root() { run "$BIN" --config "$T/as.conf" "$@"; [ "$RC" = 0 ] || fail "$1: $ERR"; }
	root init
	archive_with src "$BIN --config $T/as.conf archive-push %p"
	pg_reload src
	root check
	root backup
	label=$(label_of)
	root dump postgres
	root backup
	root verify
	root status --output "$T/theirs/status.$mask"
	root restore -D "$T/theirs/new.$mask" --backup "$label"
	root export "$label" --output "$T/theirs/tar.$mask"
	root expire
	umask 022
	assert_eq "$(not_ours "$T/theirs")" "" "what is not the user's"
	assert_eq "$(open_to_others "$T/theirs/repo" "$T/theirs/state" "$T/theirs/new.$mask" "$T/theirs/tar.$mask")" "" \
		"what others may read"
	pg_stop src
	pg_start src
done
groups=$(id -G postgres | tr ' ' '\n' | sort -n | tr '\n' ' ')
uid=$(id -u postgres)
assert_match "$(cat "$T/theirs/hook.status")" "Uid:([[:space:]]+${uid}){4}$" "user ids of what it starts"
assert_eq "$(sed -n 's/^Groups:[[:space:]]*//p' "$T/theirs/hook.status" | tr ' ' '\n' | grep . | sort -n | tr '\n' ' ')" "$groups" "groups"
assert_match "$(cat "$T/theirs/hook.status")" 'CapEff:[[:space:]]0+$' "capabilities"
assert_contains "$(cat "$T/theirs/hook.status")" "$(getent passwd postgres | cut -d: -f6) postgres" "HOME and USER"

note "run-as that cannot be"
for user in root nobody-of-this-name; do
	run "$BIN" --config "$CONF" --run-as "$user" info
	assert_eq "$RC" 2 "exit code with run-as $user"
	assert_match "$ERR" "run-as: .*$user" "the error"
done
# Who is not root stays who he is.
expect 0 as_user "$BIN" --config "$CONF" --run-as nobody info
