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
#include "repo/commit.h"
#include "repo/notes.h"
#include "repo/queue.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)
#define DAY_US (24 * HOUR_US)
#define SEGMENT "000000010000000A000000FF"

static struct err err;
static char *dir;
static const struct repo repo = {
	.id_text = "00112233445566778899aabbccddeeff" };
static const struct incarnation inc = { .cluster = "main", .major = 15,
	.system_id = UINT64_C(7312345678901234567) };

static int
setup(void **state)
{
	(void)state;
	dir = xasprintf("%s/dapk-notes-XXXXXX",
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

static struct config_repository
address_of(const char *name)
{
	static char url[64];
	struct config_repository r = { .url = url };

	(void)snprintf(url, sizeof(url), "file:///srv/%s", name);
	return r;
}

static struct commit
commit_of(int64_t time)
{
	struct commit c = { .stop_time = time, .inc = inc };

	(void)snprintf(c.label, sizeof(c.label),
	    "20261122T133107Z-0123456789abcdef");
	return c;
}

static void
notes_come_back(void **state)
{
	struct config_repository r = address_of("a"), other;
	const struct notes_of of = { dir, &r, "main" };
	int64_t now = time_now();
	struct commit c = commit_of(now - 10 * SECOND_US);
	struct notes f;

	(void)state;
	notes_read(&of, &f);
	assert_int_equal(f.wal_time, 0);
	assert_int_equal(f.backup.time, 0);
	notes_put_wal(&of, &repo, &inc, SEGMENT);
	notes_put_wal(&of, &repo, NULL, "00000002.history");
	notes_put_set(&of, REPO_BACKUP, &repo, &c, NULL);
	notes_read(&of, &f);
	assert_string_equal(f.wal_file, SEGMENT);
	assert_true(f.wal_time >= now);
	assert_int_equal(f.system_id, inc.system_id);
	assert_string_equal(f.repository_id, repo.id_text);
	assert_string_equal(f.backup.label, c.label);
	assert_int_equal(f.backup.time, c.stop_time);
	assert_int_equal(f.dump.time, 0);
	/* A look may have seen a later one, of another host. */
	c.stop_time = now;
	notes_put_look(&of, &repo, &inc, &(struct notes_look){
	    .backup = &c, .recoverable = true, .whole = true });
	notes_read(&of, &f);
	assert_int_equal(f.backup.time, now);
	assert_true(f.looked >= now && f.recoverable && f.whole);
	/* What it says of one address, cluster is not said of another. */
	other = address_of("b");
	notes_read(&(struct notes_of){ dir, &other, "main" }, &f);
	assert_int_equal(f.wal_time, 0);
	r = address_of("a");
	notes_read(&(struct notes_of){ dir, &r, "other" }, &f);
	assert_int_equal(f.wal_time, 0);
	notes_forget(dir, &r);
	notes_read(&of, &f);
	assert_int_equal(f.wal_time, 0);
	assert_int_equal(f.looked, 0);
}

static void
a_failure_counts_until_a_success(void **state)
{
	struct config_repository r = address_of("c");
	const struct notes_of of = { dir, &r, "main" };
	struct err why = ERR_INIT;
	struct commit c;
	struct notes f;
	int64_t since;

	(void)state;
	(void)err_set(&why, ERR_STORAGE, "s3://b: no \"route\" \x80 to host");
	notes_put_push_failure(&of, &why);
	notes_read(&of, &f);
	since = f.push_failing_since;
	assert_true(since > 0);
	assert_string_equal(f.push_error, "s3://b: no \"route\" ? to host");
	notes_put_push_failure(&of, &why);
	notes_read(&of, &f);
	assert_int_equal(f.push_failing_since, since);
	assert_true(f.push_failed > since);
	notes_put_wal(&of, &repo, &inc, SEGMENT);
	notes_read(&of, &f);
	assert_int_equal(f.push_failing_since, 0);
	assert_string_equal(f.push_error, "");
	notes_put_push_failure(&of, &why);
	notes_read(&of, &f);
	assert_true(f.push_failing_since > since);

	notes_put_set(&of, REPO_DUMP, &repo, NULL, &why);
	notes_read(&of, &f);
	assert_true(f.dump.failed > 0 && f.dump.time == 0);
	c = commit_of(time_now());
	notes_put_set(&of, REPO_DUMP, &repo, &c, NULL);
	notes_read(&of, &f);
	assert_int_equal(f.dump.failed, 0);
	assert_true(f.dump.time > 0);
}

/* Flips each bit-position byte of a note in turn; nothing may crash, and
 * what comes back is what was written, or nothing. */
static void
a_damaged_note_is_none(void **state)
{
	struct config_repository r = address_of("d");
	const struct notes_of of = { dir, &r, "main" };
	char *folder = notes_folder(dir, &r), *path;
	struct notes f;
	struct buf b;
	FILE *file;
	size_t i;

	(void)state;
	notes_put_wal(&of, &repo, &inc, SEGMENT);
	path = xasprintf("%s/main/wal", folder);
	buf_init(&b, 4096);
	assert_int_equal(io_read_file(path, &b, &err), 0);
	for (i = 0; i <= b.len; i++) {
		if (i < b.len)
			b.data[i] ^= (uint8_t)(1 << i % 8);
		file = fopen(path, "w");
		assert_non_null(file);
		(void)fwrite(b.data, 1, i < b.len ? b.len : b.len - 1, file);
		(void)fclose(file);
		notes_read(&of, &f);
		/* A digit of the hash may be a capital. */
		if (i > 16)
			assert_int_equal(f.wal_time, 0);
		else if (f.wal_time != 0)
			assert_string_equal(f.wal_file, SEGMENT);
		if (i < b.len)
			b.data[i] ^= (uint8_t)(1 << i % 8);
	}
	buf_free(&b);
	free(path);
	free(folder);
}

static struct notes
healthy(int64_t now)
{
	struct notes f = { .wal_time = now - SECOND_US, .looked = now,
		.recoverable = true, .whole = true };

	f.backup.time = now - HOUR_US;
	return f;
}

static void
judged(const struct notes *f, int64_t now, enum notes_verdict verdict,
    const char *says)
{
	struct notes_judgement j;

	notes_judge(f, now, &notes_limits_default, &j);
	assert_int_equal(j.verdict, verdict);
	assert_true((j.n == 0) == (verdict == NOTES_OK));
	if (j.n > 0) {
		assert_int_equal(j.reasons[0].verdict, verdict);
		if (strstr(j.reasons[0].text, says) == NULL)
			fail_msg("'%s' is not in: %s", says,
			    j.reasons[0].text);
	}
}

static void
verdicts(void **state)
{
	const int64_t now = time_now();
	struct notes f = healthy(now);

	(void)state;
	judged(&f, now, NOTES_OK, "");
	f.backup.time = now - 2 * DAY_US;
	judged(&f, now, NOTES_WARNING, "2 days old");
	f.backup.time = now - 9 * DAY_US;
	judged(&f, now, NOTES_CRITICAL, "9 days old");
	f.backup.time = 0;
	judged(&f, now, NOTES_CRITICAL, "no backup");

	f = healthy(now);
	f.backup.failed = now - HOUR_US / 2;
	(void)snprintf(f.backup.error, sizeof(f.backup.error), "disk full");
	judged(&f, now, NOTES_WARNING, "disk full");

	f = healthy(now);
	f.push_failing_since = now - 60 * SECOND_US;
	judged(&f, now, NOTES_WARNING, "archiving has failed for 60 seconds");
	f.push_failing_since = now - HOUR_US;
	judged(&f, now, NOTES_CRITICAL, "archiving");

	f = healthy(now);
	f.has_queue = true;
	f.waiting = 3;
	f.waiting_since = now - 60 * SECOND_US;
	judged(&f, now, NOTES_OK, "");
	f.waiting_since = now - HOUR_US;
	judged(&f, now, NOTES_WARNING, "3 items wait for 60 minutes");
	f.waiting_since = now - 2 * DAY_US;
	judged(&f, now, NOTES_CRITICAL, "3 items wait for 2 days");
	f = healthy(now);
	f.mirror_failed = now - HOUR_US;
	(void)snprintf(f.mirror_error, sizeof(f.mirror_error), "refused");
	judged(&f, now, NOTES_WARNING, "refused");

	f = healthy(now);
	f.recoverable = false;
	judged(&f, now, NOTES_CRITICAL, "recovered");
	/* A backup since then may have put that right. */
	f.looked = f.backup.time - SECOND_US;
	f.whole = true;
	judged(&f, now, NOTES_OK, "");
	f = healthy(now);
	f.whole = false;
	judged(&f, now, NOTES_WARNING, "damaged or missing");

	/* The worst comes first, and nothing overflows. */
	f.backup.failed = f.dump.failed = now;
	f.backup.damaged = 7;
	f.push_failing_since = now - HOUR_US;
	f.waiting = 1;
	f.waiting_since = now - HOUR_US;
	judged(&f, now, NOTES_CRITICAL, "archiving");
}

static void
a_queue_is_found_by_the_ids_of_any_note(void **state)
{
	struct config_repository r = address_of("e");
	struct notes_of of = { dir, &r, "main" };
	struct queue_note note = { .last_failure = 5, .failures = 1,
		.error = "refused" };
	struct queue *q;
	struct notes f;

	(void)state;
	r.name = xstrdup("offsite");
	notes_read(&of, &f);
	notes_read_queue(&of, repo.id_text, inc.system_id, &f);
	assert_false(f.has_queue);
	assert_int_equal(queue_open(&q, dir, &repo, &inc, "offsite", &err), 0);
	assert_int_equal(queue_add(q, SEGMENT, &err), 0);
	queue_note_write(q, &note);
	queue_close(q);
	notes_read(&of, &f);
	notes_read_queue(&of, repo.id_text, inc.system_id, &f);
	assert_true(f.has_queue);
	assert_int_equal(f.waiting, 1);
	assert_true(f.waiting_since > 0);
	assert_string_equal(f.mirror_error, "refused");
	free(r.name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_come_back),
		cmocka_unit_test(a_failure_counts_until_a_success),
		cmocka_unit_test(a_damaged_note_is_none),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(a_queue_is_found_by_the_ids_of_any_note),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
