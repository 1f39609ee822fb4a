/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "verify/verify_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"

#define CHUNK ((size_t)16 << 20)

struct chunk {
	uint8_t *data;
	size_t size;
};

struct facts_store {
	pthread_mutex_t lock;
	size_t memory; /* limit */
	size_t taken;
	struct chunk *chunks;
	size_t n;
	size_t used; /* of the last chunk */
	int fd;	     /* of the file, or -1 */
	off_t end;
};

struct facts_store *
facts_store_new(size_t memory)
{
	struct facts_store *s = xcalloc(1, sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL); /* does not fail */
	s->memory = memory;
	s->fd = -1;
	return s;
}

void
facts_store_free(struct facts_store *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++)
		(void)munmap(s->chunks[i].data, s->chunks[i].size);
	free(s->chunks);
	if (s->fd >= 0)
		(void)close(s->fd); /* nothing of it is wanted any more */
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Called with the lock held. */
static int
add_chunk(struct facts_store *s, size_t size, struct err *err)
{
	struct chunk *c;
	void *p;
	int rc;

	if (s->taken + size <= s->memory) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	} else {
		if (s->fd < 0 && io_open_nameless(&s->fd, err) != 0)
			return -1;
		/* A hole that cannot be filled would be a SIGBUS later. */
		rc = posix_fallocate(s->fd, s->end, (off_t)size);
		if (rc != 0) {
			err_sys(err, rc, "enlarge a temporary file");
			return err_hint(err, "set TMPDIR to a directory with "
			    "more room");
		}
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    s->fd, s->end);
		s->end += (off_t)size;
	}
	if (p == MAP_FAILED)
		return err_sys(err, errno, "map %zu bytes of memory", size);
	s->taken += size;
	s->chunks = xreallocarray(s->chunks, s->n + 1, sizeof(*s->chunks));
	c = &s->chunks[s->n++];
	c->data = p;
	c->size = size;
	s->used = 0;
	return 0;
}

int
facts_store_get(struct facts_store *s, size_t len, void **out,
    struct err *err)
{
	const size_t size = (len + 7) / 8 * 8;
	int rc = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->n == 0 || s->chunks[s->n - 1].size - s->used < size)
		rc = add_chunk(s, size > CHUNK ? size : CHUNK, err);
	if (rc == 0) {
		*out = s->chunks[s->n - 1].data + s->used;
		s->used += size;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

int
facts_store_keep(struct facts_store *s, const struct pack_facts *f,
    uint32_t n_crcs, uint32_t n_lists, const struct pack_facts **out,
    struct err *err)
{
	const size_t frames = f->n * sizeof(*f->frames),
		     lists = n_lists * sizeof(*f->lists),
		     crcs = n_crcs * sizeof(*f->crcs);
	struct pack_facts *kept;
	uint8_t *p;
	void *memory;

	if (facts_store_get(s, sizeof(*kept) + frames + lists + crcs,
		&memory, err) != 0)
		return -1;
	kept = memory;
	*kept = *f;
	p = (uint8_t *)(kept + 1);
	kept->frames = (const struct pack_frame *)(void *)p;
	if (frames > 0)
		memcpy(p, f->frames, frames);
	p += frames;
	kept->lists = (const uint64_t *)(void *)p;
	if (lists > 0)
		memcpy(p, f->lists, lists);
	p += lists;
	kept->crcs = (const uint32_t *)(void *)p;
	if (crcs > 0)
		memcpy(p, f->crcs, crcs);
	*out = kept;
	return 0;
}
