#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A server that was set back (a snapshot of its machine reverted) writes the
# WAL file names again that it archived before. A backup must not take the
# WAL of the history that was given up for its own.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
write_conf src 'archive-timeout = 5s'
sql src "CREATE TABLE t AS SELECT 1 AS n"
archive_now src
pg_stop src
as_user cp -a "$T/src" "$T/snapshot"
pg_start src
for n in 2 3 4 5; do
	sql src "INSERT INTO t VALUES ($n)"
	archive_now src
done
pg_stop src
as_user rm -rf "$T/src"
as_user mv "$T/snapshot" "$T/src"
pg_start src
sql src "CREATE TABLE other AS SELECT 1 AS n"

expect 4 dapk backup
assert_clear_error 'archiving fails'
assert_eq "$(find "$REPO/clusters" -name commit | wc -l)" 0 "commits"
