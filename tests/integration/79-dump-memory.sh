#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Memory stays within 48 MiB plus 16 MiB a job, whatever is dumped; a row that
# is larger than COPY can carry is an error that names table and key. With
# DAPK_TEST_LARGE=1 (scripts/test-full) also a row of 400 MB: that job may grow
# by three times its text form.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

# Of this program alone: the kernel's record of it, read until it ends.
peak_kb() { # COMMAND...: leaves PEAK
	expect "${CODE:-0}" as_user python3 -c '
import os, sys, time
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
peak = 0
while True:
	try:
		for line in open(f"/proc/{pid}/status"):
			if line.startswith("VmHWM:"):
				peak = int(line.split()[1])
	except OSError:
		pass
	done, status = os.waitpid(pid, os.WNOHANG)
	if done:
		break
	time.sleep(0.005)
print("peak", peak)
sys.exit(os.waitstatus_to_exitcode(status))' "$@"
	PEAK=$(sed -n 's/^peak //p' <<<"$OUT")
}
dump_within() { # LIMIT-KB WHAT option...
	peak_kb "$BIN" --config "$CONF" dump "${@:3}"
	note "$2: $PEAK kB"
	assert_between "$PEAK" 1000 "$1" "kB of a dump of $2"
}

dumps_with_repository src
new_db src shop
sql_file src shop <<'END'
CREATE TABLE many AS SELECT n, md5(n::text) AS a, repeat(md5((n * 7)::text), 20) AS t FROM generate_series(1, 250000) n;
CREATE TABLE toasted (id int, t text);
ALTER TABLE toasted ALTER COLUMN t SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT n, repeat(md5(n::text), 62500) FROM generate_series(1, 60) n;
SELECT lo_from_bytea(4711, convert_to(repeat(md5('x'), 2000000), 'UTF8'));
END
for jobs in 1 2 4; do
	dump_within $(((48 + 16 * jobs) * 1024)) "wide and narrow rows, $jobs jobs" shop --full --jobs $jobs
done
dump_within $(((48 + 16 * 2) * 1024)) "what is stored already, 2 jobs" shop --jobs 2
LABEL=$(newest_dump)
new_db src back
peak_kb "$BIN" --config "$CONF" load -U postgres "$LABEL" --database back --jobs 2
note "load: $PEAK kB"
assert_between "$PEAK" 1000 $(((48 + 16 * 2) * 1024)) "kB of a load"
assert_same_db src shop src back
drop_db src back
for format in directory custom plain; do
	peak_kb "$BIN" --config "$CONF" export "$LABEL" --format $format --output "$T/x.$format"
	note "export $format: $PEAK kB"
	assert_between "$PEAK" 1000 $(((48 + 16 * 2) * 1024)) "kB of an export"
	rm -rf "$T/x.$format"
done

note "a row that COPY cannot carry"
sql_file src shop <<'END'
CREATE TABLE huge (k text, region int, b1 bytea, b2 bytea, PRIMARY KEY (region, k));
ALTER TABLE huge ALTER COLUMN b1 SET STORAGE EXTERNAL, ALTER COLUMN b2 SET STORAGE EXTERNAL;
INSERT INTO huge SELECT 'small ' || n, n, 'x', 'y' FROM generate_series(1, 10) n;
INSERT INTO huge VALUES ('the "big" one', 7, convert_to(repeat('0123456789', 30000000), 'UTF8'), convert_to(repeat('0123456789', 30000000), 'UTF8'));
END
before=$(dump_commits)
expect 4 dapk dump shop --jobs 2
assert_clear_error 'huge'
assert_contains "$ERR" '(region, k) = (7,"the ""big"" one")' "the error"
assert_eq "$(dump_commits)" "$before" "commits of dumps"
sql src "DROP TABLE huge" shop

[ -n "${DAPK_TEST_LARGE:-}" ] || exit 0
note "a row of 400 MB"
sql_file src shop <<'END'
CREATE TABLE large (id int PRIMARY KEY, b bytea);
ALTER TABLE large ALTER COLUMN b SET STORAGE EXTERNAL;
INSERT INTO large VALUES (1, '\x00'), (2, convert_to(repeat('0123456789', 40000000), 'UTF8')), (3, '\x01');
END
text_kb=$((800000 * 1000 / 1024))
dump_within $(((48 + 16 * 2) * 1024 + 3 * text_kb)) "a row of 400 MB, 2 jobs" shop --jobs 2 --full
LABEL=$(newest_dump)
new_db src back
peak_kb "$BIN" --config "$CONF" load -U postgres "$LABEL" --database back --jobs 2
note "load: $PEAK kB"
assert_between "$PEAK" 1000 $(((48 + 16 * 2) * 1024 + 3 * text_kb)) "kB of a load"
assert_eq "$(sql src "SELECT md5(b) FROM large WHERE id = 2" back)" "$(sql src "SELECT md5(b) FROM large WHERE id = 2" shop)" "content of the row"
expect 0 dapk export "$LABEL" --format directory --output "$T/x"
drop_db src back
restored_by_stock src back directory "$T/x" -j 2
assert_eq "$(sql src "SELECT md5(b) FROM large WHERE id = 2" back)" "$(sql src "SELECT md5(b) FROM large WHERE id = 2" shop)" "content of the row"
