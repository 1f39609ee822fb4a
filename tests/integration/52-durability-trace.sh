#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What is said to be stored is on disk: archive-push syncs the file before it
# gets its name and the directory before exit 0; init and backup too. What
# restore, init, dump, copy, keys and export have made is all there when the
# power goes right after exit 0 (T3, T64, T91). Cuts before: 98-power-cut.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# shellcheck source=tests/lib/faults.sh
. "$TEST_TOP/tests/lib/faults.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n"
as_user mkdir "$T/ts"
sql src "CREATE TABLESPACE ts LOCATION '$T/ts'"
sql src "CREATE TABLE in_ts TABLESPACE ts AS SELECT 1 AS n"
archive_with src false
pg_reload src
seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
calls=trace=openat,open,creat,mkdir,mkdirat,write,pwrite64,fsync,fdatasync,syncfs,sync_file_range,link,linkat,rename,renameat,renameat2,symlink,symlinkat,close,dup,dup2,exit_group

# Reads a trace (strace -f -y) and checks the order. For each published name:
# an fsync of the file before, one of the directory after.
cat >"$T/check.py" <<'END'
import os, re, sys
trace, root = sys.argv[1:3]
calls, pending = [], {}
for line in open(trace, errors="replace"):
    m = re.match(r"(\d+)\s+(.*)", line)
    pid, text = m.group(1), m.group(2)
    if text.endswith("<unfinished ...>\n") or text.endswith("<unfinished ...>"):
        pending[pid] = text.split("<unfinished")[0]
        continue
    m = re.match(r"<\.\.\. (\w+) resumed>(.*)", text)
    if m:
        text = pending.pop(pid, "") + m.group(2)
    calls.append(text)
synced, written, problems, published = {}, {}, [], []
for i, c in enumerate(calls):
    failed = re.search(r"= -1 E", c)
    m = re.match(r"(fsync|fdatasync)\(\d+<([^>]*)>", c)
    if m and not failed:
        synced[re.sub(r" \(deleted\)$", "", m.group(2))] = i
    m = re.match(r"(?:write|pwrite64)\(\d+<(%s[^>]*)>" % re.escape(root), c)
    if m and not failed:
        written[re.sub(r" \(deleted\)$", "", m.group(1))] = i
    m = re.match(r"(?:link|linkat|rename|renameat|renameat2)\((.*)\)\s*= 0", c)
    if m:
        names = re.findall(r'"([^"]*)"', m.group(1))
        bases = re.findall(r"(?:AT_FDCWD|\d+)<([^>]*)>", m.group(1))
        full = []
        for k, n in enumerate(names[:2]):
            base = bases[k] if k < len(bases) else ""
            full.append(n if n.startswith("/") else os.path.normpath(os.path.join(base, n)))
        old, new = full
        m2 = re.match(r"/proc/self/fd/(\d+)", old)
        published.append((i, old, new))
if not published:
    problems.append("nothing was published by link or rename")
for i, old, new in published:
    if not new.startswith(root):
        continue
    if not old.startswith("/proc/"):
        if synced.get(old, -1) < written.get(old, 0) or synced.get(old, i) >= i:
            problems.append("%s got its name before it was synced" % new)
    if synced.get(os.path.dirname(new), -1) < i:
        problems.append("the directory of %s was not synced afterwards" % new)
for f in written:
    if synced.get(f, -1) < written[f]:
        problems.append("%s was written and not synced" % f)
for p in problems[:20]:
    print(p)
sys.exit(1 if problems else 0)
END
traced() { # ROOT COMMAND...
	local root=$1
	shift
	rm -f "$T/trace"
	expect 0 as_user strace -f -y -qq -s 300 -e "$calls" -o "$T/trace" \
		"$BIN" --config "$CONF" "$@"
	run python3 "$T/check.py" "$T/trace" "$root"
	[ "$RC" = 0 ] || fail "not durable: $OUT $ERR"
}
note "archive-push"
traced "$REPO" archive-push "pg_wal/$seg"
[ -n "$(stored_wal "$seg")" ] || fail "not stored"
note "archive-push of what is stored already says 0 only if it is durable too"
expect 0 as_user strace -f -y -qq -e trace=fsync,fdatasync -o "$T/trace" \
	"$BIN" --config "$CONF" archive-push "pg_wal/$seg"
assert_match "$(cat "$T/trace")" 'fsync|fdatasync' "syncing on the second push"

note "backup"
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
traced "$REPO" backup

note "init"
good=$CONF
sed "s,^url = .*,url = file://$T/repo2," "$CONF" >"$T/two.conf"
CONF=$T/two.conf
traced "$T/repo2" init
CONF=$good

# ---- the power goes right after exit 0: as before the cut, however much of
# what was not synced is lost

tmpfs "$T/ram" 400m # inodes are not used again there
tmpfs "$T/kept" 800m
as_user mkdir -m 700 "$T/kept/state" "$T/ram/made"
cut_after() { # COMMAND...: what is left is in kept/strict and kept/names
	rm -rf "$T"/kept/{state/*,strict,names}
	faultrun -d "$T/ram" -s "$T/kept/state" -- "$@"
	[ "$RC" = 0 ] || fail "exit $RC: $ERR"
	as_user "$T/bin/faultrun" -m "$T/kept/strict" -s "$T/kept/state"
	as_user "$T/bin/faultrun" -m "$T/kept/names" -s "$T/kept/state" -n "$T/ram"
}
survives() { # LEAST-FILES COMMAND...
	local least=$1 which n
	shift
	note "power cut after: $*"
	n=$(find "$T/ram" ! -type d | wc -l)
	cut_after "$BIN" --config "$CONF" "$@"
	n=$(($(find "$T/ram" ! -type d | wc -l) - n))
	[ "$n" -ge "$least" ] || fail "only $n new files are there after $1"
	for which in strict names; do
		# Notes of who works may get lost or come back.
		diff -r --no-dereference -x leases -x intents -x tmp "$T/ram" "$T/kept/$which" >"$T/diff" 2>&1 ||
			fail "lost when the power goes after $1 ($which): $(head -n 5 "$T/diff")"
	done
}
cut_after /bin/sh -c "echo never synced >$T/ram/lost"
if [ -e "$T/kept/strict/lost" ] || [ "$(stat -c %s "$T/kept/names/lost")" != 0 ]; then
	fail "a cut takes nothing away"
fi

survives 500 restore -D "$T/ram/new" -T "$T/ts=$T/ram/ts"
rm -rf "$T/ram/new" "$T/ram/ts"
label=$(basename "$(dirname "$(find "$REPO" -name commit)")")
survives 2 export "$label" --output "$T/ram/made/tar"
sed "s,^url = .*,url = file://$T/ram/repo," "$CONF" >"$T/ram.conf"
{
	sed 's/^repositories = local$/repositories = local, second/' "$CONF"
	printf '\n[repository second]\nurl = file://%s/ram/second\n' "$T"
} >"$T/both.conf"
{
	sed "s,^url = .*,url = file://$T/ram/secret," "$CONF"
	echo "encryption-key-file = $T/ram/made/key"
} >"$T/secret.conf"
CONF=$T/both.conf
survives 1 init
survives 5 copy
CONF=$T/secret.conf
survives 5 init --encrypt
survives 1 keys add --new-key-file "$T/ram/made/vault" --name vault
survives 1 keys rotate
survives 3 dump postgres
CONF=$good

note "an error while syncing is an error of restore, and of archive-push"
seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
for error in EIO ENOSPC; do
	run as_user strace -f -qq -o /dev/null -e inject=fsync,fdatasync,syncfs:error=$error \
		"$BIN" --config "$CONF" restore -D "$T/new2" -T "$T/ts=$T/ts-new2"
	assert_ne "$RC" 0 "exit code of restore when syncing fails with $error"
	rm -rf "$T/new2" "$T/ts-new2"
done
