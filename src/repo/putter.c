/* SPDX-License-Identifier: PostgreSQL */
/*
 * The threads come from a pool, each with one job that lasts: take packs from
 * the queue here until it is closed. Buffers go round: a writer gets one that
 * was put, so that memory is not returned and asked for again for each pack.
 */
#include "config.h"

#include "repo/putter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pipe/pool.h"

#define PUTTER_THREADS 2
#define PUTTER_IN_FLIGHT 3 /* packs that wait or are being put */

/*
 * Over a network a put waits most of its time, for the server's answer. So
 * more are under way at once, as long as they are no more than this together.
 */
#define REMOTE_THREADS 8
#define REMOTE_IN_FLIGHT 9
#define REMOTE_BYTES ((size_t)72 << 20)

#define PUTTER_PACKS_MAX 100000000 /* 800 TB */

struct item {
	struct pack_id id;
	uint64_t plain;
	struct buf bytes;
};

struct putter {
	pthread_mutex_t lock;
	pthread_cond_t work; /* the queue has something, or is closed */
	pthread_cond_t room; /* one less in flight */
	const struct storage *st;
	struct incarnation inc;
	struct pool *pool;
	struct item queue[REMOTE_IN_FLIGHT];
	size_t n_queue, in_flight, most; /* most: that may be in flight */
	size_t bytes; /* of those in flight */
	bool remote;
	struct buf spare[REMOTE_IN_FLIGHT];
	size_t n_spare;
	bool closing, failed;
	struct err error;
	struct putter_pack *packs;
	size_t n_packs;
};

struct hand {
	struct storage *st;
};

static int
hand_init(void *worker, void *arg, struct err *err)
{
	struct hand *h = worker;
	const struct putter *p = arg;

	return storage_clone(p->st, &h->st, err);
}

static void
hand_fini(void *worker)
{
	struct hand *h = worker;

	storage_close(h->st);
}

/* Called with the lock held. */
static void
note_pack(struct putter *p, const struct item *item)
{
	size_t number = item->id.number, n = p->n_packs;

	if (number >= n) {
		n = number + number / 2 + 64;
		p->packs = xreallocarray(p->packs, n, sizeof(*p->packs));
		memset(p->packs + p->n_packs, 0,
		    (n - p->n_packs) * sizeof(*p->packs));
		p->n_packs = n;
	}
	p->packs[number] = (struct putter_pack){ item->bytes.len,
		item->plain };
}

static int
put_one(struct putter *p, struct storage *st, const struct item *item,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];

	repo_pack_key(&p->inc, &item->id, key);
	return storage_put(st, key, item->bytes.data, item->bytes.len, err);
}

static int
hand_run(void *worker, void *job, bool skip, struct err *err)
{
	struct hand *h = worker;
	struct putter *p = job;
	struct item item;
	int rc;

	if (skip)
		return 0;
	(void)pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->n_queue == 0 && !p->closing)
			(void)pthread_cond_wait(&p->work, &p->lock);
		if (p->n_queue == 0)
			break;
		item = p->queue[0];
		p->n_queue--;
		memmove(p->queue, p->queue + 1,
		    p->n_queue * sizeof(p->queue[0]));
		rc = 0;
		if (!p->failed) {
			(void)pthread_mutex_unlock(&p->lock);
			rc = put_one(p, h->st, &item, err);
			(void)pthread_mutex_lock(&p->lock);
		}
		if (rc != 0 && !p->failed) {
			p->failed = true;
			p->error = *err;
		} else if (rc == 0)
			note_pack(p, &item);
		p->bytes -= item.bytes.len;
		buf_clear(&item.bytes);
		p->spare[p->n_spare++] = item.bytes;
		p->in_flight--;
		(void)pthread_cond_broadcast(&p->room);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return 0; /* the error waits in p->error */
}

int
putter_new(struct putter **out, struct repo *repo,
    const struct incarnation *inc, struct err *err)
{
	struct putter *p = xcalloc(1, sizeof(*p));
	size_t i, threads;

	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->work, NULL);
	(void)pthread_cond_init(&p->room, NULL);
	p->st = repo->st;
	p->inc = *inc;
	p->remote = !storage_is_local(storage_url(repo->st));
	p->most = p->remote ? REMOTE_IN_FLIGHT : PUTTER_IN_FLIGHT;
	threads = p->remote ? REMOTE_THREADS : PUTTER_THREADS;
	if (pool_new(&p->pool, threads, threads,
	    sizeof(struct hand), hand_init, hand_fini, p, err) != 0)
		goto fail;
	for (i = 0; i < threads; i++)
		if (pool_submit(p->pool, hand_run, p, err) != 0)
			goto fail;
	*out = p;
	return 0;
fail:
	putter_free(p);
	return -1;
}

/* Called with the lock held. An empty buffer as large as b may become. */
static void
take_spare(struct putter *p, struct buf *b)
{
	size_t max = b->max;

	if (p->n_spare > 0) {
		*b = p->spare[--p->n_spare];
		b->max = max;
	} else {
		buf_init(b, max);
		(void)buf_reserve(b, max); /* once; not touched until used */
	}
}

static uint64_t
plain_bytes(const struct object_writer *object)
{
	const struct index_entry *e;
	uint64_t plain = 0;

	for (e = object->entries; e < object->entries + object->n; e++)
		if (e->type == FRAME_FILE || e->type == FRAME_MAP ||
		    e->type == FRAME_DUMP || e->type == FRAME_CHUNK_LIST)
			plain += e->plain_len;
	return plain;
}

/* Called with the lock held. Large packs are fewer, but as many as locally. */
static bool
is_full(const struct putter *p, size_t len)
{
	if (p->in_flight < PUTTER_IN_FLIGHT)
		return false;
	return p->in_flight == p->most || p->bytes + len > REMOTE_BYTES;
}

int
putter_put(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *err)
{
	struct putter *p = arg;
	int rc = 0;

	if (id->number > PUTTER_PACKS_MAX)
		return err_set(err, ERR_REFUSED, "too many packs");
	(void)pthread_mutex_lock(&p->lock);
	while (is_full(p, object->bytes.len) && !p->failed)
		(void)pthread_cond_wait(&p->room, &p->lock);
	if (p->failed) {
		*err = p->error;
		rc = -1;
	} else {
		p->queue[p->n_queue].id = *id;
		p->queue[p->n_queue].plain = plain_bytes(object);
		p->queue[p->n_queue++].bytes = object->bytes;
		p->in_flight++;
		p->bytes += object->bytes.len;
		take_spare(p, &object->bytes);
		(void)pthread_cond_signal(&p->work);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

static int
result(struct putter *p, struct err *err)
{
	if (!p->failed)
		return 0;
	*err = p->error;
	return -1;
}

int
putter_check(struct putter *p, struct err *err)
{
	int rc;

	(void)pthread_mutex_lock(&p->lock);
	rc = result(p, err);
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

int
putter_finish(struct putter *p, struct err *err)
{
	int rc;

	(void)pthread_mutex_lock(&p->lock);
	while (p->in_flight > 0)
		(void)pthread_cond_wait(&p->room, &p->lock);
	rc = result(p, err);
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

const struct putter_pack *
putter_packs(const struct putter *p, size_t *n)
{
	*n = p->n_packs;
	return p->packs;
}

void
putter_free(struct putter *p)
{
	size_t i;

	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->closing = true;
	for (i = 0; i < p->n_queue; i++)
		buf_free(&p->queue[i].bytes);
	p->in_flight -= p->n_queue;
	p->n_queue = 0; /* their bytes do not count any more */
	(void)pthread_cond_broadcast(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
	pool_free(p->pool); /* waits for what is being put */
	for (i = 0; i < p->n_spare; i++)
		buf_free(&p->spare[i]);
	free(p->packs);
	(void)pthread_cond_destroy(&p->work);
	(void)pthread_cond_destroy(&p->room);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}
