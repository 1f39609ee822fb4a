/* SPDX-License-Identifier: PostgreSQL */
/* Copies a made-up data directory and reads it back through the manifest. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/copy.h"
#include "backup/dispatch.h"
#include "backup/entries.h"
#include "repo/putter.h"
#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "pg/page.h"

#define BLOCK 8192
#define SEGMENT_BLOCKS 131072
#define REL "base/5/16400"
#define FILE_MAX_SIZE ((size_t)128 << 20)

static char *top, *pgdata;
static struct repo *repo;
static struct plan *plan;
static struct commit commit;
static struct incarnation inc = { "main", 15, 7312 };
static const char label[] = "20261122T133107Z-0123456789abcdef";

static char *
in_pgdata(const char *name)
{
	return xasprintf("%s/%s", pgdata, name);
}

static void
make_page(uint8_t *page, uint32_t block, uint8_t fill)
{
	memset(page, fill, BLOCK);
	memset(page, 0, PAGE_HEADER_SIZE);
	put_le16(page + 12, 100);   /* pd_lower */
	put_le16(page + 14, 4000);  /* pd_upper */
	put_le16(page + 16, 8192);  /* pd_special */
	put_le16(page + 18, 8192 | 4);
	put_le16(page + 8, page_checksum(page, BLOCK, block));
}

static void
write_at(const char *name, const void *data, size_t len, off_t off)
{
	struct err err = ERR_INIT;
	char *path = in_pgdata(name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_full(fd, data, len, (uint64_t)off, name,
	    &err), 0);
	assert_int_equal(close(fd), 0);
	free(path);
}

/* Sound pages from `first` of the relation on, at the file's beginning. */
static void
write_pages(const char *name, uint32_t first, uint32_t n)
{
	uint8_t page[BLOCK];
	uint32_t i;

	for (i = 0; i < n; i++) {
		make_page(page, first + i, (uint8_t)(i * 7 + 1));
		write_at(name, page, BLOCK, (off_t)i * BLOCK);
	}
}

static void
spoil(const char *name, uint32_t page)
{
	write_at(name, "spoiled", 7, (off_t)page * BLOCK + 5000);
}

static void
read_source(const char *name, struct buf *b)
{
	struct err err = ERR_INIT;
	char *path = in_pgdata(name);

	buf_init(b, FILE_MAX_SIZE);
	assert_int_equal(io_read_file(path, b, &err), 0);
	free(path);
}

static int
setup(void **state)
{
	struct err err = ERR_INIT;
	char *path, *url;
	bool created;

	log_init(LOG_ERROR, LOG_TEXT, NULL);
	top = xasprintf("%s/dapk-copy-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(top) == NULL)
		return -1;
	pgdata = xasprintf("%s/pg", top);
	path = in_pgdata("base/5");
	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	free(path);
	write_at("PG_VERSION", "15\n", 3, 0);
	url = xasprintf("file://%s/repo", top);
	if (repo_init(&repo, &(struct storage_settings){ .url = url }, NULL, &created, &err) != 0)
		fail_msg("%s", err.msg);
	free(url);
	plan = NULL;
	memset(&commit, 0, sizeof(commit));
	return 0;
}

static int
teardown(void **state)
{
	struct err err = ERR_INIT;
	int rc;

	plan_free(plan);
	commit_free(&commit);
	repo_close(repo);
	rc = io_remove_tree(top, &err);
	free(pgdata);
	free(top);
	return rc;
}

static void
list_files(void)
{
	struct plan_params params = { pgdata, 15, 202209061, false };
	struct err err = ERR_INIT;

	if (plan_make(&plan, &params, &err) != 0)
		fail_msg("%s", err.msg);
}

static int
no_pulse(void *arg, struct err *err)
{
	return 0;
}

static int (*pulse)(void *arg, struct err *err) = no_pulse;
static bool with_checksums = true;
static struct manifest_part parts[4];
static size_t n_parts;

static int
finish_manifest(struct manifest_writer *w, struct putter *putter,
    struct entries *entries, struct err *err)
{
	const struct manifest_part *p;

	if (pack_writer_flush(entries->writer, err) != 0 ||
	    putter_finish(putter, err) != 0 ||
	    manifest_writer_finish(w, &p, &n_parts, err) != 0)
		return -1;
	assert_true(n_parts <= 4);
	memcpy(parts, p, n_parts * sizeof(*p));
	return 0;
}

/* Copy what list_files() found. */
static int
try_copy(unsigned jobs, struct err *err)
{
	struct pack_shared packs = { .repo = repo, .inc = inc, .attempt = 1,
		.block_size = BLOCK, .target = (size_t)1 << 20,
		.put = putter_put };
	struct manifest_writer *w = NULL;
	struct copy_shared shared;
	struct entries entries;
	struct dispatch d = { &shared, NULL, NULL, &entries, jobs, &commit,
		pulse, NULL };
	atomic_ullong done = 0;
	struct putter *putter = NULL;
	int rc;

	memset(&entries, 0, sizeof(entries));
	memcpy(packs.label, label, sizeof(label));
	copy_shared_init(&shared, 0);
	shared.plan = plan;
	shared.pgdata = pgdata;
	shared.pgdata_fd = open(pgdata, O_RDONLY | O_DIRECTORY);
	shared.piece.block_size = BLOCK;
	shared.segment_blocks = SEGMENT_BLOCKS;
	shared.checksums = with_checksums;
	shared.piece.fingerprint_seed = repo->fingerprint_seed;
	shared.piece.compress_level = 1;
	shared.piece.pack = &packs;
	shared.done_bytes = &done;
	rc = putter_new(&putter, repo, &inc, err);
	packs.put_arg = putter;
	if (rc == 0)
		rc = manifest_writer_new(&w, repo, &inc, label, BLOCK, err);
	if (rc == 0)
		rc = entries_init(&entries, w, &packs, NULL, 1, err);
	if (rc == 0)
		rc = dispatch_run(&d, err);
	if (rc == 0)
		rc = finish_manifest(w, putter, &entries, err);
	if (rc == 0)
		assert_true(done >= plan_totals(plan)->bytes);
	putter_free(putter);
	entries_free(&entries);
	manifest_writer_free(w);
	copy_shared_free(&shared);
	assert_int_equal(close(shared.pgdata_fd), 0);
	return rc;
}

static void
copy(void)
{
	struct err err = ERR_INIT;

	if (try_copy(2, &err) != 0)
		fail_msg("%s", err.msg);
}

static void
add_runs(struct pack_cache *cache, const struct manifest_reader *r,
    const struct pack_id *ids, const struct map_run *runs, size_t n,
    struct buf *out)
{
	struct err err = ERR_INIT;
	struct frame_header h;
	struct buf frame;
	size_t i;

	buf_init(&frame, FORMAT_FRAME_PLAIN_MAX);
	for (i = 0; i < n; i++) {
		if (pack_cache_frame(cache, ids != NULL ? &ids[runs[i].pack] :
		    manifest_reader_pack(r, runs[i].pack), runs[i].frame, &h,
		    &frame, &err) != 0)
			fail_msg("%s", err.msg);
		assert_int_equal(h.position, out->len / BLOCK);
		assert_int_equal(runs[i].blocks,
		    (frame.len + BLOCK - 1) / BLOCK);
		buf_add(out, frame.data, frame.len);
	}
	buf_free(&frame);
}

static void
read_entry(struct pack_cache *cache, const struct manifest_reader *r,
    const struct manifest_entry *e, struct buf *out)
{
	struct err err = ERR_INIT;
	struct frame_header h;
	struct pack_id *ids;
	struct map_run *runs;
	uint32_t n_ids, n_runs;
	struct buf map;
	size_t i;

	buf_init(&map, FORMAT_FRAME_PLAIN_MAX);
	add_runs(cache, r, NULL, e->runs, e->n_runs, out);
	for (i = 0; i < e->n_map; i++) {
		assert_int_equal(pack_cache_frame(cache,
		    manifest_reader_pack(r, e->map[i].pack), e->map[i].frame,
		    &h, &map, &err), 0);
		assert_int_equal(map_decode(map.data, map.len, &ids, &n_ids,
		    &runs, &n_runs, &err), 0);
		add_runs(cache, r, ids, runs, n_runs, out);
		free(ids);
		free(runs);
	}
	assert_int_equal(out->len, e->size);
	assert_int_equal(crc32c(out->data, out->len), e->crc);
	buf_free(&map);
}

/* The stored content of a file; false when the manifest has no such line. */
static bool
stored(const char *name, struct buf *out)
{
	struct err err = ERR_INIT;
	struct manifest_reader *r;
	struct manifest_entry e;
	struct pack_cache *cache = pack_cache_new(repo, &inc, 4);
	bool found = false;
	int rc;

	buf_init(out, FILE_MAX_SIZE);
	assert_int_equal(manifest_reader_open(&r, repo, &inc, label, parts,
	    n_parts, &err), 0);
	while ((rc = manifest_reader_next(r, &e, &err)) == 1)
		if (e.type == MANIFEST_FILE && strcmp(e.path, name) == 0) {
			found = true;
			read_entry(cache, r, &e, out);
		}
	if (rc != 0)
		fail_msg("%s", err.msg);
	manifest_reader_close(r);
	pack_cache_free(cache);
	return found;
}

static void
assert_stored_as_it_is(const char *name)
{
	struct buf there, here;

	read_source(name, &here);
	assert_true(stored(name, &there));
	assert_int_equal(there.len, here.len);
	if (here.len > 0)
		assert_memory_equal(there.data, here.data, here.len);
	buf_free(&there);
	buf_free(&here);
}

static void
sound_files_come_back_byte_for_byte(void **state)
{
	write_pages(REL, 0, 300);
	write_pages("base/5/16401.1", SEGMENT_BLOCKS, 3);
	write_at("base/5/16402", "", 0, 0);
	write_at("postgresql.conf", "port = 5432\n", 12, 0);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 0);
	assert_stored_as_it_is(REL);
	assert_stored_as_it_is("base/5/16401.1");
	assert_stored_as_it_is("base/5/16402");
	assert_stored_as_it_is("postgresql.conf");
	assert_stored_as_it_is("PG_VERSION");
}

static void
a_file_of_several_ranges_is_put_together_again(void **state)
{
	char *path = in_pgdata(REL);

	write_pages(REL, 0, 20);
	assert_int_equal(truncate(path, (off_t)70 << 20), 0); /* zero pages */
	write_at("big.log", "begin", 5, 0);
	write_at("big.log", "end", 3, (off_t)40 << 20);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 0);
	assert_stored_as_it_is(REL);
	assert_stored_as_it_is("big.log");
	free(path);
}

static void
a_damaged_page_is_reported_and_stored_as_it_is(void **state)
{
	write_pages(REL ".1", SEGMENT_BLOCKS, 5);
	spoil(REL ".1", 3);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 1);
	assert_int_equal(commit.n_damaged, 1);
	assert_string_equal(commit.damaged[0].path, REL ".1");
	assert_int_equal(commit.damaged[0].block, SEGMENT_BLOCKS + 3);
	assert_string_equal(commit.damaged[0].reason, "checksum");
	assert_int_not_equal(commit.damaged[0].expected,
	    commit.damaged[0].found);
	assert_stored_as_it_is(REL ".1");
}

static void
a_page_in_the_wrong_place_is_damage(void **state)
{
	write_pages(REL, 0, 2);
	write_pages(REL ".1", 0, 2); /* as if it were the first segment's */
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 2);
}

static void
a_file_full_of_damage_is_counted_and_does_not_take_for_ever(void **state)
{
	int64_t begun = time_monotonic();
	uint8_t page[BLOCK];
	uint32_t i;

	memset(page, 0xab, sizeof(page));
	for (i = 0; i < 1500; i++)
		write_at(REL, page, BLOCK, (off_t)i * BLOCK);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 1500);
	assert_int_equal(commit.n_damaged, COMMIT_DAMAGED_MAX);
	assert_stored_as_it_is(REL);
	assert_true(time_monotonic() - begun < 20000000);
}

static void
without_checksums_the_header_is_looked_at(void **state)
{
	write_pages(REL, 0, 4);
	spoil(REL, 1);		     /* not to be seen without a checksum */
	write_at(REL, "\xff\xff\xff\xff\xff\xff", 6, 2 * BLOCK + 12);
	list_files();
	with_checksums = false;
	copy();
	with_checksums = true;
	assert_int_equal(commit.damaged_count, 1);
	assert_int_equal(commit.damaged[0].block, 2);
	assert_string_equal(commit.damaged[0].reason, "header");
}

static void
files_without_pages_are_not_checked_as_pages(void **state)
{
	uint8_t page[BLOCK];

	memset(page, 0xab, sizeof(page));
	write_at("base/5/pg_filenode.map", page, BLOCK, 0);
	write_at("whatever", page, BLOCK, 0);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 0);
	assert_stored_as_it_is("base/5/pg_filenode.map");
}

/* What another thread does to the file while it is copied. */
struct writer {
	pthread_t id;
	atomic_bool stop;
	unsigned after_ms;
};

static void *
complete_page(void *arg)
{
	struct writer *w = arg;
	uint8_t page[BLOCK];

	time_sleep_ms(w->after_ms);
	make_page(page, 1, 77);
	write_at(REL, page, BLOCK, BLOCK);
	return NULL;
}

static void *
keep_spoiling(void *arg)
{
	struct writer *w = arg;
	uint32_t i;

	for (i = 0; !atomic_load(&w->stop); i++) {
		write_at(REL, &i, sizeof(i), BLOCK + 4000);
		time_sleep_ms(1);
	}
	return NULL;
}

static void
a_torn_page_is_read_again_until_it_is_whole(void **state)
{
	struct writer w = { .after_ms = 150 };

	write_pages(REL, 0, 3);
	spoil(REL, 1);
	list_files();
	assert_int_equal(pthread_create(&w.id, NULL, complete_page, &w), 0);
	copy();
	assert_int_equal(pthread_join(w.id, NULL), 0);
	assert_int_equal(commit.damaged_count, 0);
	assert_stored_as_it_is(REL);
}

static void
a_page_that_never_rests_is_left_to_recovery(void **state)
{
	struct writer w = { .after_ms = 0 };

	write_pages(REL, 0, 3);
	spoil(REL, 1);
	list_files();
	atomic_store(&w.stop, false);
	assert_int_equal(pthread_create(&w.id, NULL, keep_spoiling, &w), 0);
	copy();
	atomic_store(&w.stop, true);
	assert_int_equal(pthread_join(w.id, NULL), 0);
	assert_int_equal(commit.damaged_count, 0);
}

static void
files_that_vanish_have_no_line_and_do_not_shift_others(void **state)
{
	struct buf b;
	char *path = in_pgdata("base/5/16401");

	write_pages(REL, 0, 2);
	write_pages("base/5/16401", 0, 3);
	write_pages("base/5/16402", 0, 4);
	list_files();
	assert_int_equal(unlink(path), 0);
	copy();
	assert_false(stored("base/5/16401", &b));
	buf_free(&b);
	assert_stored_as_it_is(REL);
	assert_stored_as_it_is("base/5/16402");
	free(path);
}

static void
a_whole_database_may_vanish(void **state)
{
	struct err err = ERR_INIT;
	struct buf b;
	char *path = in_pgdata("base/6");

	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	write_pages("base/6/16400", 0, 2);
	write_at("base/6/16401", "", 0, 0);
	write_at("base/6/PG_VERSION", "15\n", 3, 0);
	list_files();
	assert_int_equal(io_remove_tree(path, &err), 0);
	copy();
	assert_false(stored("base/6/16400", &b));
	buf_free(&b);
	free(path);
}

static void
without_its_version_file_there_is_no_backup(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_pgdata("PG_VERSION");

	list_files();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(try_copy(1, &err), -1);
	assert_non_null(strstr(err.msg, "PG_VERSION"));
	free(path);
}

static void
a_file_that_shrinks_is_stored_as_far_as_it_goes(void **state)
{
	char *path = in_pgdata(REL);

	write_pages(REL, 0, 10);
	assert_int_equal(truncate(path, (off_t)80 << 20), 0);
	list_files();
	assert_int_equal(truncate(path, 5 * BLOCK), 0);
	copy();
	assert_stored_as_it_is(REL);
	free(path);
}

static void
a_relation_that_grows_is_cut_at_its_size_when_listed(void **state)
{
	struct buf b;

	write_pages(REL, 0, 3);
	list_files();
	write_pages(REL, 0, 9);
	copy();
	assert_true(stored(REL, &b));
	assert_int_equal(b.len, 3 * BLOCK);
	buf_free(&b);
}

static void
another_file_that_grows_is_read_to_its_end(void **state)
{
	write_at("postgresql.conf", "port = 5432\n", 12, 0);
	list_files();
	write_at("postgresql.conf", "work_mem = '4MB'\n", 17, 12);
	copy();
	assert_stored_as_it_is("postgresql.conf");
}

static void
a_piece_of_a_page_at_the_end_is_taken_as_it_is(void **state)
{
	write_pages(REL, 0, 3);
	write_at(REL, "beginning of a page", 19, 3 * BLOCK);
	list_files();
	copy();
	assert_int_equal(commit.damaged_count, 0);
	assert_stored_as_it_is(REL);
}

static int
fail_now(void *arg, struct err *err)
{
	return err_set(err, ERR_CANCELLED, "enough");
}

static void
the_owners_error_ends_the_copy(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_pgdata(REL);

	write_pages(REL, 0, 1);
	assert_int_equal(truncate(path, (off_t)64 << 20), 0);
	list_files();
	pulse = fail_now;
	assert_int_equal(try_copy(2, &err), -1);
	pulse = no_pulse;
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_string_equal(err.msg, "enough");
	free(path);
}

static void
a_repository_that_cannot_be_written_ends_the_copy(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_pgdata(REL), *place = xasprintf("%s/repo", top);

	write_pages(REL, 0, 1);
	assert_int_equal(truncate(path, (off_t)64 << 20), 0);
	list_files();
	assert_int_equal(io_remove_tree(place, &err), 0);
	assert_int_equal(try_copy(2, &err), -1);
	assert_int_not_equal(err.code, ERR_NONE);
	assert_int_not_equal(err.code, ERR_BUG);
	free(path);
	free(place);
}

/* A range of which the parent has all, and that is not there any more. */
static void
a_file_may_end_before_a_range_of_it_begins(void **state)
{
	struct pack_shared packs = { .repo = repo, .inc = inc, .attempt = 1,
		.block_size = BLOCK, .target = (size_t)1 << 20 };
	struct err err = ERR_INIT;
	struct copy_shared shared;
	struct copy_worker worker;
	struct plan_item item;
	struct copy_task *task;
	atomic_ullong done = 0;
	char *path = in_pgdata(REL);
	uint32_t i = 0;

	memset(&worker, 0, sizeof(worker));
	write_at(REL, "", 1, COPY_RANGE + (8 << 20) - 1);
	list_files();
	assert_int_equal(truncate(path, 1 << 20), 0);
	free(path);
	do
		plan_get(plan, i++, &item);
	while (item.type != PLAN_FILE || item.size <= COPY_RANGE);
	copy_shared_init(&shared, 0);
	shared.plan = plan;
	shared.pgdata = pgdata;
	shared.pgdata_fd = open(pgdata, O_RDONLY | O_DIRECTORY);
	shared.piece.block_size = BLOCK;
	shared.piece.pack = &packs;
	shared.segment_blocks = SEGMENT_BLOCKS;
	shared.done_bytes = &done;
	task = copy_task_new_range(&shared, i - 1, COPY_RANGE, 8 << 20, true);
	task->parents = xcalloc(1, sizeof(*task->parents));
	task->parents[0] = (struct copy_parent){ .found = true, .some = true,
		.size = item.size, .n_bits = (8 << 20) / BLOCK };
	task->bits = xcalloc(1, (8 << 20) / BLOCK / 8);
	assert_int_equal(copy_worker_init(&worker, &shared, &err), 0);
	(void)alarm(30);
	assert_int_equal(copy_task_run(&worker, task, false, &err), 0);
	(void)alarm(0);
	assert_true(copy_task_done(task, 0));
	assert_int_equal(task->files[0].size, 0);
	assert_int_equal(task->files[0].n_runs, 0);
	copy_worker_fini(&worker);
	copy_task_free(task);
	copy_shared_free(&shared);
	assert_int_equal(close(shared.pgdata_fd), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sound_files_come_back_byte_for_byte),
		TEST(a_file_of_several_ranges_is_put_together_again),
		TEST(a_damaged_page_is_reported_and_stored_as_it_is),
		TEST(a_page_in_the_wrong_place_is_damage),
		TEST(a_file_full_of_damage_is_counted_and_does_not_take_for_ever),
		TEST(without_checksums_the_header_is_looked_at),
		TEST(files_without_pages_are_not_checked_as_pages),
		TEST(a_torn_page_is_read_again_until_it_is_whole),
		TEST(a_page_that_never_rests_is_left_to_recovery),
		TEST(files_that_vanish_have_no_line_and_do_not_shift_others),
		TEST(a_whole_database_may_vanish),
		TEST(without_its_version_file_there_is_no_backup),
		TEST(a_file_that_shrinks_is_stored_as_far_as_it_goes),
		TEST(a_relation_that_grows_is_cut_at_its_size_when_listed),
		TEST(another_file_that_grows_is_read_to_its_end),
		TEST(a_piece_of_a_page_at_the_end_is_taken_as_it_is),
		TEST(a_file_may_end_before_a_range_of_it_begins),
		TEST(the_owners_error_ends_the_copy),
		TEST(a_repository_that_cannot_be_written_ends_the_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
