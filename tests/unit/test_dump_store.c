/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/buf.h"
#include "dump/store.h"
#include "repo/dumpread.h"
#include "repo/hash.h"
#include "repo/pack.h"
#include "repo/setremove.h"

#define ROWS 40000
#define DAY INT64_C(86400000000)
#define NOW (INT64_C(849000000) * 1000000)

struct night {
	unsigned from, to; /* rows */
	int day;
	bool full;
	bool fail; /* an error is expected anywhere */
};

static size_t
row(char *out, unsigned i)
{
	uint64_t h = hash_64(&i, sizeof(i), 0);

	return (size_t)sprintf(out, "%u\t%016llx%016llx\n", i,
	    (unsigned long long)h, (unsigned long long)~h);
}

static int
write_rows(struct dump_store *st, const char *path, unsigned from,
    unsigned to, uint32_t range, uint32_t ranges, struct err *why)
{
	const struct dump_store_item item = { .path = path, .dump_id = 7,
		.oid = 16400, .range = range, .ranges = ranges };
	struct dump_writer *w;
	char text[128];
	unsigned i;
	int rc;

	if (dump_writer_new(&w, st, why) != 0)
		return -1;
	rc = dump_writer_begin(w, &item, why);
	for (i = from; i < to && rc == 0; i++)
		rc = dump_writer_write(w, text, row(text, i), true, why);
	if (rc == 0)
		rc = dump_writer_end(w, why);
	dump_writer_free(w);
	return rc;
}

/* A whole dump; commit_free(c). */
static int
take(struct fixture *f, const struct night *n, struct commit *c,
    struct err *why)
{
	const struct dump_store_params p = { .repo = f->repo, .inc = &f->inc,
		.database = "shop", .start_time = NOW + n->day * DAY,
		.compress_level = 1, .full = n->full,
		.refresh_age_ms = UINT64_C(120) * 86400000 };
	struct dump_store *st;
	unsigned mid = n->from + (n->to - n->from) / 2;
	int rc;

	memset(c, 0, sizeof(*c));
	if (dump_store_new(&st, &p, why) != 0)
		return -1;
	c->method = xstrdup("dump");
	c->program = xstrdup("test");
	c->host = xstrdup("here");
	c->start_time = c->stop_time = p.start_time;
	c->dump.database = xstrdup("shop");
	c->dump.server_version = xstrdup("15.20");
	c->dump.pg_dump_version = xstrdup("15.20");
	c->dump.archive_version = xstrdup("1.14");
	c->dump.encoding = xstrdup("UTF8");
	/* The second range first, as it may come. */
	rc = write_rows(st, "table/public/big", mid, n->to, 1, 2, why);
	if (rc == 0)
		rc = write_rows(st, "table/public/big", n->from, mid, 0, 2,
		    why);
	if (rc == 0)
		rc = write_rows(st, "table/public/empty", 0, 0, 0, 1, why);
	if (rc == 0)
		rc = write_rows(st, "archive", 0, 10, 0, 1, why);
	if (rc == 0)
		rc = dump_store_pulse(st, why);
	if (rc == 0)
		rc = dump_store_finish(st, c, why);
	dump_store_free(st);
	return rc;
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *why)
{
	buf_add(arg, data, len);
	return buf_check(arg, "it", why);
}

static void
check(struct fixture *f, const struct commit *c, unsigned from, unsigned to)
{
	const struct dump_item *items;
	struct dump_chunk *chunks;
	struct dumpset *set;
	struct dumpread *r;
	struct buf got, want;
	char text[128];
	size_t n, n_chunks;
	unsigned i;

	OK(dumpset_open(&set, f->repo, &f->inc, c->label, &err));
	OK(dumpset_check_packs(set, f->repo, &err));
	items = dumpset_items(set, &n);
	assert_int_equal(n, 3);
	assert_string_equal(items[1].name, "big");
	assert_int_equal(items[1].rows, to - from);
	assert_int_equal(items[2].size, 0);
	OK(dumpread_new(&r, set, f->repo, &err));
	OK(dumpread_chunks(r, &items[1], &chunks, &n_chunks, &err));
	buf_init(&got, 1 << 26);
	buf_init(&want, 1 << 26);
	OK(dumpread_stream(r, &items[1], chunks, 0, n_chunks, to_buf, &got,
	    &err));
	for (i = from; i < to; i++)
		buf_add(&want, text, row(text, i));
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, got.len);
	free(chunks);
	buf_free(&got);
	buf_free(&want);
	dumpread_free(r);
	dumpset_free(set);
}

static void
rows_come_back_and_equal_ones_are_stored_once(void **state)
{
	struct fixture *f = *state;
	struct night night = { .to = ROWS };
	struct commit a, b, c, d;

	OK(take(f, &night, &a, &err));
	check(f, &a, 0, ROWS);
	assert_string_equal(a.parent, "");
	assert_int_equal(a.dump.rows, ROWS);

	night.day = 1;
	OK(take(f, &night, &b, &err));
	check(f, &b, 0, ROWS);
	assert_string_equal(b.parent, a.label);
	/* What is there but small objects: lists, manifest. */
	assert_true(b.stored_bytes < a.stored_bytes / 50);
	assert_int_equal(b.original_bytes, a.original_bytes);

	night.day = 2;
	night.to = ROWS + ROWS / 50;
	OK(take(f, &night, &c, &err));
	check(f, &c, 0, ROWS + ROWS / 50);
	assert_true(c.stored_bytes < a.stored_bytes / 2);

	/* The first one goes, its packs stay: the others read on. */
	night.day = 3;
	night.full = true;
	OK(take(f, &night, &d, &err));
	assert_string_equal(d.parent, "");
	OK(set_remove(f->repo, &f->inc, REPO_DUMP, a.label, &err));
	check(f, &d, 0, ROWS + ROWS / 50);
	commit_free(&a);
	commit_free(&b);
	commit_free(&c);
	commit_free(&d);
}

static void
what_was_lost_is_stored_anew(void **state)
{
	struct fixture *f = *state;
	struct night night = { .to = ROWS };
	char key[STORAGE_KEY_MAX];
	struct commit a, b;

	OK(take(f, &night, &a, &err));
	repo_pack_key(&f->inc, &a.packs[0].id, key);
	OK(storage_remove(f->st, key, &err));
	night.day = 1;
	OK(take(f, &night, &b, &err));
	check(f, &b, 0, ROWS);
	commit_free(&a);
	commit_free(&b);
}

static void
whatever_call_fails_there_is_no_half_dump(void **state)
{
	struct fixture *f = *state;
	struct night night = { .to = 2000, .day = 1 };
	struct commit first, c;
	char(*labels)[FORMAT_LABEL_MAX];
	size_t n, i;
	uint64_t at;
	int rc;

	OK(take(f, &(struct night){ .to = 1900 }, &first, &err));
	for (at = 1; at < 500; at++) {
		storage_fault_at(f->st, (unsigned)at, at % 2 == 0);
		err_clear(&err);
		rc = take(f, &night, &c, &err);
		storage_fault_at(f->st, 0, false);
		if (rc == 0)
			check(f, &c, 0, 2000);
		commit_free(&c);
		err_clear(&err);
		OK(catalogue_dumps(f->repo, &f->inc, &labels, &n, NULL, &err));
		/* Also one whose commit's answer was lost. */
		assert_int_equal(n, rc == 0 ? 2 : 1);
		for (i = 0; i < n; i++) {
			OK(commit_get_dump(f->repo, &f->inc, labels[i], &c,
			    &err));
			check(f, &c, 0, c.start_time == NOW ? 1900 : 2000);
			commit_free(&c);
			if (strcmp(labels[i], first.label) != 0)
				OK(set_remove(f->repo, &f->inc, REPO_DUMP,
				    labels[i], &err));
		}
		free(labels);
		if (rc == 0 && at > 40)
			break;
	}
	commit_free(&first);
}

static void
a_range_that_is_missing_is_no_dump(void **state)
{
	struct fixture *f = *state;
	const struct dump_store_params p = { .repo = f->repo, .inc = &f->inc,
		.database = "shop", .start_time = NOW, .compress_level = 1 };
	struct dump_store *st;
	struct commit c = { .label = "" };

	OK(dump_store_new(&st, &p, &err));
	OK(write_rows(st, "table/public/big", 0, 10, 1, 2, &err));
	FAILS(dump_store_finish(st, &c, &err), ERR_BUG);
	dump_store_free(st);
	commit_free(&c);
}

static int
write_text(struct dump_store *st, const char *path, const char *text,
    struct err *why)
{
	const struct dump_store_item item = { .path = path, .ranges = 1 };
	struct dump_writer *w;
	int rc;

	OK(dump_writer_new(&w, st, why));
	OK(dump_writer_begin(w, &item, why));
	OK(dump_writer_write(w, text, strlen(text), false, why));
	rc = dump_writer_end(w, why);
	dump_writer_free(w);
	return rc;
}

/* What the server cut off must not pass for a table's end. */
/* A dump of a few rows in between does not make the next one store all. */
static void
a_dump_of_little_is_no_parent_of_a_whole_one(void **state)
{
	struct fixture *f = *state;
	struct night whole = { .to = ROWS }, part = { .to = 100, .day = 1 },
		     again = { .to = ROWS, .day = 2 },
		     shrunk = { .to = 100, .day = 3 };
	struct commit a, b, c, d;

	OK(take(f, &whole, &a, &err));
	OK(take(f, &part, &b, &err));
	assert_string_equal(b.parent, a.label);
	OK(take(f, &again, &c, &err));
	assert_string_equal(c.parent, a.label);
	assert_true(c.stored_bytes < a.stored_bytes / 10);
	OK(take(f, &shrunk, &d, &err));
	assert_string_equal(d.parent, c.label);
	commit_free(&a);
	commit_free(&b);
	commit_free(&c);
	commit_free(&d);
}

static void
text_has_no_rows_but_a_table_has(void **state)
{
	struct fixture *f = *state;
	const struct dump_store_params p = { .repo = f->repo, .inc = &f->inc,
		.database = "shop", .start_time = NOW, .compress_level = 1 };
	struct dump_store *st;

	OK(dump_store_new(&st, &p, &err));
	OK(write_text(st, "globals", "CREATE ROLE joe", &err));
	FAILS(write_text(st, "table/public/t", "1\tone", &err), ERR_BUG);
	dump_store_free(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    rows_come_back_and_equal_ones_are_stored_once,
		    fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_was_lost_is_stored_anew,
		    fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
		    whatever_call_fails_there_is_no_half_dump, fixture_setup,
		    fixture_teardown),
		cmocka_unit_test_setup_teardown(
		    a_range_that_is_missing_is_no_dump, fixture_setup,
		    fixture_teardown),
		TEST(a_dump_of_little_is_no_parent_of_a_whole_one),
		TEST(text_has_no_rows_but_a_table_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
