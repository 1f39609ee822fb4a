#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-get over two repositories: the nearest delivers and the other is not
# contacted; what one lacks, or has damaged, comes from the other; "absent" is
# said only when both prove it (T24), and a real recovery goes by it.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
FAR=$T/far
sed -i "s,^repositories = .*,repositories = local\, offsite," "$CONF"
printf '\n[repository offsite]\nurl = file://%s\n' "$FAR" >>"$CONF"
dapk init >/dev/null
pg_start src
sql src "CREATE TABLE t (v text)"
segments=()
mkdir "$T/kept"
for i in 1 2 3 4 5 6; do
	sql src "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 3000)"
	seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
	cp "$T/src/pg_wal/$seg" "$T/kept/"
	segments+=("$seg")
done
archive_now src
pg_stop src immediate
as_user cp -r "$REPO/clusters" "$FAR/" # a copy, as the objects lie
as_user mkdir -p "$T/rec/global" "$T/rec/pg_wal" "$T/dest"
as_user cp "$T/src/global/pg_control" "$T/rec/global/"
as_user cp "$T/src/PG_VERSION" "$T/rec/"

get() { # CODE NAME [option...]
	local code=$1 name=$2
	shift 2
	rm -f "$T/dest/x"
	expect "$code" dapk archive-get --pgdata "$T/rec" --prefetch 0 "$@" "$name" "$T/dest/x"
	if [ "$code" = 0 ]; then
		cmp -s "$T/dest/x" "$T/kept/$name" || fail "$name was not delivered as archived"
	else
		[ ! -e "$T/dest/x" ] || fail "exit $code and DEST exists"
	fi
}
absent=0000000100000000000000F0
far_object() { find "$FAR" -name "$1-*.zst"; }

note "the nearest delivers: the other is not contacted"
expect 0 as_user strace -f -e trace=file,network -o "$T/trace" "$BIN" --config "$CONF" \
	archive-get --pgdata "$T/rec" --prefetch 0 "${segments[0]}" "$T/dest/x"
if grep -q "$FAR" "$T/trace"; then fail "the offsite repository was touched"; fi

note "absent in both is absent; an error in one makes it an error"
get 1 $absent
get 1 00000002.history
for gone in "$REPO" "$FAR"; do
	mv "$gone" "$gone.away"
	get 126 $absent
	assert_clear_error 'local|offsite'
	get 126 00000002.history
	for seg in "${segments[@]}"; do get 0 "$seg"; done
	mv "$gone.away" "$gone"
done
mv "$REPO" "$REPO.away"
mv "$FAR" "$FAR.away"
get 126 "${segments[0]}"
mv "$FAR.away" "$FAR"
mv "$REPO.away" "$REPO"

note "a gap or damage in the nearest is healed by the other"
rm "$(stored_wal "${segments[2]}")"
truncate -s 500 "$(stored_wal "${segments[3]}")"
get 0 "${segments[2]}"
get 0 "${segments[3]}"
get 126 "${segments[2]}" --repository local
assert_clear_error "${segments[2]}"
get 0 "${segments[2]}" --repository offsite
rm "$(far_object "${segments[2]}")"
get 126 "${segments[2]}"

note "the end of the nearest is not the end, when the other has more"
rm "$(stored_wal "${segments[4]}")" "$(stored_wal "${segments[5]}")"
get 0 "${segments[4]}"
get 0 "${segments[5]}"
