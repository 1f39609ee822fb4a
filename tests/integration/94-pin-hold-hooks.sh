#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What people say about backups: this one stays (pin), none now (hold), and
# what is to be run before and after (hooks).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
sed -i 's/^repositories = local$/repositories = local, offsite/' "$CONF"
printf '\n[repository offsite]\nurl = file://%s\n' "$T/offsite" >>"$CONF"
expect 0 dapk init
pg_start src
pins() { find "$1" -path '*/pins/*' -type f | wc -l; }

note "a backup in both repositories is pinned in both; a second pin replaces the first"
take_backup
expect 0 dapk copy
expect 0 dapk pin "$LABEL" --until 2090-01-31 --reason 'the "audit"'
assert_eq "$(grep -c "backup $LABEL is pinned in .* until 2090-01-31 23:59:59" <<<"$OUT")" 2 "repositories"
assert_eq "$(pins "$REPO") $(pins "$T/offsite")" "1 1" "pins"
expect 0 dapk info
assert_match "$OUT" 'pinned +until 2090-01-31 23:59:59'
expect 0 dapk info --json
assert_eq "$(jq -r '.incarnations[0].backups[0].pinned.until[:10]' <<<"$OUT")" 2090-01-31 "the pin in JSON"
expect 1 dapk expire --backup "$LABEL" --force
assert_clear_error 'is pinned until'
assert_hint "unpin $LABEL"
expect 0 dapk pin "${LABEL:0:12}"
assert_eq "$(pins "$REPO") $(pins "$T/offsite")" "1 1" "pins"
expect 0 dapk copy # a place's own
assert_eq "$(pins "$REPO") $(pins "$T/offsite")" "1 1" "pins"

note "a time that is past, a word that is none, a label that is none: refused, and nothing is done"
expect 2 dapk pin "$LABEL" --until 2020-01-31
assert_clear_error 'is past'
assert_hint unpin
expect 2 dapk pin "$LABEL" --until tomorrow
assert_clear_error "'tomorrow' is not a time"
expect 1 dapk pin 1999
assert_clear_error 'no backup or dump 1999'
expect 1 dapk unpin 1999
assert_eq "$(pins "$REPO") $(pins "$T/offsite")" "1 1" "pins"

note "one repository cannot be reached: the other is done, and the exit code says so"
mv "$T/offsite" "$T/away"
expect 3 dapk unpin "$LABEL"
assert_clear_error 'repository offsite: '
assert_match "$OUT" "backup $LABEL is no longer pinned in local"
expect 3 dapk hold --reason 'new disks'
assert_match "$OUT" 'cluster main is on hold in local'
mv "$T/away" "$T/offsite"
assert_eq "$(pins "$REPO") $(pins "$T/offsite")" "0 1" "pins"

note "the same again does what is left, and no harm"
expect 0 dapk unpin "$LABEL"
assert_match "$OUT" 'is not pinned in local'
assert_match "$OUT" 'is no longer pinned in offsite'
expect 0 dapk hold
assert_match "$OUT" 'is on hold in local already, by .* on .* since'
assert_match "$OUT" 'is on hold in offsite: no backup'

note "on hold nothing is added or removed, and the error says who and why"
before=$(tree_sum "$REPO/clusters")
for what in "backup" "dump postgres" "expire" "expire --backup $LABEL --force" "copy"; do
	# shellcheck disable=SC2086
	expect 6 dapk $what
	assert_clear_error 'main is on hold in .*: .* on .* held it at'
	assert_hint release
done
expect 6 dapk backup
assert_match "$ERR" '\(new disks\)'
assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository on hold"

note "WAL is archived, what is there can be looked at and restored"
archive_now src
expect 0 dapk backup --dry-run
expect 0 dapk info
expect 0 dapk verify --quick
expect 0 dapk restore -D "$T/check" --dry-run
waits() { [ -n "$(find "$T"/state/queue -path '*/offsite/*' -name '0000*')" ]; }
waits || fail "the mirror got WAL while it was on hold"

note "after the release everything goes on"
expect 0 dapk release
assert_eq "$(grep -c 'is no longer on hold in' <<<"$OUT")" 2 "repositories"
expect 0 dapk release
assert_eq "$(grep -c 'is not on hold in' <<<"$OUT")" 2 "repositories"
expect 0 dapk copy
! waits || fail "the mirror still lacks what it waited for"

note "hooks: before and after a backup, told in JSON; what they print is logged"
hook() { # NAME SHELL LINE...: tells what it got, then does that
	printf '#!/bin/sh\ncat >"%s/%s.json"; echo "%s ran"\n' "$T" "$1" "$1" >"$T/$1.sh"
	printf '%s\n' "${@:2}" >>"$T/$1.sh"
	chmod 755 "$T/$1.sh"
}
no_hook_ran() { rm -f "$T"/*.json; }
got() { jq -r "$2" "$T/$1.json"; } # NAME FILTER
for h in before after failure; do hook "$h" :; done
sed -i "s|^repositories = .*|&\nhook-before = $T/before.sh\nhook-after = $T/after.sh\nhook-failure = $T/failure.sh\nhook-timeout = 1s|" "$CONF"
take_backup
assert_match "$ERR" 'hook-before: before ran'
assert_match "$ERR" 'hook-after: after ran'
assert_eq "$(got before '[.event, .command, .cluster, .repository, .verdict, (.results | length)] | @csv')" \
	'"before","backup","main","local",,0' "what hook-before got"
assert_eq "$(got after '[.event, .verdict, .exit_code, .results[0].kind, .results[0].label] | @csv')" \
	"\"after\",\"ok\",0,\"backup\",\"$LABEL\"" "what hook-after got"
assert_eq "$(got after '.results[0] | [.start_lsn, .stop_lsn, .timeline, .original_bytes, .stored_bytes] | map(. != null) | all')" true "facts"
[ ! -e "$T/failure.json" ] || fail "hook-failure ran"

note "a dump of two databases and the globals: one call, three results"
sql src 'CREATE DATABASE shop'
expect 0 dapk dump postgres shop --globals
assert_eq "$(got after '[.results[].database] | @csv')" '"postgres","shop",' "databases"

note "hook-before decides: nothing is begun when it fails, and hook-failure says so"
no_hook_ran
hook before 'echo "the batch runs"; exit 3'
before=$(tree_sum "$REPO/clusters")
expect 1 dapk backup
assert_clear_error 'nothing was begun: hook-before: .*the batch runs.*exit status 3'
assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository"
assert_eq "$(got failure '[.event, .verdict, .exit_code] | @csv')" '"failure","failed",1' "what hook-failure got"
assert_contains "$(got failure .error)" 'the batch runs' "the error"
[ ! -e "$T/after.json" ] || fail "hook-after ran"

note "one that does not end is ended, with what it started"
hook before 'sleep 77; true'
expect 1 dapk backup
assert_clear_error 'hook-before had not ended after 1 s'
nothing_sleeps() { ! pgrep -U "$CLUSTER_USER" -f '^sleep 77$' >/dev/null; }
wait_for 5 "the end of what the hook started" nothing_sleeps
hook before :

note "hook-after cannot undo a backup"
hook after 'echo "no space" >&2; exit 1'
take_backup
assert_match "$ERR" 'warning: hook-after: .*no space.*what was stored stays'
hook after :

note "a failure, and one by a signal; neither dry runs nor the command line call a hook"
no_hook_ran
expect 2 dapk dump --all --output "$T/x"
expect 0 dapk backup --dry-run
[ -z "$(find "$T" -maxdepth 1 -name '*.json')" ] || fail "a hook ran"
expect 4 dapk backup --host 127.0.0.1 --port 1
assert_eq "$(got failure .exit_code)" 4 "the exit code"
no_hook_ran
hook before 'sleep 0.9'
"${AS_USER[@]}" "$BIN" --config "$CONF" backup >"$T/cancelled.log" 2>&1 &
pid=$!
wait_for 10 "hook-before" test -s "$T/before.json"
kill -s TERM "$pid"
exited "$pid"
assert_eq "$RC" 143 "exit code after SIGTERM"
assert_eq "$(got failure .exit_code)" 143 "what hook-failure got"
