/* SPDX-License-Identifier: PostgreSQL */
/* Objects in memory, for tests: one sorted array that all clones share. */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/time.h"
#include "storage/storage_ops.h"

struct object {
	char *key;
	uint8_t *data;
	size_t len;
	int64_t mtime;
};

struct shared {
	pthread_mutex_t lock;
	unsigned handles;
	struct object *objects; /* ascending by key */
	size_t n;
	int64_t clock; /* added to this host's */
};

struct mem {
	struct storage st;
	struct shared *shared;
};

static const struct storage_ops mem_ops;

static struct shared *
shared_of(const struct storage *st)
{
	return ((const struct mem *)st)->shared;
}

/* Where key is, or would be. */
static size_t
position(const struct shared *s, const char *key, bool *found)
{
	size_t low = 0, high = s->n, mid;
	int order;

	*found = false;
	while (low < high && !*found) {
		mid = low + (high - low) / 2;
		order = strcmp(s->objects[mid].key, key);
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
		*found = order == 0;
	}
	return *found ? high : low;
}

static struct storage *
handle_new(struct shared *shared)
{
	struct mem *m = xcalloc(1, sizeof(*m));

	m->st.ops = &mem_ops;
	m->st.url = xstrdup("mem://");
	m->shared = shared;
	shared->handles++;
	return &m->st;
}

struct storage *
storage_mem_new(void)
{
	struct shared *s = xcalloc(1, sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL); /* does not fail on Linux */
	return handle_new(s);
}

void
storage_mem_clock(struct storage *st, int64_t offset)
{
	struct shared *s = shared_of(st);

	(void)pthread_mutex_lock(&s->lock);
	s->clock = offset;
	(void)pthread_mutex_unlock(&s->lock);
}

static int
mem_clone(const struct storage *st, struct storage **out, struct err *err)
{
	struct shared *s = shared_of(st);

	(void)pthread_mutex_lock(&s->lock);
	*out = handle_new(s);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

static void
mem_close(struct storage *st)
{
	struct shared *s = shared_of(st);
	unsigned left;
	size_t i;

	(void)pthread_mutex_lock(&s->lock);
	left = --s->handles;
	(void)pthread_mutex_unlock(&s->lock);
	if (left == 0) {
		for (i = 0; i < s->n; i++) {
			free(s->objects[i].key);
			free(s->objects[i].data);
		}
		free(s->objects);
		(void)pthread_mutex_destroy(&s->lock);
		free(s);
	}
	free(st->url);
	free(st);
}

static int
mem_nothing(struct storage *st, struct err *err)
{
	return 0;
}

static int
mem_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	struct shared *s = shared_of(st);
	struct object *o;
	size_t at;
	bool found;

	(void)pthread_mutex_lock(&s->lock);
	at = position(s, key, &found);
	if (!found) {
		s->objects = xreallocarray(s->objects, s->n + 1,
		    sizeof(*s->objects));
		o = s->objects + at;
		memmove(o + 1, o, (s->n - at) * sizeof(*o));
		o->key = xstrdup(key);
		o->data = xmalloc(len);
		if (len > 0)
			memcpy(o->data, data, len);
		o->len = len;
		o->mtime = time_now() + s->clock;
		s->n++;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (found)
		return err_set(err, ERR_EXISTS, "the name is taken");
	return 0;
}

/* NULL and ERR_NOT_FOUND when there is none. Called with the lock held. */
static const struct object *
look_up(const struct shared *s, const char *key, struct err *err)
{
	size_t at;
	bool found;

	at = position(s, key, &found);
	if (found)
		return &s->objects[at];
	err_set(err, ERR_NOT_FOUND, "no such object");
	return NULL;
}

static int
mem_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	struct shared *s = shared_of(st);
	const struct object *o;
	int ret = -1;

	(void)pthread_mutex_lock(&s->lock);
	o = look_up(s, key, err);
	if (o == NULL)
		goto out;
	if (off > o->len || len > o->len - off) {
		err_set(err, ERR_DAMAGED,
		    "has %zu bytes, %zu were expected from %llu", o->len, len,
		    (unsigned long long)off);
		goto out;
	}
	if (len > 0)
		memcpy(out, o->data + off, len);
	ret = 0;
out:
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

static int
mem_stat(struct storage *st, const char *key, uint64_t *size, int64_t *mtime,
    struct err *err)
{
	struct shared *s = shared_of(st);
	const struct object *o;

	(void)pthread_mutex_lock(&s->lock);
	o = look_up(s, key, err);
	if (o != NULL) {
		*size = o->len;
		*mtime = o->mtime;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return o == NULL ? -1 : 0;
}

/* The entries are copied first, so that fn may use the storage. */
static size_t
collect(struct shared *s, const char *prefix, bool delimiter,
    struct storage_entry **out)
{
	struct storage_entry *entries = NULL;
	size_t i, n = 0, skip = strlen(prefix), len;
	const char *name, *slash;
	bool found;

	for (i = position(s, prefix, &found); i < s->n; i++) {
		name = s->objects[i].key + skip;
		if (strncmp(s->objects[i].key, prefix, skip) != 0)
			break;
		slash = delimiter ? strchr(name, '/') : NULL;
		len = slash == NULL ? strlen(name) : (size_t)(slash - name) + 1;
		if (slash != NULL && n > 0 && entries[n - 1].is_directory &&
		    strlen(entries[n - 1].name) == len &&
		    strncmp(entries[n - 1].name, name, len) == 0)
			continue;
		entries = xreallocarray(entries, n + 1, sizeof(*entries));
		entries[n].name = xstrndup(name, len);
		entries[n].is_directory = slash != NULL;
		entries[n].size = slash != NULL ? 0 : s->objects[i].len;
		entries[n].mtime = slash != NULL ? 0 : s->objects[i].mtime;
		n++;
	}
	*out = entries;
	return n;
}

static int
mem_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	struct shared *s = shared_of(st);
	struct storage_entry *entries, gone;
	size_t i, n;
	int rc = 0;

	(void)pthread_mutex_lock(&s->lock);
	n = collect(s, prefix, delimiter, &entries);
	(void)pthread_mutex_unlock(&s->lock);
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = fn(arg, &entries[i], err);
		gone = entries[i];
		free((char *)(uintptr_t)gone.name);
	}
	free(entries);
	return rc;
}

static int
mem_remove(struct storage *st, const char *key, struct err *err)
{
	struct shared *s = shared_of(st);
	struct object *o;
	size_t at;
	bool found;

	(void)pthread_mutex_lock(&s->lock);
	at = position(s, key, &found);
	if (found) {
		o = s->objects + at;
		free(o->key);
		free(o->data);
		s->n--;
		memmove(o, o + 1, (s->n - at) * sizeof(*o));
	}
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

static const struct storage_ops mem_ops = {
	.scheme = "mem",
	.clone = mem_clone,
	.close = mem_close,
	.create = mem_nothing,
	.probe_root = mem_nothing,
	.put = mem_put,
	.get = mem_get,
	.stat = mem_stat,
	.list = mem_list,
	.remove = mem_remove,
};
