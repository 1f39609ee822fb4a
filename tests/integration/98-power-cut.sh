#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The power goes at each system call of archive-push: of the repository stays
# what was synced till then, once with no name that its directory's fsync did
# not cover, once with all names and of each file only what was synced. So too
# at some calls of backup, with archiving beside it. What was acknowledged comes
# back, nothing half counts, the rerun succeeds.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# shellcheck source=tests/lib/faults.sh
. "$TEST_TOP/tests/lib/faults.sh"
STEP=${DAPK_FAULT_STEP:-1} # each so many-th point
BACKUP_SAMPLE=${DAPK_FAULT_SAMPLE:-6} # of each of three kinds

tmpfs "$T/ram" 200m # inodes are not used again there
tmpfs "$T/kept" 400m # what is durable, and what the cut leaves
as_user mkdir "$T/kept/state"
pg_with_repository src "$MAIN" --wal-segsize=1
sed "s,^url = .*,url = file://$T/ram/repo," "$CONF" >"$T/ram.conf"
CONF=$T/ram.conf
as_user mv "$REPO" "$T/ram/repo"
REPO=$T/ram/repo
faults_segment
as_user cp -a "$REPO" "$T/kept/base"

fresh() {
	rm -rf "$REPO" "$T/state" "$T/got"
	as_user cp -a "$T/kept/base" "$REPO"
}
came_back() {
	rm -f "$T/got"
	run as_user "${get[@]}"
	[ "$RC" = 0 ] && cmp -s "$T/got" "$T/$seg"
}

unnamed=0 emptied=0
# Leaves in kept/ what is there after the cut, strict and with all names.
# Both before anything is moved: files are known by their inodes.
cut_at() { # POINT, or nothing for one after the end; COMMAND...
	local at=(-p "$1" -k kill)
	[ -n "$1" ] || at=()
	shift
	archiver_rests
	rm -rf "$T"/kept/{state/*,strict,names}
	as_user chmod 755 "$T/kept/state"
	faultrun -d "$T/ram" -s "$T/kept/state" "${at[@]}" -- "$@"
	FAULT_RC=$RC
	[ "$RC" = 0 ] || fault_hit=$((fault_hit + 1))
	# Threads: it came in another order, and the command has said 0.
	[ "$RC" != 99 ] || fault_unmet=$((fault_unmet + 1)) FAULT_RC=0
	archiver_rests
	as_user "$T/bin/faultrun" -m "$T/kept/strict" -s "$T/kept/state"
	as_user "$T/bin/faultrun" -m "$T/kept/names" -s "$T/kept/state" -n "$T/ram"
	if [ "$(stored "$T/kept/names")" -gt "$(stored "$T/kept/strict")" ]; then
		unnamed=$((unnamed + 1))
	fi
	if [ -n "$(find "$T/kept/names" -path '*/tmp/*' -type f -size 0)" ]; then
		emptied=$((emptied + 1))
	fi
}
stored() { find "$1" \( -path '*/wal/*.zst' -o -name commit \) | wc -l; }
archiver_rests() { :; }
take_place() { # WHICH
	rm -rf "$REPO" "$T/state" "$T/got"
	as_user cp -a "$T/kept/$1/repo" "$REPO"
}

push_cut() { # POINT
	local which
	fresh
	cut_at "$1" "${push[@]}"
	for which in strict names; do
		take_place "$which"
		fault_held "archive-push, power cut at ${1:-the end}, $which" "$(check_push "$FAULT_RC")"
	done
}
check_push() { # RC
	came_back && return
	[ "$1" != 0 ] || echo "exit 0, and it is gone: $ERR"
	# Recovery asks for it: it is not there, and nothing half is. Before the
	# first object of a cluster is stored the cluster is not known.
	[ "$RC" = 1 ] || [[ $ERR = *'has nothing of cluster main'* ]] ||
		echo "archive-get exits $RC: $ERR"
	run as_user "${push[@]}"
	[ "$RC" = 0 ] || echo "the rerun failed: $ERR"
	came_back || echo "it does not come back after the rerun: $ERR"
}

fresh
faults_list "$T/points.push" "${push[@]}"
came_back || fail "it does not come back without any fault"

mapfile -t points < <(awk -v step="$STEP" '{ sub(/ cut$/, "") } NR % step == 0' "$T/points.push")
for p in "${points[@]}"; do push_cut "$p"; done
push_cut ''
# The cut does take away: names whose directory was not synced, bytes too.
note "$unnamed cuts took a name, $emptied all bytes of a file"
[ "$STEP" -gt 1 ] || [ $((unnamed * emptied)) -gt 0 ] || fail "no cut took anything"
[ "$fault_hit" -ge $((40 / STEP)) ] || fail "only $fault_hit pushes were cut off"
faults_result "archive-push, power cut" $((100 / STEP))
unnamed=0

# ---- backup: its commit, and what it stands on

archive_with src "$T/bin/faultrun -c -d $T/ram -s $T/kept/state -- $BIN --config $CONF archive-push %p"
as_user rm -rf "$T/state"
fresh
pg_reload src
archiver_rests() { wait_for 30 "the archiver" archived_all; }
archived_all() { ! compgen -G "$T/src/pg_wal/archive_status/*.ready" >/dev/null; }
expect 0 dapk backup
archiver_rests
rm -rf "$T/kept/base"
as_user cp -a "$REPO" "$T/kept/base"
wal=$(cd "$REPO" && echo clusters/main/*/wal)
as_user cp -a "$REPO/$wal" "$T/kept/wal"

# The server sends no segment twice: all that it has sent is put back.
fresh_backup() {
	as_user cp -an "$REPO/$wal/." "$T/kept/wal/"
	fresh
	as_user cp -an "$T/kept/wal/." "$REPO/$wal/"
}
commits() { find "$REPO" -name commit | wc -l; }
backup=("$BIN" --config "$CONF" backup --jobs 2)
check_backup() { # RC COMMITS-BEFORE
	local now
	now=$(commits)
	[ "$1" != 0 ] || [ "$now" -gt "$2" ] || echo "exit 0, and it is gone"
	run dapk verify --dry-run
	[ "$RC" = 0 ] || echo "not clean: $ERR $OUT"
	run dapk info --json
	[ "$(jq '[.incarnations[].backups[] | select(.usable)] | length' <<<"$OUT")" = "$now" ] ||
		echo "not each of $now backups is usable: $OUT"
	run as_user timeout 60 "${backup[@]}"
	[ "$RC" = 0 ] || echo "the rerun failed: $ERR"
	[ "$(commits)" -gt "$now" ] || echo "the rerun left nothing"
}
backup_cut() { # POINT
	local which before
	fresh_backup
	before=$(commits)
	cut_at "$1" "${backup[@]}"
	as_user cp -an "$REPO/$wal/." "$T/kept/wal/"
	for which in strict names; do
		take_place "$which"
		fault_held "backup, power cut at ${1:-the end}, $which" "$(check_backup "$FAULT_RC" "$before")"
		archiver_rests
		as_user cp -an "$REPO/$wal/." "$T/kept/wal/"
	done
}
fresh_backup
faults_list "$T/points.backup" "${backup[@]}"
note "backup: $(wc -l <"$T/points.backup") points"
# Where something has got its name and its directory is not synced yet, the end,
# where the commit gets its own, and anywhere.
awk -v s="$FAULT_SEED" 'BEGIN { for (i = 0; i < 9999; i++) print s * 7919 + i }' >"$T/seed"
sed -i 's/ cut$//' "$T/points.backup"
draw() { shuf -n "$1" --random-source="$T/seed"; }
mapfile -t points < <(
	grep -A1 '^link' "$T/points.backup" | grep -v '^link\|^--' >"$T/named"
	tail -n 2 "$T/named"
	draw "$BACKUP_SAMPLE" <"$T/named"
	tail -n 300 "$T/points.backup" | draw "$BACKUP_SAMPLE"
	draw "$BACKUP_SAMPLE" <"$T/points.backup")
for p in "${points[@]}"; do backup_cut "$p"; done
backup_cut ''
note "backup: $unnamed cuts took a name"
[ "$unnamed" -gt 0 ] || fail "no cut took a name"
faults_result "backup, power cut" 20
