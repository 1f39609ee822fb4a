/* SPDX-License-Identifier: PostgreSQL */
/* Packs being read: the readers used last stay open. */
#include "config.h"

#include "repo/pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/packset.h"

struct slot {
	struct pack_id id;
	struct object_reader reader;
	uint64_t used; /* when; 0: empty */
};

struct pack_cache {
	struct repo *repo;
	struct incarnation inc;
	struct frame_codec *codec;
	struct slot *slots;
	size_t capacity;
	uint64_t clock;
	struct slot *last; /* used last */
	struct packset *packs; /* NULL until first needed, unless shared */
	bool packs_shared;
};

struct pack_cache *
pack_cache_new_shared(struct repo *repo, const struct incarnation *inc,
    size_t capacity, struct packset *packs)
{
	struct pack_cache *c = xcalloc(1, sizeof(*c));

	c->repo = repo;
	c->inc = *inc;
	c->codec = frame_codec_new(1);
	c->capacity = capacity == 0 ? 1 : capacity;
	c->slots = xcalloc(c->capacity, sizeof(*c->slots));
	c->packs = packs;
	c->packs_shared = packs != NULL;
	return c;
}

struct pack_cache *
pack_cache_new(struct repo *repo, const struct incarnation *inc,
    size_t capacity)
{
	return pack_cache_new_shared(repo, inc, capacity, NULL);
}

void
pack_cache_free(struct pack_cache *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->capacity; i++)
		object_reader_close(&c->slots[i].reader);
	frame_codec_free(c->codec);
	if (!c->packs_shared)
		packset_free(c->packs);
	free(c->slots);
	free(c);
}

int
pack_id_compare(const struct pack_id *a, const struct pack_id *b)
{
	int c = strcmp(a->label, b->label);

	if (c != 0)
		return c;
	if (a->attempt != b->attempt)
		return a->attempt < b->attempt ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return 0;
}

/* The key of the generation to read, and its size (0: not known). */
static int
choose_generation(struct pack_cache *c, const struct pack_id *id,
    uint64_t *size, char key[STORAGE_KEY_MAX], struct err *err)
{
	struct packset_info info;

	if (c->packs == NULL &&
	    packset_new(&c->packs, c->repo, &c->inc, err) != 0)
		return -1;
	if (packset_find(c->packs, id, &info, err) != 0)
		return -1;
	repo_pack_key_generation(&c->inc, id, info.generation, key);
	if (!info.exists)
		return 0; /* put after the listing, or the open will tell */
	if (info.generation == 0 && *size != 0 && info.size != *size)
		return err_set(err, ERR_DAMAGED, "%s/%s has %llu bytes, the "
		    "commit says %llu", storage_url(c->repo->st), key,
		    (unsigned long long)info.size, (unsigned long long)*size);
	*size = info.size;
	return 0;
}

static int
open_slot(struct pack_cache *c, struct slot *slot, const struct pack_id *id,
    uint64_t size, struct err *err)
{
	const struct object_header *h = &slot->reader.header;
	char key[STORAGE_KEY_MAX];
	/* Who has read one pack in order does so with the next. */
	const bool eager = c->last != NULL &&
	    object_reader_streams(&c->last->reader);

	if (c->last == slot)
		c->last = NULL;
	object_reader_close(&slot->reader);
	slot->used = 0;
	if (choose_generation(c, id, &size, key, err) != 0)
		return -1;
	if ((eager ? object_reader_open_eager : object_reader_open)(
		&slot->reader, c->repo, key, size, OBJECT_PACK, c->inc.system_id, err) != 0)
		return -1;
	if (!h->has_pack || h->attempt != id->attempt ||
	    h->number != id->number || strcmp(h->name, id->label) != 0) {
		object_reader_close(&slot->reader);
		return err_set(err, ERR_DAMAGED,
		    "%s holds another pack: %s, attempt %u, number %u", key,
		    h->name, h->attempt, h->number);
	}
	slot->id = *id;
	return 0;
}

int
pack_cache_open(struct pack_cache *c, const struct pack_id *id, uint64_t size,
    struct object_reader **out, struct err *err)
{
	struct slot *s, *oldest = c->slots;

	for (s = c->slots; s < c->slots + c->capacity; s++) {
		if (s->used != 0 && pack_id_compare(&s->id, id) == 0)
			break;
		if (s->used < oldest->used)
			oldest = s;
	}
	if (s == c->slots + c->capacity) {
		s = oldest;
		if (open_slot(c, s, id, size, err) != 0)
			return -1;
	}
	if (c->last != NULL && c->last != s)
		object_reader_rest(&c->last->reader);
	c->last = s;
	s->used = ++c->clock;
	*out = &s->reader;
	return 0;
}

int
pack_cache_frame(struct pack_cache *c, const struct pack_id *id,
    uint32_t frame, struct frame_header *h, struct buf *out, struct err *err)
{
	struct object_reader *r;

	if (pack_cache_open(c, id, 0, &r, err) != 0)
		return -1;
	return object_reader_frame(r, c->codec, frame, h, out, err);
}
