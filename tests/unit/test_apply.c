/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_wal.h"
#include "repo/pack.h"
#include "restore/plan.h"

#define LABEL "20261121T180000Z-00000000000000cc"
#define BLOCK 8192u
#define BIG (3 * MB + 5 * BLOCK + 100)
#define MIB ((size_t)1 << 20)

/* What is wrong with the backup. */
enum fault {
	FAULT_NONE,
	FAULT_FRAME,	  /* a byte of a pack is changed */
	FAULT_PACK,	  /* a pack is missing */
	FAULT_OTHER_PATH, /* a line that leads to another file's frame */
	FAULT_OTHER_BLOCKS,
	FAULT_CRC,
	FAULT_DOTDOT,
	FAULT_ABSOLUTE,
	FAULT_BELOW_LINK,
	FAULT_NO_CONTROL,
	FAULT_CONTROL_AS_FILE
};

struct made {
	struct place *p;
	struct pack_shared shared;
	struct pack_writer *w;
	struct manifest_writer *m;
	struct commit c;
	uint8_t *big;
};

static int
put(void *arg, const struct pack_id *id, struct object_writer *o,
    struct err *e)
{
	struct made *x = arg;
	char key[STORAGE_KEY_MAX];

	repo_pack_key(&x->p->inc, id, key);
	x->c.packs = xreallocarray(x->c.packs, x->c.n_packs + 1,
	    sizeof(*x->c.packs));
	x->c.packs[x->c.n_packs++] = (struct commit_pack){ .id = *id,
		.size = o->bytes.len };
	return storage_put(x->p->repo->st, key, o->bytes.data, o->bytes.len,
	    e);
}

/* Store a file; its runs. */
static size_t
store(struct made *x, const char *path, const uint8_t *data, size_t len,
    struct map_run *runs)
{
	struct frame_ref ref;
	struct pack_id id = { .attempt = 1 };
	size_t at, step, n = 0;

	(void)snprintf(id.label, sizeof(id.label), LABEL);
	for (at = 0; at < len; at += step) {
		step = len - at < MIB ? len - at : MIB;
		OK(pack_writer_add(x->w, path, at / BLOCK, data + at, step,
		    NULL, &ref, &err));
		id.number = ref.pack;
		runs[n++] = (struct map_run){
			.blocks = (step + BLOCK - 1) / BLOCK,
			.pack = manifest_writer_pack(x->m, &id),
			.frame = ref.frame };
	}
	return n;
}

static void
line(struct made *x, enum manifest_type type, const char *path,
    const uint8_t *data, size_t len, const struct map_run *runs, size_t n)
{
	struct manifest_entry e = { .type = type, .path = path, .size = len,
		.mode = 0640, .runs = runs, .n_runs = n };

	if (data != NULL)
		e.crc = crc32c(data, len);
	OK(manifest_writer_add(x->m, &e, &err));
}

static void
dir(struct made *x, const char *path)
{
	struct manifest_entry e = { .type = MANIFEST_DIR, .path = path,
		.mode = 0700 };

	OK(manifest_writer_add(x->m, &e, &err));
}

static void
link_to(struct made *x, const char *path, const char *target)
{
	struct manifest_entry e = { .type = MANIFEST_LINK, .path = path,
		.target = target };

	OK(manifest_writer_add(x->m, &e, &err));
}

static void
put_lines(struct made *x, enum fault fault)
{
	static const uint8_t small[] = "a small file", other[] = "another one.";
	struct map_run small_runs[8], runs[8];
	uint8_t control[CONTROL_FILE_SIZE];
	struct control ignored;
	struct manifest_entry e = { .type = MANIFEST_BACKUP_LABEL,
		.data = "START WAL LOCATION", .data_len = 18 };
	size_t n, n_small;

	OK(control_read(x->p->pgdata, &ignored, control, &err));
	n_small = store(x, "base/1/112", small, sizeof(small), small_runs);
	if (fault == FAULT_DOTDOT)
		line(x, MANIFEST_FILE, "../escaped", small, sizeof(small),
		    small_runs, n_small);
	if (fault == FAULT_ABSOLUTE)
		line(x, MANIFEST_FILE, "/tmp/dapk-escaped", small,
		    sizeof(small), small_runs, n_small);
	dir(x, "base");
	dir(x, "base/1");
	line(x, MANIFEST_FILE, "base/1/112",
	    fault == FAULT_CRC ? other : small, sizeof(small), small_runs,
	    n_small);
	n = store(x, "base/1/113", x->big, BIG, runs);
	if (fault == FAULT_OTHER_BLOCKS)
		runs[2] = runs[1];
	line(x, MANIFEST_FILE, "base/1/113", x->big, BIG, runs, n);
	line(x, MANIFEST_FILE, "base/1/114", NULL, 0, NULL, 0);
	if (fault == FAULT_OTHER_PATH)
		line(x, MANIFEST_FILE, "base/1/115", small, sizeof(small),
		    small_runs, n_small);
	dir(x, "global");
	n = store(x, CONTROL_PATH, control, sizeof(control), runs);
	if (fault == FAULT_CONTROL_AS_FILE)
		line(x, MANIFEST_FILE, CONTROL_PATH, control, sizeof(control),
		    runs, n);
	if (fault == FAULT_BELOW_LINK) {
		link_to(x, "out", x->p->state);
		line(x, MANIFEST_FILE, "out/escaped", small, sizeof(small),
		    small_runs, n_small);
	}
	line(x, MANIFEST_FILE, "postgresql.auto.conf", NULL, 0, NULL, 0);
	if (fault != FAULT_NO_CONTROL)
		line(x, MANIFEST_CONTROL, CONTROL_PATH, control,
		    sizeof(control), runs, n);
	OK(manifest_writer_add(x->m, &e, &err));
}

static void
make(struct made *x, struct place *p, enum fault fault)
{
	static char local[] = "local", program[] = "test", host[] = "here";
	const struct manifest_part *parts;
	size_t i;

	memset(x, 0, sizeof(*x));
	x->p = p;
	x->big = xmalloc(BIG);
	for (i = 0; i < BIG; i++)
		x->big[i] = (uint8_t)(i * 2654435761u >> 24);
	x->shared = (struct pack_shared){ .repo = p->repo, .inc = p->inc,
		.attempt = 1, .block_size = BLOCK, .target = MIB, .put = put,
		.put_arg = x };
	(void)snprintf(x->shared.label, sizeof(x->shared.label), LABEL);
	x->c = (struct commit){ .inc = p->inc, .catalog_version = 202209061,
		.method = local, .program = program, .host = host,
		.attempt = 1, .start_lsn = 4 * MB, .stop_lsn = 4 * MB + 100,
		.timeline = 1, .block_size = BLOCK,
		.relation_segment_blocks = 131072,
		.wal_segment_size = p->segment_size };
	(void)snprintf(x->c.label, sizeof(x->c.label), LABEL);
	OK(pack_writer_new(&x->w, &x->shared, 1, &err));
	OK(manifest_writer_new(&x->m, p->repo, &p->inc, LABEL, BLOCK, &err));
	put_lines(x, fault);
	OK(pack_writer_flush(x->w, &err));
	OK(manifest_writer_finish(x->m, &parts, &x->c.n_parts, &err));
	x->c.parts = xcalloc(x->c.n_parts, sizeof(*parts));
	memcpy(x->c.parts, parts, x->c.n_parts * sizeof(*parts));
	pack_writer_free(x->w);
	manifest_writer_free(x->m);
}

/* The plan that would lead here; -1 as restore_apply(). */
static int
apply(struct made *x, char path[160])
{
	struct restore_progress progress;
	struct config cfg = { .jobs = 2, .cluster = x->p->inc.cluster };
	struct restore_params params = { .repo = x->p->repo, .config = &cfg,
		.program = "/usr/bin/dapk-backup", .progress = &progress };
	struct restore_plan *plan = plan_new(&params);
	int rc;

	atomic_init(&progress.done_bytes, 0);
	(void)snprintf(path, 160, "%s/restored", x->p->dir);
	plan->inc = x->p->inc;
	plan->backup = x->c;
	memset(&x->c, 0, sizeof(x->c)); /* now the plan's */
	plan->backup.method = plan->backup.program = NULL;
	plan->backup.host = NULL;
	plan->target = TARGET_LATEST;
	history_single(1, &plan->path);
	(void)snprintf(plan->timeline, sizeof(plan->timeline), "latest");
	plan->dir = xstrdup(path);
	rc = restore_apply(plan, &err);
	restore_plan_free(plan);
	return rc;
}

static void
check_content(const char *root, const char *name, const void *want, size_t len)
{
	char path[256];
	struct stat st;
	struct buf b;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	buf_init(&b, 16 * MB);
	OK(io_read_file(path, &b, &err));
	assert_int_equal(b.len, len);
	if (len > 0)
		assert_memory_equal(b.data, want, len);
	buf_free(&b);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static bool
there(const char *root, const char *name)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	return lstat(path, &st) == 0;
}

static void
a_backup_comes_back_byte_for_byte(void **state)
{
	struct made x;
	struct control c;
	char root[160];

	make(&x, *state, FAULT_NONE);
	OK(apply(&x, root));
	check_content(root, "base/1/112", "a small file", 13);
	check_content(root, "base/1/113", x.big, BIG);
	check_content(root, "base/1/114", "", 0);
	assert_true(there(root, "backup_label"));
	assert_true(there(root, "recovery.signal"));
	assert_false(there(root, "standby.signal"));
	assert_false(there(root, "tablespace_map"));
	assert_false(there(root, PLAN_MARKER));
	OK(control_read(root, &c, NULL, &err));
	assert_int_equal(c.system_id, SYSTEM);
	assert_true(c.checkpoint < MB); /* poisoned (T90) */
	free(x.big);
}

/* Refused, and what is there cannot be started. */
static void
fails(struct place *p, enum fault fault, const char *text)
{
	struct made x;
	char root[160];

	make(&x, p, fault);
	FAILS(apply(&x, root), ERR_DAMAGED);
	SAYS(text);
	SAYS(LABEL);
	assert_false(there(root, CONTROL_PATH));
	assert_true(there(root, PLAN_MARKER));
	free(x.big);
}

static void
a_frame_of_another_file_is_damage(void **state)
{
	fails(*state, FAULT_OTHER_PATH, "base/1/115");
}

static void
a_frame_of_other_blocks_is_damage(void **state)
{
	fails(*state, FAULT_OTHER_BLOCKS, "base/1/113");
}

static void
a_wrong_file_crc_is_damage(void **state)
{
	fails(*state, FAULT_CRC, "CRC");
}

static void
a_path_with_dots_never_leaves_the_directory(void **state)
{
	const struct place *p = *state;

	fails(*state, FAULT_DOTDOT, "..");
	assert_false(there(p->dir, "escaped"));
}

static void
an_absolute_path_never_leaves_the_directory(void **state)
{
	fails(*state, FAULT_ABSOLUTE, "/tmp/dapk-escaped");
	assert_int_not_equal(access("/tmp/dapk-escaped", F_OK), 0);
}

static void
nothing_is_written_through_a_symbolic_link(void **state)
{
	const struct place *p = *state;

	fails(*state, FAULT_BELOW_LINK, "symbolic link");
	assert_false(there(p->state, "escaped"));
}

static void
a_backup_without_pg_control_is_damage(void **state)
{
	fails(*state, FAULT_NO_CONTROL, "pg_control");
}

static void
pg_control_is_no_ordinary_file(void **state)
{
	fails(*state, FAULT_CONTROL_AS_FILE, "pg_control");
}

static void
a_changed_byte_in_a_pack_is_told_with_its_name(void **state)
{
	struct place *p = *state;
	struct made x;
	char key[STORAGE_KEY_MAX], root[160];
	struct buf b;

	make(&x, p, FAULT_NONE);
	repo_pack_key(&p->inc, &x.c.packs[0].id, key);
	buf_init(&b, STORAGE_OBJECT_MAX);
	OK(storage_get_all(p->repo->st, key, &b, &err));
	b.data[b.len / 2] ^= 1;
	OK(storage_remove(p->repo->st, key, &err));
	OK(storage_put(p->repo->st, key, b.data, b.len, &err));
	buf_free(&b);
	FAILS(apply(&x, root), ERR_DAMAGED);
	SAYS("pack-01-000000");
	assert_false(there(root, CONTROL_PATH));
	free(x.big);
}

static void
a_missing_pack_is_told_with_its_name(void **state)
{
	struct place *p = *state;
	struct made x;
	char key[STORAGE_KEY_MAX], root[160];

	make(&x, p, FAULT_NONE);
	repo_pack_key(&p->inc, &x.c.packs[0].id, key);
	OK(storage_remove(p->repo->st, key, &err));
	err_clear(&err);
	assert_int_equal(apply(&x, root), -1);
	SAYS("pack-01-000000");
	assert_false(there(root, CONTROL_PATH));
	free(x.big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backup_comes_back_byte_for_byte),
		TEST(a_frame_of_another_file_is_damage),
		TEST(a_frame_of_other_blocks_is_damage),
		TEST(a_wrong_file_crc_is_damage),
		TEST(a_path_with_dots_never_leaves_the_directory),
		TEST(an_absolute_path_never_leaves_the_directory),
		TEST(nothing_is_written_through_a_symbolic_link),
		TEST(a_backup_without_pg_control_is_damage),
		TEST(pg_control_is_no_ordinary_file),
		TEST(a_changed_byte_in_a_pack_is_told_with_its_name),
		TEST(a_missing_pack_is_told_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
