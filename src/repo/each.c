/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/each.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "pipe/pool.h"

#define HANDS 8
#define WORTH_IT 3 /* fewer are done sooner than connections are made */

struct repo_hands {
	struct pool *pool;
};

struct hand {
	struct repo *repo;
};

/* What one call of repo_each() is about. */
struct each {
	repo_each_fn fn;
	void *arg;
	size_t n;
	atomic_size_t next;
	atomic_bool failed;
};

/* One thread's share of it: what comes next, until there is no more. */
struct share {
	struct each *each;
	struct err err;
	size_t at; /* whose error it is */
};

static int
hand_init(void *worker, void *arg, struct err *err)
{
	struct hand *h = worker;

	return repo_clone(arg, &h->repo, err);
}

static void
hand_fini(void *worker)
{
	struct hand *h = worker;

	repo_close(h->repo);
}

static void
do_share(struct repo *repo, struct share *s)
{
	struct each *e = s->each;
	size_t i;

	while (!atomic_load(&e->failed)) {
		i = atomic_fetch_add(&e->next, 1);
		if (i >= e->n)
			return;
		if (cancel_check(&s->err) != 0 ||
		    e->fn(repo, e->arg, i, &s->err) != 0) {
			s->at = i;
			atomic_store(&e->failed, true);
		}
	}
}

static int
hand_run(void *worker, void *job, bool skip, struct err *err)
{
	struct hand *h = worker;

	(void)err; /* the share keeps it: the pool is used again */
	if (!skip)
		do_share(h->repo, job);
	return 0;
}

static int
have_hands(struct repo *repo, struct err *err)
{
	struct pool *pool;

	if (repo->hands != NULL)
		return 0;
	if (pool_new(&pool, HANDS, HANDS, sizeof(struct hand), hand_init,
	    hand_fini, repo, err) != 0)
		return -1;
	repo->hands = xmalloc(sizeof(*repo->hands));
	repo->hands->pool = pool;
	return 0;
}

int
repo_each(struct repo *repo, size_t n, repo_each_fn fn, void *arg,
    struct err *err)
{
	struct each e = { .fn = fn, .arg = arg, .n = n };
	struct share shares[HANDS] = { { .at = 0 } }, *first = NULL;
	size_t i;
	int rc = 0;

	if (n < WORTH_IT || storage_is_local(storage_url(repo->st))) {
		for (i = 0; i < n; i++)
			if (cancel_check(err) != 0 ||
			    fn(repo, arg, i, err) != 0)
				return -1;
		return 0;
	}
	if (have_hands(repo, err) != 0)
		return -1;
	for (i = 0; i < HANDS && rc == 0; i++) {
		shares[i].each = &e;
		rc = pool_submit(repo->hands->pool, hand_run, &shares[i],
		    err);
	}
	if (pool_finish(repo->hands->pool, err) != 0 || rc != 0)
		return -1;
	for (i = 0; i < HANDS; i++)
		if (shares[i].err.code != ERR_NONE &&
		    (first == NULL || shares[i].at < first->at))
			first = &shares[i];
	if (first == NULL)
		return 0;
	*err = first->err;
	return -1;
}

void
repo_hands_free(struct repo_hands *hands)
{
	if (hands == NULL)
		return;
	pool_free(hands->pool);
	free(hands);
}
