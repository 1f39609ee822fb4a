/* SPDX-License-Identifier: PostgreSQL */
/*
 * That each file of a backup can be restored, without restoring it: every run
 * of its map lies in a frame that holds, of that file and those blocks, and
 * the CRCs of all blocks in order give the CRC of the file.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/filemap.h"
#include "repo/hash.h"
#include "repo/manifest_names.h"
#include "verify/verify_work.h"

#define CACHE_PACKS 64
#define TRIES 2

/* One backup being proved by one thread. */
struct proof {
	struct vworker *w;
	const struct commit *commit;
	struct verify_backup *out;
	struct pack_table table;
	const struct vpack **packs; /* of the table */
	uint64_t *live;
	struct filemap map;
	bool whole;   /* nothing is bad so far */
	bool unknown; /* not all of it was read */
};

struct proof_job {
	const struct commit *commit;
	struct verify_backup *out;
};

/* Where in a file the proof is. */
struct at {
	const struct manifest_entry *e;
	struct verify_file *bad; /* NULL until something is */
	uint64_t path_hash;
	uint64_t block;
	uint64_t left; /* bytes */
	uint32_t crc;
	bool any;
	bool unknown; /* some pack was not read */
};

void
verify_backup_clear(struct verify_backup *b)
{
	size_t i;

	for (i = 0; i < b->n_list; i++) {
		free(b->list[i].path);
		free(b->list[i].reason);
		free(b->list[i].ranges);
	}
	free(b->list);
	b->list = NULL;
	b->n_list = 0;
	b->files = b->bad_files = b->bad_blocks = 0;
}

void
verify_add_range(struct verify_file *f, uint64_t first, uint64_t n)
{
	struct verify_range *last = f->n_ranges == 0 ? NULL :
	    &f->ranges[f->n_ranges - 1];

	f->bad_blocks += n;
	if (last != NULL && last->first + last->n == first) {
		last->n += n;
		return;
	}
	if (f->n_ranges == VERIFY_RANGES_MAX)
		return;
	f->ranges = xreallocarray(f->ranges, f->n_ranges + 1,
	    sizeof(*f->ranges));
	f->ranges[f->n_ranges++] = (struct verify_range){ first, n };
}

static void
note_range(struct at *at, uint64_t first, uint64_t n,
    const char *reason)
{
	if (at->bad == NULL) {
		at->bad = xcalloc(1, sizeof(*at->bad));
		at->bad->path = xstrdup(at->e->path);
		at->bad->reason = xstrdup(reason);
		at->bad->size = at->e->size;
	}
	verify_add_range(at->bad, first, n);
}

void
verify_add_file(struct verify_backup *b, struct verify_file *file)
{
	b->bad_files++;
	b->bad_blocks += file->bad_blocks;
	if (b->n_list < VERIFY_FILES_MAX) {
		b->list = xreallocarray(b->list, b->n_list + 1,
		    sizeof(*b->list));
		b->list[b->n_list++] = *file;
		return;
	}
	free(file->path);
	free(file->reason);
	free(file->ranges);
}

static void
finish_file(struct proof *p, struct at *at)
{
	p->out->files++;
	if (at->bad == NULL)
		return;
	p->whole = false;
	verify_add_file(p->out, at->bad);
	free(at->bad);
}

static void
append_crc(struct at *at, uint32_t crc, uint64_t len)
{
	at->crc = at->any ? crc32c_combine(at->crc, crc, len) : crc;
	at->any = true;
}

/* The CRC of `len` bytes of zeros. */
static uint32_t
crc_of_zeros(uint64_t len)
{
	const uint8_t zero = 0;
	uint32_t crc = 0, power = crc32c(&zero, 1);
	uint64_t bit;

	for (bit = 1; bit != 0 && bit <= len; bit <<= 1) {
		if (len & bit)
			crc = crc32c_combine(crc, power, bit);
		power = crc32c_combine(power, power, bit);
	}
	return crc;
}

/* Does the frame have these blocks of this file? NULL, or why not. */
static const char *
check_reference(const struct at *at, const struct pack_facts *facts,
    const struct map_run *run, uint64_t len)
{
	const struct pack_frame *f;
	uint64_t begin, end, i;

	if (run->frame >= facts->n)
		return "the map names a frame that the pack does not have";
	f = &facts->frames[run->frame];
	if (f->bad)
		return "its frame is damaged";
	if (f->type != FRAME_FILE)
		return "the map names a frame of another kind";
	if (run->block >= f->n || run->blocks > f->n - run->block)
		return "the map names blocks that the frame does not have";
	begin = (uint64_t)run->block * facts->block_size;
	end = (run->block + run->blocks) * facts->block_size;
	if (end > f->plain_len)
		end = f->plain_len;
	if (end - begin != len)
		return "the frame's last block has another length";
	if (!facts->paths)
		return NULL;
	if (f->path_hash != at->path_hash)
		return "the map names a frame of another file";
	if (f->list == FACTS_NO_LIST)
		return f->first + run->block == at->block ? NULL :
		    "the frame has other blocks than the map says";
	for (i = 0; i < run->blocks; i++)
		if (facts->lists[f->list + run->block + i] != at->block + i)
			return "the frame has other blocks than the map says";
	return NULL;
}

static void
append_run(struct at *at, const struct pack_facts *facts,
    const struct map_run *run, uint64_t len)
{
	const struct pack_frame *f = &facts->frames[run->frame];
	const uint32_t bs = facts->block_size;
	uint64_t i, n;

	if (run->block == 0 && run->blocks == f->n) {
		append_crc(at, f->crc, len);
		return;
	}
	for (i = 0; i < run->blocks; i++, len -= n) {
		n = len < bs ? len : bs;
		append_crc(at, facts->crcs[f->crcs + run->block + i], n);
	}
}

static void
prove_run(struct proof *p, struct at *at, const struct map_run *run)
{
	const uint64_t bs = p->commit->block_size;
	uint64_t len = at->left / bs < run->blocks ? at->left :
						     run->blocks * bs;
	const struct vpack *vp;
	const char *why = NULL;

	if (run->pack == MAP_PACK_ZEROS) {
		append_crc(at, crc_of_zeros(len), len);
	} else {
		vp = p->packs[run->pack];
		p->live[run->pack] += len;
		if (vp->state == STATE_ERROR ||
		    vp->state == STATE_UNREAD) {
			p->out->unread |= vp->state == STATE_ERROR;
			at->unknown = true;
			goto next;
		}
		why = vp->state == STATE_MISSING ? "its pack is not there" :
		    vp->facts == NULL ? "its pack cannot be read" :
		    check_reference(at, vp->facts, run, len);
		if (why == NULL)
			append_run(at, vp->facts, run, len);
		else
			note_range(at, at->block, run->blocks, why);
	}
next:
	at->block += run->blocks;
	at->left -= len;
}

static void
count_maps(struct proof *p, const struct manifest_reader *r,
    const struct manifest_entry *e)
{
	const struct pack_facts *facts;
	const struct pack_id *id;
	uint32_t index;
	size_t i;

	for (i = 0; i < e->n_map; i++) {
		id = manifest_reader_pack(r, e->map[i].pack);
		if (id == NULL || !pack_table_find(&p->table, id, &index))
			continue;
		facts = p->packs[index]->facts;
		if (facts != NULL && e->map[i].frame < facts->n)
			p->live[index] +=
			    facts->frames[e->map[i].frame].plain_len;
	}
}

static int
prove_file(struct proof *p, const struct manifest_reader *r,
    const struct manifest_entry *e, struct err *err)
{
	const uint64_t bs = p->commit->block_size;
	struct at at = { .e = e, .left = e->size,
		.path_hash = hash_64(e->path, strlen(e->path), 0) };
	size_t i;

	if (filemap_read(&p->map, &p->table, p->w->cache, r, e,
		p->commit->block_size, err) != 0) {
		if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
			return -1;
		note_range(&at, 0, (e->size + bs - 1) / bs, err->msg);
		err_clear(err);
		finish_file(p, &at);
		return 0;
	}
	for (i = 0; i < p->map.n; i++)
		prove_run(p, &at, &p->map.runs[i]);
	count_maps(p, r, e);
	p->unknown |= at.unknown;
	if (at.bad == NULL && !at.unknown && at.crc != e->crc)
		note_range(&at, 0, at.block, "the blocks that its map "
		    "names do not give its CRC");
	finish_file(p, &at);
	return 0;
}

/* Only of what holds: of the rest nobody knows the right numbers. */
static void
check_accounts(struct proof *p)
{
	const struct commit_pack *cp;
	const struct vpack *vp;
	char reason[256];
	uint32_t i;

	for (i = 0; p->whole && i < p->table.n; i++) {
		cp = &p->table.list[i];
		vp = p->packs[i];
		if (vp->facts == NULL || cp->plain == 0)
			continue; /* version 0.1 did not count maps */
		if (cp->live == p->live[i] && cp->plain == vp->facts->plain)
			continue;
		(void)snprintf(reason, sizeof(reason), "says that pack %u of "
		    "attempt %u of %s has %llu bytes and refers to %llu; it "
		    "has %llu and %llu are referred to", cp->id.number,
		    cp->id.attempt, cp->id.label,
		    (unsigned long long)cp->plain,
		    (unsigned long long)cp->live,
		    (unsigned long long)vp->facts->plain,
		    (unsigned long long)p->live[i]);
		(void)verify_note(p->w->run, VERIFY_ACCOUNTS,
		    p->commit->label, reason);
		return;
	}
}

static int
prove_manifest(struct proof *p, struct err *err)
{
	const struct commit *c = p->commit;
	struct manifest_reader *r = NULL;
	struct manifest_entry e;
	int rc;

	if (manifest_reader_open(&r, p->w->repo, &p->w->run->inc, c->label,
		c->parts, c->n_parts, err) != 0)
		return -1;
	while ((rc = manifest_reader_next(r, &e, err)) == 1) {
		if (e.type != MANIFEST_FILE && e.type != MANIFEST_CONFIG &&
		    e.type != MANIFEST_CONTROL)
			continue;
		rc = cancel_check(err);
		if (rc == 0)
			rc = prove_file(p, r, &e, err);
		if (rc != 0)
			break;
	}
	manifest_reader_close(r);
	return rc;
}

static void
open_proof(struct proof *p, struct vworker *w, const struct proof_job *job)
{
	struct vrun *v = w->run;
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->w = w;
	p->commit = job->commit;
	p->out = job->out;
	p->whole = true;
	if (w->cache == NULL)
		w->cache = pack_cache_new_shared(w->repo, &v->inc,
		    CACHE_PACKS, v->packset);
	pack_table_init(&p->table, job->commit);
	p->packs = xcalloc(p->table.n + 1, sizeof(*p->packs));
	p->live = xcalloc(p->table.n + 1, sizeof(*p->live));
	for (i = 0; i < p->table.n; i++)
		p->packs[i] = verify_find_pack(v, &p->table.list[i].id);
	filemap_init(&p->map);
}

static void
close_proof(struct proof *p)
{
	pack_table_free(&p->table);
	free(p->packs);
	free(p->live);
	filemap_free(&p->map);
}

/* Restore refuses a backup that needs one of these, whatever is left of it. */
uint64_t
verify_count_bad(const struct vrun *v, const struct commit *c)
{
	const struct vpack *vp;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->n_packs; i++) {
		vp = verify_find_pack(v, &c->packs[i].id);
		n += vp->state == STATE_BAD || vp->state == STATE_MISSING;
	}
	return n;
}

static int
prove_backup(struct vworker *w, const struct proof_job *job, struct err *err)
{
	struct verify_backup *b = job->out;
	struct vrun *v = w->run;
	struct proof p;
	size_t finding, i;
	unsigned tries;
	int rc = -1;

	for (tries = 0; tries < TRIES && rc != 0; tries++) {
		err_clear(err);
		verify_backup_clear(b);
		open_proof(&p, w, job);
		rc = prove_manifest(&p, err);
		if (rc == 0)
			check_accounts(&p);
		close_proof(&p);
		if (rc != 0 && err->code == ERR_CANCELLED)
			return -1;
	}
	b->bad_packs = verify_count_bad(v, job->commit);
	for (i = 0; i < job->commit->n_parts; i++)
		verify_count(v, 1, job->commit->parts[i].size);
	if (rc == 0) {
		b->proved = p.whole && !p.unknown && b->bad_packs == 0;
		return 0;
	}
	if (err->code == ERR_DAMAGED || err->code == ERR_NOT_FOUND ||
	    err->code == ERR_UNSUPPORTED)
		b->manifest_bad = true;
	else
		b->unread = true;
	return verify_judge(v, VERIFY_MANIFEST, b->label, err, &finding);
}

static int
run_proof(void *worker, void *arg, bool skip, struct err *err)
{
	struct proof_job *job = arg;
	int rc = 0;

	if (!skip)
		rc = job->commit->kind == REPO_DUMP ?
		    verify_prove_dump(worker, job->commit, job->out, err) :
		    prove_backup(worker, job, err);
	free(job);
	return rc;
}

/* Its size, or a later generation's that fits; 0: it is not there. */
static int
size_of_part(struct vrun *v, const struct commit *c, size_t part,
    uint64_t *size, char key[STORAGE_KEY_MAX], struct err *err)
{
	char later[STORAGE_KEY_MAX];
	uint64_t found = 0;
	uint32_t g;

	*size = 0;
	manifest_part_key(&v->inc, c->kind, c->label, part, key);
	for (g = 0; found != c->parts[part].size; g++) {
		manifest_part_generation_key(&v->inc, c->kind, c->label, part,
		    g, later);
		found = 0;
		if (storage_stat(v->p->repo->st, later, &found, NULL,
			err) != 0) {
			if (err->code != ERR_NOT_FOUND)
				return -1;
			err_clear(err);
			if (g >= c->attempt) /* its own is one less */
				return 0;
		}
		if (g == 0 || found == c->parts[part].size)
			*size = found;
	}
	return 0;
}

/* Presence and sizes only. */
static int
look_at_backup(struct vrun *v, const struct commit *c,
    struct verify_backup *b, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint64_t size;
	size_t i;

	b->bad_packs = verify_count_bad(v, c);
	for (i = 0; i < c->n_parts; i++) {
		if (size_of_part(v, c, i, &size, key, err) != 0)
			return -1;
		verify_count(v, 1, 0);
		if (size == c->parts[i].size)
			continue;
		b->manifest_bad = true;
		(void)verify_note(v, VERIFY_MANIFEST, key, size == 0 ?
		    "is not there" : "has not the size that the commit says");
	}
	return 0;
}

static int
prove_set(struct vrun *v, const struct vset *s, struct err *err)
{
	struct proof_job *job;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (!s->selected[i] || s->list[i].commit_bad)
			continue;
		if (v->p->quick) {
			if (look_at_backup(v, &s->commits[i], &s->list[i],
				err) != 0)
				return -1;
			continue;
		}
		job = xcalloc(1, sizeof(*job));
		job->commit = &s->commits[i];
		job->out = &s->list[i];
		if (pool_submit(v->pool, run_proof, job, err) != 0)
			return -1;
		if (v->p->tick != NULL)
			v->p->tick(v->p->tick_arg);
	}
	return 0;
}

int
verify_prove(struct vrun *v, struct err *err)
{
	const struct vset backups = verify_set_of(v, REPO_BACKUP),
			  dumps = verify_set_of(v, REPO_DUMP);

	if (prove_set(v, &backups, err) != 0 || prove_set(v, &dumps, err) != 0)
		return -1;
	return verify_wait(v, err);
}
