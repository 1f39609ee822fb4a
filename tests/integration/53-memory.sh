#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Memory stays bounded: archive-push and archive-get of a 1 GB segment within
# 64 MiB, a backup of many small tables within 32 MiB plus 24 MiB a worker.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# Peak of all memory that is ours alone: VmHWM less files and shared memory
# is not recorded by the kernel, so VmHWM itself, read when the process ends.
peak_kb() { # COMMAND...: leaves PEAK
	expect "${CODE:-0}" as_user python3 -c '
import os, resource, sys
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print("peak", usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))' "$@"
	PEAK=$(sed -n 's/^peak //p' <<<"$OUT")
}

note "a segment of 1 GB"
pg_new big 15 --wal-segsize=1024
pg_conf big "max_wal_size = 4GB" "min_wal_size = 2GB"
archive_with big false
REPO=$T/repo-big CONF=$T/big.conf
write_conf big
dapk init >/dev/null
pg_start big
sql big "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 200000) n"
seg=$(sql big "SELECT pg_walfile_name(pg_switch_wal())")
assert_eq "$(stat -c %s "$T/big/pg_wal/$seg")" $((1 << 30)) "segment size"
pg_stop big
peak_kb "$BIN" --config "$CONF" archive-push "pg_wal/$seg"
note "archive-push: $PEAK kB"
assert_between "$PEAK" 1000 65536 "kB of archive-push"
as_user mkdir "$T/dest"
for prefetch in 0 128MB; do
	peak_kb "$BIN" --config "$CONF" archive-get --prefetch $prefetch "$seg" "$T/dest/x"
	note "archive-get --prefetch $prefetch: $PEAK kB"
	assert_between "$PEAK" 1000 65536 "kB of archive-get"
	cmp "$T/dest/x" "$T/big/pg_wal/$seg"
	rm "$T/dest/x"
done
rm -rf "$T/repo-big" "$T/big" "$T/dest" "$T/state"

note "10000 small tables"
REPO=$T/repo CONF=$T/dapk.conf
pg_new src
pg_conf src "max_locks_per_transaction = 1024" "archive_command = '/bin/true'"
archive_with src "$BIN --config $CONF archive-push %p"
write_conf src
dapk init >/dev/null
pg_start src
sql src "DO \$\$ BEGIN FOR i IN 1..10000 LOOP
	EXECUTE format('CREATE TABLE t%s AS SELECT %s AS n', i, i); END LOOP; END \$\$"
for jobs in 2 4; do
	peak_kb "$BIN" --config "$CONF" backup --jobs $jobs
	note "backup with $jobs workers: $PEAK kB"
	assert_between "$PEAK" 1000 $(((32 + 24 * jobs) * 1024)) "kB of a backup with $jobs workers"
done
peak_kb "$BIN" --config "$CONF" restore -D "$T/new" --jobs 2
note "restore: $PEAK kB"
assert_between "$PEAK" 1000 $(((32 + 24 * 2) * 1024)) "kB of a restore with 2 workers"
files=$(find "$T/new/base" -type f | wc -l)
assert_between "$files" 10000 20000 "restored files"
