/* SPDX-License-Identifier: PostgreSQL */
/* WAL that was given up has a name, a time and a reason, wherever it is read. */
#include "config.h"

#include "fixture_repo.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/io.h"
#include "core/time.h"
#include "repo/gap.h"

#define SEGMENT (16u << 20)
#define SEG(n) "00000001000000000000000" #n
#define ODD "no \"route\" to \374ber %\nand more"

static char *
state_of(void)
{
	char *dir = xasprintf("%s/dapk-gap-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));

	assert_non_null(mkdtemp(dir));
	return dir;
}

static void
drop(char *dir)
{
	OK(io_remove_tree(dir, &err));
	free(dir);
}

static void
lose(const char *dir, const struct fixture *f, const char *segment,
    const char *reason)
{
	struct err why = ERR_INIT;

	(void)err_set(&why, ERR_STORAGE, "%s", reason);
	OK(gap_note(dir, &f->inc, segment, &why, &err));
}

static void
what_was_given_up_has_a_name_once_it_can_be_told(void **state)
{
	struct fixture *f = *state;
	char *dir = state_of();
	const int64_t before = time_now();
	struct gap *gaps;
	size_t n;

	assert_false(gap_waits(dir));
	OK(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err));
	lose(dir, f, SEG(3), ODD);
	lose(dir, f, SEG(4), "another");
	lose(dir, f, SEG(4), "again"); /* the archiver asked twice */
	lose(dir, f, SEG(7), "later");
	lose(dir, f, "000000020000000000000008", "elsewhere");
	assert_true(gap_waits(dir));
	OK(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err));
	assert_false(gap_waits(dir));
	OK(gap_list(f->repo, &f->inc, &gaps, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(gaps[0].first, SEG(3));
	assert_string_equal(gaps[0].last, SEG(4));
	assert_int_equal(gaps[0].segments, 2);
	assert_string_equal(gaps[0].reason, ODD);
	assert_true(gaps[0].from >= before && gaps[0].from <= gaps[0].until);
	assert_true(gaps[0].host[0] != '\0');
	assert_string_equal(gaps[1].first, SEG(7));
	assert_string_equal(gaps[1].last, SEG(7));
	assert_string_equal(gaps[2].first, "000000020000000000000008");
	assert_ptr_equal(gap_find(gaps, n, SEG(4)), &gaps[0]);
	assert_null(gap_find(gaps, n, SEG(5)));
	assert_null(gap_find(gaps, n, "000000020000000000000004"));
	gaps_free(gaps, n);
	(void)err_set(&err, ERR_NOT_FOUND, "it is missing");
	(void)gap_explain(f->repo, &f->inc, SEG(4), &err);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "WAL from " SEG(3) " to " SEG(4)
	    " was given up by archive-queue-max"));
	assert_non_null(strstr(err.msg, "it is missing"));
	(void)err_set(&err, ERR_NOT_FOUND, "it is missing");
	(void)gap_explain(f->repo, &f->inc, SEG(5), &err);
	assert_string_equal(err.msg, "it is missing");
	drop(dir);
}

static void
another_servers_notes_stay(void **state)
{
	struct fixture *f = *state;
	struct incarnation other = f->inc;
	char *dir = state_of();
	struct gap *gaps;
	size_t n;

	other.system_id++;
	lose(dir, f, SEG(3), "why");
	OK(gap_flush(dir, f->repo, &other, SEGMENT, &err));
	assert_true(gap_waits(dir));
	OK(gap_list(f->repo, &other, &gaps, &n, &err));
	assert_int_equal(n, 0);
	gaps_free(gaps, n);
	OK(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err));
	OK(gap_list(f->repo, &f->inc, &gaps, &n, &err));
	assert_int_equal(n, 1);
	gaps_free(gaps, n);
	drop(dir);
}

/* A crash or an outage in the middle costs a double at most, never a name. */
static void
a_flush_that_fails_is_done_again(void **state)
{
	struct fixture *f = *state;
	char *dir = state_of();
	struct gap *gaps;
	size_t n;
	int torn;

	lose(dir, f, SEG(3), "why");
	lose(dir, f, SEG(7), "why");
	for (torn = 0; torn < 2; torn++) {
		storage_fault_at(f->st, 2, torn != 0);
		FAILS(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err),
		    ERR_STORAGE);
		storage_fault_at(f->st, 0, false);
		assert_true(gap_waits(dir));
	}
	OK(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err));
	assert_false(gap_waits(dir));
	OK(gap_list(f->repo, &f->inc, &gaps, &n, &err));
	assert_int_equal(n, 5); /* two runs left one or two, the third both */
	assert_non_null(gap_find(gaps, n, SEG(3)));
	assert_non_null(gap_find(gaps, n, SEG(7)));
	gaps_free(gaps, n);
	drop(dir);
}

/* Its segment was not given up: 0 is what the archiver has not been told. */
static void
a_line_that_was_cut_names_nothing(void **state)
{
	static const char cut[] = "000000010000000000000009 7";
	struct fixture *f = *state;
	char *dir = state_of(), *path;
	struct gap *gaps;
	size_t n;
	int fd;

	lose(dir, f, SEG(3), "why");
	path = xasprintf("%s/gaps/main-%llu", dir,
	    (unsigned long long)f->inc.system_id);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_true(fd >= 0);
	OK(io_write_full(fd, cut, sizeof(cut) - 1, path, &err));
	assert_int_equal(close(fd), 0);
	free(path);
	OK(gap_flush(dir, f->repo, &f->inc, SEGMENT, &err));
	OK(gap_list(f->repo, &f->inc, &gaps, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(gaps[0].last, SEG(3));
	gaps_free(gaps, n);
	drop(dir);
}

static void
a_damaged_one_is_an_error_and_explains_nothing(void **state)
{
	static char host[] = "here", reason[] = "why";
	struct fixture *f = *state;
	struct gap g = { .first = SEG(3), .last = SEG(4), .segments = 2,
		.host = host, .reason = reason };
	char key[STORAGE_KEY_MAX];
	struct textset set;
	struct gap *gaps;
	struct buf b;
	size_t n;

	OK(gap_put(f->repo, &f->inc, &g, &err));
	gap_textset(&f->inc, &set);
	OK(textset_key(&set, g.id, key, &err));
	buf_init(&b, 1 << 16);
	OK(storage_get_all(f->st, key, &b, &err));
	b.data[b.len - 5] ^= 1;
	fixture_replace(f, key, b.data, b.len);
	buf_free(&b);
	FAILS(gap_list(f->repo, &f->inc, &gaps, &n, &err), ERR_DAMAGED);
	(void)err_set(&err, ERR_NOT_FOUND, "it is missing");
	(void)gap_explain(f->repo, &f->inc, SEG(3), &err);
	assert_string_equal(err.msg, "it is missing");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_given_up_has_a_name_once_it_can_be_told),
		TEST(another_servers_notes_stay),
		TEST(a_flush_that_fails_is_done_again),
		TEST(a_line_that_was_cut_names_nothing),
		TEST(a_damaged_one_is_an_error_and_explains_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
