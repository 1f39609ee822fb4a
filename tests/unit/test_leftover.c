/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "backup/leftover.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/intent.h"
#include "repo/pack.h"
#include "repo/setremove.h"
#include "repo/tombstone.h"

#define FOLDER "clusters/main/15-7312345678901234567/backups/"
#define BLOCK 8192

static int
no_pulse(void *arg, struct err *e)
{
	return 0;
}

static int
put_pack(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *e)
{
	struct fixture *f = arg;
	char key[STORAGE_KEY_MAX];

	repo_pack_key(&f->inc, id, key);
	return storage_put(f->st, key, object->bytes.data, object->bytes.len,
	    e);
}

/* A pack of an attempt: two files, one of them gathered. */
static void
store_pack(struct fixture *f, const char *label, uint32_t attempt,
    uint32_t seed)
{
	static const uint64_t apart[] = { 3, 4, 9 };
	struct pack_shared shared = { .repo = f->repo, .inc = f->inc,
		.attempt = attempt, .block_size = BLOCK,
		.target = PACK_TARGET_DEFAULT, .put = put_pack,
		.put_arg = f };
	struct pack_writer *w;
	struct frame_ref ref;
	uint8_t *data = xmalloc(4 * BLOCK);

	(void)snprintf(shared.label, sizeof(shared.label), "%s", label);
	fixture_noise(data, 4 * BLOCK, seed);
	OK(pack_writer_new(&w, &shared, 3, &err));
	OK(pack_writer_add(w, "base/5/200", 0, data, 2 * BLOCK + 100, NULL,
	    &ref, &err));
	OK(pack_writer_add_gathered(w, "base/5/100", apart, data, 3 * BLOCK,
	    NULL, &ref, &err));
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	free(data);
}

static void
label_now(int64_t age, uint64_t random, char out[FORMAT_LABEL_MAX])
{
	label_make(time_now() - age, random, out);
}

/* A commit of `label` that refers to a pack of `refers`. */
static void
store_commit(struct fixture *f, const char *label, const char *refers)
{
	static char local[] = "local", program[] = "test", host[] = "here";
	struct manifest_part part = { .size = 1 };
	struct commit_pack pack = { .id = { "", 1, 0, REPO_BACKUP }, .size = 1 };
	struct commit c = { .inc = f->inc, .method = local,
		.program = program, .host = host, .attempt = 1,
		.timeline = 1, .read_all = true,
		.wal_first = "000000010000000000000001",
		.wal_last = "000000010000000000000001",
		.block_size = BLOCK, .wal_segment_size = 16 << 20,
		.parts = &part, .n_parts = 1, .packs = &pack, .n_packs = 1 };

	(void)snprintf(c.label, sizeof(c.label), "%s", label);
	(void)snprintf(pack.id.label, sizeof(pack.id.label), "%s", refers);
	OK(commit_put(f->repo, &c, &err));
}

static void
a_removed_backups_folder_is_not_gone_on_with(void **state)
{
	struct tombstone going = { .named = true, .n = 1 };
	struct fixture *f = *state;
	struct leftover_found found;
	char removed[FORMAT_LABEL_MAX], other[FORMAT_LABEL_MAX];
	char open[FORMAT_LABEL_MAX], *name, *key;

	label_now(9000000, 4, open);
	label_now(6000000, 5, removed);
	label_now(3000000, 6, other);
	store_pack(f, removed, 1, 1);
	store_pack(f, other, 1, 1);
	store_commit(f, other, removed); /* its only copy may be there */
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, "");
	/* One that is older, but nobody's. */
	store_pack(f, open, 1, 1);
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, open);
	/* A commit that cannot be read may refer to anything. */
	label_now(0, 7, removed);
	key = xasprintf(FOLDER "%s/commit", removed);
	OK(storage_put(f->st, key, "x", 1, &err));
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, "");
	OK(storage_remove(f->st, key, &err));
	free(key);
	/* What a tombstone names is on its way out. */
	name = xasprintf("backups/%s/commit", open);
	going.objects = &name;
	OK(tombstone_put(f->repo, &f->inc, &going, &err));
	free(name);
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, "");
}

static void
the_newest_open_folder_is_found_with_a_free_number(void **state)
{
	struct fixture *f = *state;
	struct leftover_found found;
	char old[FORMAT_LABEL_MAX], label[FORMAT_LABEL_MAX];
	char done[FORMAT_LABEL_MAX], id[INTENT_ID_TEXT], *key;

	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, "");
	label_now(INT64_C(8) * 86400 * 1000000, 1, old);
	label_now(3000000, 2, label);
	label_now(0, 3, done);
	store_pack(f, old, 1, 1);
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, ""); /* too old */
	store_pack(f, label, 1, 1);
	store_pack(f, done, 1, 1);
	store_commit(f, done, done);
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_string_equal(found.label, label);
	assert_int_equal(found.attempts, 1);
	/* One that died before its first pack, and one after its manifest. */
	OK(intent_put(f->repo, &f->inc, REPO_BACKUP, label, 4, "", id, &err));
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_int_equal(found.attempts, 4);
	key = xasprintf(FOLDER "%s/manifest-00.g5.zst", label);
	OK(storage_put(f->st, key, "x", 1, &err));
	free(key);
	OK(leftover_find(f->repo, &f->inc, time_now(), &found, &err));
	assert_int_equal(found.attempts, 6);
}

static void
what_is_left_is_read_and_packs_that_do_not_hold_are_not(void **state)
{
	struct fixture *f = *state;
	const struct leftover_run *runs;
	struct leftover *l;
	struct pack_id id = { LABEL_A, 2, 0, REPO_BACKUP };
	char key[STORAGE_KEY_MAX];
	size_t n;

	store_pack(f, LABEL_A, 1, 1);
	store_pack(f, LABEL_A, 2, 2);
	store_pack(f, LABEL_A, 3, 3);
	repo_pack_key(&f->inc, &id, key);
	fixture_replace(f, key, "nonsense", 8);
	OK(leftover_read(&l, f->repo, &f->inc, LABEL_A, BLOCK, no_pulse,
	    NULL, &err));
	assert_int_equal(l->n_packs, 2);
	assert_int_equal(l->packs[0].id.attempt, 1);
	assert_int_equal(l->packs[1].id.attempt, 3);
	assert_int_equal(l->packs[0].plain, 5 * BLOCK + 100);
	assert_int_equal(l->packs[0].live, l->packs[0].plain);
	assert_false(leftover_file(l, "base/5/10", &runs, &n));
	assert_true(leftover_file(l, "base/5/200", &runs, &n));
	assert_int_equal(n, 2);
	assert_int_equal(runs[0].block, 0);
	assert_int_equal(runs[0].blocks, 3);
	assert_int_equal(runs[0].pack, 0);
	assert_int_equal(runs[1].pack, 1);
	assert_true(leftover_file(l, "base/5/100", &runs, &n));
	assert_int_equal(n, 4);
	assert_int_equal(runs[0].block, 3);
	assert_int_equal(runs[0].blocks, 2);
	assert_int_equal(runs[0].in_frame, 0);
	assert_int_equal(runs[2].block, 9);
	assert_int_equal(runs[2].in_frame, 2);
	leftover_free(l);
	/* Another block size: nothing of it can be compared. */
	OK(leftover_read(&l, f->repo, &f->inc, LABEL_A, 4096, no_pulse, NULL,
	    &err));
	assert_int_equal(l->n_runs, 0);
	leftover_free(l);
}

static void
a_store_that_fails_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct leftover *l;
	unsigned n;

	store_pack(f, LABEL_A, 1, 1);
	for (n = 1; n <= 3; n++) {
		storage_fault_at(f->st, n, false);
		FAILS(leftover_read(&l, f->repo, &f->inc, LABEL_A, BLOCK,
		    no_pulse, NULL, &err), ERR_STORAGE);
	}
	storage_fault_at(f->st, 0, false);
}

static void
what_is_left_lies_over_the_parents_map(void **state)
{
	uint32_t table[] = { 7, 8 };
	struct leftover l = { .table = table, .n_packs = 2 };
	const struct leftover_run runs[] = {
		{ 0, 0, 2, 3, 5, 0 }, /* blocks 2, 3, 4 in frame 5 */
		{ 0, 1, 3, 1, 9, 6 }, /* newer: block 3 */
		{ 0, 1, 12, 2, 9, 7 }, /* behind the parent's end */
	};
	const struct map_run old[] = {
		{ 4, 1, 0, 10 }, { 2, MAP_PACK_ZEROS, 0, 0 }, { 4, 2, 3, 0 },
	};
	static const struct map_run want[] = {
		{ 2, 1, 0, 10 }, { 1, 7, 5, 0 }, { 1, 8, 9, 6 },
		{ 1, 7, 5, 2 }, { 1, MAP_PACK_ZEROS, 0, 0 },
		{ 4, 2, 3, 0 }, { 2, MAP_PACK_ZEROS, 0, 0 },
		{ 2, 8, 9, 7 },
	};
	struct map_run *out = NULL;
	size_t i, n;

	leftover_overlay(&l, runs, 3, old, 3, &out, &n);
	assert_int_equal(n, sizeof(want) / sizeof(want[0]));
	for (i = 0; i < n; i++) {
		assert_int_equal(out[i].blocks, want[i].blocks);
		assert_int_equal(out[i].pack, want[i].pack);
		assert_int_equal(out[i].frame, want[i].frame);
		assert_int_equal(out[i].block, want[i].block);
	}
	/* Of a file that the parent does not have. */
	leftover_overlay(&l, runs, 1, NULL, 0, &out, &n);
	assert_int_equal(n, 2);
	assert_int_equal(out[0].pack, MAP_PACK_ZEROS);
	assert_int_equal(out[0].blocks, 2);
	assert_int_equal(out[1].blocks, 3);
	free(out);
}

static void
removal_takes_the_commit_first_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	char key[STORAGE_KEY_MAX];
	uint64_t size;

	store_pack(f, LABEL_A, 1, 1);
	OK(storage_put(f->st, FOLDER LABEL_A "/commit", "x", 1, &err));
	storage_fault_at(f->st, 1, false);
	FAILS(set_remove(f->repo, &f->inc, REPO_BACKUP, LABEL_A, &err), ERR_STORAGE);
	storage_fault_at(f->st, 0, false);
	repo_pack_key(&f->inc, &id, key);
	OK(storage_stat(f->st, key, &size, NULL, &err));
	OK(set_remove(f->repo, &f->inc, REPO_BACKUP, LABEL_A, &err));
	FAILS(storage_stat(f->st, key, &size, NULL, &err), ERR_NOT_FOUND);
	FAILS(storage_stat(f->st, FOLDER LABEL_A "/commit", &size, NULL,
	    &err), ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_removed_backups_folder_is_not_gone_on_with),
		TEST(the_newest_open_folder_is_found_with_a_free_number),
		TEST(what_is_left_is_read_and_packs_that_do_not_hold_are_not),
		TEST(a_store_that_fails_is_an_error),
		TEST(what_is_left_lies_over_the_parents_map),
		TEST(removal_takes_the_commit_first_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
