/* SPDX-License-Identifier: PostgreSQL */
/* Whatever is wrong with a dump is found, and named. */
#include "config.h"

#include "fixture_dump.h"

#include "pg/archive.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "verify/verify.h"
#include "verify/verify_pack.h"

#define ROWS 200
#define ITEMS 4 /* archive, large objects, an empty table, a table */

static struct verify_result result;

/* Two tables and large objects; ids as make() gives them. */
static void
make_archive(struct buf *out, bool third_table)
{
	static struct archive_entry entries[] = {
		{ .dump_id = 7, .had_dumper = true, .oid = 16385, .tag = "t",
		    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA,
		    .defn = "", .copy_stmt = "COPY public.t (a, b) FROM stdin;\n",
		    .namespace = "public", .owner = "o",
		    .data_state = ARCHIVE_POS_NOT_SET },
		{ .dump_id = 8, .had_dumper = true, .oid = 17, .tag = "e",
		    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA,
		    .defn = "", .copy_stmt = "COPY public.e (a) FROM stdin;\n",
		    .namespace = "public", .owner = "o",
		    .data_state = ARCHIVE_POS_NOT_SET },
		{ .dump_id = 9, .had_dumper = true, .tag = "BLOBS",
		    .desc = "BLOBS", .section = ARCHIVE_SECTION_DATA,
		    .data_state = ARCHIVE_POS_NOT_SET },
		{ .dump_id = 10, .had_dumper = true, .oid = 18, .tag = "more",
		    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA,
		    .defn = "", .copy_stmt = "COPY public.m (a) FROM stdin;\n",
		    .namespace = "public", .owner = "o",
		    .data_state = ARCHIVE_POS_NOT_SET },
	};
	struct archive_head h = { .version = ARCHIVE_VERSION(1, 14),
		.off_size = 8, .format = ARCHIVE_CUSTOM, .dbname = "shop",
		.server_version = "15.20", .dump_version = "15.20",
		.entries = entries, .n = third_table ? 4 : 3 };

	buf_init(out, 1 << 20);
	OK(archive_head_encode(&h, ARCHIVE_CUSTOM, ARCHIVE_NONE, out, &err));
}

static struct buf
rows(void)
{
	struct buf b;
	int i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < ROWS; i++)
		buf_printf(&b, "%d\tx%d\n", i, i * i);
	return b;
}

struct wrong {
	bool third_table;     /* the archive has one that is not stored */
	const char *more;     /* a path of an item that no entry has */
	uint32_t large_object_id; /* instead of 9 */
	bool no_archive;
	uint64_t rows;	      /* more than there are, says the commit */
};

static void
make(struct fixture *f, const char *label, size_t target,
    const struct wrong *wrong)
{
	struct buf table = rows(), archive;
	struct fixture_dump d;

	make_archive(&archive, wrong->third_table);
	const struct fixture_item items[] = {
		{ "archive", archive.data, archive.len, 300, 0, 0, 0 },
		{ "large_objects/0000016400", "\x10\x40\0\0\0\0\0\0\0\0\0\0",
		    12, 100, 0, wrong->large_object_id == 0 ? 9 :
		    wrong->large_object_id, 16400 },
		{ "table/public/e", "", 0, 100, '\n', 8, 17 },
		{ "table/public/t", table.data, table.len, 100, '\n', 7,
		    16385 },
		{ wrong->more, "1\n", 2, 100, '\n', 99, 99 },
	};
	size_t i;

	fixture_dump_begin(&d, f->repo, &f->inc, label, target);
	for (i = 0; i < 5; i++)
		if (items[i].path != NULL && (i > 0 || !wrong->no_archive))
			fixture_dump_add(&d, &items[i]);
	d.commit.dump.rows += wrong->rows;
	fixture_dump_finish(&d);
	fixture_dump_free(&d);
	buf_free(&table);
	buf_free(&archive);
}

static const struct wrong nothing;

static struct verify_cluster *
run_params(struct fixture *f, struct verify_params *p)
{
	p->repo = f->repo;
	p->jobs = 2;
	verify_result_free(&result);
	OK(verify_run(p, &result, &err));
	assert_int_equal(result.n, 1);
	assert_int_equal(result.clusters[0].n_backups, 0);
	return &result.clusters[0];
}

static struct verify_cluster *
run(struct fixture *f, bool quick, bool repair)
{
	struct verify_params p = { .quick = quick, .repair = repair };

	return run_params(f, &p);
}

static struct pack_id
pack_of(const char *label, uint32_t number)
{
	struct pack_id id = { .attempt = 1, .number = number,
		.kind = REPO_DUMP };

	(void)snprintf(id.label, sizeof(id.label), "%s", label);
	return id;
}

/* The frames of a pack, which must stay as it is meanwhile. */
static void
open_pack(struct fixture *f, struct pack_id id, struct buf *b,
    struct object_reader *r, char *key)
{
	repo_pack_key(&f->inc, &id, key);
	buf_init(b, STORAGE_OBJECT_MAX);
	OK(storage_get_all(f->st, key, b, &err));
	OK(object_reader_open_bytes(r, f->repo, b->data, b->len, key,
	    OBJECT_PACK, 0, &err));
}

/* A byte near the end of the first frame of this type and length is flipped. */
static void
spoil(struct fixture *f, uint8_t type, uint32_t plain_len)
{
	char key[STORAGE_KEY_MAX];
	struct object_reader r;
	struct buf b;
	uint32_t i;

	open_pack(f, pack_of(LABEL_A, 0), &b, &r, key);
	for (i = 0; i < r.n; i++)
		if (r.entries[i].type == type && (plain_len == 0 ||
		    r.entries[i].plain_len == plain_len))
			break;
	assert_true(i < r.n);
	b.data[r.entries[i].offset + r.entries[i].length - 6] ^= 1;
	object_reader_close(&r);
	fixture_replace(f, key, b.data, b.len);
	buf_free(&b);
}

static void
a_whole_dump_is_proved(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;

	make(f, LABEL_A, 1 << 20, &nothing);
	make(f, LABEL_B, 1, &nothing); /* in many packs */
	cl = run(f, false, false);
	assert_int_equal(cl->n_findings, 0);
	assert_int_equal(cl->n_dumps, 2);
	assert_true(cl->dumps[0].proved && cl->dumps[1].proved);
	assert_int_equal(cl->dumps[0].files, ITEMS);
	assert_int_equal(result.dumps, 2);
	assert_int_equal(result.items, 2 * ITEMS);
	assert_int_equal(result.backups, 0);
	assert_int_equal(cl->unreferenced, 0);
	cl = run(f, true, false);
	assert_int_equal(result.damaged, 0);
	assert_true(verify_backup_holds(&cl->dumps[0]));
}

static void
a_label_or_a_share_chooses(void **state)
{
	struct fixture *f = *state;
	char label[] = "20261122", none[] = "2019";
	char *labels[] = { label };
	struct verify_params p = { .labels = labels, .n_labels = 1 };
	struct verify_cluster *cl;
	uint64_t i, proved = 0, items = 0;

	make(f, LABEL_A, 1, &nothing);
	make(f, LABEL_B, 1, &nothing);
	cl = run_params(f, &p);
	assert_true(cl->dumps[0].proved);
	assert_false(cl->dumps[1].proved);
	labels[0] = none;
	p.repo = f->repo;
	verify_result_free(&result);
	FAILS(verify_run(&p, &result, &err), ERR_NOT_FOUND);
	/* All shares together are everything. */
	for (i = 0; i < 3; i++) {
		struct verify_params q = { .share_of = 3, .share_number = i };

		cl = run_params(f, &q);
		assert_int_equal(cl->n_findings, 0);
		proved += result.dumps;
		items += result.items;
	}
	assert_int_equal(proved, 2);
	assert_int_equal(items, 2 * ITEMS);
}

/* Of all that the pack has. */
static uint32_t
crc_of(const struct pack_facts *facts)
{
	uint32_t i, crc = 0;

	for (i = 0; i < facts->n; i++)
		crc = crc32c_combine(crc, facts->frames[i].crc,
		    facts->frames[i].plain_len);
	return crc;
}

static void
every_flipped_bit_and_every_cut_of_a_pack_is_found(void **state)
{
	struct fixture *f = *state;
	const struct pack_id id = pack_of(LABEL_A, 0);
	const struct pack_facts *facts;
	struct object_reader r;
	struct pack_checker *c;
	char key[STORAGE_KEY_MAX];
	struct buf b;
	uint32_t n, crc;
	size_t i, bit, harmless = 0;

	make(f, LABEL_A, 1 << 20, &nothing);
	open_pack(f, id, &b, &r, key);
	n = r.n;
	object_reader_close(&r);
	c = pack_checker_new(f->repo);
	OK(pack_check(c, b.data, b.len, key, &id, &f->inc, 0, &facts, &err));
	assert_int_equal(facts->n, n);
	crc = crc_of(facts);
	for (i = 0; i < b.len; i++)
		for (bit = 0; bit < 9; bit++) {
			const uint8_t flip = bit == 8 ? 0xff :
			    (uint8_t)(1 << bit);

			b.data[i] ^= flip;
			err_clear(&err);
			/* zstd has several ways to say the same: then nothing
			 * of the content changes. */
			if (pack_check(c, b.data, b.len, key, &id, &f->inc, 0,
				&facts, &err) == 0) {
				assert_true(crc_of(facts) == crc);
				harmless++;
			}
			b.data[i] ^= flip;
		}
	assert_in_range(harmless, 0, 9 * b.len / 100);
	for (i = 0; i < b.len; i++)
		if (pack_check(c, b.data, i, key, &id, &f->inc, 0, &facts,
			&err) == 0)
			fail_msg("cut to %zu of %zu bytes", i, b.len);
	/* What is a dump's pack is none of a backup's. */
	struct pack_id other = id;

	other.kind = REPO_BACKUP;
	FAILS(pack_check(c, b.data, b.len, key, &other, &f->inc, 8192,
	    &facts, &err), ERR_DAMAGED);
	pack_checker_free(c);
	buf_free(&b);
}

static void
a_damaged_chunk_names_item_and_chunk_and_is_marked(void **state)
{
	struct fixture *f = *state;
	const struct pack_id id = pack_of(LABEL_A, 0);
	struct verify_cluster *cl;
	struct packset_info info;
	struct packset *ps;

	make(f, LABEL_A, 1 << 20, &nothing);
	spoil(f, FRAME_DUMP, 12); /* the large objects' */
	cl = run(f, false, false);
	assert_int_equal(cl->n_findings, 1);
	assert_int_equal(cl->findings[0].kind, VERIFY_PACK);
	assert_true(cl->findings[0].marked);
	assert_false(cl->dumps[0].proved);
	assert_int_equal(cl->dumps[0].bad_files, 1);
	assert_int_equal(cl->dumps[0].bad_blocks, 1);
	assert_string_equal(cl->dumps[0].list[0].path,
	    "large_objects/0000016400");
	OK(packset_new(&ps, f->repo, &f->inc, &err));
	OK(packset_find(ps, &id, &info, &err));
	assert_true(info.damaged);
	packset_free(ps);
	cl = run(f, true, false); /* the mark is enough */
	assert_false(verify_backup_holds(&cl->dumps[0]));
}

static void
a_damaged_chunk_list_names_its_table(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;

	make(f, LABEL_A, 1 << 20, &nothing);
	spoil(f, FRAME_CHUNK_LIST, 0);
	cl = run(f, false, false);
	assert_int_equal(cl->dumps[0].bad_files, 1);
	assert_string_equal(cl->dumps[0].list[0].path, "table/public/t");
	assert_int_equal(cl->dumps[0].bad_packs, 1);
}

static void
a_pack_that_is_gone_is_damage_of_its_items(void **state)
{
	struct fixture *f = *state;
	const struct pack_id id = pack_of(LABEL_A, 0);
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];

	make(f, LABEL_A, 1, &nothing);
	repo_pack_key(&f->inc, &id, key);
	OK(storage_remove(f->st, key, &err));
	cl = run(f, true, false);
	assert_int_equal(cl->dumps[0].bad_packs, 1);
	assert_int_equal(result.damaged, 1);
	cl = run(f, false, false);
	assert_int_equal(cl->dumps[0].bad_packs, 1);
	assert_true(cl->dumps[0].bad_files > 0);
	assert_false(verify_backup_holds(&cl->dumps[0]));
}

static void
manifest_and_commit_are_read(void **state)
{
	struct fixture *f = *state;
	struct verify_cluster *cl;
	char keys[2][STORAGE_KEY_MAX], tail[128];
	struct buf b;
	size_t i;

	make(f, LABEL_A, 1 << 20, &nothing);
	manifest_part_key(&f->inc, REPO_DUMP, LABEL_A, 0, keys[0]);
	(void)snprintf(tail, sizeof(tail), "dumps/%s/commit", LABEL_A);
	repo_key(&f->inc, tail, keys[1]);
	for (i = 0; i < 2; i++) {
		buf_init(&b, STORAGE_OBJECT_MAX);
		OK(storage_get_all(f->st, keys[i], &b, &err));
		b.data[b.len / 2] ^= 1;
		fixture_replace(f, keys[i], b.data, b.len);
		cl = run(f, false, false);
		assert_int_equal(cl->n_findings, 1);
		assert_int_equal(cl->findings[0].kind, i == 0 ?
		    VERIFY_MANIFEST : VERIFY_COMMIT);
		assert_true(i == 0 ? cl->dumps[0].manifest_bad :
				     cl->dumps[0].commit_bad);
		b.data[b.len / 2] ^= 1;
		fixture_replace(f, keys[i], b.data, b.len);
		buf_free(&b);
	}
	OK(storage_remove(f->st, keys[0], &err));
	for (i = 0; i < 2; i++) {
		cl = run(f, i == 0, false);
		assert_true(cl->dumps[0].manifest_bad);
	}
}

static void
contents_and_items_must_name_each_other(void **state)
{
	struct fixture *f = *state;
	static const struct wrong wrongs[] = {
		{ .third_table = true },
		{ .more = "table/public/x" },
		{ .large_object_id = 8 },
		{ .no_archive = true },
	};
	struct verify_cluster *cl;
	size_t i;

	for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		make(f, i % 2 == 0 ? LABEL_A : LABEL_B, 1 << 20, &wrongs[i]);
		if (i % 2 == 0)
			continue;
		cl = run(f, false, false);
		assert_int_equal(cl->n_dumps, 2);
		assert_int_equal(cl->dumps[0].bad_files, 1);
		assert_int_equal(cl->dumps[1].bad_files, 1);
		assert_string_equal(cl->dumps[0].list[0].path, "archive");
		assert_string_equal(cl->dumps[1].list[0].path, "archive");
		fixture_teardown((void **)&f);
		assert_true(fixture_setup((void **)&f) == 0);
	}
	fixture_teardown((void **)&f);
}

static void
a_commit_that_counts_wrongly_is_said(void **state)
{
	struct fixture *f = *state;
	const struct wrong wrong = { .rows = 1 };
	struct verify_cluster *cl;

	make(f, LABEL_A, 1 << 20, &wrong);
	cl = run(f, false, false);
	assert_int_equal(cl->n_findings, 1);
	assert_int_equal(cl->findings[0].kind, VERIFY_ACCOUNTS);
}

/* One chunk of a table, of which the manifest says something else. */
struct lie {
	const char *path; /* of the frame */
	uint32_t bytes, rows, crc_flip, item_crc_flip;
	uint8_t hash_flip;
};

static void
make_lie(struct fixture *f, const struct lie *lie)
{
	static const char text[] = "1\n2\n3\n";
	struct manifest_entry e = { .type = MANIFEST_DATA,
		.path = "table/public/z", .dump_id = 10 };
	const size_t len = strlen(text);
	struct dump_chunk c;
	struct fixture_dump d;
	struct frame_ref ref;

	memset(&c, 0, sizeof(c));
	fixture_dump_begin(&d, f->repo, &f->inc, LABEL_A, 1 << 20);
	OK(pack_writer_add_chunk(d.pack, lie->path, text, len, &ref, &err));
	c.pack = fixture_dump_index(&d, ref.pack);
	c.frame = ref.frame;
	c.bytes = (uint32_t)len + lie->bytes;
	c.rows = 3 + lie->rows;
	dump_chunk_hash(text, len, f->repo->fingerprint_seed, c.hash);
	c.hash[0] ^= lie->hash_flip;
	c.crc = crc32c(text, len) ^ lie->crc_flip;
	e.size = c.bytes;
	e.rows = c.rows;
	e.crc = c.crc ^ lie->item_crc_flip;
	e.chunks = &c;
	e.n_chunks = 1;
	OK(manifest_writer_add(d.manifest, &e, &err));
	fixture_dump_finish(&d);
	fixture_dump_free(&d);
}

static void
a_list_that_lies_is_found(void **state)
{
	struct fixture *f = *state;
	static const struct lie lies[] = {
		{ .path = "table/public/y" },
		{ .path = "table/public/z", .bytes = 1 },
		{ .path = "table/public/z", .rows = 1 },
		{ .path = "table/public/z", .crc_flip = 1 },
		{ .path = "table/public/z", .item_crc_flip = 1 },
		{ .path = "table/public/z", .hash_flip = 1 },
	};
	struct verify_cluster *cl;
	size_t i, k;
	bool found;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		make_lie(f, &lies[i]);
		cl = run(f, false, false);
		found = false;
		for (k = 0; k < cl->dumps[0].n_list; k++)
			found |= strcmp(cl->dumps[0].list[k].path,
			    "table/public/z") == 0;
		if (!found)
			fail_msg("lie %zu was not found", i);
		fixture_teardown((void **)&f);
		assert_int_equal(fixture_setup((void **)&f), 0);
	}
	fixture_teardown((void **)&f);
}

static void
headers_and_indexes_are_made_again_from_the_frames(void **state)
{
	struct fixture *f = *state;
	struct object_reader r;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	struct buf b;

	make(f, LABEL_A, 1 << 20, &nothing);
	open_pack(f, pack_of(LABEL_A, 0), &b, &r, key);
	object_reader_close(&r);
	b.data[20] ^= 1;
	b.data[b.len - 3] ^= 1;
	fixture_replace(f, key, b.data, b.len);
	cl = run(f, false, false);
	assert_int_equal(cl->dumps[0].bad_files, ITEMS - 1);
	cl = run(f, false, true);
	assert_int_equal(result.repaired, 1);
	assert_true(cl->dumps[0].proved);
	cl = run(f, false, false);
	assert_int_equal(result.damaged, 0);
	assert_true(cl->dumps[0].proved);
	buf_free(&b);
}

/* The last frames are gone too: nobody may take the rest for all of it. */
static void
a_pack_without_its_end_is_not_made_whole(void **state)
{
	struct fixture *f = *state;
	struct object_reader r;
	struct verify_cluster *cl;
	char key[STORAGE_KEY_MAX];
	struct buf b;
	size_t end;

	make(f, LABEL_A, 1 << 20, &nothing);
	open_pack(f, pack_of(LABEL_A, 0), &b, &r, key);
	end = r.entries[r.n - 1].offset;
	object_reader_close(&r);
	fixture_replace(f, key, b.data, end);
	cl = run(f, false, true);
	assert_int_equal(result.repaired, 0);
	assert_false(verify_backup_holds(&cl->dumps[0]));
	buf_free(&b);
}

struct copying {
	struct storage *from, *to;
};

static int
copy_one(void *arg, const struct storage_entry *entry, struct err *why)
{
	const struct copying *c = arg;
	struct buf b;
	int rc;

	buf_init(&b, STORAGE_OBJECT_MAX);
	rc = storage_get_all(c->from, entry->name, &b, why);
	if (rc == 0)
		rc = storage_put(c->to, entry->name, b.data, b.len, why);
	buf_free(&b);
	return rc;
}

static void
another_copy_repairs_packs_and_manifests(void **state)
{
	struct fixture *f = *state;
	struct copying c = { f->st, storage_mem_new() };
	const struct pack_id id = pack_of(LABEL_A, 0);
	struct verify_params p = { .repair = true, .n_sources = 1 };
	struct verify_cluster *cl;
	struct repo *other;
	char key[STORAGE_KEY_MAX];

	make(f, LABEL_A, 1 << 20, &nothing);
	OK(storage_list(f->st, "", false, copy_one, &c, &err));
	OK(repo_open_storage(&other, c.to, &err));
	spoil(f, FRAME_DUMP, 0);
	manifest_part_key(&f->inc, REPO_DUMP, LABEL_A, 0, key);
	OK(storage_remove(f->st, key, &err));
	p.sources = &other;
	cl = run_params(f, &p);
	assert_int_equal(result.repaired, 2);
	assert_true(cl->dumps[0].proved);
	/* And one of which nothing is left here. */
	repo_pack_key(&f->inc, &id, key);
	OK(storage_remove(f->st, key, &err));
	repo_pack_key_generation(&f->inc, &id, 1, key);
	OK(storage_remove(f->st, key, &err));
	cl = run_params(f, &p);
	assert_true(cl->dumps[0].proved);
	cl = run(f, false, false);
	assert_int_equal(result.damaged, 0);
	repo_close(other);
}

static int
teardown(void **state)
{
	verify_result_free(&result);
	return fixture_teardown(state);
}

static int
teardown_result(void **state)
{
	(void)state; /* the test has ended it */
	verify_result_free(&result);
	return 0;
}

#define VERIFY_TEST(f)                                                        \
	cmocka_unit_test_setup_teardown(f, fixture_setup, teardown)
#define OWN_TEST(f)                                                           \
	cmocka_unit_test_setup_teardown(f, fixture_setup, teardown_result)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VERIFY_TEST(a_whole_dump_is_proved),
		VERIFY_TEST(a_label_or_a_share_chooses),
		VERIFY_TEST(every_flipped_bit_and_every_cut_of_a_pack_is_found),
		VERIFY_TEST(a_damaged_chunk_names_item_and_chunk_and_is_marked),
		VERIFY_TEST(a_damaged_chunk_list_names_its_table),
		VERIFY_TEST(a_pack_that_is_gone_is_damage_of_its_items),
		VERIFY_TEST(manifest_and_commit_are_read),
		OWN_TEST(contents_and_items_must_name_each_other),
		VERIFY_TEST(a_commit_that_counts_wrongly_is_said),
		OWN_TEST(a_list_that_lies_is_found),
		VERIFY_TEST(headers_and_indexes_are_made_again_from_the_frames),
		VERIFY_TEST(a_pack_without_its_end_is_not_made_whole),
		VERIFY_TEST(another_copy_repairs_packs_and_manifests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
