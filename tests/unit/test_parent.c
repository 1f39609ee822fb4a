/* SPDX-License-Identifier: PostgreSQL */
/* Which backup a new one is compared with, and what it finds there. */
#include "config.h"

#include "fixture_repo.h"

#include <fcntl.h>
#include <unistd.h>

#include "backup/parent.h"
#include "core/io.h"
#include "core/log.h"

#define BLOCK 8192
#define FOLDER "clusters/main/15-7312345678901234567/backups/"
#define LABEL_1 "20260101T000000Z-0000000000000001"
#define LABEL_2 "20260102T000000Z-0000000000000002"
#define LABEL_3 "20260103T000000Z-0000000000000003"

/* What the tests say of a backup; the rest is the same for all. */
struct made {
	const char *label;
	uint32_t timeline;
	pg_lsn stop;
	uint32_t block_size;
};

static void
put_lines(struct manifest_writer *w, const char *label)
{
	static const char *const paths[] = { "base/1/100", "base/1/1000",
		"base/1/2" };
	struct pack_id id = { "", 1, 0, REPO_BACKUP };
	struct map_run run = { 1, 0, 0, 0 };
	struct manifest_entry e = { .type = MANIFEST_DIR, .path = "base",
		.mode = 0700 };
	uint32_t i;

	OK(manifest_writer_add(w, &e, &err));
	memcpy(id.label, label, sizeof(id.label));
	run.pack = manifest_writer_pack(w, &id);
	for (i = 0; i < 3; i++) {
		run.frame = i;
		e = (struct manifest_entry){ .type = MANIFEST_FILE,
			.path = paths[i], .size = BLOCK, .mode = 0600,
			.crc = 7 + i, .runs = &run, .n_runs = 1 };
		OK(manifest_writer_add(w, &e, &err));
	}
}

static void
make(struct fixture *f, const struct made *m)
{
	static char local[] = "local", program[] = "test", host[] = "here";
	struct commit_pack pack = { .size = 100, .live = BLOCK };
	const struct manifest_part *parts;
	struct manifest_writer *w;
	struct commit c = { .inc = f->inc, .method = local,
		.program = program, .host = host, .attempt = 1,
		.start_lsn = m->stop - 100, .stop_lsn = m->stop,
		.timeline = m->timeline, .read_all = true,
		.wal_first = "000000010000000000000001",
		.wal_last = "000000010000000000000001",
		.block_size = m->block_size,
		.relation_segment_blocks = 131072,
		.wal_segment_size = 16 << 20, .packs = &pack, .n_packs = 1 };

	(void)snprintf(c.label, sizeof(c.label), "%s", m->label);
	(void)snprintf(pack.id.label, sizeof(pack.id.label), "%s", m->label);
	pack.id.attempt = 1;
	OK(manifest_writer_new(&w, f->repo, &f->inc, m->label, m->block_size,
	    &err));
	put_lines(w, c.label);
	OK(manifest_writer_finish(w, &parts, &c.n_parts, &err));
	c.parts = xcalloc(c.n_parts, sizeof(*parts));
	memcpy(c.parts, parts, c.n_parts * sizeof(*parts));
	OK(commit_put(f->repo, &c, &err));
	free(c.parts);
	manifest_writer_free(w);
}

static struct parent *
choose_on(struct fixture *f, uint32_t timeline, pg_lsn start, int pgdata_fd)
{
	struct control control = { .block_size = BLOCK,
		.relation_segment_blocks = 131072 };
	const struct parent_params p = { .repo = f->repo, .inc = &f->inc,
		.control = &control, .pgdata_fd = pgdata_fd,
		.pgdata = "/nowhere", .timeline = timeline,
		.start_lsn = start };
	struct parent *out;

	OK(parent_choose(&out, &p, &err));
	return out;
}

static void
assert_chosen(struct parent *p, const char *label, bool on_history)
{
	if (label == NULL) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_string_equal(p->commit.label, label);
	assert_int_equal(p->on_history, on_history);
	parent_free(p);
}

static void
the_place_in_wal_decides_and_not_the_label(void **state)
{
	struct fixture *f = *state;

	assert_chosen(choose_on(f, 1, 9000, -1), NULL, false);
	make(f, &(struct made){ LABEL_3, 1, 1000, BLOCK }); /* clock jumped */
	assert_chosen(choose_on(f, 1, 9000, -1), LABEL_3, true);
	make(f, &(struct made){ LABEL_1, 1, 2000, BLOCK });
	assert_chosen(choose_on(f, 1, 9000, -1), LABEL_1, true);
	make(f, &(struct made){ LABEL_2, 1, 8000, BLOCK });
	assert_chosen(choose_on(f, 1, 9000, -1), LABEL_2, true);
	assert_chosen(choose_on(f, 1, 8000, -1), LABEL_2, true);
	/* A server that was set back: the newest is not its past. */
	assert_chosen(choose_on(f, 1, 7999, -1), LABEL_1, true);
}

static void
another_history_serves_for_content_only(void **state)
{
	struct fixture *f = *state;

	make(f, &(struct made){ LABEL_1, 1, 8000, BLOCK });
	assert_chosen(choose_on(f, 1, 7000, -1), LABEL_1, false);
	/* The history of timeline 3 is nowhere: nothing is its past. */
	assert_chosen(choose_on(f, 3, 9000, -1), LABEL_1, false);
	make(f, &(struct made){ LABEL_2, 3, 500, BLOCK });
	assert_chosen(choose_on(f, 3, 9000, -1), LABEL_2, true);
}

static void
backups_from_before_a_fork_are_its_past_those_behind_it_are_not(void **state)
{
	static const char history[] = "1\t0/1000\tno recovery target\n";
	struct fixture *f = *state;
	char dir[] = "/tmp/dapk-parent-XXXXXX";
	char *path;
	int fd, file;

	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/pg_wal", dir);
	OK(io_mkdir_p(path, 0700, &err));
	free(path);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	file = openat(fd, "pg_wal/00000002.history", O_WRONLY | O_CREAT, 0600);
	OK(io_pwrite_full(file, history, sizeof(history) - 1, 0, "history",
	    &err));
	(void)close(file);
	make(f, &(struct made){ LABEL_1, 1, 0x0f00, BLOCK });
	make(f, &(struct made){ LABEL_2, 1, 0x1100, BLOCK });
	assert_chosen(choose_on(f, 2, 0x9000, fd), LABEL_1, true);
	make(f, &(struct made){ LABEL_3, 2, 0x2000, BLOCK });
	assert_chosen(choose_on(f, 2, 0x9000, fd), LABEL_3, true);
	/* And the old server, should it still run, sees its own line. */
	assert_chosen(choose_on(f, 1, 0x9000, fd), LABEL_2, true);
	(void)unlinkat(fd, "pg_wal/00000002.history", 0);
	(void)unlinkat(fd, "pg_wal", AT_REMOVEDIR);
	(void)close(fd);
	(void)rmdir(dir);
}

static void
what_cannot_be_read_is_passed_over(void **state)
{
	struct fixture *f = *state;

	make(f, &(struct made){ LABEL_1, 1, 1000, BLOCK });
	make(f, &(struct made){ LABEL_2, 1, 2000, BLOCK });
	make(f, &(struct made){ LABEL_3, 1, 3000, 2 * BLOCK });
	assert_chosen(choose_on(f, 1, 9000, -1), LABEL_2, true);
	OK(storage_remove(f->st, FOLDER LABEL_2 "/manifest-00.zst", &err));
	assert_chosen(choose_on(f, 1, 9000, -1), LABEL_1, true);
	fixture_replace(f, FOLDER LABEL_1 "/commit", "rubbish", 7);
	assert_chosen(choose_on(f, 1, 9000, -1), NULL, false);
}

static void
files_are_found_beside_the_plan(void **state)
{
	struct fixture *f = *state;
	struct parent_file pf;
	struct parent *p;

	make(f, &(struct made){ LABEL_1, 1, 1000, BLOCK });
	p = choose_on(f, 1, 9000, -1);
	assert_non_null(p);
	assert_true(p->condemned[0]); /* no such pack is there */
	assert_false(parent_find(p, "PG_VERSION", &pf));
	assert_false(parent_find(p, "base", &pf)); /* a directory */
	assert_false(parent_find(p, "base/1/1", &pf));
	assert_false(parent_find(p, "base/1/10", &pf));
	assert_true(parent_find(p, "base/1/1000", &pf));
	assert_int_equal(pf.crc, 8);
	assert_int_equal(pf.size, BLOCK);
	assert_int_equal(pf.n_runs, 1);
	assert_int_equal(pf.runs[0].frame, 1);
	assert_int_equal(pf.runs[0].pack, 0);
	assert_false(parent_find(p, "base/1/1001", &pf));
	assert_true(parent_find(p, "base/1/2", &pf));
	assert_int_equal(pf.crc, 9);
	assert_false(parent_find(p, "base/1/3", &pf));
	assert_false(parent_find(p, "global/1", &pf));
	parent_free(p);
}

static void
a_repaired_pack_that_is_cut_off_is_condemned(void **state)
{
	struct fixture *f = *state;
	struct pack_id id = { LABEL_1, 1, 0, REPO_BACKUP };
	struct object_writer w;
	struct parent *p;
	char key[STORAGE_KEY_MAX];

	make(f, &(struct made){ LABEL_1, 1, 1000, BLOCK });
	repo_damage_key(&f->inc, &id, 0, key);
	OK(storage_put(f->st, key, "x", 1, &err));
	fixture_empty_pack(&w, f->repo, &f->inc, &id);
	repo_pack_key_generation(&f->inc, &id, 1, key);
	OK(storage_put(f->st, key, w.bytes.data, w.bytes.len, &err));
	p = choose_on(f, 1, 9000, -1);
	assert_int_equal(p->packs.list[0].generation, 1);
	assert_int_equal(p->packs.list[0].size, w.bytes.len);
	assert_false(p->condemned[0]);
	parent_free(p);
	fixture_replace(f, key, w.bytes.data, w.bytes.len - 1);
	p = choose_on(f, 1, 9000, -1);
	assert_true(p->condemned[0]);
	parent_free(p);
	object_writer_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_place_in_wal_decides_and_not_the_label),
		TEST(another_history_serves_for_content_only),
		TEST(backups_from_before_a_fork_are_its_past_those_behind_it_are_not),
		TEST(what_cannot_be_read_is_passed_over),
		TEST(files_are_found_beside_the_plan),
		TEST(a_repaired_pack_that_is_cut_off_is_condemned),
	};

	log_init(LOG_ERROR, LOG_TEXT, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
