/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/crc32c.h"
#include "repo/fileread.h"
#include "repo/pack.h"

#define BLOCK 8192
#define FILE_BLOCKS 300
#define FILE_BYTES ((size_t)FILE_BLOCKS * BLOCK - 5000)

/*
 * A backup of one pack with a file in it, in three frames that have every
 * third block each, so that its map goes back and forth.
 */
struct made {
	struct fixture *f;
	struct pack_shared shared;
	struct commit commit;
	struct commit_pack pack;
	struct manifest_part *parts;
	uint8_t *plain;
	struct fileread *fr;
	struct manifest_reader *reader;
	struct manifest_entry entry;
};

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

/* Blocks first, first + 3, first + 6 ... of the file, as gathered frames. */
static void
add_third(struct made *x, struct pack_writer *w, unsigned first,
    struct map_run *runs, const char *path)
{
	uint8_t *frame = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	uint64_t blocks[FILE_BLOCKS];
	struct frame_ref ref;
	size_t n = 0, len = 0, block;

	for (block = first; block < FILE_BLOCKS; block += 3) {
		size_t take = FILE_BYTES - block * BLOCK;

		take = take < BLOCK ? take : BLOCK;
		memcpy(frame + len, x->plain + block * BLOCK, take);
		len += take;
		blocks[n++] = block;
	}
	OK(pack_writer_add_gathered(w, path, blocks, frame, len, NULL, &ref,
	    &err));
	for (block = first, n = 0; block < FILE_BLOCKS; block += 3, n++)
		runs[block] = (struct map_run){ 1, 0, ref.frame,
			(uint32_t)n };
	free(frame);
}

static void
add_line(struct made *x, struct pack_writer *w, struct manifest_writer *m,
    const struct map_run *runs, uint32_t crc)
{
	const struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	struct frame_ref ref;
	struct map_run map;
	struct buf b;

	buf_init(&b, 1 << 20);
	map_encode(&id, 1, runs, FILE_BLOCKS, &b);
	OK(pack_writer_add_map(w, b.data, b.len, &ref, &err));
	buf_free(&b);
	map = (struct map_run){ 0, manifest_writer_pack(m, &id), ref.frame,
		0 };
	OK(manifest_writer_add(m, &(struct manifest_entry){
	    .type = MANIFEST_FILE, .path = "f", .size = FILE_BYTES,
	    .mode = 0600, .crc = crc, .map = &map, .n_map = 1 }, &err));
}

static void
made_begin(struct made *x, struct fixture *f, const char *path,
    uint32_t crc_change, bool swap)
{
	struct map_run runs[FILE_BLOCKS], run;
	const struct manifest_part *parts;
	struct manifest_writer *m = NULL;
	struct pack_writer *w = NULL;
	struct err why = ERR_INIT;
	unsigned i;

	memset(x, 0, sizeof(*x));
	x->f = f;
	x->plain = xmalloc(FILE_BYTES);
	fixture_noise(x->plain, FILE_BYTES, 7);
	x->shared = (struct pack_shared){ .repo = f->repo, .inc = f->inc,
		.label = LABEL_A, .attempt = 1, .block_size = BLOCK,
		.target = 32 << 20, .put = put_pack, .put_arg = f };
	OK(pack_writer_new(&w, &x->shared, 1, &err));
	OK(manifest_writer_new(&m, f->repo, &f->inc, LABEL_A, BLOCK, &err));
	for (i = 0; i < 3; i++)
		add_third(x, w, i, runs, path);
	if (swap) { /* equal sizes, so only the block list tells */
		run = runs[0];
		runs[0] = runs[3];
		runs[3] = run;
	}
	add_line(x, w, m, runs, crc32c(x->plain, FILE_BYTES) ^ crc_change);
	OK(pack_writer_flush(w, &err));
	OK(manifest_writer_finish(m, &parts, &x->commit.n_parts, &err));
	x->parts = xcalloc(x->commit.n_parts, sizeof(*x->parts));
	memcpy(x->parts, parts, x->commit.n_parts * sizeof(*parts));
	manifest_writer_free(m);
	pack_writer_free(w);
	memcpy(x->commit.label, LABEL_A, sizeof(LABEL_A));
	x->commit.inc = f->inc;
	x->commit.block_size = BLOCK;
	x->pack = (struct commit_pack){ { LABEL_A, 1, 0, REPO_BACKUP }, 0, 0, 0, 0 };
	x->commit.packs = &x->pack;
	x->commit.n_packs = 1;
	OK(fileread_new(&x->fr, f->repo, &x->commit, &err));
	OK(manifest_reader_open(&x->reader, f->repo, &f->inc, LABEL_A,
	    x->parts, x->commit.n_parts, &err));
	do
		assert_int_equal(manifest_reader_next(x->reader, &x->entry,
		    &why), 1);
	while (x->entry.type != MANIFEST_FILE);
}

static void
made_end(struct made *x)
{
	fileread_free(x->fr);
	manifest_reader_close(x->reader);
	free(x->parts);
	free(x->plain);
}

static void
a_scattered_file_comes_out_in_order(void **state)
{
	struct made x;
	struct buf b;

	made_begin(&x, *state, "f", 0, false);
	buf_init(&b, FILE_BYTES);
	OK(fileread_stream(x.fr, x.reader, &x.entry, fileread_to_buf, &b,
	    &err));
	assert_int_equal(b.len, FILE_BYTES);
	assert_memory_equal(b.data, x.plain, FILE_BYTES);
	buf_free(&b);
	made_end(&x);
}

static void
a_wrong_crc_is_damage(void **state)
{
	struct made x;
	struct buf b;

	made_begin(&x, *state, "f", 1, false);
	buf_init(&b, FILE_BYTES);
	FAILS(fileread_stream(x.fr, x.reader, &x.entry, fileread_to_buf, &b,
	    &err), ERR_DAMAGED);
	buf_free(&b);
	made_end(&x);
}

static void
frames_of_other_files_and_other_blocks_are_damage(void **state)
{
	struct made x;
	struct buf b;

	buf_init(&b, FILE_BYTES);
	made_begin(&x, *state, "g", 0, false);
	FAILS(fileread_stream(x.fr, x.reader, &x.entry, fileread_to_buf, &b,
	    &err), ERR_DAMAGED);
	assert_int_equal(b.len, 0);
	made_end(&x);
	buf_free(&b);
}

static void
blocks_in_another_place_are_damage(void **state)
{
	struct made x;
	struct buf b;

	buf_init(&b, FILE_BYTES);
	made_begin(&x, *state, "f", 0, true);
	FAILS(fileread_stream(x.fr, x.reader, &x.entry, fileread_to_buf, &b,
	    &err), ERR_DAMAGED);
	assert_int_equal(b.len, 0);
	made_end(&x);
	buf_free(&b);
}

static int
full(void *arg, const void *data, size_t len, struct err *why)
{
	return err_set(why, ERR_IO, "no space");
}

static void
an_error_of_the_sink_ends_it(void **state)
{
	struct made x;

	made_begin(&x, *state, "f", 0, false);
	FAILS(fileread_stream(x.fr, x.reader, &x.entry, full, NULL, &err),
	    ERR_IO);
	made_end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_scattered_file_comes_out_in_order),
		TEST(a_wrong_crc_is_damage),
		TEST(frames_of_other_files_and_other_blocks_are_damage),
		TEST(blocks_in_another_place_are_damage),
		TEST(an_error_of_the_sink_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
