/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a file is, whether it is what its name says, and whether it is stored
 * already. How it is compressed and written is in pushstore.c.
 */
#include "config.h"

#include "wal/push.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "pg/history.h"
#include "repo/walstore.h"
#include "wal/cluster.h"
#include "wal/pushahead.h"
#include "wal/pushed.h"
#include "wal/pushfile.h"
#include "wal/pushhistory.h"
#include "wal/pushpartial.h"
#include "wal/pushstore.h"

#define BACKUP_FILE_MAX ((uint64_t)1 << 20)
#define SEGMENT_HEADER_SIZE 40
#define GENERATIONS_MAX 16

static int
check_size(const struct wal_push_file *f, uint64_t size, struct err *err)
{
	uint64_t max;

	switch (f->name.type) {
	case WAL_FILE_SEGMENT:
	case WAL_FILE_PARTIAL:
		if (size == f->segment_size)
			return 0;
		err_set(err, ERR_REFUSED,
		    "%s has %llu bytes, a segment of this cluster has %u",
		    f->path, (unsigned long long)size, f->segment_size);
		return err_hint(err,
		    "it was cut or is not finished: compare it with the "
		    "others in its directory ('ls -l')");
	case WAL_FILE_BACKUP:
		max = BACKUP_FILE_MAX;
		break;
	case WAL_FILE_HISTORY:
	default:
		max = HISTORY_FILE_MAX;
		break;
	}
	if (size > max)
		return err_set(err, ERR_REFUSED,
		    "%s has %llu bytes, too many for a file of its kind",
		    f->path, (unsigned long long)size);
	return 0;
}

static int
header_hint(struct err *err)
{
	return err_hint(err,
	    "nothing was stored; if the WAL is encrypted by the server, turn "
	    "the check off: --no-wal-header-check");
}

/* The long header at the start against name, size and pg_control. */
static int
check_header(const struct wal_push_file *f, int fd, struct err *err)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	char found[LSN_TEXT_MAX], wanted[LSN_TEXT_MAX];
	struct wal_segment_header h;
	pg_lsn start = wal_segment_start(wal_segno(&f->name, f->segment_size),
	    f->segment_size);

	if (io_pread_full(fd, bytes, sizeof(bytes), 0, f->path, err) != 0)
		return -1;
	if (wal_segment_header_decode(bytes, sizeof(bytes), &h, err) != 0) {
		err_wrap(err, "%s", f->path);
		return header_hint(err);
	}
	if (h.system_id != f->inc->system_id)
		err_set(err, ERR_REFUSED,
		    "%s is of system %llu, the data directory is of system "
		    "%llu",
		    f->path, (unsigned long long)h.system_id,
		    (unsigned long long)f->inc->system_id);
	else if (h.major != f->inc->major)
		err_set(err, ERR_REFUSED,
		    "%s has WAL of PostgreSQL %d (magic %04X), the data "
		    "directory is of %d",
		    f->path, h.major, h.magic, f->inc->major);
	else if (h.segment_size != f->segment_size)
		err_set(err, ERR_REFUSED,
		    "%s says its segment size is %u, pg_control says %u",
		    f->path, h.segment_size, f->segment_size);
	else if (h.page_addr != start)
		err_set(err, ERR_DAMAGED,
		    "%s begins at %s, by its name it should at %s", f->path,
		    lsn_format(h.page_addr, found), lsn_format(start, wanted));
	else if (h.timeline > f->name.timeline)
		/*
		 * Lower is right: a new timeline's first segment begins with
		 * what its parent had written to it.
		 */
		err_set(err, ERR_DAMAGED,
		    "%s begins with WAL of timeline %u, by its name it is of "
		    "%u",
		    f->path, h.timeline, f->name.timeline);
	else
		return 0;
	return header_hint(err);
}

/* Of those stored: what makes ours superfluous. */
struct found {
	const struct wal_stored *same;	  /* our hash, and sound */
	const struct wal_stored *covered; /* .partial: has our records */
	uint32_t generation; /* the next free one of ours */
};

static int
sort_out(const struct wal_push_file *f, const uint8_t hash[WAL_HASH_SIZE],
    uint64_t size, const struct wal_stored *ws, size_t n, struct found *out,
    struct err *err)
{
	bool sound;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < n; i++) {
		if (memcmp(ws[i].hash, hash, WAL_HASH_SIZE) != 0)
			continue;
		if (ws[i].generation >= out->generation)
			out->generation = ws[i].generation + 1;
		if (out->same != NULL)
			continue;
		if (wal_push_sound(f->repo, f->inc, &ws[i], size, &sound,
		    err) != 0)
			return -1;
		if (sound)
			out->same = &ws[i];
		else
			log_warning("%s is stored damaged: it is stored again",
			    f->name.name);
	}
	return 0;
}

/* Found stored by someone who may have died before it was durable. */
static int
settle(const struct wal_push_file *f, const struct wal_stored *ws,
    uint64_t size, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint64_t part, parts;

	parts = size == 0 ? 1 : (size + WAL_PART_LENGTH - 1) / WAL_PART_LENGTH;
	for (part = 0; part < parts; part++) {
		wal_store_key(f->inc, &ws->file, ws->hash, ws->generation,
		    (uint32_t)part, key);
		if (storage_settle(f->repo->st, key, err) != 0)
			return -1;
	}
	return 0;
}

/*
 * May ours be there beside what is stored with another hash? *covered: it
 * need not, its records are in that. ERR_EXISTS: it may not.
 */
static int
check_others(const struct wal_push_file *f, int fd, uint64_t size,
    const uint8_t hash[WAL_HASH_SIZE], const struct wal_stored *ws, size_t n,
    const struct wal_stored **covered, struct err *err)
{
	struct wal_partial_judgement j = { WAL_PARTIAL_DIVERGES, NULL };
	struct err ignored = ERR_INIT;
	bool same = false;
	size_t i;

	*covered = NULL;
	for (i = 0; i < n && j.which == NULL; i++)
		if (memcmp(ws[i].hash, hash, WAL_HASH_SIZE) != 0)
			j.which = &ws[i];
	if (j.which == NULL)
		return 0;
	/* Keyed by another host's secret, the same content has another hash. */
	if (f->repo->ring != NULL && wal_push_same_content(f, fd, size,
	    j.which, &same, &ignored) == 0 && same) {
		*covered = j.which;
		return 0;
	}
	if (f->name.type == WAL_FILE_PARTIAL &&
	    wal_push_partial_judge(f, fd, size, hash, ws, n, &j, err) != 0)
		return -1;
	if (j.verdict == WAL_PARTIAL_DIVERGES)
		return wal_push_conflict(f, fd, size, j.which, err);
	if (j.verdict == WAL_PARTIAL_COVERED)
		*covered = j.which;
	return 0;
}

int
wal_push_look_again(const struct wal_push_file *f, int fd, uint64_t size,
    const uint8_t hash[WAL_HASH_SIZE], const struct wal_stored *ws, size_t n,
    struct err *err)
{
	const struct wal_stored *covered;

	return check_others(f, fd, size, hash, ws, n, &covered, err);
}

static int
read_file(struct wal_push_try *t, struct wal_pushstore *ps, struct err *err)
{
	int ret;

	if (t->compressing != NULL)
		(void)sem_wait(t->compressing); /* signals are blocked */
	ret = wal_pushstore_begin(ps, t->n == 0, t->hash, err);
	wal_pushstore_content(ps, t->content);
	if (t->compressing != NULL)
		(void)sem_post(t->compressing);
	return ret;
}

int
wal_push_try(struct wal_push_try *t, struct wal_push_result *out,
    struct err *err)
{
	const struct wal_push_file *f = t->f;
	struct wal_pushstore *ps = NULL;
	struct found found;
	int ret = -1;

	t->again = false;
	out->original_bytes = t->size;
	if (wal_pushstore_new(&ps, f, t->fd, t->size, err) != 0)
		return -1;
	if (read_file(t, ps, err) != 0 ||
	    sort_out(f, t->hash, t->size, t->ws, t->n, &found, err) != 0)
		goto out;
	if ((found.same == NULL || f->name.type != WAL_FILE_PARTIAL) &&
	    check_others(f, t->fd, t->size, t->hash, t->ws, t->n,
		&found.covered, err) != 0)
		goto out;
	if (found.same == NULL)
		found.same = found.covered;
	if (found.same != NULL) {
		out->already = true;
		out->stored_bytes = found.same->size;
		ret = settle(f, found.same, t->size, err);
		goto out;
	}
	t->generation = found.generation < t->min_generation ?
	    t->min_generation : found.generation;
	ret = wal_pushstore_put(ps, t->generation, &out->stored_bytes, err);
	t->again = ret != 0 && err->code == ERR_EXISTS;
out:
	wal_pushstore_free(ps);
	return ret;
}

int
wal_push_open(const struct wal_push_file *f, int *out, uint64_t *size,
    struct err *err)
{
	struct stat st;
	int fd;

	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, errno, "open %s", f->path);
	if (fstat(fd, &st) != 0) {
		err_sys(err, errno, "stat %s", f->path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_REFUSED, "%s is no regular file", f->path);
		goto fail;
	}
	if (check_size(f, (uint64_t)st.st_size, err) != 0)
		goto fail;
	if (f->header_check && (f->name.type == WAL_FILE_SEGMENT ||
	    f->name.type == WAL_FILE_PARTIAL) && check_header(f, fd, err) != 0)
		goto fail;
	*out = fd;
	*size = (uint64_t)st.st_size;
	return 0;
fail:
	(void)close(fd); /* only read from */
	return -1;
}

/* One look at what is stored, one try to put it, and another look. */
static int
push_once(struct wal_push_try *t, struct wal_push_result *out,
    struct err *err)
{
	const struct wal_push_file *f = t->f;
	struct wal_stored *ws = NULL;
	size_t n = 0;
	int ret;

	if (wal_store_find(f->repo, f->inc, &f->name, &ws, &n, err) != 0)
		return -1;
	t->ws = ws;
	t->n = n;
	ret = wal_push_try(t, out, err);
	free(ws);
	if (ret != 0 || out->already)
		return ret;
	if (wal_store_find(f->repo, f->inc, &f->name, &ws, &n, err) != 0)
		return -1;
	ret = wal_push_look_again(f, t->fd, t->size, t->hash, ws, n, err);
	free(ws);
	return ret;
}

void
wal_push_tell(const struct wal_push_file *f)
{
	if (f->stored != NULL)
		f->stored(f->stored_arg, f->repo, f->inc, f->name.name);
}

int
wal_push_file(const struct wal_push_file *f, struct wal_push_result *out,
    struct err *err)
{
	struct wal_push_try t = { .f = f, .again = true };
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (wal_push_open(f, &t.fd, &t.size, err) != 0)
		return -1;
	for (; t.again && t.min_generation < GENERATIONS_MAX;
	     t.min_generation++) {
		if (cancel_check(err) != 0)
			break;
		err_clear(err);
		ret = push_once(&t, out, err);
	}
	if (ret == 0)
		wal_push_tell(f);
	(void)close(t.fd); /* only read from */
	return ret;
}

void
wal_push_file_init(struct wal_push_file *f,
    const struct wal_push_params *params, const struct incarnation *inc,
    uint32_t segment_size)
{
	memset(f, 0, sizeof(*f));
	f->repo = params->repo;
	f->inc = inc;
	f->segment_size = segment_size;
	f->compress_level = params->compress_level;
	f->jobs = params->jobs < 1 ? 1 : params->jobs;
	f->header_check = params->header_check;
	f->stored = params->stored;
	f->stored_arg = params->stored_arg;
}

static int
parse_name(const char *path, struct wal_file *out, struct err *err)
{
	const char *name = wal_base_name(path);

	if (wal_file_parse(name, out, err) == 0)
		return 0;
	err_set(err, ERR_USAGE, "'%s' is no name of a WAL file", name);
	return err_hint(err,
	    "stored are segments (24 hexadecimal digits, as "
	    "000000010000000000000003), SEGMENT.partial, "
	    "SEGMENT.XXXXXXXX.backup and XXXXXXXX.history; "
	    "archive_command = 'dapk-backup archive-push %%p'");
}

/* What wal_push() and wal_push_was_ahead() begin with. */
struct found_file {
	struct wal_cluster cluster;
	char *path;
	struct wal_push_file f;
};

static void
found_file_free(struct found_file *ff)
{
	free(ff->path);
	wal_cluster_free(&ff->cluster);
}

static int
find_file(struct found_file *ff, const struct wal_push_params *params,
    struct err *err)
{
	struct wal_push_file *f = &ff->f;
	struct wal_file name;

	memset(ff, 0, sizeof(*ff));
	if (parse_name(params->path, &name, err) != 0 ||
	    wal_cluster_find(&ff->cluster, params->cluster, params->pgdata,
		params->path, err) != 0)
		return -1;
	wal_push_file_init(f, params, &ff->cluster.inc,
	    ff->cluster.control.wal_segment_size);
	f->name = name;
	if (name.type != WAL_FILE_HISTORY &&
	    !wal_file_fits(&name, f->segment_size))
		return err_set(err, ERR_REFUSED,
		    "%s cannot be a segment of %u bytes, which this cluster's "
		    "are",
		    name.name, f->segment_size);
	ff->path = wal_cluster_path(params->pgdata, params->path);
	f->path = ff->path;
	return 0;
}

int
wal_push(const struct wal_push_params *params, struct wal_push_result *out,
    struct err *err)
{
	struct found_file ff;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = find_file(&ff, params, err);
	if (ret == 0)
		ret = wal_push_histories(&ff.f, err);
	if (ret == 0 && params->ahead > 0)
		ret = wal_push_ahead(&ff.f, ff.cluster.pgdata,
		    params->state_directory, params->ahead, out, err);
	else if (ret == 0)
		ret = wal_push_file(&ff.f, out, err);
	found_file_free(&ff);
	return ret == 0 ? 0 :
			  err_wrap(err, "archive %s",
			      wal_base_name(params->path));
}

bool
wal_push_was_ahead(const struct wal_push_params *params,
    const struct repo *known)
{
	struct err ignored = ERR_INIT;
	struct found_file ff;
	bool was;

	was = find_file(&ff, params, &ignored) == 0 &&
	    wal_pushed_answers(&ff.f, known, params->state_directory);
	found_file_free(&ff);
	return was;
}
