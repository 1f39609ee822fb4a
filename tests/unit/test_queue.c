/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/queue.h"
#include "repo/state.h"

static struct err err;
static char *dir;
static const struct repo repo = { .id_text = "00112233" };
static const struct incarnation inc = { .cluster = "main", .major = 15,
	.system_id = 7 };

static int
setup(void **state)
{
	(void)state;
	dir = xasprintf("%s/dapk-queue-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	int rc = io_remove_tree(dir, &err);

	(void)state;
	free(dir);
	return rc;
}

static struct queue *
queue_of(const char *name)
{
	struct queue *q;

	err_clear(&err);
	if (queue_open(&q, dir, &repo, &inc, name, &err) != 0)
		fail_msg("%s", err.msg);
	return q;
}

static void
items_stay_until_they_are_done(void **state)
{
	struct queue *q = queue_of("offsite"), *other = queue_of("third");
	struct queue_item *items;
	int64_t oldest, before = time_now();
	uint64_t n_lag;
	size_t n;

	(void)state;
	assert_int_equal(queue_add(q, "000000010000000000000004", &err), 0);
	assert_int_equal(queue_add(q, "000000010000000000000003", &err), 0);
	assert_int_equal(queue_add(q, "000000010000000000000003", &err), 0);
	assert_int_equal(queue_add(q, "backup-20261122T133107Z-0", &err), 0);
	assert_int_equal(queue_add(q, "../x", &err), -1);
	assert_int_equal(queue_add(q, "", &err), -1);
	assert_int_equal(queue_lag(q, &n_lag, &oldest, &err), 0);
	assert_int_equal(n_lag, 3);
	assert_true(oldest > before - 10000000 && oldest < before + 60000000);
	/* each repository has its own */
	assert_int_equal(queue_lag(other, &n_lag, &oldest, &err), 0);
	assert_int_equal(n_lag, 0);
	assert_int_equal(oldest, 0);
	queue_close(q);
	q = queue_of("offsite");
	assert_int_equal(queue_list(q, &items, &n, &err), 0);
	assert_int_equal(n, 3);
	assert_string_equal(items[0].name, "000000010000000000000003");
	assert_string_equal(items[2].name, "backup-20261122T133107Z-0");
	queue_items_free(items, n);
	queue_done(q, "000000010000000000000003");
	queue_done(q, "000000010000000000000003");
	assert_int_equal(queue_lag(q, &n_lag, &oldest, &err), 0);
	assert_int_equal(n_lag, 2);
	queue_close(q);
	queue_close(other);
}

static void
a_note_comes_back_and_a_damaged_one_is_none(void **state)
{
	struct queue *q = queue_of("noted");
	struct queue_note note, back;
	char *path;
	FILE *f;

	(void)state;
	queue_note_read(q, &back);
	assert_int_equal(back.last_success, 0);
	memset(&note, 0, sizeof(note));
	note.last_success = 1234567890123456;
	note.last_compared = 1234567890000000;
	note.next_try = -5;
	note.failures = 7;
	(void)snprintf(note.error, sizeof(note.error), "\"no\" \\ route");
	queue_note_write(q, &note);
	queue_note_read(q, &back);
	assert_int_equal(back.last_success, note.last_success);
	assert_int_equal(back.next_try, -5);
	assert_int_equal(back.failures, 7);
	assert_string_equal(back.error, note.error);
	assert_int_equal(back.last_compared, note.last_compared);
	/* Written in another boot: items may have been lost since. */
	path = xasprintf("%s/queue/00112233-7/noted/note", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("{\"last_success\": 1234567890123456, "
	    "\"last_compared\": 1234567890000000, \"last_failure\": 0, "
	    "\"next_try\": 0, \"failures\": 0, \"error\": \"\", "
	    "\"boot\": \"another\"}", f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
	queue_note_read(q, &back);
	assert_int_equal(back.last_success, note.last_success);
	assert_int_equal(back.last_compared, 0);
	path = xasprintf("%s/queue/00112233-7/noted/note", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("{\"last_success\": \"x\"}", f) >= 0);
	assert_int_equal(fclose(f), 0);
	queue_note_read(q, &back);
	assert_int_equal(back.last_success, 0);
	assert_int_equal(back.failures, 0);
	free(path);
	queue_close(q);
}

static void
one_works_on_a_queue_at_a_time(void **state)
{
	struct queue *q = queue_of("locked");
	int fd = queue_lock(q);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(queue_lock(q), -1);
	assert_int_equal(close(fd), 0);
	fd = queue_lock(q);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	queue_close(q);
}

static void
a_folder_that_others_can_write_is_refused(void **state)
{
	char *path = xasprintf("%s/queue/00112233-7/open", dir), *got;

	(void)state;
	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(state_folder(dir, "queue", &repo, &inc, "open", &got,
	    &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(chmod(path, 0700), 0);
	err_clear(&err);
	assert_int_equal(state_folder(dir, "queue", &repo, &inc, "open", &got,
	    &err), 0);
	assert_string_equal(got, path);
	free(got);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_stay_until_they_are_done),
		cmocka_unit_test(a_note_comes_back_and_a_damaged_one_is_none),
		cmocka_unit_test(one_works_on_a_queue_at_a_time),
		cmocka_unit_test(a_folder_that_others_can_write_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
