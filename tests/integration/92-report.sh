#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# report: one page that shows what can be recovered, as a browser draws it, in
# light and dark. Names and reasons that are HTML stay text.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

PAGE=$T/state/report.html
EVIL="<script>alert('x')</script> \"&"
check_page() { # leaves its text in P
	run python3 "$TEST_TOP/tests/lib/page.py" "$PAGE"
	assert_eq "$RC" 0 "the page: $ERR"
	P=$OUT
}
has() { assert_contains "$P" "$1" "the page"; }

note "two backups, a dump, names that are HTML"
pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE SCHEMA wh; CREATE TABLE wh.shipments AS
	SELECT i, repeat('x', 50) AS t FROM generate_series(1, 20000) i;
	CREATE TABLE \"<script>alert(1)</script>'&\"\"\" AS SELECT 1 AS i" >/dev/null
take_backup
first=$LABEL
expect 0 dapk report --output "$PAGE"
check_page
has "Tables and indexes by the numbers of their files"
archive_now src
take_backup
expect 0 dapk dump postgres
expect 0 dapk pin "$first" --until 2037-01-01 --reason "$EVIL"
archive_now src # from here on nothing more comes
expect 0 dapk verify

note "the page: to standard output and into a file, whole"
expect 0 dapk report
assert_match "$OUT" '^<!DOCTYPE html>' "standard output"
(umask 027 && dapk report --output "$PAGE") || fail "exit code $?"
assert_eq "$(stat -c %a "$PAGE")" 640 "mode"
assert_eq "$(find "$T/state" -name 'report.html*' | wc -l)" 1 "files"
check_page
has "b: ok"
has "every moment from"
has "$EVIL"
has "public.<script>alert(1)</script>'&\""
has "wh.shipments"
has "20,000"
has "no damage found"
has "$(find "$REPO" -path '*/wal/*' -name '????????????????????????-*' | wc -l) segments"
has "[repository local]"
assert_lacks "$P" "time: 2037-01-01 23:59" "what is said of a pin twice"
assert_lacks "$(cat "$PAGE")" "<script" "the page"
expect 3 dapk report --output "$T/nowhere/x.html"
assert_clear_error 'nowhere'
run script -qec "${AS_USER[*]} $BIN --config $CONF report" /dev/null
assert_eq "$RC" 2 "exit code on a terminal"
assert_match "$OUT" "--output"

note "a gap, with its segment; another repository that is away; secrets"
archive_now src
archive_now src
gone=$(find "$REPO" -path '*/wal/*' -type f ! -name '*.backup*' -printf '%f\n' | sort | tail -n 2 | head -n 1)
find "$REPO" -name "$gone" -delete
sed 's/^repositories = local$/repositories = local, offsite/' "$CONF" >"$T/away.conf"
sed -i 's/^conninfo = /&password=geheim77 /' "$T/away.conf"
printf '\n[repository offsite]\nurl = s3://bucket/p\nendpoint = http://127.0.0.1:1\nregion = x\naccess-key-id = AK\nsecret-access-key = geheim88\ntimeout = 1s\n' >>"$T/away.conf"
chmod 600 "$T/away.conf"
chown "$CLUSTER_USER" "$T/away.conf"
expect 3 as_user faketime -f +2h "$BIN" --config "$T/away.conf" report --output "$PAGE"
assert_clear_error '127.0.0.1'
check_page
has "nothing between"
has "segment ${gone:0:24} is missing"
has "could not be read now"
has "offsite"
assert_lacks "$(cat "$PAGE")" geheim "the page"

note "what a browser makes of forty days, in light and dark"
[ -x "${DAPK_REPORTPAGE:-}" ] || fail "DAPK_REPORTPAGE is not set; run scripts/test $TEST_NAME"
command -v chromium >/dev/null || fail "no chromium: apt-get install chromium (scripts/test does it)"
PAGE=$T/forty.html
"$DAPK_REPORTPAGE" 40 >"$PAGE"
check_page
has "given up at 2026-11-14 07:00:00 on db1 with 6 segments"
drawn() { # NAME [option]: $T/NAME.png; then the colours that follow in PIXELS
	as_user timeout 60 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars \
		--disable-dev-shm-usage --user-data-dir="$T/chromium-$1" --window-size=1000,1300 \
		"${@:2}" --screenshot="$T/state/$1.png" "file://$PAGE" >"$T/$1.chromium" 2>&1 ||
		fail "chromium: $(tail -n 5 "$T/$1.chromium")"
}
of() { # NAME COLOUR...: pixels, length, x and y of the longest row of the first
	python3 "$TEST_TOP/tests/lib/page.py" --png "$T/state/$1.png" "${@:2}"
}
# The lane is 848 pixels from 128 on, 42.4 days: the first backup is from 39.5
# days ago, its window has 30.2 days, the gap 1.8.
places() { # NAME GROUND WINDOW GAP BACKUP DUMP
	local found ground window edge colour
	found=$(of "$@")
	assert_eq "$(head -n 1 <<<"$found")" "size 1000 1300" "the picture"
	read -r _ ground _ < <(grep "^$2" <<<"$found")
	assert_between "$ground" 400000 1200000 "pixels of the ground in $1"
	read -ra window < <(grep "^$3" <<<"$found")
	read -ra edge < <(grep "^$4" <<<"$found")
	assert_between "${window[3]}" 143 151 "where the first window begins in $1"
	assert_between "${window[2]}" 590 608 "its length"
	assert_between "${edge[3]}" $((window[3] + window[2] - 4)) $((window[3] + window[2] + 4)) "where the gap begins"
	assert_between "${edge[2]}" 28 40 "its length"
	assert_between "$((window[4] - edge[4]))" -16 16 "how much higher it lies"
	for colour in "$5" "$6"; do
		assert_between "$(awk -v c="$colour" '$1 == c { print $2 }' <<<"$found")" 800 90000 "pixels of $colour in $1"
	done
}
drawn light
places light ffffff 1a7f37 c62828 0b5cad 7a3fc0
drawn dark --force-dark-mode
places dark 0d1117 3fb950 ff7b72 58a6ff c297ff
