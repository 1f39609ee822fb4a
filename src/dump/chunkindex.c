/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/chunkindex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#define FILE_NAME "the temporary file of chunks"

struct slot {
	uint32_t prefix; /* of the hash */
	uint32_t at;	 /* which chunk */
};

struct chunkindex {
	struct slot *slots; /* ascending, once sealed */
	size_t n, cap;
	struct dump_chunk *chunks; /* NULL: in the file */
	size_t cap_chunks, max_chunks;
	int fd; /* -1: none yet */
};

struct chunkindex *
chunkindex_new(size_t memory)
{
	struct chunkindex *x = xcalloc(1, sizeof(*x));

	x->fd = -1;
	x->max_chunks = memory / sizeof(*x->chunks);
	return x;
}

void
chunkindex_free(struct chunkindex *x)
{
	if (x == NULL)
		return;
	if (x->fd >= 0)
		(void)close(x->fd); /* nothing of it is wanted any more */
	free(x->chunks);
	free(x->slots);
	free(x);
}

static int
write_chunks(struct chunkindex *x, const struct dump_chunk *chunks, size_t n,
    size_t at, struct err *err)
{
	if (n == 0 || io_pwrite_full(x->fd, chunks, n * sizeof(*chunks),
	    at * sizeof(*chunks), FILE_NAME, err) == 0)
		return 0;
	return err_hint(err, "set TMPDIR to a directory with more room");
}

/* From memory to the file, where all that follows goes too. */
static int
spill(struct chunkindex *x, struct err *err)
{
	if (io_open_nameless(&x->fd, err) != 0 ||
	    write_chunks(x, x->chunks, x->n, 0, err) != 0)
		return -1;
	free(x->chunks);
	x->chunks = NULL;
	x->cap_chunks = 0;
	return 0;
}

static int
keep_chunks(struct chunkindex *x, const struct dump_chunk *chunks, size_t n,
    struct err *err)
{
	if (x->fd < 0 && n > x->max_chunks - x->n && spill(x, err) != 0)
		return -1;
	if (x->fd >= 0)
		return write_chunks(x, chunks, n, x->n, err);
	if (n > x->cap_chunks - x->n) {
		x->cap_chunks = x->n + n + x->n / 2;
		x->chunks = xreallocarray(x->chunks, x->cap_chunks,
		    sizeof(*x->chunks));
	}
	if (n > 0)
		memcpy(x->chunks + x->n, chunks, n * sizeof(*chunks));
	return 0;
}

static uint32_t
prefix_of(const struct dump_chunk *c)
{
	uint32_t h;

	memcpy(&h, c->hash, sizeof(h)); /* as good as any of its bits */
	return h;
}

int
chunkindex_add(struct chunkindex *x, const struct dump_chunk *chunks,
    size_t n, struct err *err)
{
	size_t i;

	if (n == 0)
		return 0;
	if (n > UINT32_MAX - x->n)
		return err_set(err, ERR_REFUSED, "too many chunks");
	if (keep_chunks(x, chunks, n, err) != 0)
		return -1;
	if (n > x->cap - x->n) {
		x->cap = x->n + n + x->n / 2;
		x->slots = xreallocarray(x->slots, x->cap, sizeof(*x->slots));
	}
	for (i = 0; i < n; i++, x->n++)
		x->slots[x->n] = (struct slot){ prefix_of(&chunks[i]),
			(uint32_t)x->n };
	return 0;
}

static int
by_prefix(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->prefix < y->prefix ? -1 : x->prefix > y->prefix;
}

void
chunkindex_seal(struct chunkindex *x)
{
	if (x->n > 0)
		qsort(x->slots, x->n, sizeof(*x->slots), by_prefix);
}

static bool
get(const struct chunkindex *x, size_t at, struct dump_chunk *out)
{
	struct err err = ERR_INIT;

	if (x->fd < 0) {
		*out = x->chunks[at];
		return true;
	}
	if (io_pread_full(x->fd, out, sizeof(*out), at * sizeof(*out),
	    FILE_NAME, &err) == 0)
		return true;
	log_err(LOG_WARNING, &err);
	return false;
}

static bool
same(const struct dump_chunk *a, const struct dump_chunk *b)
{
	return a->bytes == b->bytes && a->crc == b->crc &&
	    memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

bool
chunkindex_find(const struct chunkindex *x, const struct dump_chunk *like,
    struct dump_chunk *out)
{
	const uint32_t prefix = prefix_of(like);
	size_t lo = 0, hi = x->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (x->slots[mid].prefix < prefix)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < x->n && x->slots[lo].prefix == prefix; lo++)
		if (get(x, x->slots[lo].at, out) && same(out, like))
			return true;
	return false;
}
