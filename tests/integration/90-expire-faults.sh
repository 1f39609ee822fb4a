#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# expire with one system call failing (EIO, ENOSPC, EINTR), done by half (short)
# or killing it, in both of its steps: what the promise needs is there and usable
# each time, and the next runs end where an undisturbed one does. A kill where it
# changes the repository, and a seeded sample of all points (tests/lib/faults.sh);
# with DAPK_FAULT_SITES=1 each fault at every distinct call site too. How many
# were tried and held is printed.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ -x "${DAPK_WALMANY:-}" ] || fail "DAPK_WALMANY is not set; run scripts/test $TEST_NAME"
# shellcheck source=tests/lib/faults.sh
. "$TEST_TOP/tests/lib/faults.sh"
install -m 755 "$DAPK_WALMANY" "$T/bin/walmany"
tmpfs "$T/ram" 200m
REPO=$T/ram/repo CONF=$T/expire.conf
as_user mkdir -m 700 "$T/ram/state"
printf '%s\n' '[global]' "state-directory = $T/ram/state" \
	'[cluster main]' "pgdata = $T/none" 'repositories = local' \
	'[repository local]' "url = file://$REPO" 'retain = 28d' >"$CONF"
# A backup every five days: the window's edge lies between two of them however
# long this takes.
expect 0 dapk init
as_user "$T/bin/walmany" "file://$REPO" main 000000010000000000000001 60 \
	$((16 << 20)) system=7312345678901234567 days=60 backups=12

# What there is, but for notes of who works and what is listed.
names() { (cd "$REPO/clusters" && find . -type f ! -path '*/leases/*' ! -path '*/tombstones/*' | sort); }
usable() {
	expect 0 dapk info --json
	jq -r '.incarnations[].backups[] | select(.usable) | .label' <<<"$OUT" | sort
}
EXPIRE=(expire --grace=0s)
# Both steps of a run: what the first lists the second may remove in a run
# that comes later.
expire_all() {
	for _ in 1 2 3; do
		run dapk "${EXPIRE[@]}"
		[ "$RC" = 0 ] || echo "a later run failed: $ERR"
	done
}

keep() { rm -rf "$T/ram/$1" && mkdir "$T/ram/$1" && cp -a "$REPO" "$T/ram/state" "$T/ram/$1/"; }
back() { rm -rf "$REPO" "$T/ram/state" && cp -a "$T/ram/$1/repo" "$T/ram/$1/state" "$T/ram/"; }

note "an undisturbed run"
before=$(names)
keep nothing-listed
expect 0 dapk "${EXPIRE[@]}"
assert_eq "$(names)" "$before" "what is there when it is only listed"
keep listed
expect 0 dapk "${EXPIRE[@]}"
expire_all
after=$(names) kept=$(usable)
[ "$(wc -l <<<"$after")" -lt "$(wc -l <<<"$before")" ] || fail "nothing went"
assert_between "$(wc -l <<<"$kept")" 5 9 "backups that stay"

expire=("$BIN" --config "$CONF" "${EXPIRE[@]}")

# Says what is wrong after a run.
check_expire() {
	local lost
	# 127: it was the loader's call.
	[ "$FAULT_KIND" = kill ] || [ "$FAULT_RC" -le 6 ] || [ "$FAULT_RC" = 127 ] || echo "$ERR"
	lost=$(comm -13 <(usable) <(echo "$kept"))
	[ -z "$lost" ] || echo "usable backups that are lost: $lost"
	lost=$(comm -13 <(names) <(echo "$after") | grep -v /removed/ || :)
	[ -z "$lost" ] || echo "what is lost: $lost"
	expire_all
	lost=$(diff <(names) <(echo "$after") || :)
	[ -z "$lost" ] || echo "what later runs leave: $lost"
}

# Where it changes something it is killed: once at each call site, at the
# first, the last and some others.
changes() {
	grep -E '^(link|rename|unlink|mkdir|rmdir|fsync|write|pwrite)' "$1" | sed 's/ .*//; s/$/ kill/' >"$1.changes"
	awk '{ site = $1; sub(/#.*/, "", site); if (seen[site]++ == 0) print }' "$1.changes"
	head -n 4 "$1.changes"
	tail -n 4 "$1.changes"
	awk 'NR % 12 == 0' "$1.changes"
}

for state in listed nothing-listed; do
	back "$state"
	points=$T/points.$state
	faults_list "$points" "${expire[@]}"
	mapfile -t chosen < <({
		changes "$points"
		faults_sample "$points" 25
		[ -z "${DAPK_FAULT_SITES:-}" ] || faults_sites "$points"
	} | sort -u)
	note "$state: $(wc -l <"$points") calls"
	for what in "${chosen[@]}"; do
		back "$state"
		# shellcheck disable=SC2086 # point and fault
		fault $what "${expire[@]}"
		fault_held "expire, $state, $what" "$(check_expire 2>&1)"
	done
done
faults_result expire 100
