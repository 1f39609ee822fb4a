/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "copy/copy.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "copy/copy_work.h"
#include "repo/hold.h"
#include "repo/keyring.h"

#define POLL_MS 100

/* Objects lie as they are only where identity and seed are the same. */
static int
check_places(const struct repo *from, const struct repo *to, struct err *err)
{
	if (memcmp(from->id, to->id, sizeof(from->id)) != 0 ||
	    (from->ring == NULL) != (to->ring == NULL) ||
	    (from->ring == NULL &&
	    from->fingerprint_seed != to->fingerprint_seed)) {
		err_set(err, ERR_REFUSED, "%s is repository %s and %s is "
		    "repository %s: they are not places of one repository",
		    storage_url(from->st), from->id_text,
		    storage_url(to->st), to->id_text);
		return err_hint(err, "name an empty place in the "
		    "configuration: 'dapk-backup init' makes it one for "
		    "copies");
	}
	if (strcmp(from->place_text, to->place_text) != 0)
		return 0;
	err_set(err, ERR_REFUSED, "%s and %s are the same place",
	    storage_url(from->st), storage_url(to->st));
	return err_hint(err, "is one of them a copy made by hand, or another "
	    "name of the other?");
}

static void
worker_fini(void *worker)
{
	struct copy_worker *w = worker;

	repo_close(w->from);
	repo_close(w->to);
	frame_codec_free(w->codec);
	buf_free(&w->raw);
	buf_free(&w->other);
	free(w->plain);
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct copy_worker *w = worker;
	struct copy *c = arg;

	w->c = c;
	w->codec = frame_codec_new(1);
	buf_init(&w->raw, STORAGE_OBJECT_MAX);
	buf_init(&w->other, STORAGE_OBJECT_MAX);
	w->plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	if (repo_clone(c->p.from, &w->from, err) == 0 &&
	    repo_clone(c->p.to, &w->to, err) == 0)
		return 0;
	worker_fini(w);
	return -1;
}

int
copy_new(struct copy **out, const struct copy_params *params,
    struct err *err)
{
	struct copy *c;
	struct copy_worker *own;

	if (check_places(params->from, params->to, err) != 0)
		return -1;
	/* First: what comes may be sealed to a pair that is new. */
	if (params->from->ring != NULL && !params->dry_run &&
	    keyring_copy(params->from, params->to, err) != 0)
		return -1;
	c = xcalloc(1, sizeof(*c));
	c->p = *params;
	(void)pthread_mutex_init(&c->lock, NULL); /* does not fail */
	rate_init(&c->rate, params->max_rate);
	own = xcalloc(1, sizeof(*own));
	if (worker_init(own, c, err) != 0) {
		free(own);
		copy_free(c);
		return -1;
	}
	c->own = own;
	if (pool_new(&c->pool, params->jobs, 2 * (size_t)params->jobs,
	    sizeof(struct copy_worker), worker_init, worker_fini, c,
	    err) != 0) {
		copy_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

static void
forget_incarnation(struct copy *c)
{
	tombstone_list_free(&c->stones);
	removed_free(&c->removed);
}

void
copy_free(struct copy *c)
{
	if (c == NULL)
		return;
	atomic_store(&c->stop, true);
	pool_free(c->pool);
	if (c->own != NULL)
		worker_fini(c->own);
	free(c->own);
	forget_incarnation(c);
	rate_free(&c->rate);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

const struct copy_result *
copy_result(const struct copy *c)
{
	return &c->result;
}

void
copy_expect(struct copy *c, uint64_t bytes)
{
	if (c->p.progress != NULL)
		atomic_fetch_add(&c->p.progress->total_bytes, bytes);
}

int
copy_stopped(struct copy *c, struct err *err)
{
	if (cancel_check(err) != 0)
		return -1;
	return atomic_load(&c->stop) ?
	    err_set(err, ERR_CANCELLED, "stopped") : 0;
}

static int
pulse(struct copy *c, struct err *err)
{
	if (c->p.tick != NULL)
		c->p.tick(c->p.tick_arg);
	if (cancel_check(err) != 0)
		return -1;
	return c->claim == NULL ? 0 : lease_renew(c->claim->lease, err);
}

int
copy_submit(struct copy *c, pool_run run, void *job, struct err *err)
{
	if (pulse(c, err) != 0)
		return -1;
	return pool_submit(c->pool, run, job, err);
}

int
copy_wait(struct copy *c, int rc, struct err *err)
{
	struct err ignored = ERR_INIT;
	bool idle = false;

	while (rc == 0 && !idle) {
		rc = pool_poll(c->pool, POLL_MS, &idle, err);
		if (rc == 0)
			rc = pulse(c, err);
	}
	if (rc == 0)
		return 0;
	atomic_store(&c->stop, true);
	/* What the jobs say now: *err came first. */
	if (pool_finish(c->pool, &ignored) != 0)
		return -1;
	return -1;
}

/* Is it free to be written to; what it is about to remove, and has removed. */
static int
begin_incarnation(struct copy *c, const struct incarnation *inc,
    struct err *err)
{
	forget_incarnation(c);
	c->inc = *inc;
	if (!c->p.dry_run && hold_check(c->p.to, inc->cluster, err) != 0)
		return -1;
	if (tombstone_list(c->p.to, inc, &c->stones, err) != 0)
		return -1;
	return c->p.again ? 0 : removed_list(c->p.to, inc, &c->removed, err);
}

int
copy_incarnation(struct copy *c, const struct incarnation *inc,
    struct err *err)
{
	if (begin_incarnation(c, inc, err) != 0)
		return -1;
	if ((c->p.what & COPY_WAL) != 0 && (copy_wal(c, NULL, 0, err) != 0 ||
	    copy_gaps(c, err) != 0))
		return -1;
	if ((c->p.what & COPY_BACKUPS) != 0 &&
	    copy_sets(c, REPO_BACKUP, err) != 0)
		return -1;
	if ((c->p.what & COPY_DUMPS) != 0 && copy_sets(c, REPO_DUMP, err) != 0)
		return -1;
	return 0;
}

int
copy_wal_items(struct copy *c, const struct incarnation *inc,
    struct copy_item *items, size_t n, struct err *err)
{
	/* In between the incarnation is known already, and in use. */
	if (!c->in_between && begin_incarnation(c, inc, err) != 0)
		return -1;
	return copy_wal(c, items, n, err);
}

int
copy_set_item(struct copy *c, const struct incarnation *inc,
    enum repo_kind kind, const char *label, enum copy_outcome *outcome,
    struct err *err)
{
	if (begin_incarnation(c, inc, err) != 0)
		return -1;
	return copy_one_set(c, kind, label, outcome, err);
}

/* The labels that were named, in whichever incarnation has them. */
static int
copy_labels(struct copy *c, const struct incarnation *incs, size_t n,
    struct err *err)
{
	char label[FORMAT_LABEL_MAX];
	enum copy_outcome outcome;
	enum repo_kind kind;
	size_t i, k;

	for (i = 0; i < c->p.n_labels; i++) {
		for (k = 0; k < n; k++) {
			if (catalogue_find_any(c->p.from, &incs[k],
			    c->p.labels[i], &kind, label, err) == 0)
				break;
			if (err->code != ERR_NOT_FOUND)
				return -1;
			err_clear(err);
		}
		if (k == n) {
			err_set(err, ERR_NOT_FOUND, "no backup or dump in %s "
			    "has a label that begins with '%s'",
			    storage_url(c->p.from->st), c->p.labels[i]);
			return err_hint(err, "'dapk-backup info' lists them");
		}
		if (copy_set_item(c, &incs[k], kind, label, &outcome,
		    err) != 0)
			return -1;
	}
	return 0;
}

int
copy_all(struct copy *c, struct err *err)
{
	struct incarnation *incs;
	size_t i, n;
	int rc = 0;

	if (repo_incarnations(c->p.from, c->p.cluster, &incs, &n, err) != 0)
		return -1;
	if (c->p.n_labels > 0)
		rc = copy_labels(c, incs, n, err);
	else
		for (i = 0; i < n && rc == 0; i++)
			rc = copy_incarnation(c, &incs[i], err);
	free(incs);
	return rc;
}
