/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/text.h"
#include "load/loadjob.h"
#include "repo/dumplobs.h"

/* Bytes and pieces of objects that go in one statement. */
#define BATCH_BYTES ((size_t)1 << 20)
#define BATCH_PIECES 500
#define SQL_MAX (2 * BATCH_BYTES + BATCH_PIECES * 64 + 4096)

struct objects {
	struct pg_conn *conn;
	struct load_result *result;
	struct dumplobs parser;
	struct buf sql; /* the statement, without its end */
	size_t pieces, bytes;
	uint32_t oid; /* at hand */
	uint64_t at;  /* bytes of it so far */
};

/* One statement writes all pieces that were gathered. */
static int
flush(struct objects *o, struct err *err)
{
	int rc;

	if (o->pieces == 0)
		return 0;
	buf_add_str(&o->sql, ") AS p(o, b, d)");
	rc = buf_check(&o->sql, "a statement", err);
	if (rc == 0)
		rc = pg_execute(o->conn, buf_str(&o->sql), err);
	buf_clear(&o->sql);
	o->pieces = o->bytes = 0;
	return rc;
}

static void
add_piece(struct objects *o, const uint8_t *data, size_t len)
{
	char *hex = xmalloc(2 * len + 1);

	if (o->pieces == 0)
		buf_add_str(&o->sql, "SELECT pg_catalog.count("
		    "pg_catalog.lo_put(p.o, p.b, p.d)) FROM (VALUES ");
	text_hex(data, len, hex);
	/* E: the dump may have standard_conforming_strings off. */
	buf_printf(&o->sql, "%s(%" PRIu32 "::pg_catalog.oid, %" PRIu64
	    "::pg_catalog.int8, E'\\\\x", o->pieces > 0 ? "," : "", o->oid,
	    o->at);
	buf_add_str(&o->sql, hex);
	buf_add_str(&o->sql, "'::pg_catalog.bytea)");
	free(hex);
	o->pieces++;
	o->bytes += len;
	o->at += len;
}

static int
object_begin(void *arg, uint32_t oid, uint64_t size, struct err *err)
{
	struct objects *o = arg;

	(void)size;
	(void)err;
	o->oid = oid;
	o->at = 0;
	return 0;
}

static int
object_data(void *arg, const void *data, size_t len, struct err *err)
{
	struct objects *o = arg;
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = BATCH_BYTES - o->bytes;

		n = len < n ? len : n;
		add_piece(o, p, n);
		p += n;
		len -= n;
		if ((o->bytes == BATCH_BYTES || o->pieces == BATCH_PIECES) &&
		    flush(o, err) != 0)
			return -1;
	}
	return 0;
}

static int
object_end(void *arg, struct err *err)
{
	struct objects *o = arg;

	(void)err;
	atomic_fetch_add(&o->result->large_objects, 1);
	return 0;
}

void
objects_new(struct objects **out, struct pg_conn *conn,
    struct load_result *result)
{
	struct objects *o = xcalloc(1, sizeof(*o));

	o->conn = conn;
	o->result = result;
	o->parser.begin = object_begin;
	o->parser.data = object_data;
	o->parser.end = object_end;
	o->parser.arg = o;
	buf_init(&o->sql, SQL_MAX);
	*out = o;
}

void
objects_free(struct objects *o)
{
	if (o == NULL)
		return;
	buf_free(&o->sql);
	free(o);
}

int
objects_feed(struct objects *o, const void *data, size_t len, struct err *err)
{
	return dumplobs_feed(&o->parser, data, len, err);
}

int
objects_finish(struct objects *o, struct err *err)
{
	if (flush(o, err) != 0)
		return -1;
	return dumplobs_finish(&o->parser, err);
}
