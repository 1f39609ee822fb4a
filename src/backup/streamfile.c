/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/streamfile.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/mem.h"

#define PART_MAGIC UINT32_C(0xd3ae1f0d)
#define PART_HEAD 12 /* magic, blocks, end */
#define SKIP_SIZE 65536

void
streamfile_free(struct streamfile *f)
{
	if (f == NULL)
		return;
	if (f->next != NULL)
		f->next->link = f->link;
	*f->link = f->next;
	free(f->path);
	free(f->parent_runs);
	free(f->parent_map);
	free(f->part_blocks);
	free(f->part_crcs);
	free(f->runs.list);
	free(f);
}

static struct map_run *
copy_runs(const struct map_run *runs, size_t n)
{
	struct map_run *copy = xcalloc(n + 1, sizeof(*copy));

	if (n > 0)
		memcpy(copy, runs, n * sizeof(*copy));
	return copy;
}

/* What the parent has; what cannot be read of it counts as not there. */
static void
find_parent(struct streamfile *f, const struct streamfile_env *env,
    struct linestore *lines)
{
	struct parent *p = env->parent;
	struct err err = ERR_INIT;
	struct manifest_entry e;

	if (p == NULL || !linestore_find(lines, f->path, &e))
		return;
	if (filemap_read(&p->map, &p->packs, p->cache, p->reader, &e,
	    env->commit->block_size, &err) != 0) {
		log_warning("parent %s: %s: %s is stored anew",
		    p->commit.label, err.msg, f->path);
		return;
	}
	f->has_parent = true;
	f->parent_size = e.size;
	f->parent_crc = e.crc;
	f->n_parent_runs = p->map.n;
	f->parent_runs = copy_runs(p->map.runs, p->map.n);
	f->n_parent_map = p->map.n_frames;
	f->parent_map = copy_runs(p->map.frames, p->map.n_frames);
}

/* The path without "INCREMENTAL."; false: it is no part. */
static bool
part_path(const char *path, char **out)
{
	const char *name = strrchr(path, '/');
	const size_t n = strlen(STREAMFILE_PART);
	struct datafile df;

	name = name == NULL ? path : name + 1;
	*out = NULL;
	if (strncmp(name, STREAMFILE_PART, n) != 0)
		return false;
	*out = xasprintf("%.*s%s", (int)(name - path), path, name + n);
	datafile_parse(*out, &df);
	if (df.kind == DATAFILE_RELATION)
		return true;
	free(*out); /* a file of the user's that is called so */
	*out = NULL;
	return false;
}

static int
part_wrong(const struct streamfile *f, struct err *err)
{
	return err_set(err, ERR_POSTGRES, "the server sent a part of %s whose "
	    "header makes no sense", f->path);
}

static int
read_exactly(struct streamtar *tar, struct streamfile *f, void *data,
    size_t len, struct err *err)
{
	size_t got;

	if (streamtar_read(tar, data, len, &got, err) != 0)
		return -1;
	if (got != len)
		return part_wrong(f, err);
	f->sent_crc = crc32c_more(f->sent_crc, data, len);
	return 0;
}

/* The numbers of the blocks that follow; *left becomes their bytes. */
static int
read_part(struct streamfile *f, const struct streamfile_env *env,
    struct streamtar *tar, uint64_t *left, struct err *err)
{
	const uint32_t bs = env->commit->block_size;
	const uint32_t max = env->commit->relation_segment_blocks;
	uint8_t head[PART_HEAD], *raw = NULL;
	size_t bytes, i;
	int rc = -1;

	if (read_exactly(tar, f, head, sizeof(head), err) != 0)
		return -1;
	f->n_part = get_le32(head + 4);
	f->part_end = get_le32(head + 8);
	bytes = PART_HEAD + 4 * (size_t)f->n_part;
	if (f->n_part > 0)
		bytes = (bytes + bs - 1) / bs * bs;
	if (get_le32(head) != PART_MAGIC || f->n_part > max ||
	    f->part_end > max ||
	    *left != bytes + (uint64_t)f->n_part * bs)
		return part_wrong(f, err);
	*left -= bytes;
	bytes -= PART_HEAD;
	raw = xmalloc(bytes + 1);
	if (read_exactly(tar, f, raw, bytes, err) != 0)
		goto out;
	f->part_blocks = xcalloc(f->n_part + 1, sizeof(*f->part_blocks));
	f->part_crcs = xcalloc(f->n_part + 1, sizeof(*f->part_crcs));
	for (i = 0; i < f->n_part; i++) {
		f->part_blocks[i] = get_le32(raw + 4 * i);
		if (f->part_blocks[i] >= max ||
		    (i > 0 && f->part_blocks[i] <= f->part_blocks[i - 1])) {
			part_wrong(f, err);
			goto out;
		}
	}
	rc = 0;
out:
	free(raw);
	return rc;
}

/*
 * A part of a visibility map: clearing a bit of one registers no block in
 * WAL, so what was not sent may have changed. An empty one is safe.
 */
static int
drop_part(struct streamfile *f, struct streamtar *tar, uint64_t *left,
    struct err *err)
{
	uint8_t *data = xmalloc(SKIP_SIZE);
	size_t n;
	int rc = 0;

	f->dropped = true;
	for (; *left > 0 && rc == 0; *left -= n) {
		n = *left < SKIP_SIZE ? (size_t)*left : SKIP_SIZE;
		rc = read_exactly(tar, f, data, n, err);
	}
	free(data);
	return rc;
}

int
streamfile_new(struct streamfile **out, const struct streamtar_member *m,
    struct streamfile_env *env, struct linestore *parent_lines,
    struct streamtar *tar, uint64_t *left, struct err *err)
{
	struct streamfile *f = xcalloc(1, sizeof(*f));
	bool part = env->parent != NULL && part_path(m->path, &f->path);

	f->next = env->live;
	f->link = &env->live;
	if (f->next != NULL)
		f->next->link = &f->next;
	env->live = f;
	*out = f;
	if (!part)
		f->path = xstrdup(m->path);
	datafile_parse(f->path, &f->df);
	f->mode = m->mode;
	f->mtime = m->mtime;
	f->is_part = part;
	f->sent_size = m->size;
	*left = m->size;
	if (part && f->df.fork != FORK_MAIN)
		return drop_part(f, tar, left, err);
	find_parent(f, env, parent_lines);
	if (!part)
		return 0;
	if (!f->has_parent)
		return err_set(err, ERR_POSTGRES, "the server sent a part of "
		    "%s, of which the parent has nothing", f->path);
	return read_part(f, env, tar, left, err);
}

void
streamfile_add(struct streamfile *f, const struct map_run *runs, size_t n,
    uint64_t len, uint32_t crc, bool changed)
{
	size_t i;

	for (i = 0; i < n; i++)
		runs_add(&f->runs, &runs[i]);
	if (!f->is_part)
		f->crc = crc32c_combine(f->crc, crc, len);
	f->size += len;
	f->changed |= changed;
}

/* Goes through runs block by block. */
struct walker {
	const struct map_run *run, *end;
	uint64_t used; /* blocks of *run */
};

/* The next block's place; false: there are no more. */
static bool
walker_next(struct walker *w, struct map_run *out)
{
	while (w->run != w->end && w->used == w->run->blocks) {
		w->run++;
		w->used = 0;
	}
	if (w->run == w->end)
		return false;
	*out = *w->run;
	out->blocks = 1;
	if (out->pack != MAP_PACK_ZEROS)
		out->block += (uint32_t)w->used;
	w->used++;
	return true;
}

/* The CRC of a block that stays the parent's. */
static int
old_crc(struct compare *c, const struct map_run *old, uint32_t zeros,
    uint32_t *out, struct err *err)
{
	const struct page_sum *sums = NULL;

	*out = zeros;
	if (old->pack == MAP_PACK_ZEROS)
		return 0;
	if (compare_sums(c, old, &sums, err) != 0)
		return -1;
	if (sums == NULL) {
		err_set(err, ERR_DAMAGED, "the parent's page sums cannot be "
		    "read, so its pages cannot be taken over");
		return err_hint(err, "dapk-backup backup --full");
	}
	*out = sums->crc;
	return 0;
}

/* What was sent over what the parent has: runs and CRC of the whole. */
static int
overlay(struct streamfile *f, const struct streamfile_env *env,
    struct run_list *out, struct err *err)
{
	const uint32_t bs = env->commit->block_size;
	const uint32_t shift = crc32c_shift(bs);
	struct walker new = { f->runs.list, f->runs.list + f->runs.n, 0 };
	struct walker old = { f->parent_runs,
		f->parent_runs + f->n_parent_runs, 0 };
	uint32_t n = f->part_end, i, sent = 0, crc, zeros;
	struct map_run run, kept;
	uint8_t *zero = xcalloc(1, bs);
	bool has_old, same;
	int rc = 0;

	if (f->parent_size % bs != 0)
		return err_set(err, ERR_REFUSED, "%s has half a block at its "
		    "end in the parent: take a backup with --full", f->path);
	zeros = crc32c(zero, bs);
	free(zero);
	if (f->n_part > 0 && f->part_blocks[f->n_part - 1] >= n)
		n = f->part_blocks[f->n_part - 1] + 1;
	f->crc = 0;
	f->size = (uint64_t)n * bs;
	same = f->n_part == 0 && f->size == f->parent_size;
	for (i = 0; i < n && rc == 0; i++) {
		has_old = walker_next(&old, &kept) && i < f->part_end;
		if (sent < f->n_part && f->part_blocks[sent] == i) {
			if (!walker_next(&new, &run))
				return err_set(err, ERR_BUG, "a block of %s "
				    "is lost", f->path);
			crc = f->part_crcs[sent++];
		} else {
			run = has_old ? kept :
			    (struct map_run){ 1, MAP_PACK_ZEROS, 0, 0 };
			crc = zeros;
			if (!same)
				rc = old_crc(env->compare, &run, zeros, &crc,
				    err);
			if (run.pack != MAP_PACK_ZEROS)
				run.pack += ENTRIES_FOREIGN;
		}
		runs_add(out, &run);
		f->crc = crc32c_combine_shift(f->crc, crc, shift);
	}
	if (same)
		f->crc = f->parent_crc;
	return rc;
}

static bool
was_sent(const struct streamfile *f, uint64_t block)
{
	uint32_t low = 0, high = f->n_part, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (f->part_blocks[mid] == block)
			return true;
		if (f->part_blocks[mid] < block)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Damaged pages that were not looked at again are damaged still. */
static void
keep_damage(const struct streamfile *f, const struct streamfile_env *env)
{
	const struct commit *old = &env->parent->commit;
	struct commit *c = env->commit;
	const struct damaged_page *d;
	uint64_t first = (uint64_t)f->df.segment * c->relation_segment_blocks;
	size_t i;

	for (i = 0; i < old->n_damaged; i++) {
		d = &old->damaged[i];
		if (strcmp(d->path, f->path) != 0 || d->block < first ||
		    d->block - first >= f->size / c->block_size ||
		    was_sent(f, d->block - first))
			continue;
		c->damaged_count++;
		if (c->n_damaged == COMMIT_DAMAGED_MAX)
			continue;
		c->damaged = xreallocarray(c->damaged, c->n_damaged + 1,
		    sizeof(*c->damaged));
		c->damaged[c->n_damaged] = *d;
		c->damaged[c->n_damaged++].path = xstrdup(d->path);
	}
}

/* The parent's map frames, if the file is all the parent's. */
static size_t
whole_map(const struct streamfile *f, const struct streamfile_env *env)
{
	size_t i;

	if (f->changed || !f->has_parent || f->size != f->parent_size)
		return 0;
	for (i = 0; i < f->n_parent_map; i++)
		if (env->parent->condemned[f->parent_map[i].pack])
			return 0;
	return f->n_parent_map;
}

/* For the comparison with the server's backup_manifest. */
static void
note_sent(const struct streamfile *f, const struct streamfile_env *env)
{
	const char *slash = strrchr(f->path, '/');
	const char *name = slash == NULL ? f->path : slash + 1;
	struct manifest_entry e = { .type = MANIFEST_FILE };
	const uint32_t shift = crc32c_shift(env->commit->block_size);
	uint32_t i;
	char *path = xasprintf("%.*s" STREAMFILE_PART "%s",
	    (int)(name - f->path), f->path, name);

	e.path = path;
	e.size = f->sent_size;
	e.crc = f->sent_crc;
	for (i = 0; i < f->n_part && !f->dropped; i++)
		e.crc = crc32c_combine_shift(e.crc, f->part_crcs[i], shift);
	linestore_add(env->sent, &e);
	free(path);
}

int
streamfile_finish(struct streamfile *f, struct streamfile_env *env,
    struct err *err)
{
	struct run_list whole = { 0 }, *runs = &f->runs;
	struct manifest_entry line;
	size_t n_map;
	int rc = 0;

	if (f->is_part)
		note_sent(f, env);
	if (f->is_part && !f->dropped) {
		rc = overlay(f, env, &whole, err);
		runs = &whole;
		if (rc == 0)
			keep_damage(f, env);
	}
	memset(&line, 0, sizeof(line));
	line.type = MANIFEST_FILE;
	line.path = f->path;
	line.size = f->size;
	line.mode = f->mode;
	line.mtime = f->mtime;
	line.crc = f->crc;
	n_map = f->dropped ? 0 : whole_map(f, env);
	if (rc == 0)
		rc = entries_add_file(env->entries, &line, runs->list,
		    runs->n, f->parent_map, n_map, err);
	free(whole.list);
	return rc;
}
