/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/lobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "pg/copy.h"
#include "pg/rights.h"

/* One in 128 OIDs ends an item, some 128 objects each. */
#define CUT_SHIFT 25
#define PIECE 1048576
#define PIECE_SQL "1048576"
#define OIDS_SQL_MAX ((size_t)LOBS_ITEM_MAX * 12)
#define OBJECT_HEAD 12 /* u32 OID, u64 length */

/*
 * One row for each piece of each object, with the object's size: what there
 * is to read is asked and read in one statement. Binary, so that bytes come
 * as bytes; every descriptor is closed again at once.
 */
#define READ_SQL_BEGIN                                                     \
	"COPY (SELECT o.oid, s.size, p.off,"                               \
	" pg_catalog.lo_get(o.oid, p.off, " PIECE_SQL ")"                  \
	" FROM pg_catalog.unnest('{"
#define READ_SQL_END                                                       \
	"}'::pg_catalog.oid[]) AS o(oid)"                                  \
	" CROSS JOIN LATERAL (SELECT pg_catalog.lo_lseek64(f.fd, 0, 2)"    \
	" AS size, pg_catalog.lo_close(f.fd) AS closed"                    \
	" FROM (SELECT pg_catalog.lo_open(o.oid, 262144) AS fd OFFSET 0)"  \
	" AS f OFFSET 0) AS s"                                             \
	" CROSS JOIN LATERAL pg_catalog.generate_series(0::pg_catalog.int8," \
	" CASE WHEN s.size > 0 THEN s.size - 1 ELSE 0 END, " PIECE_SQL ")" \
	" AS p(off)) TO STDOUT (FORMAT binary)"

/* COPY's binary format (its documentation): this, flags, an extension. */
static const uint8_t signature[11] = "PGCOPY\n\377\r\n";
#define COPY_HEAD (sizeof(signature) + 8)
#define COPY_EXTENSION_MAX 65536
#define ROW_HEAD (2 + (4 + 4) + (4 + 8) + (4 + 8) + 4)
#define ROW_MAX ((size_t)ROW_HEAD + PIECE)
/* A message may hold the beginning, a row and the end. */
#define PENDING_MAX (2 * ROW_MAX + COPY_HEAD + COPY_EXTENSION_MAX)

struct reading {
	const struct lobs_item *item;
	lobs_sink *sink;
	void *arg;
	struct buf pending; /* came, and is no whole row yet */
	bool head_seen, end_seen;
	size_t at;     /* which object is read */
	uint64_t done; /* bytes of it */
	uint64_t size; /* of it, once done > 0 */
};

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t
be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static int
compare_oids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Multiplied, so that neighbours have nothing in common. */
static bool
ends_item(uint32_t oid)
{
	return (uint32_t)(oid * UINT32_C(2654435761)) >> CUT_SHIFT == 0;
}

/* Room for one more item of the plan. */
static struct lobs_item *
new_item(struct lobs_plan *plan)
{
	if ((plan->n & (plan->n - 1)) == 0)
		plan->list = xreallocarray(plan->list,
		    plan->n == 0 ? 1 : plan->n * 2, sizeof(*plan->list));
	memset(&plan->list[plan->n], 0, sizeof(*plan->list));
	return &plan->list[plan->n++];
}

/*
 * The n objects from `first` on of plan->oids, ascending, are those of this
 * entry. The items' pointers are set when all are there.
 */
static void
cut_items(struct lobs_plan *plan, size_t first, size_t n, int32_t dump_id)
{
	struct lobs_item *item = NULL;
	size_t i;

	for (i = first; i < first + n; i++) {
		if (item == NULL) {
			item = new_item(plan);
			item->dump_id = dump_id;
			(void)snprintf(item->path, sizeof(item->path),
			    "large_objects/%010" PRIu32, plan->oids[i]);
		}
		item->n++;
		if (item->n == LOBS_ITEM_MAX || ends_item(plan->oids[i]))
			item = NULL;
	}
}

static int
compare_items(const void *a, const void *b)
{
	const struct lobs_item *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Up to 1.15 pg_dump writes all that there are, whatever it described. */
static int
plan_all(struct lobs_plan *plan, const struct archive_entry *blobs,
    struct pg_conn *leader, struct err *err)
{
	static const char sql[] = "SELECT oid FROM"
	    " pg_catalog.pg_largeobject_metadata ORDER BY oid";
	struct pg_result *res;
	uint64_t oid;
	int i, n, rc = 0;

	if (pg_query(leader, &res, err, 0, NULL, sql) != 0)
		return err_wrap(err, "list the large objects");
	n = pg_rows(res);
	plan->oids = xcalloc((size_t)n + 1, sizeof(*plan->oids));
	for (i = 0; i < n && rc == 0; i++) {
		if (text_u64(pg_value(res, i, 0), UINT32_MAX, &oid))
			plan->oids[i] = (uint32_t)oid;
		else
			rc = err_set(err, ERR_POSTGRES, "a large object has "
			    "no number for its OID");
	}
	pg_result_free(res);
	if (rc == 0) {
		plan->objects = (uint64_t)n;
		cut_items(plan, 0, (size_t)n, blobs->dump_id);
	}
	return rc;
}

/* The entry that describes the objects whose content `blobs` has. */
static const struct archive_entry *
metadata_of(const struct archive_head *head, const struct archive_entry *blobs)
{
	const struct archive_entry *e;
	size_t i;

	for (i = 0; i < blobs->n_dependencies; i++) {
		e = archive_head_find(head, blobs->dependencies[i]);
		if (e != NULL && strcmp(e->desc, "BLOB METADATA") == 0)
			return e;
	}
	return NULL;
}

/* From 1.16 on the description is a list of OIDs, one a line. */
static int
plan_group(struct lobs_plan *plan, const struct archive_head *head,
    const struct archive_entry *blobs, size_t *room, struct err *err)
{
	const struct archive_entry *meta = metadata_of(head, blobs);
	const size_t first = (size_t)plan->objects;
	const char *p = meta != NULL && meta->defn != NULL ? meta->defn : "";
	uint64_t oid;
	char *line;
	bool ok;

	while (*p != '\0') {
		line = xstrndup(p, strcspn(p, "\n"));
		p += strlen(line) + (p[strlen(line)] == '\n');
		ok = text_u64(line, UINT32_MAX, &oid);
		free(line);
		if (!ok)
			return err_set(err, ERR_UNSUPPORTED, "pg_dump's entry "
			    "of large objects %s is not a list of OIDs",
			    meta->tag);
		if (plan->objects == *room) {
			*room = *room == 0 ? 1024 : *room * 2;
			plan->oids = xreallocarray(plan->oids, *room,
			    sizeof(*plan->oids));
		}
		plan->oids[plan->objects++] = (uint32_t)oid;
	}
	if (plan->objects == first)
		return err_set(err, ERR_UNSUPPORTED, "pg_dump does not tell "
		    "which large objects entry %s has", blobs->tag);
	qsort(plan->oids + first, plan->objects - first, sizeof(*plan->oids),
	    compare_oids);
	cut_items(plan, first, plan->objects - first, blobs->dump_id);
	return 0;
}

int
lobs_plan(struct lobs_plan *out, const struct archive_head *head,
    struct pg_conn *leader, struct err *err)
{
	const bool grouped = head->version >= ARCHIVE_VERSION(1, 16);
	struct lobs_plan plan = { .n = 0 };
	size_t i, room = 0, first = 0;
	int rc = 0;

	for (i = 0; i < head->n && rc == 0; i++) {
		const struct archive_entry *e = &head->entries[i];

		if (!archive_entry_is_large_objects(e))
			continue;
		if (grouped)
			rc = plan_group(&plan, head, e, &room, err);
		else if (plan.oids == NULL)
			rc = plan_all(&plan, e, leader, err);
		else
			rc = err_set(err, ERR_UNSUPPORTED, "pg_dump has more "
			    "than one entry of large objects");
	}
	if (rc != 0) {
		lobs_plan_free(&plan);
		return -1;
	}
	for (i = 0; i < plan.n; i++) {
		plan.list[i].oids = plan.oids + first;
		first += plan.list[i].n;
	}
	if (plan.n > 0)
		qsort(plan.list, plan.n, sizeof(*plan.list), compare_items);
	*out = plan;
	return 0;
}

void
lobs_plan_free(struct lobs_plan *plan)
{
	free(plan->list);
	free(plan->oids);
	memset(plan, 0, sizeof(*plan));
}

static int
odd(const struct reading *r, struct err *err)
{
	return err_set(err, ERR_POSTGRES, "what the server sent of the large "
	    "objects from %" PRIu32 " on is not what was asked for",
	    r->item->oids[0]);
}

/* A piece of the object at hand, or the first of the next one. */
static int
take_piece(struct reading *r, uint32_t oid, uint64_t size, uint64_t off,
    const uint8_t *data, size_t len, struct err *err)
{
	const uint64_t left = size - off;
	struct buf head;
	int rc = 0;

	if (r->at == r->item->n || oid != r->item->oids[r->at] ||
	    off != r->done || off > size || (off > 0 && size != r->size) ||
	    len != (left < PIECE ? left : PIECE))
		return odd(r, err);
	if (off == 0) {
		buf_init(&head, OBJECT_HEAD);
		buf_add_le32(&head, oid);
		buf_add_le64(&head, size);
		rc = r->sink(r->arg, head.data, head.len, size == 0, err);
		buf_free(&head);
	}
	if (rc == 0 && len > 0)
		rc = r->sink(r->arg, data, len, len == left, err);
	r->size = size;
	r->done += len;
	if (r->done == size) {
		r->at++;
		r->done = 0;
	}
	return rc;
}

/* The bytes of COPY's beginning, 0 when it is not all there yet. */
static int
take_head(struct reading *r, const uint8_t *p, size_t len, size_t *used,
    struct err *err)
{
	uint32_t extension;

	*used = 0;
	if (len < COPY_HEAD)
		return 0;
	extension = be32(p + sizeof(signature) + 4);
	if (memcmp(p, signature, sizeof(signature)) != 0 ||
	    be32(p + sizeof(signature)) != 0 ||
	    extension > COPY_EXTENSION_MAX)
		return odd(r, err);
	if (len < COPY_HEAD + extension)
		return 0;
	*used = COPY_HEAD + extension;
	r->head_seen = true;
	return 0;
}

/* One row, or the end; *used is 0 when it is not all there yet. */
static int
take_row(struct reading *r, const uint8_t *p, size_t len, size_t *used,
    struct err *err)
{
	uint32_t n;

	*used = 0;
	if (len < 2)
		return 0;
	if (be16(p) == UINT16_MAX && !r->end_seen) {
		r->end_seen = true;
		*used = 2;
		return 0;
	}
	if (be16(p) != 4 || r->end_seen)
		return odd(r, err);
	if (len < ROW_HEAD)
		return 0;
	n = be32(p + ROW_HEAD - 4);
	if (be32(p + 2) != 4 || be32(p + 10) != 8 || be32(p + 22) != 8 ||
	    n > PIECE)
		return odd(r, err);
	if (len < ROW_HEAD + n)
		return 0;
	*used = ROW_HEAD + n;
	return take_piece(r, be32(p + 6), be64(p + 14), be64(p + 26),
	    p + ROW_HEAD, n, err);
}

/* Take what is whole of the bytes; *used tells how many they were. */
static int
take(struct reading *r, const uint8_t *p, size_t len, size_t *used,
    struct err *err)
{
	size_t n;

	*used = 0;
	for (;;) {
		if (*used == len)
			return 0;
		if ((r->head_seen ?
			take_row(r, p + *used, len - *used, &n, err) :
			take_head(r, p + *used, len - *used, &n, err)) != 0)
			return -1;
		if (n == 0)
			return 0;
		*used += n;
	}
}

/* Mostly a message is a row; the rest waits for what follows. */
static int
take_message(struct reading *r, const char *data, size_t len, struct err *err)
{
	const uint8_t *p = (const uint8_t *)data;
	const bool joined = r->pending.len > 0;
	size_t used;

	if (joined) {
		buf_add(&r->pending, data, len);
		if (buf_check(&r->pending, "a row", err) != 0)
			return -1;
		p = r->pending.data;
		len = r->pending.len;
	}
	if (take(r, p, len, &used, err) != 0)
		return -1;
	if (joined) {
		memmove(r->pending.data, p + used, len - used);
		r->pending.len = len - used;
	} else if (used < len) {
		buf_add(&r->pending, p + used, len - used);
	}
	return buf_check(&r->pending, "a row", err);
}

static int
read_statement(const struct lobs_item *item, struct buf *sql, struct err *err)
{
	size_t i;

	buf_add_str(sql, READ_SQL_BEGIN);
	for (i = 0; i < item->n; i++)
		buf_printf(sql, "%s%" PRIu32, i > 0 ? "," : "",
		    item->oids[i]);
	buf_add_str(sql, READ_SQL_END);
	return buf_check(sql, "the list of large objects", err);
}

int
lobs_read(struct pg_conn *conn, const struct lobs_item *item, lobs_sink *sink,
    void *arg, struct err *err)
{
	struct reading r = { .item = item, .sink = sink, .arg = arg };
	const char *data;
	struct buf sql;
	size_t len;
	int rc, ret = -1;

	buf_init(&sql, OIDS_SQL_MAX + sizeof(READ_SQL_BEGIN) +
	    sizeof(READ_SQL_END));
	buf_init(&r.pending, PENDING_MAX);
	if (read_statement(item, &sql, err) != 0 ||
	    pg_copy_out_begin(conn, buf_str(&sql), err) != 0)
		goto out;
	while ((rc = pg_copy_out_next(conn, &data, &len, err)) > 0)
		if (take_message(&r, data, len, err) != 0)
			goto out;
	if (rc != 0)
		goto out;
	if (!r.end_seen || r.pending.len > 0 || r.at != item->n) {
		(void)odd(&r, err);
		goto out;
	}
	ret = 0;
out:
	if (ret != 0)
		(void)rights_hint(conn, "pg_read_all_data is for tables; type: "
		    "ALTER ROLE", " SET lo_compat_privileges = on; (what that "
		    "allows: docs/database-role.md), or leave them out with "
		    "--no-large-objects", err);
	if (ret != 0)
		(void)err_wrap(err, "large objects from %" PRIu32 " on",
		    item->oids[0]);
	buf_free(&r.pending);
	buf_free(&sql);
	return ret;
}
