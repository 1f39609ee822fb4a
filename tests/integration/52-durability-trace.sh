#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What is said to be stored is on disk: archive-push syncs the file before it
# gets its name and the directory before exit 0; init and backup too; restore
# syncs every file and directory it made (T3, T64, T91).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

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
mode, trace, root = sys.argv[1:4]
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
dirs_dirty, whole = {}, False
for i, c in enumerate(calls):
    failed = re.search(r"= -1 E", c)
    m = re.match(r"(fsync|fdatasync)\(\d+<([^>]*)>", c)
    if m and not failed:
        synced[re.sub(r" \(deleted\)$", "", m.group(2))] = i
    m = re.match(r"syncfs\(\d+<([^>]*)>", c)
    if m and not failed:
        whole = i
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
if mode == "put":
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
else:  # restore: everything that is in the tree now was synced after writing
    renamed = {new: old for _, old, new in published}
    n = 0
    for top in sys.argv[3:]:
        for d, subdirs, files in os.walk(top):
            if synced.get(d, -1) < 0 and not whole:
                problems.append("directory %s was not synced" % d)
            for f in files:
                p = os.path.join(d, f)
                n += 1
                if os.path.islink(p) or whole:
                    continue
                q = p if p in synced or p in written else renamed.get(p, p)
                if q not in synced or synced[q] < written.get(q, 0):
                    problems.append("%s was not synced after its last write" % p)
    print(n, "files")
    if n < 500:
        problems.append("only %d files were looked at" % n)
for p in problems[:20]:
    print(p)
sys.exit(1 if problems else 0)
END
traced() { # MODE ROOT[ MORE ROOTS] -- COMMAND...
	local mode=$1 roots=()
	shift
	while [ "$1" != -- ]; do
		roots+=("$1")
		shift
	done
	shift
	rm -f "$T/trace"
	expect 0 as_user strace -f -y -qq -s 300 -e "$calls" -o "$T/trace" \
		"$BIN" --config "$CONF" "$@"
	run python3 "$T/check.py" "$mode" "$T/trace" "${roots[@]}"
	[ "$RC" = 0 ] || fail "not durable: $OUT $ERR"
}

note "archive-push"
traced put "$REPO" -- archive-push "pg_wal/$seg"
[ -n "$(stored_wal "$seg")" ] || fail "not stored"
note "archive-push of what is stored already says 0 only if it is durable too"
expect 0 as_user strace -f -y -qq -e trace=fsync,fdatasync -o "$T/trace" \
	"$BIN" --config "$CONF" archive-push "pg_wal/$seg"
assert_match "$(cat "$T/trace")" 'fsync|fdatasync' "syncing on the second push"

note "backup"
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
traced put "$REPO" -- backup

note "init"
good=$CONF
sed "s,^url = .*,url = file://$T/repo2," "$CONF" >"$T/two.conf"
CONF=$T/two.conf
traced put "$T/repo2" -- init
CONF=$good

note "restore: every file and directory"
traced restore "$T/new" "$T/ts-new" -- restore -D "$T/new" -T "$T/ts=$T/ts-new"

note "an error while syncing is an error of restore, and of archive-push"
seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
for error in EIO ENOSPC; do
	run as_user strace -f -qq -o /dev/null -e inject=fsync,fdatasync,syncfs:error=$error \
		"$BIN" --config "$CONF" restore -D "$T/new2" -T "$T/ts=$T/ts-new2"
	assert_ne "$RC" 0 "exit code of restore when syncing fails with $error"
	rm -rf "$T/new2" "$T/ts-new2"
done
