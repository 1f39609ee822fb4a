/* SPDX-License-Identifier: PostgreSQL */
/*
 * For integration tests: what src/pg says of WAL, one change a line, to be
 * held against pg_waldump and PostgreSQL's own summaries.
 *
 *	walblocks wal FROM TO SEGMENT...	segment files, in order
 *	walblocks summary FILE
 *
 * "TABLESPACE DATABASE RELATION FORK block N", "... limit N" or
 * "... database"; exit code 1 when something is not understood.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io.h"
#include "pg/walread.h"
#include "pg/walsumfile.h"

#define FILE_MAX ((size_t)1 << 30)

static void
print_change(void *arg, const struct wal_change *c)
{
	static const char *const names[] = { "block", "limit", "database" };

	(void)arg;
	(void)printf("%u %u %u %u %s %u\n", c->relation.tablespace,
	    c->relation.database, c->relation.node, c->fork, names[c->type],
	    c->block);
}

static int
failed(const char *what)
{
	(void)fprintf(stderr, "%s\n", what);
	return 1;
}

static int
print_records(struct walread *r, pg_lsn from, pg_lsn to)
{
	struct wal_event ev;
	const uint8_t *record;
	const char *reason;
	size_t len;
	int major;

	while (walread_next(r, &ev)) {
		if (ev.lsn < from || ev.lsn >= to)
			continue;
		record = walread_record(r, &len, &major);
		if (!wal_blocks_decode(record, len, major, print_change, NULL,
			&reason))
			return failed(reason);
	}
	return 0;
}

static int
print_wal(pg_lsn from, pg_lsn to, char **files, int n)
{
	struct wal_segment_header h;
	struct walread *r = NULL;
	struct err err = ERR_INIT;
	struct buf b;
	int i, rc = 0;

	buf_init(&b, FILE_MAX);
	for (i = 0; i < n && rc == 0; i++) {
		buf_clear(&b);
		if (io_read_file(files[i], &b, &err) != 0 ||
		    wal_segment_header_decode(b.data, b.len, &h, &err) != 0) {
			rc = failed(err.msg);
			break;
		}
		if (r == NULL)
			r = walread_new(h.segment_size, h.block_size);
		walread_feed(r, h.page_addr, b.data, b.len);
		rc = print_records(r, from, to);
	}
	walread_free(r);
	buf_free(&b);
	return rc;
}

static int
print_summary(const char *file)
{
	struct err err = ERR_INIT;
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX);
	rc = io_read_file(file, &b, &err);
	if (rc == 0)
		rc = wal_sumfile_decode(b.data, b.len, print_change, NULL,
		    &err);
	buf_free(&b);
	return rc == 0 ? 0 : failed(err.msg);
}

int
main(int argc, char **argv)
{
	pg_lsn from, to;

	if (argc == 3 && strcmp(argv[1], "summary") == 0)
		return print_summary(argv[2]);
	if (argc < 5 || strcmp(argv[1], "wal") != 0 ||
	    !lsn_parse(argv[2], &from) || !lsn_parse(argv[3], &to))
		return failed("usage: walblocks wal FROM TO SEGMENT...");
	return print_wal(from, to, argv + 4, argc - 4);
}
