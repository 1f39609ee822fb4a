/* SPDX-License-Identifier: PostgreSQL */
/*
 * A worker takes its job in batches of at most COPY_WINDOW of content. Of a
 * batch it lists the pieces that are wanted, sorts them by pack and frame,
 * and fetches and decodes each frame once, neighbouring frames by one
 * request, however the blocks of a file are scattered over backups. The CRC
 * of each block is kept until the batch's are joined in the file's order.
 */
#include "config.h"

#include "restore/copyjob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/mem.h"
#include "repo/object.h"

#define FETCH_MAX ((size_t)4 << 20) /* stored bytes by one request */
#define FETCH_GAP ((size_t)64 << 10) /* of frames that are not wanted */
/* Over a network: most of a pack, by one request where it is wanted. */
#define REMOTE_FETCH_MAX ((size_t)16 << 20)
#define REMOTE_FETCH_GAP ((size_t)512 << 10)
#define EARLY_SYNC_MIN ((uint64_t)1 << 20)
#define CACHE_PACKS 32
#define COMPARE_BLOCKS 256 /* at a time */

/* A frame is at most its plain bytes and what zstd and headers add. */
#define RAW_MAX (REMOTE_FETCH_MAX + 2 * FORMAT_FRAME_PLAIN_MAX)

int
copyworker_init(void *worker, void *arg, struct err *err)
{
	struct copyworker *w = worker;

	w->cb = arg;
	w->fd = -1;
	if (repo_clone(w->cb->p.repo, &w->repo, err) != 0)
		return -1;
	w->cache = pack_cache_new_shared(w->repo, w->cb->p.inc, CACHE_PACKS,
	    w->cb->set);
	w->codec = frame_codec_new(1);
	buf_init(&w->raw, RAW_MAX);
	w->plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	w->blocks = xcalloc(FORMAT_FRAME_PLAIN_MAX / w->cb->block_size,
	    sizeof(*w->blocks));
	if (w->cb->sums != NULL)
		w->old = xmalloc(COPY_OLD_BYTES);
	return 0;
}

void
copyworker_fini(void *worker)
{
	struct copyworker *w = worker;

	if (w->sums != NULL)
		sums_cache_put(w->cb->sums, w->sums);
	pack_cache_free(w->cache);
	frame_codec_free(w->codec);
	buf_free(&w->raw);
	free(w->plain);
	free(w->blocks);
	free(w->pieces);
	free(w->crcs);
	free(w->old);
	repo_close(w->repo);
}

bool
copy_is_damage(const struct copyback *cb, const struct err *err)
{
	return cb->p.damage != NULL &&
	    (err->code == ERR_DAMAGED || err->code == ERR_NOT_FOUND);
}

/* Files. */

static int
set_mode(const struct copyback *cb, const struct copyfile *f,
    struct err *err)
{
	/* It was writable while it was written. */
	const uint32_t now = f->there ? f->old_mode : f->mode | S_IWUSR;

	if (now == f->mode || fchmodat(cb->p.dir, f->path, f->mode, 0) == 0)
		return 0;
	return err_sys(err, errno, "chmod %s/%s", cb->p.dir_name, f->path);
}

static int
check_crc(const struct copyback *cb, const struct copyfile *f,
    struct err *err)
{
	uint32_t crc = 0, i;

	if (f->size == 0 || atomic_load(&f->damaged))
		return 0;
	for (i = 0; i < f->n_parts; i++)
		crc = i == 0 ? f->sums[0].crc :
			       crc32c_combine(crc, f->sums[i].crc,
				   f->sums[i].len);
	if (crc == f->crc)
		return 0;
	err_set(err, ERR_DAMAGED,
	    "%s of backup %s has CRC %08x, the manifest says %08x", f->path,
	    cb->p.backup->label, crc, f->crc);
	if (!copy_is_damage(cb, err))
		return -1;
	damage_add(cb->p.damage, f->path, DAMAGE_UNKNOWN_BLOCK, 0, err);
	err_clear(err);
	return 0;
}

int
copyfile_release(struct copyback *cb, struct copyfile *f, bool ok,
    struct err *err)
{
	int rc = 0;

	if (!ok)
		atomic_store(&f->failed, true);
	if (atomic_fetch_sub(&f->references, 1) != 1)
		return 0;
	if (!atomic_load(&f->failed)) {
		rc = check_crc(cb, f, err);
		if (rc == 0)
			rc = set_mode(cb, f, err);
		if (!f->there)
			atomic_fetch_add(&cb->counts.new_files, 1);
		else if (atomic_load(&f->changed))
			atomic_fetch_add(&cb->counts.changed_files, 1);
		else
			atomic_fetch_add(&cb->counts.equal_files, 1);
	}
	free(f->path);
	free(f->sums);
	free(f->runs);
	free(f);
	return rc;
}

/*
 * Let the disk begin early, so that little is left for the sync at the end.
 * Only a start: that all is on disk is what the sync makes sure of.
 */
static int
close_file(struct copyworker *w, struct err *err)
{
	const uint64_t len = w->written_to - w->written_from;
	int rc = 0;

	if (w->fd < 0)
		return 0;
	if (w->wrote && len >= EARLY_SYNC_MIN)
		(void)sync_file_range(w->fd, (off64_t)w->written_from,
		    (off64_t)len, SYNC_FILE_RANGE_WRITE);
	if (close(w->fd) != 0)
		rc = err_sys(err, errno, "close %s/%s", w->cb->p.dir_name,
		    w->file->path);
	w->fd = -1;
	w->file = NULL;
	return rc;
}

int
copyworker_open(struct copyworker *w, struct copyfile *f, struct err *err)
{
	int flags = O_CREAT | O_NOFOLLOW | O_CLOEXEC;

	if (w->file == f)
		return 0;
	if (close_file(w, err) != 0)
		return -1;
	flags |= f->there ? O_RDWR : O_WRONLY;
	if (!f->there && f->n_parts == 1)
		flags |= O_EXCL;
	copycompare_forget(w);
	/* Other jobs may open it too: writable until it is whole. */
	w->fd = openat(w->cb->p.dir, f->path, flags, f->mode | S_IWUSR);
	/* Of a batch's small files: compared once, now to be written. */
	if (w->fd < 0 && errno == EEXIST && (flags & O_EXCL) != 0 &&
	    atomic_load(&f->changed))
		w->fd = openat(w->cb->p.dir, f->path, flags & ~O_EXCL,
		    f->mode | S_IWUSR);
	if (w->fd < 0)
		return err_sys(err, errno, "create %s/%s", w->cb->p.dir_name,
		    f->path);
	w->file = f;
	w->wrote = false;
	w->written_from = w->written_to = 0;
	if (f->there && f->old_size > f->size) { /* TRAPS T93 */
		if (ftruncate(w->fd, (off_t)f->size) != 0)
			return err_sys(err, errno, "truncate %s/%s",
			    w->cb->p.dir_name, f->path);
		atomic_store(&f->changed, true);
	}
	return 0;
}

static int
write_piece(struct copyworker *w, const struct piece *p, const uint8_t *data,
    struct err *err)
{
	const uint32_t bs = w->cb->block_size;
	const uint64_t at = p->block * bs;
	uint32_t i, len;

	if (copyworker_open(w, p->file, err) != 0)
		return -1;
	atomic_store(&p->file->changed, true);
	if (io_pwrite_full(w->fd, data, p->len, at, p->file->path, err) != 0)
		return err_wrap(err, "%s", w->cb->p.dir_name);
	for (i = 0; i < p->blocks; i++) {
		len = copy_block_len(w->cb, p->file, p->block + i);
		w->crcs[p->sum + i] = crc32c(data + (size_t)i * bs, len);
	}
	if (!w->wrote || at < w->written_from)
		w->written_from = at;
	if (!w->wrote || at + p->len > w->written_to)
		w->written_to = at + p->len;
	w->wrote = true;
	atomic_fetch_add(&w->cb->counts.written_bytes, p->len);
	atomic_fetch_add(&w->cb->p.progress->done_bytes, p->len);
	return 0;
}

static int
write_zeros(struct copyworker *w, struct piece p, struct err *err)
{
	const uint32_t step_max =
	    (uint32_t)(FORMAT_FRAME_PLAIN_MAX / w->cb->block_size);
	uint64_t left = p.blocks, bytes = p.len;

	memset(w->plain, 0, bytes < FORMAT_FRAME_PLAIN_MAX ?
		(size_t)bytes : FORMAT_FRAME_PLAIN_MAX);
	while (left > 0) {
		p.blocks = left < step_max ? (uint32_t)left : step_max;
		p.len = bytes < FORMAT_FRAME_PLAIN_MAX ?
		    (uint32_t)bytes : (uint32_t)FORMAT_FRAME_PLAIN_MAX;
		if (write_piece(w, &p, w->plain, err) != 0)
			return -1;
		p.block += p.blocks;
		p.sum += p.blocks;
		left -= p.blocks;
		bytes -= p.len;
	}
	return 0;
}

/* Fetching. */

/*
 * n pieces cannot be had. *err says why, and is the result, or, with
 * --allow-damage, a line of the list for each.
 */
static int
lose(struct copyworker *w, const struct piece *p, size_t n, struct err *err)
{
	struct err why = *err;
	size_t i;

	if (!copy_is_damage(w->cb, err))
		return err_wrap(err, "%s", p->file->path);
	err_clear(err);
	for (i = 0; i < n; i++) {
		damage_add(w->cb->p.damage, p[i].file->path, p[i].block,
		    p[i].blocks, &why);
		atomic_store(&p[i].file->damaged, true);
		if (write_zeros(w, p[i], err) != 0)
			return -1;
	}
	return 0;
}

/* Is this frame the file's? What is in it goes to w->blocks. */
static int
check_frame(struct copyworker *w, const struct piece *p,
    const struct frame_header *h, const char *where, struct err *err)
{
	const uint32_t bs = w->cb->block_size;

	if (h->type != FRAME_FILE || h->path_len != strlen(p->file->path) ||
	    memcmp(h->path, p->file->path, h->path_len) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s holds \"%.*s\" instead of \"%s\"", where,
		    (int)(h->path_len > 200 ? 200 : h->path_len),
		    h->path == NULL ? "" : h->path, p->file->path);
	if (h->block_size != bs)
		return err_set(err, ERR_DAMAGED,
		    "%s has blocks of %u bytes, the backup's have %u", where,
		    (unsigned)h->block_size, (unsigned)bs);
	if (frame_blocks_decode(h, w->blocks, FORMAT_FRAME_PLAIN_MAX / bs,
		&w->n_blocks, err) != 0)
		return err_wrap(err, "%s", where);
	return 0;
}

/* Are the piece's blocks where the map says? */
static int
check_piece(const struct copyworker *w, const struct piece *p,
    const struct frame_header *h, const char *where, struct err *err)
{
	const uint64_t skip = (uint64_t)p->at * w->cb->block_size;
	const bool short_end = p->len % w->cb->block_size != 0;
	uint32_t i = 0;

	if (skip + p->len <= h->plain_len &&
	    (!short_end || skip + p->len == h->plain_len) &&
	    (uint64_t)p->at + p->blocks <= w->n_blocks)
		for (; i < p->blocks; i++)
			if (w->blocks[p->at + i] != p->block + i)
				break;
	if (i == p->blocks)
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "%s does not hold the %u bytes from block %llu on of \"%s\" that "
	    "the manifest expects there", where, (unsigned)p->len,
	    (unsigned long long)p->block, p->file->path);
}

/* Decode a frame and write the n pieces that come out of it. */
static int
copy_frame(struct copyworker *w, struct object_reader *r,
    const uint8_t *raw, const struct piece *p, size_t n, struct err *err)
{
	struct frame_header h = { 0 };
	char where[STORAGE_KEY_MAX + 32];
	size_t i;

	(void)snprintf(where, sizeof(where), "%s frame %u", r->key,
	    (unsigned)p->frame);
	if (object_reader_decode(r, w->codec, p->frame, raw, &h, w->plain,
		FORMAT_FRAME_PLAIN_MAX, err) != 0 ||
	    check_frame(w, p, &h, where, err) != 0)
		return lose(w, p, n, err);
	for (i = 0; i < n; i++)
		if (check_piece(w, &p[i], &h, where, err) != 0)
			return lose(w, p, n, err);
	for (i = 0; i < n; i++)
		if (write_piece(w, &p[i],
			w->plain + (size_t)p[i].at * w->cb->block_size,
			err) != 0)
			return -1;
	return 0;
}

static size_t
same_frame(const struct piece *p, size_t n)
{
	size_t i = 1;

	/* A frame is one file's: a second one's map is wrong, and checked. */
	while (i < n && p[i].pack == p->pack && p[i].frame == p->frame &&
	    p[i].file == p->file)
		i++;
	return i;
}

static size_t
same_pack(const struct piece *p, size_t n)
{
	size_t i = 1;

	while (i < n && p[i].pack == p->pack)
		i++;
	return i;
}

/* How many pieces from p on are read by one request. */
static size_t
group(const struct copyworker *w, const struct object_reader *r,
    const struct piece *p, size_t n)
{
	const size_t gap = w->cb->remote ? REMOTE_FETCH_GAP : FETCH_GAP;
	const size_t most = w->cb->remote ? REMOTE_FETCH_MAX : FETCH_MAX;
	const struct index_entry *first = &r->entries[p->frame], *e, *last;
	size_t i;

	for (i = 1, last = first; i < n && p[i].pack == p->pack; i++) {
		if (p[i].frame >= r->n)
			break;
		e = &r->entries[p[i].frame];
		if (e != last &&
		    (e->offset - last->offset - last->length > gap ||
		    e->offset - first->offset + e->length > most))
			break;
		last = e;
	}
	return i;
}

/* Pieces of one pack from p on; *done tells of how many. */
static int
copy_group(struct copyworker *w, const struct piece *p, size_t n,
    size_t *done, struct err *err)
{
	const struct commit_pack *pack = &w->cb->packs.list[p->pack];
	struct object_reader *r = NULL;
	size_t i, k;

	if (pack_cache_open(w->cache, &pack->id, commit_pack_first_size(pack),
		&r, err) != 0) {
		*done = same_pack(p, n);
		return lose(w, p, *done, err);
	}
	if (p->frame >= r->n) {
		*done = same_pack(p, n); /* they are sorted */
		err_set(err, ERR_DAMAGED, "frame %u of %s is wanted, which "
		    "has %u", (unsigned)p->frame, r->key, (unsigned)r->n);
		return lose(w, p, *done, err);
	}
	*done = group(w, r, p, n);
	if (object_reader_fetch(r, p->frame,
		p[*done - 1].frame - p->frame + 1, &w->raw, err) != 0) {
		k = same_frame(p, *done);
		if (k < *done && copy_is_damage(w->cb, err)) {
			err_clear(err); /* which of them is it? */
			*done = k;
			if (object_reader_fetch(r, p->frame, 1, &w->raw,
				err) == 0)
				return copy_frame(w, r, w->raw.data, p, k,
				    err);
		}
		return lose(w, p, *done, err);
	}
	for (i = 0; i < *done; i += k) {
		k = same_frame(p + i, *done - i);
		if (copy_frame(w, r, w->raw.data +
			(r->entries[p[i].frame].offset -
			r->entries[p->frame].offset), p + i, k, err) != 0)
			return -1;
	}
	return 0;
}

static int
compare_pieces(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int
copy_pieces(struct copyworker *w, struct err *err)
{
	size_t i, done;

	if (w->n_pieces > 1)
		qsort(w->pieces, w->n_pieces, sizeof(*w->pieces),
		    compare_pieces);
	for (i = 0; i < w->n_pieces; i += done)
		if (cancel_check(err) != 0 ||
		    copy_group(w, w->pieces + i, w->n_pieces - i, &done,
			err) != 0)
			return -1;
	return 0;
}

/* A batch. */

/* n blocks of a run that are wanted: a piece, or zeros written at once. */
static int
add_piece(struct copyworker *w, struct copyfile *f, uint64_t block,
    const struct map_run *run, uint64_t skip, size_t n, uint32_t sum,
    struct err *err)
{
	const uint32_t bs = w->cb->block_size;
	struct piece p = { .file = f, .block = block, .blocks = (uint32_t)n,
		.pack = run->pack, .frame = run->frame,
		.at = (uint32_t)(run->block + skip), .sum = sum };

	p.len = (uint32_t)(n - 1) * bs +
	    copy_block_len(w->cb, f, block + n - 1);
	if (run->pack == MAP_PACK_ZEROS)
		return write_zeros(w, p, err);
	if (w->n_pieces == w->cap_pieces) {
		w->cap_pieces = w->cap_pieces == 0 ? 64 : 2 * w->cap_pieces;
		w->pieces = xreallocarray(w->pieces, w->cap_pieces,
		    sizeof(*w->pieces));
	}
	w->pieces[w->n_pieces++] = p;
	return 0;
}

/* The same where something is there: what differs is wanted. */
static int
add_differing(struct copyworker *w, struct copyfile *f, uint64_t block,
    const struct map_run *run, uint64_t skip, size_t n, uint32_t sum,
    struct err *err)
{
	bool differs[COMPARE_BLOCKS];
	uint64_t equal = 0;
	size_t i, from;

	if (copyworker_open(w, f, err) != 0 ||
	    copycompare_run(w, f, block, run, skip, n, differs,
		&w->crcs[sum], err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (!differs[i]) {
			equal += copy_block_len(w->cb, f, block + i);
			continue;
		}
		for (from = i; i + 1 < n && differs[i + 1];)
			i++;
		if (add_piece(w, f, block + from, run, skip + from,
			i + 1 - from, sum + (uint32_t)from, err) != 0)
			return -1;
	}
	atomic_fetch_add(&w->cb->counts.equal_bytes, equal);
	atomic_fetch_add(&w->cb->p.progress->done_bytes, equal);
	return 0;
}

static int
add_part(struct copyworker *w, const struct copypart *part, struct err *err)
{
	struct copyfile *f = part->file;
	const struct map_run *run = &f->runs[part->run];
	uint64_t left = part->blocks, block = part->block, skip = part->skip;
	size_t n;
	int rc;

	if (left == 0) /* an empty file */
		return copyworker_open(w, f, err);
	for (; left > 0; run++, skip = 0)
		while (left > 0 && skip < run->blocks) {
			n = run->blocks - skip < left ?
			    (size_t)(run->blocks - skip) : (size_t)left;
			if (f->there && n > COMPARE_BLOCKS)
				n = COMPARE_BLOCKS;
			rc = (f->there ? add_differing : add_piece)(w, f,
			    block, run, skip, n, (uint32_t)w->n_crcs, err);
			if (rc != 0)
				return -1;
			w->n_crcs += n;
			block += n;
			skip += n;
			left -= n;
		}
	return 0;
}

/* The CRC of the part's blocks goes to that of the file's part. */
static size_t
join_crcs(const struct copyworker *w, const struct copypart *part, size_t at)
{
	const struct copyback *cb = w->cb;
	struct part_sum *sum = &part->file->sums[part->index];
	uint64_t i;
	uint32_t len;

	for (i = 0; i < part->blocks; i++, at++) {
		len = copy_block_len(cb, part->file, part->block + i);
		if (sum->len == 0)
			sum->crc = w->crcs[at];
		else if (len == cb->block_size)
			sum->crc = crc32c_combine_shift(sum->crc,
			    w->crcs[at], cb->shift);
		else
			sum->crc = crc32c_combine(sum->crc, w->crcs[at], len);
		sum->len += len;
	}
	return at;
}

static int
copy_batch(struct copyworker *w, const struct copypart *parts, size_t n,
    struct err *err)
{
	size_t i, at, blocks = 0;

	for (i = 0; i < n; i++)
		blocks += (size_t)parts[i].blocks;
	if (blocks > w->cap_crcs) {
		w->crcs = xreallocarray(w->crcs, blocks, sizeof(*w->crcs));
		w->cap_crcs = blocks;
	}
	w->n_pieces = w->n_crcs = 0;
	for (i = 0; i < n; i++)
		if (cancel_check(err) != 0 ||
		    add_part(w, &parts[i], err) != 0)
			return -1;
	if (copy_pieces(w, err) != 0)
		return -1;
	for (i = 0, at = 0; i < n; i++)
		at = join_crcs(w, &parts[i], at);
	return 0;
}

/* A large file, one window after the other. */
static int
copy_windows(struct copyworker *w, const struct copypart *part,
    struct err *err)
{
	const uint64_t window = COPY_WINDOW / w->cb->block_size;
	struct copypart sub = *part;
	uint64_t left = part->blocks, n;

	while (left > 0) {
		n = window - sub.block % window;
		sub.blocks = n < left ? n : left;
		if (copy_batch(w, &sub, 1, err) != 0)
			return -1;
		left -= sub.blocks;
		sub.block += sub.blocks;
		sub.skip += sub.blocks;
		while (left > 0 && sub.skip >= sub.file->runs[sub.run].blocks)
			sub.skip -= sub.file->runs[sub.run++].blocks;
	}
	return 0;
}

int
copyworker_run(void *worker, void *arg, bool skip, struct err *err)
{
	struct copyworker *w = worker;
	struct copyjob *job = arg;
	struct copyback *cb = w == NULL ? NULL : w->cb;
	struct err ignored = ERR_INIT;
	size_t i;
	int rc = 0;
	bool ok;

	if (!skip && job->n == 1 && job->list[0].blocks > 0)
		rc = copy_windows(w, &job->list[0], err);
	else if (!skip)
		rc = copy_batch(w, job->list, job->n, err);
	if (!skip && rc == 0)
		rc = close_file(w, err);
	ok = !skip && rc == 0;
	if (!ok && w != NULL && w->fd >= 0) {
		(void)close(w->fd); /* the first error is the one to tell */
		w->fd = -1;
		w->file = NULL;
	}
	for (i = 0; i < job->n; i++)
		if (copyfile_release(cb, job->list[i].file, ok && rc == 0,
			rc == 0 ? err : &ignored) != 0)
			rc = -1;
	free(job);
	return rc;
}
