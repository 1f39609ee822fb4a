/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushahead.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "pipe/pool.h"
#include "wal/pushed.h"

#define ITEMS_MAX 512
#define BEGIN_UNTIL_US ((int64_t)20 * 1000000)
#define READY ".ready"

enum state { NOT_TRIED, FAILED, THERE, PUT };

struct ahead;

/* A file of the batch; the first is the one that was asked for. */
struct item {
	struct ahead *a;
	char *path;
	struct wal_push_file f;
	const struct wal_stored *ws; /* in the listing before */
	size_t n_ws;
	struct wal_push_result result;
	uint8_t hash[WAL_HASH_SIZE], content[WAL_HASH_SIZE];
	uint32_t generation;
	enum state state;
	struct err err;
};

struct ahead {
	const struct wal_push_file *first;
	struct wal_pushed pushed;
	struct item *items;
	size_t n;
	struct wal_stored *before;
	size_t n_before;
	sem_t compressing;
	atomic_bool stop;
	int64_t begun;
};

/* A thread's own. */
struct worker {
	struct repo *repo;
};

/* Is the file's directory the pg_wal of this data directory? */
static char *
status_directory(const struct wal_push_file *first, const char *pgdata)
{
	const char *slash = strrchr(first->path, '/');
	struct stat of_file, of_cluster;
	char *dir, *own, *out = NULL;

	dir = slash == NULL ? xstrdup(".") :
	    xstrndup(first->path, (size_t)(slash - first->path) + 1);
	own = xasprintf("%s/pg_wal", pgdata);
	if (stat(dir, &of_file) == 0 && stat(own, &of_cluster) == 0 &&
	    of_file.st_dev == of_cluster.st_dev &&
	    of_file.st_ino == of_cluster.st_ino)
		out = xasprintf("%s/archive_status", own);
	free(own);
	free(dir);
	return out;
}

/*
 * Behind the first in the archiver's order, which is the names' order when
 * there is no new history file (that one comes before all others, and is asked
 * for by itself): files that never change any more.
 */
static bool
wanted(const struct ahead *a, const char *entry, struct wal_file *out)
{
	size_t len = strlen(entry), tail = sizeof(READY) - 1;
	const struct wal_push_file *first = a->first;
	struct err ignored = ERR_INIT;
	char name[WAL_FILE_NAME_MAX];

	if (len <= tail || len - tail >= sizeof(name) ||
	    strcmp(entry + len - tail, READY) != 0)
		return false;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(len - tail), entry);
	return wal_file_parse(name, out, &ignored) == 0 &&
	    (out->type == WAL_FILE_SEGMENT || out->type == WAL_FILE_BACKUP) &&
	    out->timeline == first->name.timeline &&
	    wal_file_fits(out, first->segment_size) &&
	    strcmp(out->name, first->name.name) > 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct wal_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* What waits, ascending. */
static size_t
list_ready(const struct ahead *a, const char *dir, struct wal_file **out)
{
	struct wal_file f, *list = NULL;
	size_t n = 0, room = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (!wanted(a, e->d_name, &f))
			continue;
		if (n == room) {
			room = room * 2 + 64;
			list = xreallocarray(list, room, sizeof(*list));
		}
		list[n++] = f;
	}
	(void)closedir(d); /* only read from */
	if (n > 0)
		qsort(list, n, sizeof(*list), by_name);
	*out = list;
	return n;
}

static void
add_item(struct ahead *a, const struct wal_file *name, const char *path)
{
	struct item *it = &a->items[a->n++];

	it->a = a;
	it->f = *a->first;
	it->f.name = *name;
	it->f.jobs = 0; /* the transfers' own threads compress */
	it->path = xstrdup(path);
	it->f.path = it->path;
}

/* The first, and of what waits as much as `bytes` allows. */
static void
choose(struct ahead *a, const char *status, uint64_t bytes)
{
	const char *slash = strrchr(a->first->path, '/');
	int dir = slash == NULL ? 0 : (int)(slash - a->first->path) + 1;
	uint64_t used = a->first->segment_size;
	struct wal_file *ready = NULL;
	size_t i, n;
	char *path;

	add_item(a, &a->first->name, a->first->path);
	n = list_ready(a, status, &ready);
	for (i = 0; i < n && a->n < ITEMS_MAX; i++) {
		if (wal_pushed_has(&a->pushed, ready[i].name))
			continue;
		if (ready[i].type == WAL_FILE_SEGMENT)
			used += a->first->segment_size;
		if (used > bytes)
			break;
		path = xasprintf("%.*s%s", dir, a->first->path, ready[i].name);
		add_item(a, &ready[i], path);
		free(path);
	}
	free(ready);
}

/* One listing for all of the batch. */
static int
look(struct ahead *a, struct wal_stored **out, size_t *n, struct err *err)
{
	struct wal_file *files = xcalloc(a->n, sizeof(*files));
	size_t i;
	int ret;

	for (i = 0; i < a->n; i++)
		files[i] = a->items[i].f.name;
	ret = wal_store_find_many(a->first->repo, a->first->inc, files, a->n,
	    out, n, err);
	free(files);
	return ret;
}

/* What of a listing is of this name; both are in the same order. */
static const struct wal_stored *
of_name(const struct wal_stored *list, size_t n, const char *name,
    size_t *n_out)
{
	size_t from = 0, to;

	while (from < n && strcmp(list[from].file.name, name) < 0)
		from++;
	for (to = from; to < n && strcmp(list[to].file.name, name) == 0; to++)
		;
	*n_out = to - from;
	return list + from;
}

/*
 * Others that are stored already wait for their own turn: then they are read
 * back and compared, which takes longer than to store them did.
 */
static void
drop_stored(struct ahead *a)
{
	size_t i, kept = 0;

	for (i = 0; i < a->n; i++) {
		struct item *it = &a->items[i];

		it->ws = of_name(a->before, a->n_before, it->f.name.name,
		    &it->n_ws);
		if (i > 0 && it->n_ws > 0)
			free(it->path);
		else
			a->items[kept++] = *it;
	}
	a->n = kept;
}

static int
try_item(struct item *it, struct err *err)
{
	struct wal_push_try t = { .f = &it->f, .ws = it->ws, .n = it->n_ws,
		.compressing = &it->a->compressing };
	int ret;

	if (wal_push_open(&it->f, &t.fd, &t.size, err) != 0)
		return -1;
	ret = wal_push_try(&t, &it->result, err);
	(void)close(t.fd); /* only read from */
	if (ret == 0)
		it->state = it->result.already ? THERE : PUT;
	memcpy(it->hash, t.hash, sizeof(it->hash));
	memcpy(it->content, t.content, sizeof(it->content));
	it->generation = t.generation;
	return ret == 0 || !t.again ? ret : 1;
}

/* The name was taken by another in between: look and try, as often as need be. */
static int
try_alone(struct item *it, struct err *err)
{
	struct wal_push_file f = it->f;

	f.stored = NULL; /* told when all is done, by one thread */
	err_clear(err);
	if (wal_push_file(&f, &it->result, err) != 0)
		return -1;
	it->state = THERE;
	return 0;
}

/*
 * Failures stay with the item: what becomes of the batch is not a matter of
 * which one failed first.
 */
static int
run_item(void *worker, void *job, bool skip, struct err *unused)
{
	struct item *it = job;
	struct ahead *a = it->a;
	struct worker *w = worker;
	bool is_first = it == a->items;
	struct err err = ERR_INIT;
	int rc;

	(void)unused; /* this never fails */
	if (skip || (!is_first && (atomic_load(&a->stop) ||
	    time_monotonic() - a->begun > BEGIN_UNTIL_US ||
	    cancel_requested())))
		return 0;
	it->f.repo = w->repo;
	rc = try_item(it, &err);
	if (rc > 0 && is_first) {
		rc = try_alone(it, &err);
	} else if (rc > 0) {
		return 0; /* that one will look after it */
	}
	it->f.repo = a->first->repo;
	if (rc != 0) {
		it->state = FAILED;
		it->err = err;
		atomic_store(&a->stop, true);
	}
	return 0;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	const struct ahead *a = arg;
	struct worker *w = worker;

	return repo_clone(a->first->repo, &w->repo, err);
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	repo_close(w->repo);
}

static int
run_all(struct ahead *a, struct err *err)
{
	unsigned jobs = a->first->jobs < 1 ? 1 : a->first->jobs;
	size_t threads = jobs + WAL_AHEAD_EXTRA, i;
	struct pool *pool = NULL;
	int ret = 0;

	if (threads > WAL_AHEAD_MAX)
		threads = jobs > WAL_AHEAD_MAX ? jobs : WAL_AHEAD_MAX;
	if (threads > a->n)
		threads = a->n;
	(void)sem_init(&a->compressing, 0, jobs); /* a small number: fine */
	a->begun = time_monotonic();
	ret = pool_new(&pool, threads, a->n, sizeof(struct worker),
	    worker_init, worker_fini, a, err);
	for (i = 0; i < a->n && ret == 0; i++)
		ret = pool_submit(pool, run_item, &a->items[i], err);
	if (ret == 0)
		ret = pool_finish(pool, err);
	pool_free(pool);
	(void)sem_destroy(&a->compressing);
	return ret;
}

/* After the put: has another content come in under this name? */
static int
settle_item(struct item *it, const struct wal_stored *ws, size_t n,
    struct err *err)
{
	uint64_t size;
	size_t i;
	int fd, ret = 0;

	for (i = 0; i < n; i++)
		if (memcmp(ws[i].hash, it->hash, WAL_HASH_SIZE) == 0)
			break;
	/* The one that was asked for is there: its put has said so. */
	if (i == n && it != it->a->items)
		return err_set(err, ERR_STORAGE, "%s: what has just been "
		    "stored is not listed by %s", it->f.name.name,
		    storage_url(it->f.repo->st));
	for (i = 0; i < n; i++)
		if (memcmp(ws[i].hash, it->hash, WAL_HASH_SIZE) != 0)
			break;
	if (i == n)
		return 0;
	if (wal_push_open(&it->f, &fd, &size, err) != 0)
		return -1;
	ret = wal_push_look_again(&it->f, fd, size, it->hash, ws, n, err);
	(void)close(fd); /* only read from */
	return ret;
}

static void
record(struct item *it)
{
	struct wal_stored ws = { .file = it->f.name,
		.generation = it->generation };

	memcpy(ws.hash, it->hash, sizeof(ws.hash));
	wal_pushed_add(&it->a->pushed, it->f.inc, &ws, it->content,
	    it->result.original_bytes);
}

/* Those that were put: one look at all, then they count. */
static int
settle_all(struct ahead *a, struct err *err)
{
	struct wal_stored *after = NULL;
	const struct wal_stored *ws;
	size_t i, n_after = 0, n;
	int ret = 0;

	if (look(a, &after, &n_after, err) != 0)
		return -1;
	for (i = 0; i < a->n; i++) {
		struct item *it = &a->items[i];

		if (it->state != PUT)
			continue;
		ws = of_name(after, n_after, it->f.name.name, &n);
		if (settle_item(it, ws, n, &it->err) != 0) {
			it->state = FAILED;
			continue;
		}
		wal_push_tell(&it->f);
		if (i > 0)
			record(it);
	}
	free(after);
	return ret;
}

static bool
any_put(const struct ahead *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->items[i].state == PUT)
			return true;
	return false;
}

/* The others' failures; the outcome of the first. */
static int
conclude(struct ahead *a, struct wal_push_result *out, struct err *err)
{
	size_t i, ahead = 0;

	for (i = 1; i < a->n; i++) {
		if (a->items[i].state == PUT)
			ahead++;
		else if (a->items[i].state == FAILED)
			log_warning("%s is not stored ahead: %s",
			    a->items[i].f.name.name, a->items[i].err.msg);
	}
	if (ahead > 0)
		log_debug("%zu files stored ahead", ahead);
	*out = a->items[0].result;
	if (a->items[0].state == FAILED) {
		*err = a->items[0].err;
		return -1;
	}
	if (a->items[0].state == THERE)
		wal_push_tell(&a->items[0].f);
	return 0;
}

static int
push_batch(struct ahead *a, struct wal_push_result *out, struct err *err)
{
	if (look(a, &a->before, &a->n_before, err) != 0)
		return -1;
	drop_stored(a);
	if (run_all(a, err) != 0 || (any_put(a) && settle_all(a, err) != 0))
		return -1;
	if (a->items[0].state == NOT_TRIED)
		return cancel_check(err) != 0 ? -1 :
		    err_set(err, ERR_BUG, "the file was not tried");
	return conclude(a, out, err);
}

int
wal_push_ahead(const struct wal_push_file *first, const char *pgdata,
    const char *state_directory, uint64_t bytes, struct wal_push_result *out,
    struct err *err)
{
	struct ahead a = { .first = first };
	struct err why = ERR_INIT;
	char *status = NULL;
	size_t i;
	int ret;

	if (first->name.type == WAL_FILE_SEGMENT ||
	    first->name.type == WAL_FILE_BACKUP)
		status = status_directory(first, pgdata);
	/* Without records all that is ahead would be stored twice. */
	if (status != NULL && wal_pushed_open(&a.pushed, state_directory,
	    first->repo, first->inc, &why) != 0) {
		log_warning("nothing is stored ahead: %s", why.msg);
		free(status);
		status = NULL;
	}
	if (status != NULL) {
		wal_pushed_sweep(&a.pushed);
		a.items = xcalloc(ITEMS_MAX, sizeof(*a.items));
		choose(&a, status, bytes);
	}
	if (a.n > 1)
		ret = push_batch(&a, out, err);
	else
		ret = wal_push_file(first, out, err);
	for (i = 0; i < a.n; i++)
		free(a.items[i].path);
	free(a.items);
	free(a.before);
	wal_pushed_free(&a.pushed);
	free(status);
	return ret;
}
