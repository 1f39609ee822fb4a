/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_wal.h"
#include "repo/pack.h"
#include "export/export.h"
#include "restore/damage.h"
#include "restore/plan.h"
#include "restore/walleft.h"

#define LABEL "20261121T180000Z-00000000000000cc"
#define BLOCK 8192u
#define BIG (3 * MB + 5 * BLOCK + 100)
#define MIB ((size_t)1 << 20)
/* A file whose blocks lie apart: every third is in another frame. */
#define SCATTERED "base/1/200"
#define SCATTERED_BLOCKS 300u
#define SCATTERED_SIZE ((size_t)SCATTERED_BLOCKS * BLOCK - 1000)
#define ZERO_FROM 120u /* blocks that are stored nowhere */
#define ZERO_TO 150u

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
	FAULT_CONTROL_LINK, /* global is a link: pg_control goes through it */
	FAULT_LABEL_LINK,
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
	uint8_t *scattered;
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

/* The runs name packs by the writer's index: their numbers, as it happens. */
static void
put_map(struct buf *b, struct map_run *runs, uint32_t n, struct made *x)
{
	struct pack_id packs[16];
	uint32_t i, k, count = atomic_load(&x->shared.next_number);
	uint32_t index[16];

	assert_true(count <= 16);
	memset(packs, 0, sizeof(packs));
	for (i = 0; i < count; i++) {
		(void)snprintf(packs[i].label, sizeof(packs[i].label), LABEL);
		packs[i].attempt = 1;
		packs[i].number = i;
		index[i] = manifest_writer_pack(x->m, &packs[i]);
	}
	for (i = 0; i < n; i++) {
		if (runs[i].pack == MAP_PACK_ZEROS) {
			runs[i].pack = count; /* as map_encode() has it */
			continue;
		}
		for (k = 0; k < count && index[k] != runs[i].pack; k++)
			;
		runs[i].pack = k;
	}
	map_encode(packs, count, runs, n, b);
}

/* Frames of every third block; then a map of one run a block. */
static void
store_scattered(struct made *x, struct map_run *map)
{
	struct map_run *runs = xcalloc(SCATTERED_BLOCKS, sizeof(*runs));
	uint64_t blocks[SCATTERED_BLOCKS];
	uint8_t *plain = xmalloc(SCATTERED_BLOCKS * BLOCK);
	struct pack_id id = { .attempt = 1 };
	struct frame_ref ref[3];
	struct buf b;
	uint32_t k, i, n = 0;
	size_t len;

	(void)snprintf(id.label, sizeof(id.label), LABEL);
	for (k = 0; k < 3; k++) {
		for (i = k, n = 0, len = 0; i < SCATTERED_BLOCKS; i += 3) {
			size_t step = i + 1 == SCATTERED_BLOCKS ?
			    BLOCK - 1000 : BLOCK;

			memcpy(plain + len, x->scattered + (size_t)i * BLOCK,
			    step);
			blocks[n++] = i;
			len += step;
		}
		OK(pack_writer_add_gathered(x->w, SCATTERED, blocks, plain,
		    len, NULL, &ref[k], &err));
		OK(pack_writer_flush(x->w, &err));
	}
	for (i = n = 0; i < SCATTERED_BLOCKS; n++)
		if (i == ZERO_FROM) {
			runs[n] = (struct map_run){ .pack = MAP_PACK_ZEROS,
				.blocks = ZERO_TO - ZERO_FROM };
			i = ZERO_TO;
		} else {
			id.number = ref[i % 3].pack;
			runs[n] = (struct map_run){ .blocks = 1,
				.pack = manifest_writer_pack(x->m, &id),
				.frame = ref[i % 3].frame, .block = i / 3 };
			i++;
		}
	buf_init(&b, MIB);
	put_map(&b, runs, n, x);
	OK(pack_writer_add_map(x->w, b.data, b.len, &ref[0], &err));
	id.number = ref[0].pack;
	*map = (struct map_run){ .pack = manifest_writer_pack(x->m, &id),
		.frame = ref[0].frame };
	buf_free(&b);
	free(plain);
	free(runs);
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
	struct map_run map;
	struct manifest_entry e_map = { .type = MANIFEST_FILE,
		.path = SCATTERED, .size = SCATTERED_SIZE, .mode = 0640,
		.map = &map, .n_map = 1 };
	size_t n, n_small;

	OK(control_read(x->p->pgdata, &ignored, control, &err));
	n_small = store(x, "base/1/112", small, sizeof(small), small_runs);
	if (fault == FAULT_DOTDOT)
		line(x, MANIFEST_FILE, "../escaped", small, sizeof(small),
		    small_runs, n_small);
	if (fault == FAULT_ABSOLUTE)
		line(x, MANIFEST_FILE, "/tmp/dapk-escaped", small,
		    sizeof(small), small_runs, n_small);
	if (fault == FAULT_LABEL_LINK)
		link_to(x, "backup_label", "/tmp/dapk-escaped");
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
	store_scattered(x, &map);
	e_map.crc = crc32c(x->scattered, SCATTERED_SIZE);
	OK(manifest_writer_add(x->m, &e_map, &err));
	if (fault == FAULT_CONTROL_LINK)
		link_to(x, "global", x->p->state);
	else
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
	const struct manifest_part *parts;
	size_t i;

	memset(x, 0, sizeof(*x));
	x->p = p;
	x->big = xmalloc(BIG);
	for (i = 0; i < BIG; i++)
		x->big[i] = (uint8_t)(i * 2654435761u >> 24);
	x->scattered = xcalloc(1, SCATTERED_BLOCKS * BLOCK);
	for (i = 0; i < SCATTERED_SIZE; i++)
		if (i < (size_t)ZERO_FROM * BLOCK ||
		    i >= (size_t)ZERO_TO * BLOCK)
			x->scattered[i] = (uint8_t)(i * 2246822519u >> 24);
	x->shared = (struct pack_shared){ .repo = p->repo, .inc = p->inc,
		.attempt = 1, .block_size = BLOCK, .target = MIB, .put = put,
		.put_arg = x };
	(void)snprintf(x->shared.label, sizeof(x->shared.label), LABEL);
	x->c = (struct commit){ .inc = p->inc, .catalog_version = 202209061,
		.method = xstrdup("local"), .program = xstrdup("test"),
		.host = xstrdup("here"),
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

static void
free_made(struct made *x)
{
	commit_free(&x->c);
	free(x->big);
	free(x->scattered);
}

/* What the last one did. */
static struct restore_result result;

/* The plan that would lead here; -1 as restore_apply(). */
static int
apply_with(struct made *x, char path[160], bool delta, bool allow_damage)
{
	struct restore_progress progress;
	struct config cfg = { .jobs = 2, .cluster = x->p->inc.cluster,
		.delta = delta, .allow_damage = allow_damage };
	struct restore_params params = { .repo = x->p->repo, .config = &cfg,
		.program = "/usr/bin/dapk-backup", .progress = &progress };
	struct restore_plan *plan = plan_new(&params);
	int rc;

	atomic_init(&progress.done_bytes, 0);
	(void)snprintf(path, 160, "%s/restored", x->p->dir);
	plan->inc = x->p->inc;
	plan->backup = x->c; /* lent */
	plan->delta = plan->same_system = delta;
	plan->wal_left = xcalloc(1, sizeof(*plan->wal_left));
	plan->target = TARGET_LATEST;
	history_single(1, &plan->path);
	(void)snprintf(plan->timeline, sizeof(plan->timeline), "latest");
	plan->dir = xstrdup(path);
	rc = restore_apply(plan, &err);
	result = plan->result;
	memset(&plan->backup, 0, sizeof(plan->backup));
	restore_plan_free(plan);
	return rc;
}

static int
apply(struct made *x, char path[160])
{
	return apply_with(x, path, false, false);
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
check_all(const char *root, const struct made *x)
{
	check_content(root, "base/1/112", "a small file", 13);
	check_content(root, "base/1/113", x->big, BIG);
	check_content(root, "base/1/114", "", 0);
	check_content(root, SCATTERED, x->scattered, SCATTERED_SIZE);
}

static void
a_backup_comes_back_byte_for_byte(void **state)
{
	struct made x;
	struct control c;
	char root[160];

	make(&x, *state, FAULT_NONE);
	OK(apply(&x, root));
	check_all(root, &x);
	assert_true(there(root, "backup_label"));
	assert_true(there(root, "recovery.signal"));
	assert_false(there(root, "standby.signal"));
	assert_false(there(root, "tablespace_map"));
	assert_false(there(root, PLAN_MARKER));
	OK(control_read(root, &c, NULL, &err));
	assert_int_equal(c.system_id, SYSTEM);
	assert_true(c.checkpoint < MB); /* poisoned (T90) */
	free_made(&x);
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
	free_made(&x);
}

/* Who unpacks an archive trusts its paths: an export has none of those. */
static void
is_not_exported(struct place *p, enum fault fault, const char *text)
{
	struct export_progress progress;
	struct commit commit;
	struct made x;
	char path[160];
	struct export_params params = { .repo = p->repo, .inc = &p->inc,
		.label = LABEL, .output = path, .fd = -1,
		.progress = &progress };

	make(&x, p, fault);
	wal_segment_name(1, wal_segno_of_lsn(x.c.start_lsn, p->segment_size),
	    p->segment_size, x.c.wal_first);
	memcpy(x.c.wal_last, x.c.wal_first, sizeof(x.c.wal_last));
	x.c.start_time = x.c.stop_time = 1;
	OK(commit_put(p->repo, &x.c, &err));
	atomic_init(&progress.done_bytes, 0);
	atomic_init(&progress.total_bytes, 0);
	(void)snprintf(path, sizeof(path), "%s/exported.tar", p->dir);
	FAILS(export_backup(&params, &commit, &err), ERR_DAMAGED);
	SAYS(text);
	SAYS(LABEL);
	assert_false(there(p->dir, "exported.tar"));
	commit_free(&commit);
	free_made(&x);
}

static void
a_path_that_leads_out_is_not_exported(void **state)
{
	is_not_exported(*state, FAULT_BELOW_LINK, "symbolic link");
}

/* Nor does what no line names go through a link that a line made. */
static void
pg_control_is_not_exported_through_a_link(void **state)
{
	is_not_exported(*state, FAULT_CONTROL_LINK, "\"global\"");
}

static void
backup_label_is_not_exported_through_a_link(void **state)
{
	is_not_exported(*state, FAULT_LABEL_LINK, "\"backup_label\"");
}

/* It could be that of a server that runs. */
static void
pg_control_is_not_restored_through_a_link(void **state)
{
	struct place *p = *state;

	fails(p, FAULT_CONTROL_LINK, "\"global\"");
	assert_false(there(p->state, "pg_control"));
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
	free_made(&x);
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
	free_made(&x);
}

/* Overwrite len bytes of a restored file. */
static void
scribble(const char *root, const char *name, off_t at, size_t len)
{
	char path[256];
	uint8_t *noise = xmalloc(len);
	int fd;

	memset(noise, 0xa5, len);
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, noise, len, at), len);
	(void)close(fd);
	free(noise);
}

static void
cut_to(const char *root, const char *name, off_t size)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(truncate(path, size), 0);
}

static void
a_delta_writes_the_blocks_that_differ_and_no_others(void **state)
{
	struct made x;
	char root[160];

	make(&x, *state, FAULT_NONE);
	OK(apply(&x, root));
	OK(apply_with(&x, root, true, false));
	check_all(root, &x);
	assert_int_equal(result.written_bytes, 0);
	/* A few bytes of a block; both sides of a boundary; zeros; the end. */
	scribble(root, "base/1/113", 5 * BLOCK + 17, 4);
	scribble(root, SCATTERED, 70 * BLOCK - 4, 8);
	scribble(root, SCATTERED, 130 * BLOCK, 1);
	scribble(root, SCATTERED, (off_t)SCATTERED_SIZE - 4, 4);
	OK(apply_with(&x, root, true, false));
	check_all(root, &x);
	assert_int_equal(result.written_bytes, 5 * BLOCK - 1000);
	assert_int_equal(result.changed_files, 3); /* postgresql.auto.conf */
	assert_int_equal(result.new_files, 0);
	free_made(&x);
}

static void
a_delta_mends_files_of_any_length_and_type(void **state)
{
	struct made x;
	char root[160], path[256], other[256];

	make(&x, *state, FAULT_NONE);
	OK(apply(&x, root));
	cut_to(root, "base/1/112", 0);
	cut_to(root, "base/1/113", BIG + 3 * BLOCK);
	cut_to(root, "base/1/114", 77);
	cut_to(root, SCATTERED, 40 * BLOCK + 5);
	OK(apply_with(&x, root, true, false));
	check_all(root, &x);
	(void)snprintf(path, sizeof(path), "%s/base/1/113", root);
	(void)snprintf(other, sizeof(other), "%s/other", root);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	scribble(root, "other", 0, 1);
	(void)snprintf(path, sizeof(path), "%s/base/1/114", root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/base/1/112", root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	OK(apply_with(&x, root, true, false));
	check_all(root, &x);
	assert_false(there(root, "other")); /* the backup does not have it */
	free_made(&x);
}

static void
what_is_lost_is_zero_and_listed(void **state)
{
	struct place *p = *state;
	struct made x;
	char key[STORAGE_KEY_MAX], root[160];
	struct pack_id id = { .attempt = 1 };

	make(&x, p, FAULT_NONE);
	/* The frames of the scattered file's first and third hundred. */
	id = x.c.packs[x.c.n_packs - 3].id;
	repo_pack_key(&p->inc, &id, key);
	OK(storage_remove(p->repo->st, key, &err));
	FAILS(apply(&x, root), ERR_NOT_FOUND);
	OK(apply_with(&x, root, true, true));
	assert_true(result.lost_blocks >= 90);
	assert_true(result.damage_lines >= 90);
	assert_true(there(root, DAMAGE_LIST));
	check_content(root, "base/1/112", "a small file", 13);
	check_content(root, "base/1/113", x.big, BIG);
	free_made(&x);
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
		TEST(a_path_that_leads_out_is_not_exported),
		TEST(pg_control_is_not_exported_through_a_link),
		TEST(backup_label_is_not_exported_through_a_link),
		TEST(pg_control_is_not_restored_through_a_link),
		TEST(a_backup_without_pg_control_is_damage),
		TEST(pg_control_is_no_ordinary_file),
		TEST(a_changed_byte_in_a_pack_is_told_with_its_name),
		TEST(a_missing_pack_is_told_with_its_name),
		TEST(a_delta_writes_the_blocks_that_differ_and_no_others),
		TEST(a_delta_mends_files_of_any_length_and_type),
		TEST(what_is_lost_is_zero_and_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
