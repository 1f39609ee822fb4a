/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/crc32c.h"
#include "repo/commit.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "verify/verify.h"
#include "verify/verify_pack.h"

#define BLOCK 8192
#define FILES 6

static struct pack_id last_pack;
static uint64_t last_size;
static bool lie; /* about page sums */

static int
put_pack(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *why)
{
	struct fixture *f = arg;
	char key[STORAGE_KEY_MAX];

	last_pack = *id;
	last_size = object->bytes.len;
	repo_pack_key(&f->inc, id, key);
	return storage_put(f->st, key, object->bytes.data, object->bytes.len,
	    why);
}

static uint32_t last_generation; /* that commits name */

struct made {
	uint32_t crc[FILES];
	struct frame_ref ref[FILES];
	size_t len[FILES];
	uint64_t plain;
};

static const char *const names[FILES] = { "base/1/1", "base/1/2", "base/1/3",
	"base/1/4", "base/1/5", "base/1/6" };

static void
make_pack(struct fixture *f, struct made *m)
{
	struct pack_shared s = { .repo = f->repo, .inc = f->inc,
		.label = LABEL_A, .attempt = 1, .block_size = BLOCK,
		.target = PACK_TARGET_DEFAULT, .put = put_pack,
		.put_arg = f };
	static const uint64_t numbers[3] = { 0, 1, 2 };
	struct page_sum sums[3];
	uint8_t *plain = xcalloc(3, BLOCK);
	struct pack_writer *w;
	size_t i;

	m->plain = 0;
	OK(pack_writer_new(&w, &s, 1, &err));
	for (i = 0; i < FILES; i++) {
		m->len[i] = i == 0 ? 3 * BLOCK : 100 + i;
		memset(plain, (int)i, m->len[i]);
		fixture_noise(plain, 60, (uint32_t)i);
		m->crc[i] = crc32c(plain, m->len[i]);
		m->plain += m->len[i];
		(void)page_sums(plain, m->len[i], BLOCK,
		    f->repo->fingerprint_seed, sums);
		if (lie && i == 3)
			sums[0].fingerprint++;
		if (i == 0)
			OK(pack_writer_add_gathered(w, names[i], numbers,
			    plain, m->len[i], sums, &m->ref[i], &err));
		else
			OK(pack_writer_add(w, names[i], 0, plain, m->len[i],
			    sums, &m->ref[i], &err));
	}
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	free(plain);
}

/* A backup of these files; wrong_map: two files' maps are exchanged. */
static void
make_backup(struct fixture *f, const char *label, const struct made *m,
    bool wrong_map, uint64_t live)
{
	char text[] = "local";
	struct commit_pack pack = { .id = last_pack, .size = last_size,
		.generation = last_generation,
		.plain = m->plain, .live = live };
	struct commit c = { .inc = f->inc, .timeline = 1,
		.start_lsn = 0x1000028, .stop_lsn = 0x1000100,
		.block_size = BLOCK, .wal_segment_size = 1 << 20,
		.relation_segment_blocks = 131072, .packs = &pack,
		.n_packs = 1, .files = FILES, .start_time = 1000000,
		.stop_time = 2000000, .full_read = 1000000, .read_all = true,
		.catalog_version = 202209061, .attempt = 1,
		.method = text, .program = text, .host = text };
	const struct manifest_part *parts;
	struct manifest_writer *w;
	size_t i;

	(void)snprintf(c.label, sizeof(c.label), "%s", label);
	(void)snprintf(c.wal_first, sizeof(c.wal_first),
	    "000000010000000000000010");
	(void)snprintf(c.wal_last, sizeof(c.wal_last),
	    "000000010000000000000010");
	OK(manifest_writer_new(&w, f->repo, &f->inc, label, BLOCK, &err));
	for (i = 0; i < FILES; i++) {
		size_t from = !wrong_map || i < 4 ? i : i == 4 ? 5 : 4;
		struct map_run run = { 1 + (i == 0) * 2,
			manifest_writer_pack(w, &last_pack),
			m->ref[from].frame, 0 };
		struct manifest_entry e = { .type = MANIFEST_FILE,
			.path = names[i], .size = m->len[i], .mode = 0600,
			.crc = m->crc[i], .runs = &run, .n_runs = 1 };

		OK(manifest_writer_add(w, &e, &err));
	}
	OK(manifest_writer_finish(w, &parts, &c.n_parts, &err));
	c.parts = xcalloc(c.n_parts, sizeof(*c.parts));
	memcpy(c.parts, parts, c.n_parts * sizeof(*parts));
	manifest_writer_free(w);
	OK(commit_put(f->repo, &c, &err));
	free(c.parts);
}

static void
make_whole(struct fixture *f, struct made *m)
{
	make_pack(f, m);
	make_backup(f, LABEL_A, m, false, m->plain);
	make_backup(f, LABEL_B, m, false, m->plain);
}

static struct verify_result result;

static struct verify_cluster *
run(struct fixture *f, bool quick, bool repair, bool dry_run)
{
	struct verify_params p = { .repo = f->repo, .quick = quick,
		.repair = repair, .dry_run = dry_run, .jobs = 2 };

	verify_result_free(&result);
	OK(verify_run(&p, &result, &err));
	assert_int_equal(result.n, 1);
	return &result.clusters[0];
}

static size_t
count(const struct verify_cluster *cl, enum verify_kind kind)
{
	size_t i, n = 0;

	for (i = 0; i < cl->n_findings; i++)
		n += cl->findings[i].kind == kind &&
		    !cl->findings[i].repaired;
	return n;
}

static void
load(struct fixture *f, const char *key, struct buf *b)
{
	buf_init(b, STORAGE_OBJECT_MAX);
	OK(storage_get_all(f->st, key, b, &err));
}

static void
every_flipped_bit_of_a_pack_is_found(void **state)
{
	struct fixture *f = *state;
	const struct pack_facts *facts;
	struct pack_checker *c;
	char key[STORAGE_KEY_MAX];
	struct made m;
	struct buf b;
	size_t i, bit, harmless = 0;

	make_pack(f, &m);
	repo_pack_key(&f->inc, &last_pack, key);
	load(f, key, &b);
	c = pack_checker_new(f->repo);
	OK(pack_check(c, b.data, b.len, key, &last_pack, &f->inc, BLOCK,
	    &facts, &err));
	assert_int_equal(facts->n, FILES + 1);
	assert_int_equal(facts->plain, m.plain);
	assert_int_equal(facts->frames[0].n, 3);
	assert_int_equal(facts->frames[0].crc, m.crc[0]);
	for (i = 0; i < b.len; i++)
		for (bit = 0; bit < 9; bit++) {
			const uint8_t flip = bit == 8 ? 0xff :
			    (uint8_t)(1 << bit);

			b.data[i] ^= flip;
			err_clear(&err);
			if (pack_check(c, b.data, b.len, key, &last_pack,
				&f->inc, BLOCK, &facts, &err) == 0) {
				/* zstd reads on over its reserved bits. */
				assert_true(bit < 2);
				assert_int_equal(facts->frames[0].crc,
				    m.crc[0]);
				harmless++;
			}
			b.data[i] ^= flip;
		}
	assert_in_range(harmless, 0, 2 * (FILES + 1));
	for (i = 0; i < b.len; i++)
		if (pack_check(c, b.data, i, key, &last_pack, &f->inc, BLOCK,
			&facts, &err) == 0)
			fail_msg("cut to %zu of %zu bytes", i, b.len);
	pack_checker_free(c);
	buf_free(&b);
}

static void
page_sums_that_lie_are_found(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	struct made m;

	lie = true;
	make_whole(f, &m);
	lie = false;
	cl = run(f, false, false, true);
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	assert_non_null(strstr(cl->findings[0].reason, "page sums"));
}

static void
a_whole_backup_is_proved_and_one_without_wal_is_not(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	struct made m;

	make_whole(f, &m);
	cl = run(f, false, false, false);
	assert_int_equal(cl->n_backups, 2);
	assert_true(cl->backups[0].proved);
	assert_int_equal(cl->backups[1].files, FILES);
	assert_int_equal(count(cl, VERIFY_PACK), 0);
	assert_int_equal(count(cl, VERIFY_ACCOUNTS), 0);
	/* TRAPS T79: WAL that is not there is damage. */
	assert_int_equal(count(cl, VERIFY_WAL), 2);
	assert_true(cl->backups[0].wal_bad);
	assert_int_equal(result.damaged, 2);
	cl = run(f, true, false, false);
	assert_int_equal(count(cl, VERIFY_WAL), 2);
}

static void
a_damaged_frame_names_file_and_block_of_each_backup(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	struct packset_info info;
	struct packset *ps;
	char key[STORAGE_KEY_MAX];
	struct object_reader r;
	struct made m;
	struct buf b;
	size_t i;

	make_whole(f, &m);
	repo_pack_key(&f->inc, &last_pack, key);
	load(f, key, &b);
	OK(object_reader_open_bytes(&r, f->repo, b.data, b.len, key,
	    OBJECT_PACK, 0, &err));
	b.data[r.entries[m.ref[2].frame].offset +
	    r.entries[m.ref[2].frame].length - 6] ^= 1;
	object_reader_close(&r);
	fixture_replace(f, key, b.data, b.len);
	cl = run(f, false, false, false);
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	assert_true(cl->findings[0].marked);
	for (i = 0; i < 2; i++) {
		assert_int_equal(cl->backups[i].bad_files, 1);
		assert_int_equal(cl->backups[i].bad_blocks, 1);
		assert_string_equal(cl->backups[i].list[0].path, names[2]);
		assert_int_equal(cl->backups[i].list[0].ranges[0].first, 0);
		assert_false(cl->backups[i].proved);
	}
	OK(packset_new(&ps, f->repo, &f->inc, &err));
	OK(packset_find(ps, &last_pack, &info, &err));
	assert_true(info.damaged);
	packset_free(ps);
	cl = run(f, false, true, false); /* the frame is nowhere else */
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	buf_free(&b);
}

static void
headers_and_indexes_are_made_again_from_the_frames(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	struct made m;
	struct buf b;

	make_whole(f, &m);
	repo_pack_key(&f->inc, &last_pack, key);
	load(f, key, &b);
	b.data[20] ^= 1;
	b.data[b.len - 3] ^= 1;
	fixture_replace(f, key, b.data, b.len);
	cl = run(f, false, false, false);
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	assert_int_equal(cl->backups[0].bad_files, FILES);
	cl = run(f, false, true, false);
	assert_int_equal(count(cl, VERIFY_PACK), 0);
	assert_int_equal(result.repaired, 1);
	assert_true(cl->backups[0].proved && cl->backups[1].proved);
	cl = run(f, false, false, false);
	assert_int_equal(count(cl, VERIFY_PACK), 0);
	assert_true(cl->backups[0].proved);
	buf_free(&b);
}

static void
page_sums_are_computed_again(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	struct object_reader r;
	struct made m;
	struct buf b;

	make_whole(f, &m);
	repo_pack_key(&f->inc, &last_pack, key);
	load(f, key, &b);
	OK(object_reader_open_bytes(&r, f->repo, b.data, b.len, key,
	    OBJECT_PACK, 0, &err));
	b.data[r.entries[FILES].offset + r.entries[FILES].length - 6] ^= 1;
	object_reader_close(&r);
	fixture_replace(f, key, b.data, b.len);
	cl = run(f, false, false, false);
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	assert_int_equal(cl->backups[0].bad_files, 0);
	/* Restore refuses a pack that is marked. */
	assert_false(verify_backup_holds(&cl->backups[0]));
	assert_false(cl->backups[0].proved);
	cl = run(f, false, true, false);
	assert_int_equal(result.repaired, 1);
	assert_true(cl->backups[0].proved);
	buf_free(&b);
}

static void
a_map_that_names_the_wrong_frame_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	struct made m;

	make_pack(f, &m);
	make_backup(f, LABEL_A, &m, true, m.plain);
	cl = run(f, false, false, false);
	assert_int_equal(count(cl, VERIFY_PACK), 0);
	assert_int_equal(cl->backups[0].bad_files, 2);
	assert_string_equal(cl->backups[0].list[0].path, names[4]);
}

static void
a_commit_that_miscounts_is_found(void **state)
{
	struct fixture *f = *state;
	struct made m;

	make_pack(f, &m);
	make_backup(f, LABEL_A, &m, false, m.plain - 1);
	assert_int_equal(count(run(f, false, false, false),
	    VERIFY_ACCOUNTS), 1);
}

/* A commit made after a repair knows the size of the repaired pack. */
static void
each_generation_is_held_against_its_own_size(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	unsigned older;
	struct made m;
	size_t i;

	make_pack(f, &m);
	last_generation = 1;
	last_size += 100;
	make_backup(f, LABEL_A, &m, false, m.plain);
	last_generation = 0;
	last_size -= 100;
	for (older = 0; older < 2; older++) {
		if (older)
			make_backup(f, LABEL_B, &m, false, m.plain);
		cl = run(f, false, false, true);
		assert_int_equal(count(cl, VERIFY_PACK), 0);
		cl = run(f, true, false, true);
		assert_int_equal(count(cl, VERIFY_PACK), 0);
	}
	/* The repaired one does not hold: only it is named. */
	repo_pack_key_generation(&f->inc, &last_pack, 1, key);
	OK(storage_put(f->st, key, "rubbish", 7, &err));
	cl = run(f, false, false, true);
	assert_int_equal(count(cl, VERIFY_PACK), 1);
	for (i = 0; i < cl->n_findings; i++)
		if (cl->findings[i].kind == VERIFY_PACK) {
			assert_string_equal(cl->findings[i].object, key);
			assert_true(cl->findings[i].spare);
		}
}

static void
absence_is_damage(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	unsigned quick;
	struct made m;

	make_whole(f, &m);
	repo_pack_key(&f->inc, &last_pack, key);
	OK(storage_remove(f->st, key, &err));
	for (quick = 0; quick < 2; quick++) {
		cl = run(f, quick, false, false);
		assert_int_equal(count(cl, VERIFY_PACK), 1);
		assert_false(verify_backup_holds(&cl->backups[0]));
	}
	manifest_part_key(&f->inc, REPO_BACKUP, LABEL_B, 0, key);
	OK(storage_remove(f->st, key, &err));
	for (quick = 0; quick < 2; quick++) {
		cl = run(f, quick, false, false);
		assert_int_equal(count(cl, VERIFY_MANIFEST), 1);
		assert_true(cl->backups[1].manifest_bad);
	}
}

static void
flipped_bytes_of_manifest_and_commit_are_found(void **state)
{
	struct fixture *f = *state;
	char keys[2][STORAGE_KEY_MAX], tail[128];
	struct made m;
	struct buf b;
	size_t i, k;

	make_whole(f, &m);
	manifest_part_key(&f->inc, REPO_BACKUP, LABEL_B, 0, keys[0]);
	(void)snprintf(tail, sizeof(tail), "backups/%s/commit", LABEL_B);
	repo_key(&f->inc, tail, keys[1]);
	for (k = 0; k < 2; k++) {
		load(f, keys[k], &b);
		for (i = 0; i < b.len; i += 13) {
			b.data[i] ^= 0x10;
			fixture_replace(f, keys[k], b.data, b.len);
			assert_int_equal(count(run(f, false, false, true),
			    k == 0 ? VERIFY_MANIFEST : VERIFY_COMMIT), 1);
			b.data[i] ^= 0x10;
		}
		fixture_replace(f, keys[k], b.data, b.len);
		buf_free(&b);
	}
}

/* Whatever call fails once: nothing is called damaged, nothing is marked. */
static void
an_error_of_the_storage_is_no_damage(void **state)
{
	struct fixture *f = *state;
	struct verify_params p = { .repo = f->repo, .jobs = 1 };
	struct verify_cluster *cl;
	struct packset_info info;
	struct packset *ps;
	unsigned n, calls;
	struct made m;

	make_whole(f, &m);
	storage_fault_at(f->st, 0, false);
	(void)run(f, false, false, false);
	calls = storage_fault_calls(f->st);
	assert_in_range(calls, 8, 500);
	for (n = 1; n <= calls; n++) {
		verify_result_free(&result);
		storage_fault_at(f->st, n, false);
		err_clear(&err);
		if (verify_run(&p, &result, &err) != 0) {
			assert_int_equal(err.code, ERR_STORAGE);
			continue;
		}
		cl = &result.clusters[0];
		assert_int_equal(count(cl, VERIFY_PACK), 0);
		assert_int_equal(count(cl, VERIFY_MANIFEST), 0);
		assert_int_equal(count(cl, VERIFY_COMMIT), 0);
		assert_int_equal(cl->backups[0].bad_files, 0);
	}
	storage_fault_at(f->st, 0, false);
	OK(packset_new(&ps, f->repo, &f->inc, &err));
	OK(packset_find(ps, &last_pack, &info, &err));
	assert_false(info.damaged);
	packset_free(ps);
}

static void
shares_read_each_object_once(void **state)
{
	struct fixture *f = *state;
	struct verify_params p = { .repo = f->repo, .jobs = 1,
		.share_of = 5 };
	uint64_t proved = 0, bytes = 0;
	struct made m;

	make_whole(f, &m);
	for (; p.share_number < 5; p.share_number++) {
		verify_result_free(&result);
		OK(verify_run(&p, &result, &err));
		proved += result.backups;
		bytes += result.bytes;
		assert_int_equal(count(&result.clusters[0], VERIFY_PACK), 0);
	}
	assert_int_equal(proved, 2);
	(void)run(f, false, false, false);
	assert_int_equal(result.bytes, bytes);
}

static int
forget(void **state)
{
	verify_result_free(&result);
	return fixture_teardown(state);
}

#define VERIFY(f) cmocka_unit_test_setup_teardown(f, fixture_setup, forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VERIFY(every_flipped_bit_of_a_pack_is_found),
		VERIFY(page_sums_that_lie_are_found),
		VERIFY(a_whole_backup_is_proved_and_one_without_wal_is_not),
		VERIFY(a_damaged_frame_names_file_and_block_of_each_backup),
		VERIFY(headers_and_indexes_are_made_again_from_the_frames),
		VERIFY(page_sums_are_computed_again),
		VERIFY(a_map_that_names_the_wrong_frame_is_found),
		VERIFY(a_commit_that_miscounts_is_found),
		VERIFY(each_generation_is_held_against_its_own_size),
		VERIFY(absence_is_damage),
		VERIFY(flipped_bytes_of_manifest_and_commit_are_found),
		VERIFY(an_error_of_the_storage_is_no_damage),
		VERIFY(shares_read_each_object_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
