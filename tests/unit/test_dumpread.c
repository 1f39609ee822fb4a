/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_dump.h"

#include <zstd.h>

#include "repo/dumpread.h"

#define FOLDER "clusters/main/15-7312345678901234567/dumps/" LABEL_A "/"
#define HEAD "PGDMP, what pg_dump wrote before any data"
#define ODD_PATH "table/a%2Fb/c%25\n\xc3\xa4"

/* 200 rows, some 1400 bytes. */
static struct buf
rows(void)
{
	struct buf b;
	int i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < 200; i++)
		buf_printf(&b, "%d\tx%d\n", i, i * i);
	return b;
}

/* A dump of four items; the table's chunks stand in lists. */
static void
make(struct fixture *f, struct fixture_dump *d, const struct buf *table)
{
	const struct fixture_item items[] = {
		{ "archive", HEAD, strlen(HEAD), 10, 0, 0, 0 },
		{ "large_objects/0000016400", "\x10\x40\0\0\0\0\0\0\0\0\0\0",
		    12, 100, 0, 9, 16400 },
		{ ODD_PATH, "", 0, 100, '\n', 8, 17 },
		{ "table/public/t", table->data, table->len, 100, '\n', 7,
		    16385 },
	};
	size_t i;

	/* The smallest packs: the fifteen chunks go into one or several. */
	fixture_dump_begin(d, f->repo, &f->inc, LABEL_A, 1);
	for (i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		fixture_dump_add(d, &items[i]);
	fixture_dump_finish(d);
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *why)
{
	buf_add(arg, data, len);
	return buf_check(arg, "an item", why);
}

static void
the_commit_comes_back(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), a, b;
	struct fixture_dump d;
	struct commit c;

	make(f, &d, &table);
	OK(commit_get_dump(f->repo, &f->inc, LABEL_A, &c, &err));
	assert_int_equal(c.kind, REPO_DUMP);
	assert_string_equal(c.dump.database, "sh\xc3\xb6p 1");
	assert_int_equal(c.dump.n_options, 2);
	assert_string_equal(c.dump.options[1], "a b.\"c\"");
	assert_int_equal(c.dump.rows, 200);
	assert_int_equal(c.dump.tables, 2);
	assert_int_equal(c.dump.snapshot_lsn, 0x3000028);
	assert_true(c.dump.snapshot_time == 848669467200000);
	assert_int_equal(c.packs[0].id.kind, REPO_DUMP);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	commit_encode(&d.commit, f->repo, &a);
	commit_encode(&c, f->repo, &b);
	assert_string_equal(buf_str(&a), buf_str(&b));
	assert_null(strstr(buf_str(&a), "\"wal\""));
	commit_free(&c);
	/* Not taken for a backup. */
	FAILS(commit_get(f->repo, &f->inc, LABEL_A, &c, &err), ERR_NOT_FOUND);
	buf_free(&a);
	buf_free(&b);
	buf_free(&table);
	fixture_dump_free(&d);
}

static void
labels_are_found_by_kind(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows();
	struct fixture_dump d;
	char label[FORMAT_LABEL_MAX], (*labels)[FORMAT_LABEL_MAX];
	enum repo_kind kind = REPO_BACKUP;
	size_t n;

	make(f, &d, &table);
	OK(catalogue_backups(f->repo, &f->inc, &labels, &n, NULL, &err));
	assert_int_equal(n, 0);
	free(labels);
	OK(catalogue_dumps(f->repo, &f->inc, &labels, &n, NULL, &err));
	assert_int_equal(n, 1);
	free(labels);
	FAILS(catalogue_find(f->repo, &f->inc, "2026", label, &err),
	    ERR_NOT_FOUND);
	OK(catalogue_find_dump(f->repo, &f->inc, "2026", label, &err));
	assert_string_equal(label, LABEL_A);
	OK(catalogue_find_any(f->repo, &f->inc, "2026", &kind, label, &err));
	assert_int_equal(kind, REPO_DUMP);
	buf_free(&table);
	fixture_dump_free(&d);
}

static void
items_come_back(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), got;
	struct fixture_dump d;
	struct dumpset *set;
	struct dumpread *r;
	const struct dump_item *items, *t;
	char *path;
	size_t n;

	make(f, &d, &table);
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	OK(dumpset_check_packs(set, f->repo, &err));
	items = dumpset_items(set, &n);
	assert_int_equal(n, 4);
	assert_int_equal(items[0].type, DUMP_ITEM_ARCHIVE);
	assert_int_equal(items[1].type, DUMP_ITEM_LARGE_OBJECTS);
	assert_int_equal(items[1].oid, 16400);
	assert_int_equal(items[2].type, DUMP_ITEM_TABLE);
	assert_string_equal(items[2].schema, "a/b");
	assert_string_equal(items[2].name, "c%\n\xc3\xa4");
	path = dump_table_path(items[2].schema, items[2].name);
	assert_string_equal(path, ODD_PATH);
	free(path);
	t = dumpset_find(set, "table/public/t");
	assert_ptr_equal(t, &items[3]);
	assert_int_equal(t->rows, 200);
	assert_int_equal(t->dump_id, 7);
	assert_true(t->n_lists > 1);
	assert_null(dumpset_find(set, "table/public"));
	OK(dumpread_new(&r, set, f->repo, &err));
	buf_init(&got, 1 << 20);
	OK(dumpread_all(r, &items[0], &got, &err));
	assert_string_equal(buf_str(&got), HEAD);
	buf_clear(&got);
	OK(dumpread_all(r, &items[2], &got, &err));
	assert_int_equal(got.len, 0);
	OK(dumpread_all(r, t, &got, &err));
	assert_int_equal(got.len, table.len);
	assert_memory_equal(got.data, table.data, table.len);
	dumpread_free(r);
	dumpset_free(set);
	buf_free(&got);
	buf_free(&table);
	fixture_dump_free(&d);
}

static void
a_part_can_be_read_and_frames_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), got;
	struct fixture_dump d;
	struct dumpset *set;
	struct dumpread *r;
	const struct dump_item *t;
	struct dump_chunk *chunks;
	const void *plain, *payload;
	size_t n, len, at;
	char again[1000];

	make(f, &d, &table);
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	OK(dumpread_new(&r, set, f->repo, &err));
	t = dumpset_find(set, "table/public/t");
	OK(dumpread_chunks(r, t, &chunks, &n, &err));
	assert_true(n > 10);
	buf_init(&got, 1 << 20);
	OK(dumpread_stream(r, t, chunks, 2, 3, to_buf, &got, &err));
	at = chunks[0].bytes + chunks[1].bytes;
	assert_int_equal(got.len,
	    chunks[2].bytes + chunks[3].bytes + chunks[4].bytes);
	assert_memory_equal(got.data, table.data + at, got.len);
	assert_int_equal(got.data[got.len - 1], '\n');
	OK(dumpread_chunk(r, t, &chunks[5], &plain, &payload, &len, &err));
	assert_int_equal(ZSTD_decompress(again, sizeof(again), payload, len),
	    chunks[5].bytes);
	assert_memory_equal(again, plain, chunks[5].bytes);
	free(chunks);
	dumpread_free(r);
	dumpset_free(set);
	buf_free(&got);
	buf_free(&table);
	fixture_dump_free(&d);
}

/* All items of the dump as it is stored now, one after another. */
static int
read_all(struct fixture *f, struct buf *out)
{
	const struct dump_item *items;
	struct dumpset *set;
	struct dumpread *r;
	size_t i, n;
	int rc;

	err_clear(&err);
	buf_clear(out);
	if (dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err) != 0)
		return -1;
	items = dumpset_items(set, &n);
	rc = dumpread_new(&r, set, f->repo, &err);
	for (i = 0; i < n && rc == 0; i++) {
		rc = dumpread_all(r, &items[i], out, &err);
		buf_printf(out, "|%s|%llu|%u|%u\n", items[i].path,
		    (unsigned long long)items[i].rows, items[i].dump_id,
		    items[i].oid);
	}
	dumpread_free(r);
	dumpset_free(set);
	return rc;
}

/*
 * Whatever is cut or flipped: an error, or the very same content (there are
 * bits in zstd's frames that mean nothing).
 */
static void
sweep(struct fixture *f, const char *key, const struct buf *want, bool exact)
{
	struct buf old, got;
	size_t i, step;

	buf_init(&old, 1 << 20);
	buf_init(&got, 1 << 20);
	OK(storage_get_all(f->st, key, &old, &err));
	for (i = 0; i < old.len; i++) {
		fixture_replace(f, key, old.data, i);
		if (read_all(f, &got) == 0)
			fail_msg("%s cut to %zu bytes was taken", key, i);
		assert_true(err.code == ERR_DAMAGED ||
		    err.code == ERR_UNSUPPORTED);
	}
	step = old.len > 2000 ? 3 : 1;
	for (i = 0; i < 8 * old.len; i += step) {
		old.data[i / 8] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, key, old.data, old.len);
		if (read_all(f, &got) == 0) {
			if (exact)
				fail_msg("%s: bit %zu of byte %zu was missed",
				    key, i % 8, i / 8);
			assert_int_equal(got.len, want->len);
			assert_memory_equal(got.data, want->data, got.len);
		}
		old.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	fixture_replace(f, key, old.data, old.len);
	assert_int_equal(read_all(f, &got), 0);
	buf_free(&old);
	buf_free(&got);
}

static void
every_cut_and_every_flipped_bit_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), want;
	struct fixture_dump d;

	make(f, &d, &table);
	assert_int_equal(d.commit.n_packs, 1);
	buf_init(&want, 1 << 20);
	assert_int_equal(read_all(f, &want), 0);
	sweep(f, FOLDER "commit", &want, true);
	sweep(f, FOLDER "manifest-00.zst", &want, true);
	sweep(f, FOLDER "pack-01-000000.zst", &want, false);
	buf_free(&want);
	buf_free(&table);
	fixture_dump_free(&d);
}

static void
a_pack_that_is_not_there_is_damage(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), got;
	struct fixture_dump d;
	struct dumpset *set;

	make(f, &d, &table);
	OK(storage_remove(f->st, FOLDER "pack-01-000000.zst", &err));
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	FAILS(dumpset_check_packs(set, f->repo, &err), ERR_DAMAGED);
	dumpset_free(set);
	buf_init(&got, 1 << 20);
	assert_int_equal(read_all(f, &got), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	buf_free(&got);
	buf_free(&table);
	fixture_dump_free(&d);
}

/* A chunk of another item, of the same length and whole in itself. */
static void
another_items_chunk_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct fixture_dump d;
	struct dumpset *set;
	struct dumpread *r;
	const struct dump_item *items;
	struct dump_chunk other;
	const void *plain;
	size_t n;

	fixture_dump_begin(&d, f->repo, &f->inc, LABEL_A, 1 << 20);
	fixture_dump_add(&d, &(struct fixture_item){ "table/public/a", "1\n",
	    2, 100, '\n', 1, 1 });
	fixture_dump_add(&d, &(struct fixture_item){ "table/public/b", "1\n",
	    2, 100, '\n', 2, 2 });
	fixture_dump_finish(&d);
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	items = dumpset_items(set, &n);
	assert_int_equal(n, 2);
	OK(dumpread_new(&r, set, f->repo, &err));
	other = items[0].chunks[0];
	OK(dumpread_chunk(r, &items[0], &other, &plain, NULL, NULL, &err));
	FAILS(dumpread_chunk(r, &items[1], &other, &plain, NULL, NULL, &err),
	    ERR_DAMAGED);
	other.crc ^= 1;
	FAILS(dumpread_chunk(r, &items[0], &other, &plain, NULL, NULL, &err),
	    ERR_DAMAGED);
	other.crc ^= 1;
	other.frame = 7;
	FAILS(dumpread_chunk(r, &items[0], &other, &plain, NULL, NULL, &err),
	    ERR_DAMAGED);
	dumpread_free(r);
	dumpset_free(set);
	fixture_dump_free(&d);
}

static void
size_rows_and_crc_of_an_item_are_checked(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows(), got;
	struct fixture_dump d;
	struct dumpset *set;
	struct dumpread *r;
	struct dump_chunk *chunks;
	struct dump_item lie;
	size_t n;

	make(f, &d, &table);
	buf_init(&got, 1 << 20);
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	OK(dumpread_new(&r, set, f->repo, &err));
	lie = *dumpset_find(set, "table/public/t");
	lie.crc ^= 1;
	FAILS(dumpread_all(r, &lie, &got, &err), ERR_DAMAGED);
	lie.crc ^= 1;
	lie.rows++;
	FAILS(dumpread_chunks(r, &lie, &chunks, &n, &err), ERR_DAMAGED);
	assert_null(chunks);
	lie.rows--;
	lie.n_lists--; /* as if one of its lists were not named */
	FAILS(dumpread_chunks(r, &lie, &chunks, &n, &err), ERR_DAMAGED);
	dumpread_free(r);
	dumpset_free(set);
	buf_free(&got);
	buf_free(&table);
	fixture_dump_free(&d);
}

/* A table of many terabytes: its line must be readable too. */
static void
the_most_lists_come_back_and_no_more_are_taken(void **state)
{
	struct fixture *f = *state;
	struct map_run *lists = xcalloc(MANIFEST_LISTS_MAX + 1,
	    sizeof(*lists));
	struct manifest_entry e = { .type = MANIFEST_DATA, .path = "table/a/b",
		.size = 1, .rows = 1, .map = lists };
	const struct pack_id id = { LABEL_B, 1, 1, REPO_DUMP };
	const struct manifest_part *parts;
	struct manifest_writer *w;
	struct manifest_reader *r;
	size_t i, n;

	OK(manifest_writer_new_dump(&w, f->repo, &f->inc, LABEL_B, &err));
	(void)manifest_writer_pack(w, &id);
	for (i = 0; i <= MANIFEST_LISTS_MAX; i++)
		lists[i].frame = (uint32_t)(i + 10000000); /* long numbers */
	e.n_map = MANIFEST_LISTS_MAX + 1;
	FAILS(manifest_writer_add(w, &e, &err), ERR_REFUSED);
	e.n_map--;
	e.path = "table/a/c";
	OK(manifest_writer_add(w, &e, &err));
	OK(manifest_writer_finish(w, &parts, &n, &err));
	OK(manifest_reader_open_dump(&r, f->repo, &f->inc, LABEL_B, parts, n,
	    &err));
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	if (manifest_reader_next(r, &e, &err) != 1)
		fail_msg("%s", err.msg);
	assert_int_equal(e.n_map, MANIFEST_LISTS_MAX);
	assert_int_equal(e.map[e.n_map - 1].frame, 9999999 +
	    MANIFEST_LISTS_MAX);
	manifest_reader_close(r);
	manifest_writer_free(w);
	free(lists);
}

static int
stop(void *arg, const void *data, size_t len, struct err *why)
{
	int *calls = arg;

	(void)data;
	(void)len;
	return ++*calls < 3 ? 0 : err_set(why, ERR_CANCELLED, "enough");
}

static void
a_sink_can_stop_it(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows();
	struct fixture_dump d;
	struct dumpset *set;
	struct dumpread *r;
	struct dump_chunk *chunks;
	const struct dump_item *t;
	size_t n;
	int calls = 0;

	make(f, &d, &table);
	OK(dumpset_open(&set, f->repo, &f->inc, LABEL_A, &err));
	OK(dumpread_new(&r, set, f->repo, &err));
	t = dumpset_find(set, "table/public/t");
	OK(dumpread_chunks(r, t, &chunks, &n, &err));
	FAILS(dumpread_stream(r, t, chunks, 0, n, stop, &calls, &err),
	    ERR_CANCELLED);
	assert_int_equal(calls, 3);
	free(chunks);
	dumpread_free(r);
	dumpset_free(set);
	buf_free(&table);
	fixture_dump_free(&d);
}

/* Lines of the other kind are no lines of this one. */
static void
kinds_of_manifests_are_not_mixed(void **state)
{
	struct fixture *f = *state;
	struct manifest_writer *w;
	const struct manifest_part *parts;
	struct manifest_reader *r;
	struct manifest_entry e;
	struct commit c;
	size_t n;

	OK(manifest_writer_new_dump(&w, f->repo, &f->inc, LABEL_B, &err));
	FAILS(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_DIR, .path = "base", .mode = 0700 }, &err),
	    ERR_BUG);
	OK(manifest_writer_finish(w, &parts, &n, &err));
	OK(manifest_reader_open_dump(&r, f->repo, &f->inc, LABEL_B, parts, n,
	    &err));
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_HEAD);
	assert_int_equal(manifest_reader_next(r, &e, &err), 1);
	assert_int_equal(e.type, MANIFEST_END);
	assert_int_equal(manifest_reader_next(r, &e, &err), 0);
	manifest_reader_close(r);
	manifest_writer_free(w);
	OK(manifest_writer_new(&w, f->repo, &f->inc, LABEL_B, 8192, &err));
	FAILS(manifest_writer_add(w, &(struct manifest_entry){
	    .type = MANIFEST_DATA, .path = "archive" }, &err), ERR_BUG);
	manifest_writer_free(w);
	FAILS(commit_get_dump(f->repo, &f->inc, LABEL_B, &c, &err),
	    ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_commit_comes_back),
		TEST(labels_are_found_by_kind),
		TEST(items_come_back),
		TEST(a_part_can_be_read_and_frames_as_they_are),
		TEST(every_cut_and_every_flipped_bit_is_noticed),
		TEST(a_pack_that_is_not_there_is_damage),
		TEST(another_items_chunk_is_not_taken),
		TEST(size_rows_and_crc_of_an_item_are_checked),
		TEST(the_most_lists_come_back_and_no_more_are_taken),
		TEST(a_sink_can_stop_it),
		TEST(kinds_of_manifests_are_not_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
