/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FIXTURE_DUMP_H
#define TESTS_FIXTURE_DUMP_H

/* A dump put into a repository by hand, from items whose content is given. */
#include "fixture_repo.h"

#include "core/crc32c.h"
#include "repo/chunklist.h"
#include "repo/commit.h"
#include "repo/pack.h"

struct fixture_item {
	const char *path;
	const void *data;
	size_t len;
	size_t chunk; /* at most so long */
	char end;     /* of a row; 0: the content has no rows */
	uint32_t dump_id, oid;
};

struct fixture_dump {
	struct repo *repo;
	struct pack_shared shared;
	struct pack_writer *pack;
	struct manifest_writer *manifest;
	uint64_t packs[64]; /* sizes */
	uint64_t plain[64];
	struct commit commit;
};

static inline int
fixture_dump_put_pack(void *arg, const struct pack_id *id,
    struct object_writer *object, struct err *why)
{
	struct fixture_dump *d = arg;
	char key[STORAGE_KEY_MAX];
	uint32_t i;

	assert_true(id->number < 64);
	d->packs[id->number] = object->bytes.len;
	for (i = 0; i < object->n; i++)
		d->plain[id->number] += object->entries[i].plain_len;
	repo_pack_key(&d->shared.inc, id, key);
	return storage_put(d->repo->st, key, object->bytes.data,
	    object->bytes.len, why);
}

/* How long the next chunk is: to a row's end where there is one. */
static inline size_t
fixture_dump_cut(const struct fixture_item *item, const uint8_t *p,
    size_t left)
{
	size_t n = left < item->chunk ? left : item->chunk, i;

	if (item->end == 0)
		return n;
	for (i = n; i > 0; i--)
		if (p[i - 1] == (uint8_t)item->end)
			return i;
	return n;
}

static inline size_t
fixture_dump_chunks(struct fixture_dump *d, const struct fixture_item *item,
    struct dump_chunk *chunks, uint64_t *rows)
{
	const uint8_t *p = item->data, *end = p + item->len, *q;
	struct frame_ref ref;
	size_t n = 0, len;

	for (; p < end; p += len, n++) {
		len = fixture_dump_cut(item, p, (size_t)(end - p));
		OK(pack_writer_add_chunk(d->pack, item->path, p, len, &ref,
		    &err));
		memset(&chunks[n], 0, sizeof(chunks[n]));
		chunks[n].pack = ref.pack;
		chunks[n].frame = ref.frame;
		chunks[n].bytes = (uint32_t)len;
		for (q = p; q < p + len && item->end != 0; q++)
			chunks[n].rows += *q == (uint8_t)item->end;
		dump_chunk_hash(p, len, d->repo->fingerprint_seed,
		    chunks[n].hash);
		chunks[n].crc = crc32c(p, len);
		*rows += chunks[n].rows;
	}
	return n;
}

static inline struct pack_id
fixture_dump_pack(const struct fixture_dump *d, uint32_t number)
{
	struct pack_id id;

	memset(&id, 0, sizeof(id));
	memcpy(id.label, d->shared.label, sizeof(id.label));
	id.attempt = d->shared.attempt;
	id.number = number;
	id.kind = REPO_DUMP;
	return id;
}

/* Lists of at most `most` chunks; returns how many. */
static inline size_t
fixture_dump_lists(struct fixture_dump *d, const struct dump_chunk *chunks,
    size_t n, size_t most, struct map_run *lists)
{
	struct pack_id packs[64];
	struct frame_ref ref;
	struct buf b;
	uint32_t n_packs = 0;
	size_t i, step, made = 0;

	for (i = 0; i < n; i++)
		while (n_packs <= chunks[i].pack) {
			packs[n_packs] = fixture_dump_pack(d, n_packs);
			n_packs++;
		}
	buf_init(&b, FORMAT_FRAME_PLAIN_MAX);
	for (i = 0; i < n; i += step, made++) {
		step = n - i < most ? n - i : most;
		buf_clear(&b);
		chunk_list_encode(packs, n_packs, chunks + i, (uint32_t)step,
		    &b);
		OK(pack_writer_add_list(d->pack, b.data, b.len, &ref, &err));
		lists[made] = (struct map_run){ 0, ref.pack, ref.frame, 0 };
	}
	buf_free(&b);
	return made;
}

static inline uint32_t
fixture_dump_index(struct fixture_dump *d, uint32_t number)
{
	struct pack_id id = fixture_dump_pack(d, number);

	return manifest_writer_pack(d->manifest, &id);
}

static inline void
fixture_dump_add(struct fixture_dump *d, const struct fixture_item *item)
{
	struct manifest_entry e = { .type = MANIFEST_DATA };
	struct dump_chunk *chunks = xcalloc(item->len + 1, sizeof(*chunks));
	struct map_run lists[64];
	size_t i, n;

	e.path = item->path;
	e.size = item->len;
	e.dump_id = item->dump_id;
	e.oid = item->oid;
	e.crc = crc32c(item->data, item->len);
	n = fixture_dump_chunks(d, item, chunks, &e.rows);
	d->commit.dump.chunks += n;
	d->commit.dump.rows += e.rows;
	d->commit.dump.tables += strncmp(item->path, "table/", 6) == 0;
	d->commit.original_bytes += item->len;
	d->commit.files++;
	if (n <= MANIFEST_INLINE_CHUNKS) {
		for (i = 0; i < n; i++)
			chunks[i].pack = fixture_dump_index(d,
			    chunks[i].pack);
		e.chunks = chunks;
		e.n_chunks = n;
	} else {
		e.n_map = fixture_dump_lists(d, chunks, n, (n + 2) / 2,
		    lists);
		for (i = 0; i < e.n_map; i++)
			lists[i].pack = fixture_dump_index(d, lists[i].pack);
		e.map = lists;
	}
	OK(manifest_writer_add(d->manifest, &e, &err));
	free(chunks);
}

/* Members of the commit that are always the same. */
static inline void
fixture_dump_head(struct fixture_dump *d, const char *label)
{
	struct commit *c = &d->commit;

	c->kind = REPO_DUMP;
	(void)snprintf(c->label, sizeof(c->label), "%s", label);
	c->inc = d->shared.inc;
	c->catalog_version = 202209061;
	c->method = xstrdup("copy");
	c->program = xstrdup("dapk-backup 0.1.0");
	c->host = xstrdup("db1");
	c->attempt = 1;
	c->start_time = 848669467123456;
	c->stop_time = 848669468000000;
	c->dump.database = xstrdup("sh\xc3\xb6p 1");
	c->dump.snapshot_lsn = 0x3000028;
	c->dump.snapshot_time = 848669467200000;
	c->dump.server_version = xstrdup("15.20");
	c->dump.server_version_num = 150020;
	c->dump.pg_dump_version = xstrdup("15.20");
	c->dump.archive_version = xstrdup("1.14");
	c->dump.encoding = xstrdup("UTF8");
	c->dump.options = xcalloc(2, sizeof(*c->dump.options));
	c->dump.n_options = 2;
	c->dump.options[0] = xstrdup("-T");
	c->dump.options[1] = xstrdup("a b.\"c\"");
}

static inline void
fixture_dump_begin(struct fixture_dump *d, struct repo *repo,
    const struct incarnation *inc, const char *label, size_t target)
{
	memset(d, 0, sizeof(*d));
	d->repo = repo;
	d->shared = (struct pack_shared){ .repo = repo, .inc = *inc,
		.kind = REPO_DUMP, .attempt = 1, .target = target,
		.put = fixture_dump_put_pack, .put_arg = d };
	(void)snprintf(d->shared.label, sizeof(d->shared.label), "%s", label);
	fixture_dump_head(d, label);
	OK(pack_writer_new(&d->pack, &d->shared, 1, &err));
	OK(manifest_writer_new_dump(&d->manifest, repo, inc, label, &err));
}

/* Puts what is left and the commit, which stays in d until it is freed. */
static inline void
fixture_dump_finish(struct fixture_dump *d)
{
	const struct manifest_part *parts;
	struct commit *c = &d->commit;
	size_t n;
	uint32_t i;

	OK(pack_writer_flush(d->pack, &err));
	OK(manifest_writer_finish(d->manifest, &parts, &n, &err));
	c->parts = xcalloc(n, sizeof(*c->parts));
	memcpy(c->parts, parts, n * sizeof(*parts));
	c->n_parts = n;
	c->packs = xcalloc(64, sizeof(*c->packs));
	c->stored_bytes = manifest_writer_stored(d->manifest);
	for (i = 0; i < 64 && d->packs[i] > 0; i++) {
		c->packs[i].id = fixture_dump_pack(d, i);
		c->packs[i].size = d->packs[i];
		c->packs[i].plain = c->packs[i].live = d->plain[i];
		c->stored_bytes += d->packs[i];
		c->n_packs++;
	}
	OK(commit_put(d->repo, c, &err));
	manifest_writer_free(d->manifest);
	pack_writer_free(d->pack);
	d->manifest = NULL;
	d->pack = NULL;
}

static inline void
fixture_dump_free(struct fixture_dump *d)
{
	commit_free(&d->commit);
	manifest_writer_free(d->manifest);
	pack_writer_free(d->pack);
}

#endif
