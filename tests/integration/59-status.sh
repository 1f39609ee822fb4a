#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# status says how each cluster stands in each of its repositories, at once and
# without asking any, and info shows what was known while a store is away.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
sed -i 's/^repositories = local$/repositories = local, offsite/' "$CONF"
printf '\n[repository offsite]\nurl = file://%s\n' "$T/offsite" >>"$CONF"
status() { # CODES: sets OUT, and J of one repository by its name
	expect "$1" dapk status --json
	assert_eq "$(jq -s length <<<"$OUT")" 1 "JSON values"
}
of() { jq -r --arg r "$1" ".repositories[] | select(.repository == \$r) | $2" <<<"$OUT"; } # NAME FILTER

note "nothing is known"
expect 0 dapk init
status 3
assert_eq "$(of local .verdict)" unknown "verdict"
assert_contains "$(of local '.reasons[0].message')" 'nothing is known' "the reason"
[ ! -d "$T/state/queue" ] || fail "status made a queue"

note "a backup, and WAL"
pg_start src
take_backup
archive_now src
status 0,2
assert_eq "$(of local .verdict)" ok "verdict"
assert_eq "$(of local .backup.label)" "$LABEL" "the last backup"
assert_between "$(of local .backup.age_seconds)" 0 60 "its age"
last=$(sql src "SELECT last_archived_wal FROM pg_stat_archiver")
assert_eq "$(of local .wal.last)" "$last" "the last segment"
assert_between "$(of local .wal.age_seconds)" 0 60 "its age"
expect 0,2 dapk status
assert_eq "$(grep -c . <<<"$OUT")" 2 "lines of status"
assert_match "$(grep local <<<"$OUT")" "main local: ok \[backup .* ago, .*; WAL $last .* ago" "the line"
expect 0 dapk status --repository local
assert_eq "$(grep -c . <<<"$OUT")" 1 "lines of status of one"

note "info counts as a look; the others have a line each"
expect 0 dapk info
assert_match "$OUT" 'main offsite: ' "info"
expect 0 dapk info --json
assert_eq "$(jq -r '.others[].repository' <<<"$OUT")" offsite "others"
assert_eq "$(jq .repository.reached <<<"$OUT")" true "reached"
whole=$OUT
status 0,2
[ "$(of local .looked_at)" != null ] || fail "info is not known to have looked"

note "a database's dump"
expect 0 dapk dump postgres
status 0,2
assert_between "$(of local .dump.age_seconds)" 0 60 "the dump's age"

note "the stores are away: status is as quick, info shows what it knew, and says so"
mv "$REPO" "$T/away"
mv "$T/offsite" "$T/away2"
status 0,2
assert_eq "$(of local .verdict)" ok "verdict"
expect 2,3 dapk info
assert_match "$OUT" 'not reached: this is what was known .* ago' "info"
assert_contains "$OUT" "${LABEL:0:16}" "info"
assert_match "$ERR" 'warning: the repository could not be looked at' "stderr"
assert_clear_error 'repo'
expect 2,3 dapk info --json
assert_eq "$(jq .repository.reached <<<"$OUT")" false "reached"
assert_eq "$(jq -c '[.incarnations[].wal]' <<<"$OUT")" "$(jq -c '[.incarnations[].wal]' <<<"$whole")" "WAL known"
[ "$(jq -r .repository.problem.message <<<"$OUT")" != null ] || fail "no problem is told"
expect 1,2,3 dapk info "$LABEL"
assert_eq "$OUT" '' "one backup, of which nothing can be said"

note "archiving fails, a backup fails: warnings with the reason"
segment=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
status_says() { # FILTER
	dapk status --json >"$T/status.json" || :
	jq -e "$1" "$T/status.json"
}
wait_for 60 "the failure in status" status_says '.repositories[0].wal.failing_since != null'
status 1
assert_eq "$(of local .verdict)" warning "verdict"
assert_contains "$(of local '.reasons[0].message')" 'archiving has failed' "the reason"
expect 2,3 dapk backup
status 1
assert_match "$(of local '[.reasons[].message] | join(" ")')" 'archiving has failed' "the reasons"
mv "$T/away" "$REPO"
mv "$T/away2" "$T/offsite"
wait_for 90 "archiving" archived src "$segment"
wait_for 60 "the success in status" status_says '.repositories[0].wal.failing_since == null'

note "damaged notes are none"
find "$T/state/notes" -type f | while IFS= read -r f; do
	printf 'x{"' | dd of="$f" bs=1 conv=notrunc status=none
done
status 3
assert_eq "$(of local .wal.last)" null "the last segment"
expect 0 dapk info
status 0,2
assert_eq "$(of local .backup.label)" "$LABEL" "the backup, after a look"

note "all clusters of the file"
cp "$CONF" "$T/two.conf"
printf '[cluster second]\nrepositories = local\n' >>"$T/two.conf"
chmod 644 "$T/two.conf"
expect 2,3 as_user "$BIN" --config "$T/two.conf" status --json
assert_eq "$(jq -c '[.repositories[].cluster]' <<<"$OUT")" '["main","main","second"]' "clusters"
expect 2,3 as_user "$BIN" --config "$T/two.conf" status --cluster second
assert_eq "$(grep -c . <<<"$OUT")" 1 "lines"

note "another repository in the same place: nothing of the first counts"
pg_stop src
rm -rf "${REPO:?}" "$T/offsite"
expect 0 dapk init
status 2,3
assert_eq "$(of local .backup.label)" null "the backup"
