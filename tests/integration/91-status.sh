#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# status as monitoring uses it: exit codes as Nagios reads them, metrics that
# the node exporter can read, and the verdicts that need a server or a clock.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
says() { # CODE REGEX [option...]
	local code=$1 regex=$2
	shift 2
	expect "$code" dapk status "$@"
	assert_match "$OUT" "$regex" "status"
}
later() { # OFFSET COMMAND...: by a clock that is ahead
	as_user faketime -f "$1" "$BIN" --config "$CONF" "${@:2}"
}
metrics() { # [option...]: leaves them in M, as JSON
	run dapk status --format prometheus "$@"
	M=$(python3 "$TEST_TOP/tests/lib/promtext.py" <<<"$OUT") || fail "no metrics: $OUT"
}
metric() { jq -r --arg n "dapk_backup_$1{cluster=main,${2:-repository=local}}" '.[$n]' <<<"$M"; } # NAME [labels]

note "usage, configuration, nothing known: unknown"
expect 3 dapk status --nonsense
expect 3 dapk status --format nagios
expect 3 as_user "$BIN" --config "$T/none.conf" status
says 3 '^main local: unknown: nothing is known'
metrics
assert_eq "$(metric status)" 3 "the verdict"

note "a backup and a look: ok, in text, JSON and metrics"
take_backup
archive_now src
expect 0 dapk info
says 0 '^main local: ok \[backup .* ago, 2.*; WAL .* ago; goes back .* of 30 days; heard of .* ago; looked at .* ago\]$'
expect 0 dapk status --format json
assert_eq "$(jq -r '.repositories[0] | .verdict, .window.promised_seconds, .server.archives' <<<"$OUT" | xargs)" \
	"ok 2592000 true" "JSON"
before=$OUT
metrics
now=$(date +%s)
assert_eq "$RC$(metric status)" 00 "exit code and verdict"
assert_between "$(metric last_success_timestamp_seconds kind=backup,repository=local)" $((now - 60)) $((now + 1))
assert_between "$(metric knowledge_timestamp_seconds)" $((now - 60)) $((now + 1))
assert_between "$(metric knowledge_age_seconds)" 0 60
assert_eq "$(metric retain_seconds)" 2592000 "retain"
assert_eq "$(metric backup_size_bytes)" "$(commit_of "$LABEL" | jq .original_bytes)" "the size"
assert_eq "$(metric wal_waiting_files)" 0 "what waits"
for name in $(jq -r 'keys[] | sub("{.*"; "")' <<<"$M" | sort -u); do
	grep -q "$name" "$TEST_TOP"/man/dapk-backup*.1 || fail "no man page has $name"
done
[ -z "$(command -v promtool)" ] || promtool check metrics <<<"$(dapk status --format prometheus)"
metrics --repository-url "file://$T/a\"b\\c"
assert_eq "$(metric status "repository=file://$T/a\"b\\c")" 2 "a name that must be escaped"

note "a file for the collector, whole and for all to read; the exit code stays"
(umask 077 && dapk status --format prometheus --output "$T/state/x.prom") || fail "exit code $?"
assert_eq "$(stat -c %a "$T/state/x.prom")" 644 "mode"
python3 "$TEST_TOP/tests/lib/promtext.py" <"$T/state/x.prom" >"$T/x.json" || fail "the file"
assert_eq "$(find "$T/state" -name 'x.prom*' | wc -l)" 1 "files"
expect 3 dapk status --output "$T/nowhere/x.prom"
assert_clear_error 'nowhere'

note "stores that answer nobody make no difference, and it is quick"
sed 's/^repositories = local$/repositories = local, offsite/' "$CONF" >"$T/away.conf"
printf '\n[repository offsite]\nurl = s3://bucket/p\nendpoint = https://192.0.2.1\nregion = x\n' >>"$T/away.conf"
mv "$REPO" "$T/away"
best=1000000
for _ in 1 2 3 4 5; do
	t=$(date +%s%N)
	expect 3 as_user "$BIN" --config "$T/away.conf" status
	t=$((($(date +%s%N) - t) / 1000000))
	[ "$t" -ge "$best" ] || best=$t
done
assert_between "$best" 0 99 "milliseconds of status"
assert_match "$(head -n 1 <<<"$OUT")" '^main offsite: unknown' "the worst line is the first"
assert_match "$OUT" '^main local: ok ' "the other line"
mv "$T/away" "$REPO"

note "as time goes by"
expect 1 later +2d status
assert_match "$OUT" 'warning: the last backup is 2 days old'
expect 2 later +9d status
assert_match "$OUT" 'critical: the last backup is 9 days old.*nobody has looked at it for 9 days'
expect 1 later -2d status
assert_match "$OUT" 'in the future: a clock is wrong'

note "verify found damage: until it finds it mended"
pack=$(find "$(backup_dir "$LABEL")" -name 'pack-*' -size +20k | head -n 1)
cp -p "$pack" "$T/pack"
printf xxxx | dd of="$pack" bs=1 seek=9000 conv=notrunc status=none
expect 5 dapk verify
says 2 'critical: verify found [0-9]+ damaged objects? .* ago'
cp -p "$T/pack" "$pack"
find "$REPO" -path '*damage*' -type f -delete
expect 0 dapk verify --quick
says 2 'critical: verify found'
expect 0 dapk verify
says 0 '; verified .* ago'

note "a hold"
expect 0 dapk hold --reason 'new disks'
says 1 'warning: on hold for .* by .* on .*, new disks'
metrics
assert_eq "$(metric hold)" 1 "the metric"
expect 0 dapk release
says 0 ': ok'

note "the archiver has nothing to do: the server says so, and pg_wal"
archive_with src ''
pg_reload src
expect 1 dapk check
says 2 'critical: the server does not archive: archive_command is empty'
metrics
assert_eq "$(metric server_archives)" 0 "the metric"
waits() {
	sql src "SELECT pg_create_restore_point('x'), pg_switch_wal()"
	ls "$T"/src/pg_wal/archive_status/*.ready
}
wait_for 10 "WAL to wait" waits
touch -d '20 minutes ago' "$T"/src/pg_wal/archive_status/*.ready
says 2 '[0-9]+ WAL files? waits? in pg_wal to be archived, the first, [0-9A-F]{24}, for 20 minutes'
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
archive_now src
says 0 ': ok'

note "a segment that went: critical once somebody looked, until a backup follows"
archive_now src
archive_now src
gone=$(find "$REPO" -path '*/wal/*' -type f ! -name '*.backup*' -printf '%f\n' | sort | tail -n 2 | head -n 1)
find "$REPO" -name "$gone" -delete
expect 0,1,5 later +1h info
expect 2 later +1h status
assert_match "$OUT" "critical: WAL segment ${gone:0:24} is missing and no backup has followed: nothing after 2"
take_backup
expect 0,1,5 dapk info
says 1 'only the last .* can be recovered without a break, promised are 30 days'
assert_ne "$before" "$OUT" "what is said"
