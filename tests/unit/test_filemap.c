/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/filemap.h"

#define BLOCK 8192

struct made {
	struct fixture *f;
	struct pack_shared shared;
	struct pack_writer *w;
	struct manifest_writer *m;
	struct commit commit;
	struct pack_cache *cache;
	struct manifest_reader *reader;
	struct pack_table table;
	struct filemap map;
};

static const struct pack_id old_pack = { LABEL_B, 1, 4, REPO_BACKUP };

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
made_begin(struct made *x, struct fixture *f)
{
	memset(x, 0, sizeof(*x));
	x->f = f;
	x->shared = (struct pack_shared){ .repo = f->repo, .inc = f->inc,
		.label = LABEL_A, .attempt = 1, .block_size = BLOCK,
		.target = 1 << 20, .put = put_pack, .put_arg = f };
	OK(pack_writer_new(&x->w, &x->shared, 1, &err));
	OK(manifest_writer_new(&x->m, f->repo, &f->inc, LABEL_A, BLOCK,
	    &err));
}

/* A map frame of these runs; .pack 0: old_pack, 1: our own. */
static struct map_run
add_map(struct made *x, const struct map_run *runs, uint32_t n)
{
	struct pack_id packs[2] = { old_pack, { LABEL_A, 1, 0, REPO_BACKUP } };
	struct frame_ref ref;
	struct buf b;

	buf_init(&b, 1 << 20);
	map_encode(packs, 2, runs, n, &b);
	OK(pack_writer_add_map(x->w, b.data, b.len, &ref, &err));
	buf_free(&b);
	return (struct map_run){ 0, manifest_writer_pack(x->m, &packs[1]),
		ref.frame, 0 };
}

static void
add_line(struct made *x, const char *path, uint64_t size,
    const struct map_run *runs, size_t n_runs, const struct map_run *map,
    size_t n_map)
{
	struct manifest_entry e = { .type = MANIFEST_FILE, .path = path,
		.size = size, .mode = 0600, .runs = runs, .n_runs = n_runs,
		.map = map, .n_map = n_map };

	OK(manifest_writer_add(x->m, &e, &err));
}

static void
made_open(struct made *x)
{
	static struct commit_pack packs[] = { { { LABEL_A, 1, 0, REPO_BACKUP }, 0, 0, 0, 0 },
		{ { LABEL_B, 1, 4, REPO_BACKUP }, 0, 0, 0, 0 } };
	const struct manifest_part *parts;
	struct commit c = { .packs = packs, .n_packs = 2 };
	struct manifest_entry e;
	size_t n;

	OK(pack_writer_flush(x->w, &err));
	OK(manifest_writer_finish(x->m, &parts, &n, &err));
	OK(manifest_reader_open(&x->reader, x->f->repo, &x->f->inc, LABEL_A,
	    parts, n, &err));
	x->cache = pack_cache_new(x->f->repo, &x->f->inc, 4);
	pack_table_init(&x->table, &c);
	filemap_init(&x->map);
	assert_int_equal(manifest_reader_next(x->reader, &e, &err), 1);
}

static void
made_end(struct made *x)
{
	filemap_free(&x->map);
	pack_table_free(&x->table);
	pack_cache_free(x->cache);
	manifest_reader_close(x->reader);
	manifest_writer_free(x->m);
	pack_writer_free(x->w);
}

static int
next_map(struct made *x)
{
	struct manifest_entry e;

	OK(manifest_reader_next(x->reader, &e, &err) == 1 ? 0 : -1);
	return filemap_read(&x->map, &x->table, x->cache, x->reader, &e,
	    BLOCK, &err);
}

static void
short_and_long_maps_come_out_the_same(void **state)
{
	const struct map_run one[] = { { 3, 1, 8, 2 },
		{ 1000, MAP_PACK_ZEROS, 0, 0 } };
	const struct map_run two[] = { { 1, 0, 9, 127 } };
	struct map_run frames[2], line[3];
	struct made x;
	uint32_t ours, theirs;
	size_t i;

	made_begin(&x, *state);
	frames[0] = add_map(&x, one, 2);
	frames[1] = add_map(&x, two, 1);
	line[0] = (struct map_run){ 3, manifest_writer_pack(x.m,
	    &(struct pack_id){ LABEL_A, 1, 0, REPO_BACKUP }), 8, 2 };
	line[1] = one[1];
	line[2] = (struct map_run){ 1, manifest_writer_pack(x.m, &old_pack),
		9, 127 };
	add_line(&x, "a", 1003 * BLOCK + 1, NULL, 0, frames, 2);
	add_line(&x, "b", 1003 * BLOCK + 1, line, 3, NULL, 0);
	add_line(&x, "c", 0, NULL, 0, NULL, 0);
	made_open(&x);
	assert_true(pack_table_find(&x.table,
	    &(struct pack_id){ LABEL_A, 1, 0, REPO_BACKUP }, &ours));
	assert_true(pack_table_find(&x.table, &old_pack, &theirs));
	assert_false(pack_table_find(&x.table,
	    &(struct pack_id){ LABEL_A, 2, 0, REPO_BACKUP }, &theirs));
	for (i = 0; i < 2; i++) {
		OK(next_map(&x));
		assert_int_equal(x.map.n, 3);
		assert_int_equal(x.map.runs[0].blocks, 3);
		assert_int_equal(x.map.runs[0].pack, ours);
		assert_int_equal(x.map.runs[0].frame, 8);
		assert_int_equal(x.map.runs[0].block, 2);
		assert_int_equal(x.map.runs[1].pack, MAP_PACK_ZEROS);
		assert_int_equal(x.map.runs[1].blocks, 1000);
		assert_int_equal(x.map.runs[2].pack, theirs);
		assert_int_equal(x.map.runs[2].block, 127);
	}
	OK(next_map(&x));
	assert_int_equal(x.map.n, 0);
	made_end(&x);
}

static void
maps_that_do_not_fit_their_file_are_refused(void **state)
{
	static const struct {
		uint64_t size;
		struct map_run run;
	} cases[] = {
		{ 4 * BLOCK, { 3, 1, 0, 0 } }, /* too short */
		{ 3 * BLOCK + 1, { 3, 1, 0, 0 } },
		{ 2 * BLOCK, { 3, 1, 0, 0 } }, /* too long */
		{ BLOCK, { UINT64_MAX, MAP_PACK_ZEROS, 0, 0 } },
		{ 129 * BLOCK, { 129, 1, 0, 0 } }, /* more than a frame */
		{ 2 * BLOCK, { 2, 1, 0, 127 } },
		{ BLOCK, { 1, 1, 0, 128 } },
	};
	const size_t n = sizeof(cases) / sizeof(cases[0]);
	struct map_run frame;
	struct made x;
	char path[16];
	size_t i;

	made_begin(&x, *state);
	for (i = 0; i < n; i++) {
		frame = add_map(&x, &cases[i].run, 1);
		(void)snprintf(path, sizeof(path), "%zu", i);
		add_line(&x, path, cases[i].size, NULL, 0, &frame, 1);
	}
	/* A frame of another kind, one that is not there, a foreign pack. */
	add_line(&x, "x", BLOCK, NULL, 0, &(struct map_run){ 0, frame.pack,
	    frame.frame + 1, 0 }, 1);
	add_line(&x, "y", BLOCK, NULL, 0, &(struct map_run){ 0, frame.pack,
	    UINT32_MAX, 0 }, 1);
	frame.pack = manifest_writer_pack(x.m,
	    &(struct pack_id){ LABEL_B, 7, 7, REPO_BACKUP });
	frame.blocks = 1;
	add_line(&x, "z", BLOCK, &frame, 1, NULL, 0);
	{
		struct frame_ref ref;
		uint8_t plain[BLOCK] = { 0 };

		OK(pack_writer_add(x.w, "x", 0, plain, BLOCK, NULL, &ref,
		    &err));
	}
	made_open(&x);
	for (i = 0; i < n + 3; i++)
		FAILS(next_map(&x), ERR_DAMAGED);
	made_end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(short_and_long_maps_come_out_the_same),
		TEST(maps_that_do_not_fit_their_file_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
