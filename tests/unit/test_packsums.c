/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/bytes.h"
#include "repo/packset.h"
#include "repo/packsums.h"

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
share(struct fixture *f, struct pack_shared *s)
{
	memset(s, 0, sizeof(*s));
	s->repo = f->repo;
	s->inc = f->inc;
	memcpy(s->label, LABEL_A, sizeof(LABEL_A));
	s->attempt = 1;
	s->block_size = BLOCK;
	s->target = 1 << 20;
	s->put = put_pack;
	s->put_arg = f;
}

/* n packs, each with a file of 3 blocks, a map and a file of one. */
static void
make_packs(struct fixture *f, size_t n, struct page_sum sums[][4])
{
	struct pack_shared shared;
	struct pack_writer *w;
	struct frame_ref ref;
	uint8_t plain[3 * BLOCK];
	size_t i;

	share(f, &shared);
	OK(pack_writer_new(&w, &shared, 1, &err));
	for (i = 0; i < n; i++) {
		fixture_noise(plain, sizeof(plain), (uint32_t)i);
		assert_int_equal(page_sums(plain, sizeof(plain), BLOCK,
		    f->repo->fingerprint_seed, sums[i]), 3);
		OK(pack_writer_add(w, "a", 7, plain, sizeof(plain), sums[i],
		    &ref, &err));
		assert_int_equal(ref.frame, 0);
		OK(pack_writer_add_map(w, "map", 3, &ref, &err));
		assert_int_equal(page_sums(plain, 100, BLOCK,
		    f->repo->fingerprint_seed, &sums[i][3]), 1);
		OK(pack_writer_add(w, "b", 0, plain, 100, NULL, &ref, &err));
		OK(pack_writer_flush(w, &err));
	}
	pack_writer_free(w);
}

static void
check_sums(const struct pack_sums *s, const struct page_sum *want)
{
	const struct page_sum *got;
	uint32_t n, i;

	assert_int_equal(s->n_frames, 4); /* the sums' own, too */
	got = pack_sums_frame(s, 0, &n);
	assert_int_equal(n, 3);
	for (i = 0; i < 3; i++) {
		assert_true(got[i].fingerprint == want[i].fingerprint);
		assert_int_equal(got[i].crc, want[i].crc);
	}
	assert_null(pack_sums_frame(s, 1, &n));
	got = pack_sums_frame(s, 2, &n);
	assert_int_equal(n, 1);
	assert_true(got[0].fingerprint == want[3].fingerprint);
	assert_null(pack_sums_frame(s, 3, &n));
	assert_null(pack_sums_frame(s, 4, &n));
	assert_int_equal(n, 0);
}

static void
each_frame_has_its_sums(void **state)
{
	struct fixture *f = *state;
	struct pack_cache *packs = pack_cache_new(f->repo, &f->inc, 1);
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	struct page_sum sums[1][4];
	struct pack_sums *s;

	make_packs(f, 1, sums);
	OK(pack_sums_read(packs, &id, 0, &s, &err));
	check_sums(s, sums[0]);
	pack_sums_free(s);
	pack_cache_free(packs);
}

/* A pack whose page-sum frame has these bytes; its one data frame, 2 blocks. */
static void
hostile(struct fixture *f, const void *bytes, size_t len)
{
	struct pack_id id = { LABEL_A, 1, 9, REPO_BACKUP };
	struct object_header h = { .type = OBJECT_PACK, .has_pack = true,
		.attempt = 1, .number = 9, .name = LABEL_A };
	struct frame_header file = { .type = FRAME_FILE, .path = "a",
		.path_len = 1, .block_size = BLOCK };
	struct frame_header sums = { .type = FRAME_SUMS };
	struct frame_codec *codec = frame_codec_new(1);
	struct object_writer w;
	uint8_t plain[2 * BLOCK] = { 0 };
	char key[STORAGE_KEY_MAX];

	memcpy(h.repository_id, f->repo->id, 16);
	h.system_id = f->inc.system_id;
	object_writer_init(&w, 1 << 20, &h);
	OK(object_writer_add(&w, codec, &file, plain, sizeof(plain), &err));
	OK(object_writer_add(&w, codec, &sums, bytes, len, &err));
	OK(object_writer_finish(&w, &err));
	repo_pack_key(&f->inc, &id, key);
	fixture_replace(f, key, w.bytes.data, w.bytes.len);
	object_writer_free(&w);
	frame_codec_free(codec);
}

static void
sums_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		uint32_t frame, n;
		size_t cut, twice;
		bool good;
	} cases[] = { { 0, 2, 0, 0, true }, { 1, 2, 0, 0, false },
		{ 2, 2, 0, 0, false }, { UINT32_MAX, 2, 0, 0, false },
		{ 0, 0, 24, 0, false }, { 0, UINT32_MAX, 0, 0, false },
		{ 0, 3, 0, 0, false }, { 0, 2, 1, 0, false },
		{ 0, 2, 29, 0, false }, { 0, 2, 0, 1, false } };
	struct fixture *f = *state;
	struct pack_id id = { LABEL_A, 1, 9, REPO_BACKUP };
	struct pack_cache *packs;
	struct pack_sums *s;
	uint8_t bytes[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(bytes, 0, sizeof(bytes));
		put_le32(bytes, cases[i].frame);
		put_le32(bytes + 4, cases[i].n);
		memcpy(bytes + 32, bytes, 32);
		hostile(f, bytes, cases[i].twice ? 64 : 32 - cases[i].cut);
		packs = pack_cache_new(f->repo, &f->inc, 1);
		if (cases[i].good) {
			OK(pack_sums_read(packs, &id, 0, &s, &err));
			pack_sums_free(s);
		} else
			FAILS(pack_sums_read(packs, &id, 0, &s, &err),
			    ERR_DAMAGED);
		pack_cache_free(packs);
	}
}

static void
the_cache_gives_what_is_in_the_packs_within_its_bound(void **state)
{
	enum { PACKS = 50 };
	struct fixture *f = *state;
	struct pack_cache *packs = pack_cache_new(f->repo, &f->inc, 2);
	struct sums_cache *c = sums_cache_new(1000); /* a few packs */
	static struct page_sum sums[PACKS][4];
	const struct pack_sums *s, *held;
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	size_t i;

	make_packs(f, PACKS, sums);
	OK(sums_cache_get(c, packs, &id, 0, &held, &err));
	for (i = 0; i < 4 * PACKS; i++) {
		id.number = (uint32_t)(i * 7 % PACKS);
		OK(sums_cache_get(c, packs, &id, 0, &s, &err));
		check_sums(s, sums[id.number]);
		sums_cache_put(c, s);
	}
	check_sums(held, sums[0]); /* survived all of that */
	sums_cache_put(c, held);
	sums_cache_free(c);
	pack_cache_free(packs);
}

static void
a_pack_that_is_gone_is_asked_for_once(void **state)
{
	struct fixture *f = *state;
	struct pack_cache *packs = pack_cache_new(f->repo, &f->inc, 2);
	struct sums_cache *c = sums_cache_new(1000);
	const struct pack_sums *s;
	struct pack_id id = { LABEL_A, 1, 77, REPO_BACKUP };
	unsigned calls;

	FAILS(sums_cache_get(c, packs, &id, 0, &s, &err), ERR_NOT_FOUND);
	calls = storage_fault_calls(f->st);
	FAILS(sums_cache_get(c, packs, &id, 0, &s, &err), ERR_NOT_FOUND);
	assert_int_equal(storage_fault_calls(f->st), calls);
	/* But a store that failed is asked again. */
	sums_cache_free(c);
	pack_cache_free(packs);
	packs = pack_cache_new(f->repo, &f->inc, 2);
	c = sums_cache_new(1000);
	static struct page_sum sums[1][4];
	make_packs(f, 1, sums);
	id.number = 0;
	storage_fault_at(f->st, 2, false);
	FAILS(sums_cache_get(c, packs, &id, 0, &s, &err), ERR_STORAGE);
	OK(sums_cache_get(c, packs, &id, 0, &s, &err));
	check_sums(s, sums[0]);
	sums_cache_put(c, s);
	sums_cache_free(c);
	pack_cache_free(packs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_frame_has_its_sums),
		TEST(sums_that_make_no_sense_are_refused),
		TEST(the_cache_gives_what_is_in_the_packs_within_its_bound),
		TEST(a_pack_that_is_gone_is_asked_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
