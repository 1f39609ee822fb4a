/* SPDX-License-Identifier: PostgreSQL */
/*
 * The cache is a hash table of chains and a list in the order of use. One
 * thread reads a pack's sums, others that want the same wait for it.
 */
#include "config.h"

#include "repo/packsums.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/cursor.h"
#include "repo/hash.h"

#define CHAINS 4096
#define SUM_SIZE 12 /* in a page-sum frame */

enum state { LOADING, LOADED, FAILED };

struct entry {
	struct pack_sums *sums; /* of LOADED */
	struct pack_id id;
	enum state state;
	enum err_code code; /* of FAILED */
	unsigned references;
	size_t bytes;
	struct entry *chain;
	struct entry *older, *newer;
};

struct sums_cache {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	size_t bytes, max;
	struct entry *chains[CHAINS];
	struct entry *oldest, *newest;
};

static size_t
size_of(const struct pack_sums *s)
{
	return sizeof(*s) + (s->n_frames + 1) * sizeof(*s->first) +
	    s->first[s->n_frames] * sizeof(*s->list);
}

void
pack_sums_free(struct pack_sums *s)
{
	if (s == NULL)
		return;
	free(s->first);
	free(s->list);
	free(s);
}

/* One page-sum frame; *next is the first frame whose sums may follow. */
static int
decode_sums(const struct object_reader *r, const struct buf *b,
    struct pack_sums *s, uint32_t *next, struct err *err)
{
	struct cursor c = { b->data, b->len, false };
	uint32_t frame, n, i, at = s->first[*next];

	s->list = xreallocarray(s->list, at + b->len / SUM_SIZE + 1,
	    sizeof(*s->list));
	while (c.left > 0) {
		frame = cursor_le32(&c);
		n = cursor_le32(&c);
		if (c.bad || frame < *next || frame >= r->n || n == 0 ||
		    r->entries[frame].type != FRAME_FILE ||
		    n > r->entries[frame].plain_len || n > c.left / SUM_SIZE)
			return err_set(err, ERR_DAMAGED,
			    "%s: the page sums make no sense", r->key);
		for (; *next < frame; (*next)++)
			s->first[*next + 1] = at;
		for (i = 0; i < n; i++, at++) {
			s->list[at].fingerprint = cursor_le64(&c);
			s->list[at].crc = cursor_le32(&c);
		}
		s->first[++(*next)] = at;
	}
	return 0;
}

int
pack_sums_read(struct pack_cache *packs, const struct pack_id *id,
    uint64_t size, struct pack_sums **out, struct err *err)
{
	struct object_reader *r;
	struct pack_sums *s = NULL;
	struct frame_header h;
	struct buf b;
	uint32_t i, next = 0;
	int ret = -1;

	buf_init(&b, FORMAT_FRAME_PLAIN_MAX);
	if (pack_cache_open(packs, id, size, &r, err) != 0 ||
	    object_reader_unlock(r, err) != 0)
		goto out;
	s = xcalloc(1, sizeof(*s));
	s->n_frames = r->n;
	s->seed = r->seed;
	s->first = xcalloc((size_t)r->n + 1, sizeof(*s->first));
	for (i = 0; i < r->n; i++) {
		if (r->entries[i].type != FRAME_SUMS)
			continue;
		if (pack_cache_frame(packs, id, i, &h, &b, err) != 0 ||
		    decode_sums(r, &b, s, &next, err) != 0)
			goto out;
	}
	for (; next < r->n; next++)
		s->first[next + 1] = s->first[next];
	*out = s;
	ret = 0;
out:
	buf_free(&b);
	if (ret != 0)
		pack_sums_free(s);
	return ret;
}

struct sums_cache *
sums_cache_new(size_t bytes)
{
	struct sums_cache *c = xcalloc(1, sizeof(*c));

	c->max = bytes;
	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->loaded, NULL);
	return c;
}

static void
entry_free(struct entry *e)
{
	pack_sums_free(e->sums);
	free(e);
}

void
sums_cache_free(struct sums_cache *c)
{
	struct entry *e, *next;

	if (c == NULL)
		return;
	for (e = c->oldest; e != NULL; e = next) {
		next = e->newer;
		entry_free(e);
	}
	(void)pthread_cond_destroy(&c->loaded);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct entry **
chain_of(struct sums_cache *c, const struct pack_id *id)
{
	uint64_t h = hash_64(id->label, strlen(id->label),
	    (uint64_t)id->attempt << 32 | id->number);

	return &c->chains[h % CHAINS];
}

static void
unlink_use(struct sums_cache *c, struct entry *e)
{
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		c->oldest = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		c->newest = e->older;
}

static void
link_newest(struct sums_cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	if (c->newest != NULL)
		c->newest->newer = e;
	else
		c->oldest = e;
	c->newest = e;
}

static void
drop(struct sums_cache *c, struct entry *e)
{
	struct entry **p = chain_of(c, &e->id);

	while (*p != e)
		p = &(*p)->chain;
	*p = e->chain;
	unlink_use(c, e);
	c->bytes -= e->bytes;
	entry_free(e);
}

/* The entry of a pack, made if it is not there: *fresh, to be loaded. */
static struct entry *
find_entry(struct sums_cache *c, const struct pack_id *id, bool *fresh)
{
	struct entry **p = chain_of(c, id), *e;

	*fresh = false;
	for (e = *p; e != NULL; e = e->chain)
		if (pack_id_compare(&e->id, id) == 0) {
			unlink_use(c, e);
			link_newest(c, e);
			return e;
		}
	e = xcalloc(1, sizeof(*e));
	e->id = *id;
	e->chain = *p;
	*p = e;
	link_newest(c, e);
	*fresh = true;
	return e;
}

static void
shrink(struct sums_cache *c)
{
	struct entry *e, *next;

	for (e = c->oldest; e != NULL && c->bytes > c->max; e = next) {
		next = e->newer;
		if (e->references == 0 && e->state == LOADED)
			drop(c, e);
	}
}

/* Is what this error says so for good? */
static bool
lasting(enum err_code code)
{
	return code == ERR_DAMAGED || code == ERR_NOT_FOUND ||
	    code == ERR_UNSUPPORTED;
}

/* Called with the lock held and one reference of ours. */
static int
load(struct sums_cache *c, struct entry *e, struct pack_cache *packs,
    uint64_t size, struct err *err)
{
	struct pack_sums *sums = NULL;
	int rc;

	(void)pthread_mutex_unlock(&c->lock);
	rc = pack_sums_read(packs, &e->id, size, &sums, err);
	(void)pthread_mutex_lock(&c->lock);
	if (rc == 0) {
		sums->entry = e;
		e->sums = sums;
		e->bytes = size_of(sums);
		e->state = LOADED;
		c->bytes += e->bytes;
		shrink(c);
	} else {
		e->state = FAILED;
		e->code = err->code;
	}
	(void)pthread_cond_broadcast(&c->loaded);
	return rc;
}

int
sums_cache_get(struct sums_cache *c, struct pack_cache *packs,
    const struct pack_id *id, uint64_t size, const struct pack_sums **out,
    struct err *err)
{
	struct entry *e;
	bool fresh;
	int rc = 0;

	(void)pthread_mutex_lock(&c->lock);
	e = find_entry(c, id, &fresh);
	e->references++;
	if (fresh)
		rc = load(c, e, packs, size, err);
	while (e->state == LOADING)
		(void)pthread_cond_wait(&c->loaded, &c->lock);
	if (e->state == FAILED) {
		if (rc == 0)
			rc = err_set(err, e->code, "the page sums of pack %u "
			    "of attempt %u of backup %s cannot be read",
			    id->number, id->attempt, id->label);
		if (--e->references == 0 && !lasting(e->code))
			drop(c, e);
	} else
		*out = e->sums;
	(void)pthread_mutex_unlock(&c->lock);
	return rc;
}

void
sums_cache_put(struct sums_cache *c, const struct pack_sums *sums)
{
	struct entry *e = sums->entry;

	(void)pthread_mutex_lock(&c->lock);
	e->references--;
	if (c->bytes > c->max)
		shrink(c);
	(void)pthread_mutex_unlock(&c->lock);
}
