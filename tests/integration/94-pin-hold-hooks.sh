#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What people say about backups: this one stays (pin), none now (hold).
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
