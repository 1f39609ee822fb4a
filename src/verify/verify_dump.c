/* SPDX-License-Identifier: PostgreSQL */
/*
 * That each item of a dump can be exported and loaded, without either: every
 * chunk that its list names is in its pack, is that item's, has the bytes,
 * rows and hash that the list says, and all of them give the item's CRC. The
 * table of contents is decoded, and must name all the data that there is, and
 * no other.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/dumpparts.h"
#include "repo/dumpread.h"
#include "repo/hash.h"
#include "verify/verify_work.h"

#define TRIES 2

/* One dump being proved by one thread. */
struct proof {
	struct vworker *w;
	const struct commit *commit;
	struct verify_backup *out;
	struct dumpset *set;
	struct dumpread *reader;
	const struct vpack **packs; /* by the set's indexes */
	uint64_t *live;
	uint32_t n_packs;
	uint64_t rows, chunks;
	bool whole;   /* nothing is bad so far */
	bool unknown; /* not all of it was read */
};

static void
note_item(struct proof *p, const char *path, uint64_t size,
    struct verify_file *bad, const char *reason)
{
	if (bad->path == NULL) {
		bad->path = xstrdup(path);
		bad->reason = xstrdup(reason);
		bad->size = size;
	}
	p->whole = false;
}

/* Is the frame what the list says? NULL, or why not. */
static const char *
check_chunk(const struct pack_facts *facts, const struct dump_item *item,
    const struct dump_chunk *c)
{
	const struct pack_frame *f;

	if (c->frame >= facts->n)
		return "its list names a frame that the pack does not have";
	f = &facts->frames[c->frame];
	if (f->bad)
		return "its frame is damaged";
	if (f->type != FRAME_DUMP)
		return "its list names a frame of another kind";
	if (f->plain_len != c->bytes)
		return "the frame has another length than its list says";
	if (!facts->paths)
		return NULL;
	if (f->path_hash != hash_64(item->path, strlen(item->path), 0))
		return "its list names a frame of another item";
	if (f->crc != c->crc || f->first != pack_half_hash(c->hash))
		return "the frame has another content than its list says";
	/* In COPY's text a line feed ends a row, and is nowhere else. */
	if (item->type == DUMP_ITEM_TABLE && f->n != c->rows)
		return "the frame has another number of rows than its list "
		       "says";
	return NULL;
}

static const char *
look_at_chunk(struct proof *p, const struct dump_item *item,
    const struct dump_chunk *c)
{
	const struct vpack *vp = p->packs[c->pack];

	p->live[c->pack] += c->bytes;
	if (vp->state == STATE_ERROR || vp->state == STATE_UNREAD) {
		p->out->unread |= vp->state == STATE_ERROR;
		p->unknown = true;
		return NULL;
	}
	if (vp->state == STATE_MISSING)
		return "its pack is not there";
	if (vp->facts == NULL)
		return "its pack cannot be read";
	return check_chunk(vp->facts, item, c);
}

static void
count_lists(struct proof *p, const struct dump_item *item)
{
	const struct pack_facts *facts;
	size_t i;

	for (i = 0; i < item->n_lists; i++) {
		facts = p->packs[item->lists[i].pack]->facts;
		if (facts != NULL && item->lists[i].frame < facts->n)
			p->live[item->lists[i].pack] +=
			    facts->frames[item->lists[i].frame].plain_len;
	}
}

/* What fails is damage of the item; -1 when it cannot be read, or cancelled. */
static int
note_error(struct proof *p, const struct dump_item *item,
    struct verify_file *bad, struct err *err)
{
	if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND &&
	    err->code != ERR_UNSUPPORTED)
		return -1;
	note_item(p, item->path, item->size, bad, err->msg);
	err_clear(err);
	return 0;
}

static int
prove_item(struct proof *p, const struct dump_item *item, struct err *err)
{
	struct verify_file bad = { .path = NULL };
	struct dump_chunk *chunks = NULL;
	const char *why;
	uint32_t crc = 0;
	size_t n, i;
	int rc;

	rc = dumpread_chunks(p->reader, item, &chunks, &n, err);
	if (rc != 0)
		rc = note_error(p, item, &bad, err);
	for (i = 0; chunks != NULL && i < n; i++) {
		why = look_at_chunk(p, item, &chunks[i]);
		if (why != NULL) {
			note_item(p, item->path, item->size, &bad, why);
			verify_add_range(&bad, i, 1);
		}
		crc = i == 0 ? chunks[i].crc : crc32c_combine(crc,
		    chunks[i].crc, chunks[i].bytes);
	}
	if (chunks != NULL) {
		p->chunks += n;
		if (bad.path == NULL && crc != item->crc)
			note_item(p, item->path, item->size, &bad,
			    "its chunks do not give its CRC");
	}
	if (item->type == DUMP_ITEM_TABLE)
		p->rows += item->rows;
	count_lists(p, item);
	free(chunks);
	p->out->files++;
	if (bad.path != NULL)
		verify_add_file(p->out, &bad);
	return rc;
}

/* The table of contents and the items name each other. */
static int
prove_contents(struct proof *p, struct err *err)
{
	const struct dump_item *item = dumpset_find(p->set,
	    p->commit->dump.globals ? "globals" : "archive");
	struct verify_file bad = { .path = NULL };
	struct archive_head head = { .n = 0 };
	struct dumpparts parts = { .n = 0 };
	int rc = 0;

	if (item == NULL) {
		note_item(p, p->commit->dump.globals ? "globals" : "archive",
		    0, &bad, "the dump does not have it");
		verify_add_file(p->out, &bad);
		return 0;
	}
	/* What is known to be damaged has been said. */
	if (p->commit->dump.globals || !p->whole)
		return 0;
	rc = dumpparts_head(p->set, p->reader, &head, err);
	if (rc == 0) {
		rc = dumpparts_find(&parts, p->set, &head, err);
		dumpparts_free(&parts);
		archive_head_free(&head);
	}
	if (rc != 0)
		rc = note_error(p, item, &bad, err);
	if (bad.path != NULL)
		verify_add_file(p->out, &bad);
	return rc;
}

static void
note_accounts(struct proof *p, const char *reason)
{
	(void)verify_note(p->w->run, VERIFY_ACCOUNTS, p->commit->label,
	    reason);
}

static uint64_t
at_most(uint64_t n, uint64_t max)
{
	return n < max ? n : max;
}

/* Only of what holds: of the rest nobody knows the right numbers. */
static void
check_accounts(struct proof *p)
{
	const struct commit *c = p->commit;
	const struct commit_pack *cp;
	const struct vpack *vp;
	char reason[256];
	uint32_t i;

	if (!p->whole || p->unknown)
		return;
	if (c->dump.rows != p->rows || c->dump.chunks != p->chunks) {
		(void)snprintf(reason, sizeof(reason), "says that it has %"
		    PRIu64 " rows in %" PRIu64 " chunks; it has %" PRIu64
		    " in %" PRIu64, c->dump.rows, c->dump.chunks, p->rows,
		    p->chunks);
		note_accounts(p, reason);
	}
	for (i = 0; i < p->n_packs; i++) {
		cp = dumpset_pack(p->set, i);
		vp = p->packs[i];
		/* One chunk may stand for several equal ones. */
		if (vp->facts == NULL || (cp->plain == vp->facts->plain &&
		    at_most(cp->live, cp->plain) ==
			at_most(p->live[i], cp->plain)))
			continue;
		(void)snprintf(reason, sizeof(reason), "says that pack %u of "
		    "attempt %u of %s has %" PRIu64 " bytes and refers to %"
		    PRIu64 "; it has %" PRIu64 " and %" PRIu64
		    " are referred to", cp->id.number, cp->id.attempt,
		    cp->id.label, cp->plain, cp->live, vp->facts->plain,
		    p->live[i]);
		note_accounts(p, reason);
		return;
	}
}

static int
open_proof(struct proof *p, struct vworker *w, const struct commit *c,
    struct verify_backup *b, struct err *err)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->w = w;
	p->commit = c;
	p->out = b;
	p->whole = true;
	if (dumpset_open(&p->set, w->repo, &w->run->inc, c->label, err) != 0 ||
	    dumpread_new(&p->reader, p->set, w->repo, err) != 0)
		return -1;
	while (dumpset_pack(p->set, p->n_packs) != NULL)
		p->n_packs++;
	p->packs = xcalloc(p->n_packs + 1, sizeof(*p->packs));
	p->live = xcalloc(p->n_packs + 1, sizeof(*p->live));
	for (i = 0; i < p->n_packs; i++)
		p->packs[i] = verify_find_pack(w->run,
		    &dumpset_pack(p->set, i)->id);
	return 0;
}

static void
close_proof(struct proof *p)
{
	dumpread_free(p->reader);
	dumpset_free(p->set);
	free(p->packs);
	free(p->live);
}

static int
prove_items(struct proof *p, struct err *err)
{
	const struct dump_item *items;
	size_t n, i;

	items = dumpset_items(p->set, &n);
	for (i = 0; i < n; i++)
		if (cancel_check(err) != 0 ||
		    prove_item(p, &items[i], err) != 0)
			return -1;
	if (prove_contents(p, err) != 0)
		return -1;
	check_accounts(p);
	return 0;
}

int
verify_prove_dump(struct vworker *w, const struct commit *c,
    struct verify_backup *b, struct err *err)
{
	struct proof p;
	size_t finding, i;
	unsigned tries;
	int rc = -1;

	for (tries = 0; tries < TRIES && rc != 0; tries++) {
		err_clear(err);
		verify_backup_clear(b);
		rc = open_proof(&p, w, c, b, err);
		if (rc == 0)
			rc = prove_items(&p, err);
		close_proof(&p);
		if (rc != 0 && err->code == ERR_CANCELLED)
			return -1;
	}
	b->bad_packs = verify_count_bad(w->run, c);
	for (i = 0; i < c->n_parts; i++)
		verify_count(w->run, 1, c->parts[i].size);
	if (rc == 0) {
		b->proved = p.whole && !p.unknown && b->bad_packs == 0;
		return 0;
	}
	if (err->code == ERR_DAMAGED || err->code == ERR_NOT_FOUND ||
	    err->code == ERR_UNSUPPORTED)
		b->manifest_bad = true;
	else
		b->unread = true;
	return verify_judge(w->run, VERIFY_MANIFEST, b->label, err, &finding);
}
