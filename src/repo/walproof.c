/* SPDX-License-Identifier: PostgreSQL */
/* Looking at the stored WAL that a recovery needs, object by object. */
#include "config.h"

#include "repo/walreach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "repo/cursor.h"
#include "repo/each.h"
#include "repo/walchain.h"

struct proof {
	struct wal_chain *chain;
	struct repo *repo; /* the thread's */
	struct frame_codec *codec;
	bool read;
	struct wal_proof *out;
	/* the records, while it is read */
	struct walread *records;
	uint32_t timeline; /* that records follow */
	pg_lsn at;	   /* what they have got so far */
};

/* Source: PostgreSQL src/include/commands/tablespace.h, xlogrecord.h. */
#define RMGR_TBLSPC 5
#define TBLSPC_CREATE 0x00
#define RECORD_HEADER 24
#define TABLESPACES_MAX 1000

void
wal_proof_free(struct wal_proof *p)
{
	free(p->tablespaces);
	p->tablespaces = NULL;
	p->n_tablespaces = 0;
}

/* The data of a record without blocks; NULL: it is of another form. */
static const uint8_t *
record_data(struct cursor *c, size_t *len)
{
	uint8_t id;

	(void)cursor_bytes(c, RECORD_HEADER);
	while (!c->bad) {
		id = cursor_u8(c);
		if (id == 253) /* origin */
			(void)cursor_bytes(c, 2);
		else if (id == 252) /* top-level transaction */
			(void)cursor_bytes(c, 4);
		else if (id == 254 || id == 255) {
			*len = id == 255 ? cursor_u8(c) : cursor_le32(c);
			return cursor_bytes(c, *len);
		} else
			break;
	}
	return NULL;
}

static void
note_tablespace(struct wal_proof *out, const struct wal_event *ev,
    const uint8_t *record, size_t record_len)
{
	struct cursor c = { .p = record, .left = record_len };
	struct wal_tablespace *t;
	const uint8_t *data;
	size_t len = 0;

	if (record_len < RECORD_HEADER || record[17] != RMGR_TBLSPC ||
	    (record[16] & 0xf0) != TBLSPC_CREATE ||
	    out->n_tablespaces == TABLESPACES_MAX)
		return;
	data = record_data(&c, &len);
	if (data == NULL || len < 5 || data[len - 1] != '\0')
		return;
	out->tablespaces = xreallocarray(out->tablespaces,
	    out->n_tablespaces + 1, sizeof(*out->tablespaces));
	t = &out->tablespaces[out->n_tablespaces++];
	t->oid = get_le32(data);
	t->lsn = ev->lsn;
	(void)snprintf(t->path, sizeof(t->path), "%s",
	    (const char *)data + 4);
}

/* Takes the WAL's content in order, and looks at each record. */
static int
look_at_records(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct proof *p = arg;
	const uint8_t *record;
	struct wal_event ev;
	size_t record_len;
	int major;

	walread_feed(p->records, p->at, data, len);
	p->at += len;
	while (walread_next(p->records, &ev)) {
		record = walread_record(p->records, &record_len, &major);
		note_tablespace(p->out, &ev, record, record_len);
	}
	return cancel_check(err);
}

/* Records go on from one segment to the next of the same timeline. */
static void
begin_segment(struct proof *p, const struct wal_stored *ws)
{
	const uint32_t size = p->chain->segment_size;
	const pg_lsn start = wal_segment_start(wal_segno(&ws->file, size),
	    size);

	if (p->records != NULL && p->at == start &&
	    p->timeline == ws->file.timeline)
		return;
	walread_free(p->records);
	p->records = walread_new(size, 0);
	p->timeline = ws->file.timeline;
	p->at = start;
}

/* One generation of a segment, all of its parts. */
static int
prove_object(struct proof *p, const struct wal_stored *ws, uint64_t *bytes,
    struct err *err)
{
	const struct wal_chain *c = p->chain;
	struct format_wal_tag tag;
	char key[STORAGE_KEY_MAX];
	uint64_t size;
	uint32_t part;

	*bytes = ws->size;
	if (p->read) {
		begin_segment(p, ws);
		return wal_store_read(p->repo, c->inc, ws, p->codec,
		    look_at_records, p, err);
	}
	if (wal_store_describe(p->repo, c->inc, ws, &tag, NULL, err) != 0)
		return -1;
	for (part = 1; part < tag.parts; part++) {
		wal_store_key(c->inc, &ws->file, ws->hash, ws->generation,
		    part, key);
		if (storage_stat(p->repo->st, key, &size, NULL, err) != 0)
			return -1;
		*bytes += size;
	}
	return 0;
}

/* The generation at hand, or another one that holds. */
static int
prove_link(struct proof *p, size_t at, uint64_t *bytes, struct err *err)
{
	const struct wal_chain *c = p->chain;
	struct wal_stored ws, *all = NULL;
	struct err why = ERR_INIT;
	struct wal_link l;
	size_t i, n = 0;
	int ret;

	if (wal_chain_link(c, at, &l, err) != 0)
		return -1;
	ws = wal_chain_stored(&l);
	ret = prove_object(p, &ws, bytes, err);
	if (ret != 0 && err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
		return -1;
	if (ret != 0 && wal_store_find(p->repo, c->inc, &ws.file, &all, &n,
		&why) != 0)
		n = 0;
	for (i = 0; i < n && ret != 0; i++)
		if (all[i].generation != ws.generation &&
		    memcmp(all[i].hash, ws.hash, WAL_HASH_SIZE) == 0)
			ret = prove_object(p, &all[i], bytes, &why);
	free(all);
	if (ret != 0) {
		/* It was listed, or part 0 names it: no absence. */
		err->code = ERR_DAMAGED;
		err_wrap(err, "WAL segment %s", ws.file.segment);
		return err_hint(err, "if a server still has it: dapk-backup "
		    "archive-push PATH stores it again; else choose a target "
		    "before it");
	}
	err_clear(err);
	return 0;
}

/* The links that are needed. */
static size_t
needed(const struct wal_chain *c, pg_lsn until)
{
	size_t n = 0;

	while (n < c->n && wal_chain_start(c, n) < until)
		n++;
	return n;
}

/* One of them is looked for, in any thread. */
struct looking {
	const struct proof *p;
	uint64_t *bytes;
};

static int
look_for(struct repo *repo, void *arg, size_t i, struct err *err)
{
	struct looking *l = arg;
	struct proof own = *l->p;

	own.repo = repo;
	return prove_link(&own, i, &l->bytes[i], err);
}

static int
look_for_all(struct proof *p, size_t n, struct err *err)
{
	struct looking l = { .p = p };
	size_t i;
	int ret;

	l.bytes = xcalloc(n + 1, sizeof(*l.bytes));
	ret = repo_each(p->repo, n, look_for, &l, err);
	for (i = 0; i < n; i++)
		p->out->stored_bytes += l.bytes[i];
	p->out->segments = n;
	free(l.bytes);
	return ret;
}

static int
read_all(struct proof *p, size_t n, struct err *err)
{
	uint64_t bytes;
	size_t i;

	for (i = 0; i < n; i++)
		if (cancel_check(err) != 0 ||
		    prove_link(p, i, &bytes, err) != 0)
			return -1;
	return 0;
}

int
wal_reach_prove(struct repo *repo, const struct commit *backup,
    const struct history *path, pg_lsn until, uint64_t read_max,
    struct wal_proof *out, struct err *err)
{
	struct wal_chain c;
	struct proof p = { .chain = &c, .repo = repo, .out = out };
	size_t n;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	/* Never from what is remembered: the store itself is asked. */
	if (wal_chain_build(&c, repo, &backup->inc, NULL,
		backup->wal_segment_size, path, wal_segno_of_lsn(
		    backup->start_lsn, backup->wal_segment_size), err) != 0)
		goto out;
	n = needed(&c, until);
	if (look_for_all(&p, n, err) != 0)
		goto out;
	if (out->stored_bytes <= read_max) {
		p.read = true;
		p.codec = frame_codec_new(1);
		if (read_all(&p, n, err) != 0)
			goto out;
		out->read = true;
	}
	ret = 0;
out:
	frame_codec_free(p.codec);
	walread_free(p.records);
	wal_chain_free(&c);
	return ret;
}
