/* SPDX-License-Identifier: PostgreSQL */
/* A storage that fails when told to, for sweeps over every failing point. */
#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/storage_ops.h"

struct plan {
	atomic_uint handles;
	atomic_uint calls;
	atomic_uint fail_at; /* the number of the call; 0: none */
	atomic_bool torn;
	atomic_bool from; /* and every later one fails too */
};

struct fault {
	struct storage st;
	struct storage *inner;
	struct plan *plan; /* one for all clones */
};

static const struct storage_ops fault_ops;

static struct fault *
fault_of(struct storage *st)
{
	return (struct fault *)st;
}

static struct storage *
handle_new(struct storage *inner, struct plan *plan)
{
	struct fault *f = xcalloc(1, sizeof(*f));

	f->st.ops = &fault_ops;
	f->st.url = xstrdup(inner->url);
	f->inner = inner;
	f->plan = plan;
	atomic_fetch_add(&plan->handles, 1);
	return &f->st;
}

struct storage *
storage_fault_new(struct storage *inner)
{
	return handle_new(inner, xcalloc(1, sizeof(struct plan)));
}

void
storage_fault_at(struct storage *st, unsigned nth, bool torn)
{
	struct plan *plan = fault_of(st)->plan;

	atomic_store(&plan->calls, 0);
	atomic_store(&plan->fail_at, nth);
	atomic_store(&plan->torn, torn);
	atomic_store(&plan->from, false);
}

void
storage_fault_from(struct storage *st, unsigned nth, bool torn)
{
	storage_fault_at(st, nth, torn);
	atomic_store(&fault_of(st)->plan->from, true);
}

unsigned
storage_fault_calls(const struct storage *st)
{
	return atomic_load(&((const struct fault *)st)->plan->calls);
}

/* Count a call; true when it is to fail. */
static bool
due_as(struct storage *st, bool *first)
{
	struct plan *plan = fault_of(st)->plan;
	const unsigned call = atomic_fetch_add(&plan->calls, 1) + 1;
	const unsigned at = atomic_load(&plan->fail_at);

	*first = call == at;
	return *first || (at > 0 && call > at && atomic_load(&plan->from));
}

static bool
due(struct storage *st)
{
	bool first;

	return due_as(st, &first);
}

static int
failed(struct err *err)
{
	return err_set(err, ERR_STORAGE, "made to fail");
}

static int
fault_clone(const struct storage *st, struct storage **out, struct err *err)
{
	const struct fault *f = (const struct fault *)st;
	struct storage *inner;

	if (f->inner->ops->clone(f->inner, &inner, err) != 0)
		return -1;
	*out = handle_new(inner, f->plan);
	return 0;
}

static void
fault_close(struct storage *st)
{
	struct fault *f = fault_of(st);

	f->inner->ops->close(f->inner);
	if (atomic_fetch_sub(&f->plan->handles, 1) == 1)
		free(f->plan);
	free(f->st.url);
	free(f);
}

static int
fault_create(struct storage *st, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	return due(st) ? failed(err) : inner->ops->create(inner, err);
}

static int
fault_probe_root(struct storage *st, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	return due(st) ? failed(err) : inner->ops->probe_root(inner, err);
}

static int
fault_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	struct storage *inner = fault_of(st)->inner;
	bool first;

	if (!due_as(st, &first))
		return inner->ops->put(inner, key, data, len, err);
	if (first && atomic_load(&fault_of(st)->plan->torn) &&
	    inner->ops->put(inner, key, data, len, err) != 0)
		return -1;
	return failed(err);
}

static int
fault_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	if (due(st))
		return failed(err);
	return inner->ops->get(inner, key, off, len, out, err);
}

static int
fault_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	if (due(st))
		return failed(err);
	return inner->ops->stat(inner, key, size, mtime, err);
}

static int
fault_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	if (due(st))
		return failed(err);
	return inner->ops->list(inner, prefix, delimiter, fn, arg, err);
}

static int
fault_remove(struct storage *st, const char *key, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	return due(st) ? failed(err) : inner->ops->remove(inner, key, err);
}

static int
fault_settle(struct storage *st, const char *key, struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	if (due(st))
		return failed(err);
	return storage_settle(inner, key, err);
}

/* No put_begin: the pieces are collected, and one put can fail. */
static int
fault_sweep(struct storage *st, uint64_t older_than_us, uint64_t *removed,
    struct err *err)
{
	struct storage *inner = fault_of(st)->inner;

	if (due(st))
		return failed(err);
	return storage_sweep(inner, older_than_us, removed, err);
}

static const struct storage_ops fault_ops = {
	.scheme = "fault",
	.clone = fault_clone,
	.close = fault_close,
	.create = fault_create,
	.probe_root = fault_probe_root,
	.put = fault_put,
	.get = fault_get,
	.stat = fault_stat,
	.list = fault_list,
	.remove = fault_remove,
	.settle = fault_settle,
	.sweep = fault_sweep,
};
