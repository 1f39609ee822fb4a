#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# expire is killed at, and refused, every kind of call by which it changes a
# repository, at many places of both of its steps. What the promise needs is
# there and usable each time, and the next runs end where an undisturbed one
# does.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

[ -x "${DAPK_WALMANY:-}" ] || fail "DAPK_WALMANY is not set; run scripts/test $TEST_NAME"
install -m 755 "$DAPK_WALMANY" "$T/bin/walmany"
tmpfs "$T/ram" 200m
REPO=$T/ram/repo CONF=$T/expire.conf
as_user mkdir -m 700 "$T/ram/state"
printf '%s\n' '[global]' "state-directory = $T/ram/state" \
	'[cluster main]' "pgdata = $T/none" 'repositories = local' \
	'[repository local]' "url = file://$REPO" 'retain = 30d' >"$CONF"
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
expire_all() { for _ in 1 2 3; do expect 0 dapk "${EXPIRE[@]}"; done; }

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

CALLS=(openat link linkat rename renameat2 unlink unlinkat mkdir mkdirat rmdir fsync fdatasync write pwrite64)
traced() { # STRACE OPTION...
	run as_user strace -f -qq -o "$T/ram/trace" "$@" "$BIN" --config "$CONF" "${EXPIRE[@]}"
}
count() { grep -cE "^[0-9]+ +$1\(" "$T/ram/trace.$2" || :; } # CALL STATE

# All of few, of many the first and last three, and some between.
places() { # COUNT
	if [ "$1" -le 8 ]; then
		seq 1 "$1"
	else
		{ seq 1 3; seq $(($1 - 2)) "$1"; seq 4 $((($1 + 4) / 5)) "$1"; } | sort -nu
	fi
}

tried=0 killed=0
try() { # STATE WHAT STRACE OPTION...
	local state=$1 what=$2
	shift 2
	back "$state"
	traced "$@"
	tried=$((tried + 1))
	[ "$RC" -le 128 ] || killed=$((killed + 1))
	if [[ $what = *error* && $RC != 0 ]]; then
		assert_between "$RC" 1 6 "exit code of expire, $what"
	fi
	assert_eq "$(comm -13 <(usable) <(echo "$kept"))" "" "usable backups that are lost, $what"
	assert_eq "$(comm -13 <(names) <(echo "$after") | grep -v /removed/ || :)" "" "what is lost, $what"
	expire_all
	assert_eq "$(diff <(names) <(echo "$after") || :)" "" "what later runs leave, $what"
}

for state in nothing-listed listed; do
	back "$state"
	traced -e trace="$(IFS=, && echo "${CALLS[*]}")"
	assert_eq "$RC" 0 "exit code of a traced run"
	mv "$T/ram/trace" "$T/ram/trace.$state"
done
for state in listed nothing-listed; do
	note "killed, or refused, at many places: $state"
	for call in "${CALLS[@]}"; do
		for n in $(places "$(count "$call" "$state")"); do
			try "$state" "killed at $call $n" -e trace="$call" -e "inject=$call:signal=KILL:when=$n"
		done
	done
	for fault in write:ENOSPC fsync:EIO link:EIO linkat:EIO renameat2:EIO unlink:EIO unlinkat:EACCES openat:EMFILE; do
		call=${fault%:*}
		total=$(count "$call" "$state")
		for n in $(places "$total" | awk 'NR % 3 == 1'); do
			try "$state" "error ${fault#*:} at $call $n" -e trace="$call" -e "inject=$call:error=${fault#*:}:when=$n"
		done
	done
done
note "expire: $tried points tried, $tried held; $killed of the runs were killed"
[ "$tried" -ge 60 ] || fail "only $tried points were tried"
[ "$killed" -ge 50 ] || fail "only $killed runs were killed"
