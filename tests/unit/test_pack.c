/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/bytes.h"
#include "core/crc32c.h"
#include "repo/hash.h"
#include "repo/pack.h"

#define BLOCK 8192

static int
put_pack(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *why)
{
	struct fixture *f = arg;
	char key[STORAGE_KEY_MAX];

	repo_pack_key(&f->inc, id, key);
	return storage_put(f->st, key, object->bytes.data, object->bytes.len,
	    why);
}

static void
share(struct fixture *f, struct pack_shared *s, size_t target)
{
	memset(s, 0, sizeof(*s));
	s->repo = f->repo;
	s->inc = f->inc;
	memcpy(s->label, LABEL_A, sizeof(LABEL_A));
	s->attempt = 1;
	s->block_size = BLOCK;
	s->target = target;
	s->put = put_pack;
	s->put_arg = f;
}

static struct pack_id
pack_of(const struct frame_ref *ref)
{
	struct pack_id id = { LABEL_A, 1, ref->pack, REPO_BACKUP };

	return id;
}

static void
many_files_come_back_from_few_packs(void **state)
{
	enum { FILES = 400 };
	struct fixture *f = *state;
	struct frame_ref refs[FILES];
	struct pack_shared shared;
	struct pack_writer *w;
	struct pack_cache *cache;
	struct frame_header h;
	uint8_t *plain = xmalloc(64 << 10);
	struct pack_id id;
	struct buf out;
	char path[64];
	size_t i, len;

	share(f, &shared, 1 << 20);
	OK(pack_writer_new(&w, &shared, 1, &err));
	for (i = 0; i < FILES; i++) {
		len = 1 + i * 163 % (64 << 10);
		fixture_noise(plain, len, (uint32_t)i);
		(void)snprintf(path, sizeof(path), "base/%zu", i);
		OK(pack_writer_add(w, path, i, plain, len, NULL, &refs[i],
		    &err));
	}
	OK(pack_writer_flush(w, &err));
	OK(pack_writer_flush(w, &err)); /* nothing is left to do */
	pack_writer_free(w);
	assert_in_range(atomic_load(&shared.next_number), 10, 16);
	cache = pack_cache_new(f->repo, &f->inc, 3);
	buf_init(&out, 1 << 20);
	for (i = 0; i < FILES; i++) {
		size_t at = i * 7 % FILES; /* not in the order of packs */

		len = 1 + at * 163 % (64 << 10);
		fixture_noise(plain, len, (uint32_t)at);
		id = pack_of(&refs[at]);
		OK(pack_cache_frame(cache, &id, refs[at].frame, &h, &out,
		    &err));
		assert_int_equal(out.len, len);
		assert_memory_equal(out.data, plain, len);
		(void)snprintf(path, sizeof(path), "base/%zu", at);
		assert_int_equal(h.path_len, strlen(path));
		assert_memory_equal(h.path, path, h.path_len);
		assert_int_equal(h.position, at);
		assert_int_equal(h.block_size, BLOCK);
	}
	buf_free(&out);
	pack_cache_free(cache);
	free(plain);
}

static void
the_page_sums_of_a_pack_name_each_of_its_blocks(void **state)
{
	struct fixture *f = *state;
	struct pack_shared shared;
	struct pack_writer *w;
	struct pack_cache *cache;
	struct object_reader *r;
	struct frame_header h;
	struct frame_ref a, map, b;
	struct pack_id id;
	struct page_sum sums[3];
	uint8_t plain[3 * BLOCK];
	struct buf out;
	const uint8_t *p;

	fixture_noise(plain, sizeof(plain), 5);
	assert_int_equal(page_sums(plain, sizeof(plain) - 1, BLOCK,
	    f->repo->fingerprint_seed, sums), 3);
	assert_int_equal(sums[1].crc, crc32c(plain + BLOCK, BLOCK));
	assert_int_equal(sums[2].crc, crc32c(plain + 2 * BLOCK, BLOCK - 1));
	assert_true(sums[0].fingerprint ==
	    hash_64(plain, BLOCK, f->repo->fingerprint_seed));
	share(f, &shared, PACK_TARGET_DEFAULT);
	OK(pack_writer_new(&w, &shared, 3, &err));
	OK(pack_writer_add(w, "a", 0, plain, sizeof(plain) - 1, NULL, &a,
	    &err));
	OK(pack_writer_add_map(w, "map", 3, &map, &err));
	/* Sums that the caller has are taken as they are. */
	sums[0].crc = 42;
	OK(pack_writer_add(w, "b", 9, plain, BLOCK, sums, &b, &err));
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	assert_int_equal(b.frame, 2);
	cache = pack_cache_new(f->repo, &f->inc, 1);
	id = pack_of(&a);
	OK(pack_cache_open(cache, &id, 0, &r, &err));
	assert_int_equal(r->n, 4);
	assert_int_equal(r->entries[3].type, FRAME_SUMS);
	buf_init(&out, 1 << 20);
	OK(pack_cache_frame(cache, &id, 3, &h, &out, &err));
	p = out.data;
	assert_int_equal(out.len, 2 * 8 + 4 * 12);
	assert_int_equal(get_le32(p), 0);
	assert_int_equal(get_le32(p + 4), 3);
	assert_true(get_le64(p + 8 + 12) == sums[1].fingerprint);
	assert_int_equal(get_le32(p + 8 + 24 + 8), sums[2].crc);
	assert_int_equal(get_le32(p + 8 + 36), 2);
	assert_int_equal(get_le32(p + 8 + 36 + 4), 1);
	assert_int_equal(get_le32(p + 8 + 36 + 8 + 8), 42);
	buf_free(&out);
	pack_cache_free(cache);
}

static void
packs_that_shrink_to_nothing_are_still_bounded(void **state)
{
	struct fixture *f = *state;
	struct pack_shared shared;
	struct pack_writer *w;
	struct frame_ref ref;
	uint8_t *zeros = xcalloc(1, 1 << 20);
	unsigned i;

	/* 1 GiB of zeros in blocks of 1 kB: page sums would fill 12 MiB. */
	share(f, &shared, PACK_TARGET_DEFAULT);
	shared.block_size = 1024;
	OK(pack_writer_new(&w, &shared, 1, &err));
	for (i = 0; i < 200; i++)
		OK(pack_writer_add(w, "z", i * 1024, zeros, 1 << 20, NULL,
		    &ref, &err));
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	assert_in_range(atomic_load(&shared.next_number), 3, 4);
	free(zeros);
}

struct swap {
	struct fixture *f;
	struct buf kept[64];
	struct pack_id ids[64];
	size_t n;
};

/* Keeps the bytes, as one that puts in another thread does. */
static int
keep_pack(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *why)
{
	struct swap *s = arg;
	struct buf empty;

	assert_true(object->bytes.len <= object->bytes.max);
	buf_init(&empty, object->bytes.max);
	s->ids[s->n] = *id;
	s->kept[s->n++] = object->bytes;
	object->bytes = empty;
	return 0;
}

static void
a_buffer_may_be_kept_and_small_files_stay_within_its_ceiling(void **state)
{
	struct fixture *f = *state;
	struct swap swap = { .f = f };
	struct pack_shared shared;
	struct pack_writer *w;
	struct object_reader r;
	struct frame_ref ref;
	uint32_t i;
	size_t k, frames = 0;

	share(f, &shared, 1 << 20);
	shared.put = keep_pack;
	shared.put_arg = &swap;
	OK(pack_writer_new(&w, &shared, 1, &err));
	for (i = 0; i < 30000; i++)
		OK(pack_writer_add(w, "some/small/file", 0, &i, sizeof(i),
		    NULL, &ref, &err));
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	for (k = 0; k < swap.n; k++) {
		assert_true(swap.kept[k].len < (1 << 20) + (64 << 10));
		OK(object_reader_open_bytes(&r, f->repo, swap.kept[k].data,
		    swap.kept[k].len, "kept", OBJECT_PACK,
		    f->inc.system_id, &err));
		assert_int_equal(r.header.number, swap.ids[k].number);
		frames += r.n - 1;
		object_reader_close(&r);
		buf_free(&swap.kept[k]);
	}
	assert_int_equal(frames, 30000);
}

static void
the_wrong_pack_under_a_name_is_damage(void **state)
{
	struct fixture *f = *state;
	struct pack_shared shared;
	struct pack_writer *w;
	struct pack_cache *cache;
	struct object_reader *r;
	struct frame_ref ref;
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP }, other = { LABEL_A, 1, 1, REPO_BACKUP };
	char key[STORAGE_KEY_MAX];
	struct buf b;

	share(f, &shared, PACK_TARGET_DEFAULT);
	OK(pack_writer_new(&w, &shared, 3, &err));
	OK(pack_writer_add(w, "a", 0, "abc", 3, NULL, &ref, &err));
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	buf_init(&b, 1 << 20);
	repo_pack_key(&f->inc, &id, key);
	OK(storage_get_all(f->st, key, &b, &err));
	repo_pack_key(&f->inc, &other, key);
	OK(storage_put(f->st, key, b.data, b.len, &err));
	cache = pack_cache_new(f->repo, &f->inc, 2);
	OK(pack_cache_open(cache, &id, b.len, &r, &err));
	FAILS(pack_cache_open(cache, &other, 0, &r, &err), ERR_DAMAGED);
	other.number = 99;
	FAILS(pack_cache_open(cache, &other, 0, &r, &err), ERR_NOT_FOUND);
	pack_cache_free(cache);
	buf_free(&b);
}

static void
a_failed_put_is_an_error_of_the_add(void **state)
{
	struct fixture *f = *state;
	struct pack_shared shared;
	struct pack_writer *w;
	struct frame_ref ref;
	uint8_t *plain = xmalloc(1 << 20);
	int rc = 0, i;

	fixture_noise(plain, 1 << 20, 3);
	share(f, &shared, 1 << 20);
	OK(pack_writer_new(&w, &shared, 1, &err));
	storage_fault_at(f->st, 1, false);
	for (i = 0; i < 3 && rc == 0; i++)
		rc = pack_writer_add(w, "a", 0, plain, 1 << 20, NULL, &ref,
		    &err);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_STORAGE);
	pack_writer_free(w);
	free(plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_files_come_back_from_few_packs),
		TEST(the_page_sums_of_a_pack_name_each_of_its_blocks),
		TEST(packs_that_shrink_to_nothing_are_still_bounded),
		TEST(a_buffer_may_be_kept_and_small_files_stay_within_its_ceiling),
		TEST(the_wrong_pack_under_a_name_is_damage),
		TEST(a_failed_put_is_an_error_of_the_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
