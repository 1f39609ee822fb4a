/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/commit.h"
#include "repo/pack.h"

#define FOLDER "clusters/main/15-7312345678901234567/backups/"

/* A commit with something in every member; freed by commit_free(). */
static struct commit
sample(const struct fixture *f, const char *label)
{
	struct commit c;

	memset(&c, 0, sizeof(c));
	(void)snprintf(c.label, sizeof(c.label), "%s", label);
	c.inc = f->inc;
	c.catalog_version = 202209061;
	c.method = xstrdup("local");
	c.from_standby = true;
	c.program = xstrdup("dapk-backup 0.1.0");
	c.host = xstrdup("h\xc3\xb6st \"x\"");
	memcpy(c.parent, LABEL_B, sizeof(LABEL_B));
	c.attempt = 2;
	memcpy(c.source, "00112233445566778899aabbccddeeff", 33);
	c.read_all = false;
	c.full_read = 848600000000000;
	c.start_lsn = 0x123000028;
	c.stop_lsn = 0x223000100;
	c.timeline = 3;
	c.start_time = 848669467123456;
	c.stop_time = 848669567000000;
	memcpy(c.wal_first, "000000030000000100000023", 25);
	memcpy(c.wal_last, "000000030000000200000023", 25);
	c.block_size = 8192;
	c.relation_segment_blocks = 131072;
	c.wal_segment_size = 16 << 20;
	c.data_checksums = true;
	c.files = 1000;
	c.original_bytes = UINT64_C(1) << 50;
	c.stored_bytes = 12345;
	c.tablespaces = xcalloc(1, sizeof(*c.tablespaces));
	c.n_tablespaces = 1;
	c.tablespaces[0].oid = 16390;
	c.tablespaces[0].path = xstrdup("/srv/my space");
	c.damaged = xcalloc(1, sizeof(*c.damaged));
	c.n_damaged = 1;
	c.damaged_count = 5000;
	c.damaged[0].path = xstrdup("base/1/2");
	c.damaged[0].block = 7;
	c.damaged[0].expected = 65535;
	c.damaged[0].found = 1;
	c.damaged[0].reason = "checksum";
	c.parts = xcalloc(2, sizeof(*c.parts));
	c.n_parts = 2;
	c.parts[0].size = 100;
	c.parts[1].size = 200;
	fixture_noise(c.parts[0].sha256, 32, 1);
	fixture_noise(c.parts[1].sha256, 32, 2);
	c.packs = xcalloc(1, sizeof(*c.packs));
	c.n_packs = 1;
	c.packs[0].id = (struct pack_id){ LABEL_B, 1, 42, REPO_BACKUP };
	c.packs[0].size = 8 << 20;
	c.packs[0].generation = 2;
	c.packs[0].plain = 16 << 20;
	c.packs[0].live = 4096;
	return c;
}

static void
a_commit_comes_back(void **state)
{
	struct fixture *f = *state;
	struct commit c = sample(f, LABEL_A), got;

	OK(commit_put(f->repo, &c, &err));
	OK(commit_get(f->repo, &f->inc, LABEL_A, &got, &err));
	assert_string_equal(got.label, c.label);
	assert_string_equal(got.inc.cluster, "main");
	assert_true(got.inc.system_id == c.inc.system_id);
	assert_int_equal(got.inc.major, 15);
	assert_int_equal(got.catalog_version, c.catalog_version);
	assert_string_equal(got.method, c.method);
	assert_true(got.from_standby);
	assert_string_equal(got.program, c.program);
	assert_string_equal(got.host, c.host);
	assert_string_equal(got.parent, c.parent);
	assert_int_equal(got.attempt, 2);
	assert_string_equal(got.source, c.source);
	assert_false(got.read_all);
	assert_true(got.full_read == c.full_read);
	assert_true(got.start_lsn == c.start_lsn);
	assert_true(got.stop_lsn == c.stop_lsn);
	assert_int_equal(got.timeline, 3);
	assert_true(got.start_time == c.start_time);
	assert_true(got.stop_time == c.stop_time);
	assert_string_equal(got.wal_first, c.wal_first);
	assert_string_equal(got.wal_last, c.wal_last);
	assert_int_equal(got.block_size, 8192);
	assert_int_equal(got.relation_segment_blocks, 131072);
	assert_int_equal(got.wal_segment_size, 16 << 20);
	assert_true(got.data_checksums);
	assert_int_equal(got.files, 1000);
	assert_true(got.original_bytes == c.original_bytes);
	assert_int_equal(got.stored_bytes, 12345);
	assert_int_equal(got.n_tablespaces, 1);
	assert_int_equal(got.tablespaces[0].oid, 16390);
	assert_string_equal(got.tablespaces[0].path, "/srv/my space");
	assert_int_equal(got.n_damaged, 1);
	assert_int_equal(got.damaged_count, 5000);
	assert_string_equal(got.damaged[0].path, "base/1/2");
	assert_int_equal(got.damaged[0].block, 7);
	assert_int_equal(got.damaged[0].expected, 65535);
	assert_int_equal(got.damaged[0].found, 1);
	assert_string_equal(got.damaged[0].reason, "checksum");
	assert_int_equal(got.n_parts, 2);
	assert_int_equal(got.parts[1].size, 200);
	assert_memory_equal(got.parts[1].sha256, c.parts[1].sha256, 32);
	assert_int_equal(got.n_packs, 1);
	assert_memory_equal(&got.packs[0], &c.packs[0], sizeof(c.packs[0]));
	commit_free(&got);
	commit_free(&c);
	commit_free(&c);
}

static void
a_commit_that_could_not_be_read_back_is_not_put(void **state)
{
	struct fixture *f = *state;
	struct commit c = sample(f, LABEL_A), got;

	c.n_parts = 0;
	FAILS(commit_put(f->repo, &c, &err), ERR_BUG);
	c.n_parts = 2;
	c.wal_first[0] = 'x';
	FAILS(commit_put(f->repo, &c, &err), ERR_BUG);
	FAILS(commit_get(f->repo, &f->inc, LABEL_A, &got, &err),
	    ERR_NOT_FOUND);
	commit_free(&c);
}

static void
every_cut_and_every_flipped_bit_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct commit c = sample(f, LABEL_A), got;
	const char *key = FOLDER LABEL_A "/commit";
	struct buf b;
	size_t i;

	OK(commit_put(f->repo, &c, &err));
	buf_init(&b, 1 << 20);
	OK(storage_get_all(f->st, key, &b, &err));
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, key, b.data, b.len);
		FAILS(commit_get(f->repo, &f->inc, LABEL_A, &got, &err),
		    ERR_DAMAGED);
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, key, b.data, i);
		FAILS(commit_get(f->repo, &f->inc, LABEL_A, &got, &err),
		    ERR_DAMAGED);
	}
	/* The JSON alone, cut or flipped, does no harm either. */
	buf_clear(&b);
	commit_encode(&c, f->repo, &b);
	for (i = 0; i < b.len; i++) {
		if (commit_decode((char *)b.data, i, &got, &err) == 0)
			fail_msg("cut at %zu", i);
		b.data[i] ^= (uint8_t)(1 << i % 7);
		if (commit_decode((char *)b.data, b.len, &got, &err) == 0)
			commit_free(&got);
		b.data[i] ^= (uint8_t)(1 << i % 7);
	}
	buf_free(&b);
	commit_free(&c);
}

static void
a_commit_of_another_backup_cluster_or_repository_is_refused(void **state)
{
	struct fixture *f = *state;
	struct commit c = sample(f, LABEL_A), got;
	struct buf b;

	OK(commit_put(f->repo, &c, &err));
	buf_init(&b, 1 << 20);
	OK(storage_get_all(f->st, FOLDER LABEL_A "/commit", &b, &err));
	OK(storage_put(f->st, FOLDER LABEL_B "/commit", b.data, b.len, &err));
	FAILS(commit_get(f->repo, &f->inc, LABEL_B, &got, &err),
	    ERR_DAMAGED);
	f->repo->id[0] ^= 1;
	FAILS(commit_get(f->repo, &f->inc, LABEL_A, &got, &err),
	    ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "another repository"));
	buf_free(&b);
	commit_free(&c);
}

/* The text of a commit with one piece replaced by another. */
static int
decode_with(struct fixture *f, const char *from, const char *to,
    struct commit *got)
{
	struct commit c = sample(f, LABEL_A);
	struct buf b, changed;
	const char *at;
	int rc;

	buf_init(&b, 1 << 20);
	buf_init(&changed, 1 << 20);
	commit_encode(&c, f->repo, &b);
	at = strstr(buf_str(&b), from);
	if (at == NULL)
		fail_msg("no %s", from);
	buf_add(&changed, b.data, (size_t)(at - buf_str(&b)));
	buf_add_str(&changed, to);
	buf_add_str(&changed, at + strlen(from));
	err_clear(&err);
	rc = commit_decode(buf_str(&changed), changed.len, got, &err);
	if (rc == 0)
		commit_free(got);
	buf_free(&b);
	buf_free(&changed);
	commit_free(&c);
	return rc;
}

static void
what_is_new_is_ignored_or_refused_by_name(void **state)
{
	struct fixture *f = *state;
	struct commit got;

	OK(decode_with(f, "\"files\"", "\"new\": [1], \"files\"", &got));
	FAILS(decode_with(f, "\"must_know\": []",
	    "\"must_know\": [\"holes\"]", &got), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "holes"));
	FAILS(decode_with(f, "\"kind\": \"backup\"", "\"kind\": \"copy\"",
	    &got), ERR_UNSUPPORTED);
}

static void
members_that_make_no_sense_are_refused_by_name(void **state)
{
	static const char *const cases[][3] = {
		{ "\"files\": 1000", "\"files\": -1", "files" },
		{ "\"files\": 1000", "\"files\": \"1000\"", "files" },
		{ "\"block_size\": 8192", "\"block_size\": 0", "block_size" },
		{ "\"system_id\": \"7", "\"system_id\": \"x", "system_id" },
		{ "\"start_lsn\": \"1/", "\"start_lsn\": \"", "start_lsn" },
		{ "\"stop_lsn\": \"2/", "\"stop_lsn\": \"0/", "stop_lsn" },
		{ "\"wal_segment_size\": 16777216", "\"wal_segment_size\": 5",
		    "wal_segment_size" },
		{ "\"part\": 1,", "\"part\": 0,", "part" },
		{ "\"start_time\": \"2", "\"start_time\": \"x",
		    "start_time" },
		{ "\"full_read\": \"2", "\"full_read\": \"x", "full_read" },
		{ "\"read\": \"changes\"", "\"read\": \"half\"", "read" },
		{ "\"source\": \"00", "\"source\": \"0", "source" },
		{ "\"source\": \"00", "\"source\": \"0x", "source" },
		{ "\"plain\": 16", "\"plain\": -16", "plain" },
		{ "\"cluster\": \"main\"", "\"cluster\": \"../x\"",
		    "cluster" },
		{ "\"parent\": \"2", "\"parent\": \"x", "parent" },
	};
	struct fixture *f = *state;
	struct commit got;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FAILS(decode_with(f, cases[i][0], cases[i][1], &got),
		    ERR_DAMAGED);
		if (strstr(err.msg, cases[i][2]) == NULL)
			fail_msg("case %zu: %s", i, err.msg);
	}
	OK(decode_with(f, "\"" LABEL_B "\",\n\"attempt\"",
	    "null,\n\"attempt\"", &got));
}

static void
the_catalogue_knows_only_folders_with_a_commit(void **state)
{
	struct fixture *f = *state;
	struct commit a = sample(f, LABEL_A), b = sample(f, LABEL_B);
	char(*labels)[FORMAT_LABEL_MAX];
	char found[FORMAT_LABEL_MAX];
	size_t n, unfinished;

	OK(catalogue_backups(f->repo, &f->inc, &labels, &n, &unfinished,
	    &err));
	assert_int_equal(n, 0);
	free(labels);
	OK(commit_put(f->repo, &b, &err));
	OK(commit_put(f->repo, &a, &err));
	OK(storage_put(f->st, FOLDER
	    "20270101T000000Z-0000000000000000/pack-01-000000.zst", "x", 1,
	    &err));
	OK(storage_put(f->st, FOLDER "something/else", "x", 1, &err));
	OK(catalogue_backups(f->repo, &f->inc, &labels, &n, &unfinished,
	    &err));
	assert_int_equal(n, 2);
	assert_int_equal(unfinished, 1);
	assert_string_equal(labels[0], LABEL_A);
	assert_string_equal(labels[1], LABEL_B);
	free(labels);
	OK(catalogue_find(f->repo, &f->inc, "20261123", found, &err));
	assert_string_equal(found, LABEL_B);
	OK(catalogue_find(f->repo, &f->inc, LABEL_A, found, &err));
	FAILS(catalogue_find(f->repo, &f->inc, "202611", found, &err),
	    ERR_USAGE);
	FAILS(catalogue_find(f->repo, &f->inc, "20270101", found, &err),
	    ERR_NOT_FOUND);
	commit_free(&a);
	commit_free(&b);
}

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

/* One small backup: packs, manifest, commit. */
static int
take_backup(struct fixture *f, const char *label)
{
	struct pack_shared shared = { .repo = f->repo, .inc = f->inc,
		.attempt = 1, .block_size = 8192, .target = 1 << 16,
		.put = put_pack, .put_arg = f };
	struct commit c = sample(f, label);
	struct pack_writer *w = NULL;
	struct manifest_writer *m = NULL;
	struct manifest_entry e = { .type = MANIFEST_FILE, .path = "f" };
	const struct manifest_part *parts;
	struct map_run runs[4];
	struct frame_ref ref;
	uint8_t *plain = xmalloc(1 << 16);
	uint32_t i;
	size_t n;
	int ret = -1;

	memcpy(shared.label, c.label, sizeof(shared.label));
	fixture_noise(plain, 1 << 16, 1);
	if (pack_writer_new(&w, &shared, 1, &err) != 0 ||
	    manifest_writer_new(&m, f->repo, &f->inc, label, 8192, &err) != 0)
		goto out;
	for (i = 0; i < 4; i++) {
		if (pack_writer_add(w, "f", i * 8, plain, 1 << 16, NULL, &ref,
			&err) != 0)
			goto out;
		struct pack_id id = { .attempt = 1, .number = ref.pack };

		memcpy(id.label, c.label, sizeof(id.label));
		runs[i] = (struct map_run){ 8, manifest_writer_pack(m, &id),
			ref.frame, 0 };
	}
	e.size = 4 << 16;
	e.runs = runs;
	e.n_runs = 4;
	if (pack_writer_flush(w, &err) != 0 ||
	    manifest_writer_add(m, &e, &err) != 0 ||
	    manifest_writer_finish(m, &parts, &n, &err) != 0)
		goto out;
	free(c.parts);
	c.parts = xcalloc(n, sizeof(*parts));
	memcpy(c.parts, parts, n * sizeof(*parts));
	c.n_parts = n;
	ret = commit_put(f->repo, &c, &err);
out:
	pack_writer_free(w);
	manifest_writer_free(m);
	commit_free(&c);
	free(plain);
	return ret;
}

/* Everything the backup refers to is there and whole. */
static void
check_backup(struct fixture *f, const char *label)
{
	struct pack_cache *cache = pack_cache_new(f->repo, &f->inc, 4);
	struct manifest_reader *r;
	struct manifest_entry e;
	struct frame_header h;
	struct commit c;
	struct buf out;
	size_t i;
	int rc;

	buf_init(&out, 1 << 20);
	OK(commit_get(f->repo, &f->inc, label, &c, &err));
	OK(manifest_reader_open(&r, f->repo, &f->inc, label, c.parts,
	    c.n_parts, &err));
	while ((rc = manifest_reader_next(r, &e, &err)) == 1)
		for (i = 0; i < e.n_runs; i++)
			OK(pack_cache_frame(cache, manifest_reader_pack(r,
			    e.runs[i].pack), e.runs[i].frame, &h, &out, &err));
	assert_int_equal(rc, 0);
	manifest_reader_close(r);
	pack_cache_free(cache);
	commit_free(&c);
	buf_free(&out);
}

static void
whatever_call_fails_no_half_backup_shows_and_the_next_one_works(void **state)
{
	struct fixture *f = *state;
	char label[FORMAT_LABEL_MAX];
	char(*labels)[FORMAT_LABEL_MAX];
	size_t n, i, good = 0;
	unsigned nth, torn;
	int rc;

	for (torn = 0; torn < 2; torn++)
		for (nth = 1; nth < 100; nth++) {
			label_make((int64_t)nth * 1000000, torn, label);
			storage_fault_at(f->st, nth, torn != 0);
			rc = take_backup(f, label);
			storage_fault_at(f->st, 0, false);
			if (rc != 0)
				assert_int_equal(err.code, ERR_STORAGE);
			OK(catalogue_backups(f->repo, &f->inc, &labels, &n,
			    NULL, &err));
			/* A lost answer of the commit's put: it exists. */
			assert_in_range(n, good + (rc == 0),
			    good + (rc == 0 || torn));
			for (i = 0; i < n; i++)
				check_backup(f, labels[i]);
			free(labels);
			good = n;
			if (rc == 0)
				break;
		}
	assert_in_range(good, 3, 3); /* two whole, one with a lost answer */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_comes_back),
		TEST(a_commit_that_could_not_be_read_back_is_not_put),
		TEST(every_cut_and_every_flipped_bit_is_noticed),
		TEST(a_commit_of_another_backup_cluster_or_repository_is_refused),
		TEST(what_is_new_is_ignored_or_refused_by_name),
		TEST(members_that_make_no_sense_are_refused_by_name),
		TEST(the_catalogue_knows_only_folders_with_a_commit),
		TEST(whatever_call_fails_no_half_backup_shows_and_the_next_one_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
