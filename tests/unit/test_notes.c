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
#include "info/info.h"
#include "repo/commit.h"
#include "repo/hold.h"
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

	f = healthy(now);
	f.backup.time = now + DAY_US;
	judged(&f, now, NOTES_WARNING, "24 hours in the future");
	f = (struct notes){ .wal_time = 0 };
	judged(&f, now, NOTES_UNKNOWN, "nothing is known");

	/* The worst comes first, and nothing overflows. */
	f = healthy(now);
	f.whole = false;
	f.backup.failed = f.dump.failed = now;
	f.backup.damaged = 7;
	f.push_failing_since = now - HOUR_US;
	f.waiting = 1;
	f.waiting_since = now - HOUR_US;
	judged(&f, now, NOTES_CRITICAL, "archiving");
}

static void
the_window_is_held_against_the_promise(void **state)
{
	const int64_t now = time_now();
	struct notes f = healthy(now);

	(void)state;
	/* Five days old, five days are there: nothing was promised before. */
	f.since = f.window_from = now - 5 * DAY_US;
	f.window_to = now;
	judged(&f, now, NOTES_OK, "");
	/* Backups of five days, and a break two days ago. */
	f.window_from = now - 2 * DAY_US;
	judged(&f, now, NOTES_WARNING,
	    "only the last 2 days can be recovered without a break, promised "
	    "are 30 days");
	/* A year of backups, and all of what retain says. */
	f.since = now - 365 * DAY_US;
	f.window_from = now - 31 * DAY_US;
	judged(&f, now, NOTES_OK, "");
	f.window_from = now - 29 * DAY_US;
	judged(&f, now, NOTES_WARNING, "only the last 29 days");

	f = healthy(now);
	(void)snprintf(f.gap_behind, sizeof(f.gap_behind), "%s", SEGMENT);
	f.window_to = now - DAY_US;
	judged(&f, now, NOTES_CRITICAL, "WAL segment " SEGMENT " is missing");
	f.waiting = 1; /* a mirror: what it lacks is on its way */
	f.waiting_since = now;
	judged(&f, now, NOTES_OK, "");
	f.waiting = 0;
	f.backup.time = f.looked + SECOND_US;
	judged(&f, now, NOTES_OK, "");

	f = healthy(now);
	f.conflicts = 2;
	judged(&f, now, NOTES_WARNING, "2 WAL files are stored with two");
	f = healthy(now);
	f.looked = now - 9 * DAY_US;
	f.backup.time = now;
	judged(&f, now, NOTES_WARNING, "nobody has looked at it for 9 days");
}

static void
the_server_is_held_against_what_came(void **state)
{
	const int64_t now = time_now();
	struct notes f = healthy(now);
	struct notes_server *s = &f.server;

	(void)state;
	f.wal_time = now - HOUR_US;
	(void)snprintf(f.wal_file, sizeof(f.wal_file),
	    "000000010000000A000000F0");
	s->asked = now - 60 * SECOND_US;
	s->archives = true;
	s->archived_time = now - HOUR_US;
	memcpy(s->archived, f.wal_file, sizeof(s->archived));
	judged(&f, now, NOTES_OK, "");
	/* Another repository got what this one lacks. */
	memcpy(s->archived, SEGMENT, sizeof(SEGMENT));
	s->archived_time = now - 300 * SECOND_US;
	judged(&f, now, NOTES_CRITICAL, "archive_command leads elsewhere");
	/* On another timeline nothing can be said. */
	s->archived[7] = '2';
	judged(&f, now, NOTES_OK, "");
	s->failed_time = now - 200 * SECOND_US;
	s->failures = 3;
	memcpy(s->failed, SEGMENT, sizeof(SEGMENT));
	judged(&f, now, NOTES_CRITICAL, "archive_command failed for " SEGMENT
	    ", 3 times");
	s->archives = false;
	(void)snprintf(s->trouble, sizeof(s->trouble), "archive_mode is off");
	judged(&f, now, NOTES_CRITICAL,
	    "the server does not archive: archive_mode is off");
	/* What came since then is newer than that. */
	f.wal_time = now;
	judged(&f, now, NOTES_OK, "");

	f.ready = 3;
	f.ready_since = now - 60 * SECOND_US;
	judged(&f, now, NOTES_OK, "");
	f.ready_since = now - HOUR_US;
	judged(&f, now, NOTES_CRITICAL, "3 WAL files wait in pg_wal");
}

static void
what_was_done_about_it(void **state)
{
	const int64_t now = time_now();
	struct config_repository r = address_of("f");
	const struct notes_of of = { dir, &r, "main" };
	struct err why = ERR_INIT;
	char host[] = "db1", user[] = "ada", reason[] = "new\ndisks";
	struct hold hold = { .created = now - DAY_US, .host = host,
		.user = user, .reason = reason };
	struct notes f;

	(void)state;
	/* Damage in a share stays until that share, or all, was read again. */
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .damaged = 2, .share_number = 32, .share_of = 30 });
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .share_number = 33, .share_of = 30 });
	notes_read(&of, &f);
	assert_true(f.verified >= now && f.verified_whole == 0);
	assert_true(f.verify_failed >= now && f.verify_damaged == 2);
	assert_string_equal(f.verify_share, "3/30");
	f.backup.time = f.verified;
	judged(&f, f.verified, NOTES_CRITICAL,
	    "verify found 2 damaged objects 0 seconds ago in share 3/30");
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .share_number = 62, .share_of = 30 });
	notes_read(&of, &f);
	assert_int_equal(f.verify_failed, 0);
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .damaged = 1 });
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .damaged = 0 }); /* one backup alone, say */
	notes_read(&of, &f);
	assert_int_equal(f.verify_damaged, 1);
	notes_put_verify(&of, &repo, &inc, &(struct notes_verified){
	    .whole = true });
	notes_read(&of, &f);
	assert_true(f.verify_failed == 0 && f.verified_whole >= now);

	(void)err_set(&why, ERR_STORAGE, "no route");
	notes_put_expire(&of, &repo, &inc, NULL);
	notes_put_expire(&of, &repo, &inc, &why);
	notes_read(&of, &f);
	assert_string_equal(f.expire_error, "no route");
	f.backup.time = now;
	judged(&f, now, NOTES_WARNING, "expire failed");
	notes_put_expire(&of, &repo, &inc, NULL);
	notes_read(&of, &f);
	assert_true(f.expired >= now && f.expire_failed == 0);
	f.backup.time = f.expired + 9 * DAY_US;
	judged(&f, f.expired + 9 * DAY_US, NOTES_WARNING,
	    "expire last ran 9 days ago");

	notes_put_hold(&of, &hold);
	notes_read(&of, &f);
	f.backup.time = now;
	judged(&f, now, NOTES_WARNING,
	    "on hold for 24 hours by ada on db1, new?disks");
	notes_put_hold(&of, NULL);
	notes_read(&of, &f);
	assert_int_equal(f.held_since, 0);
}

static void
since_when_there_are_backups_is_not_forgotten(void **state)
{
	struct config_repository r = address_of("g");
	const struct notes_of of = { dir, &r, "main" };
	struct incarnation upgraded = inc;
	const int64_t now = time_now();
	struct notes_server s = { .archives = true, .failures = 7,
		.archived = SEGMENT, .archived_time = 5 };
	struct commit c = commit_of(now);
	struct notes f;

	(void)state;
	notes_put_look(&of, &repo, &inc, &(struct notes_look){ .backup = &c,
	    .since = now - 40 * DAY_US, .window_from = now - 31 * DAY_US });
	notes_put_look(&of, &repo, &inc, &(struct notes_look){ .backup = &c,
	    .since = now - 3 * DAY_US, .window_from = now - 3 * DAY_US,
	    .gap_behind = SEGMENT });
	notes_read(&of, &f);
	assert_int_equal(f.since, now - 40 * DAY_US);
	assert_int_equal(f.window_from, now - 3 * DAY_US);
	assert_string_equal(f.gap_behind, SEGMENT);
	upgraded.system_id++;
	notes_put_look(&of, &repo, &upgraded, &(struct notes_look){
	    .backup = &c, .since = now - 3 * DAY_US });
	notes_read(&of, &f);
	assert_int_equal(f.since, now - 3 * DAY_US);

	notes_put_server(dir, "main", &s);
	notes_read(&of, &f);
	assert_true(f.server.asked >= now && f.server.archives);
	assert_int_equal(f.server.failures, 7);
	assert_string_equal(f.server.archived, SEGMENT);
}

/* What `info` saw of these backups, the first ones in a window of their own. */
static void
look_at(const struct notes_of *of, const int64_t *stops, size_t n,
    size_t n_windows, struct notes *out)
{
	struct info_backup b[3] = { 0 };
	struct info_window w[3] = { 0 };
	struct info_incarnation i = { .inc = inc,
		.backups = { .list = b, .n = n, .newest = n - 1 },
		.windows = w, .n_windows = n_windows };
	const struct info info = { .repo = &repo, .incarnations = &i, .n = 1 };
	size_t k;

	for (k = 0; k < n; k++) {
		b[k].commit = commit_of(stops[k]);
		b[k].usable = true;
	}
	for (k = 0; k < n_windows; k++) {
		w[k].backup = k;
		w[k].reach.proven_time = stops[n - 1];
	}
	info_note(&info, of->state_directory, of->address);
	notes_read(of, out);
}

/* Else `status` says that a young archive goes back for decades. */
static void
a_clock_of_1970_makes_no_window(void **state)
{
	struct config_repository r = address_of("f");
	const struct notes_of of = { dir, &r, "main" };
	int64_t now = time_now();
	const int64_t stops[] = { time_from_unix(600), now - 3 * DAY_US,
		now - DAY_US };
	struct notes f;

	(void)state;
	look_at(&of, stops, 3, 1, &f);
	assert_int_equal(f.window_from, now - 3 * DAY_US);
	assert_int_equal(f.since, now - 3 * DAY_US);
	/* It lies alone: the next one begins as good a window. */
	look_at(&of, stops, 3, 2, &f);
	assert_int_equal(f.window_from, now - 3 * DAY_US);
	/* Nobody knows: that is not since ever. */
	look_at(&of, stops, 1, 1, &f);
	assert_int_equal(f.window_from, 0);
	assert_true(f.recoverable);
}

static void
a_dump_that_never_came_is_missed_where_one_is_wanted(void **state)
{
	const int64_t now = time_now();
	struct notes_limits limits = notes_limits_default;
	struct notes f = { .backup = { .time = now - HOUR_US } };
	struct notes_judgement j;

	(void)state;
	notes_judge(&f, now, &limits, &j);
	assert_int_equal(j.n, 0);
	limits.dump_warning = DAY_US;
	notes_judge(&f, now, &limits, &j);
	assert_int_equal(j.verdict, NOTES_WARNING);
	assert_string_equal(j.reasons[0].text, "no dump is known");
	limits.dump_critical = 2 * DAY_US;
	notes_judge(&f, now, &limits, &j);
	assert_int_equal(j.verdict, NOTES_CRITICAL);
	f.dump.time = now - HOUR_US;
	notes_judge(&f, now, &limits, &j);
	assert_int_equal(j.n, 0);
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
		cmocka_unit_test(the_window_is_held_against_the_promise),
		cmocka_unit_test(the_server_is_held_against_what_came),
		cmocka_unit_test(what_was_done_about_it),
		cmocka_unit_test(since_when_there_are_backups_is_not_forgotten),
		cmocka_unit_test(a_clock_of_1970_makes_no_window),
		cmocka_unit_test(
		    a_dump_that_never_came_is_missed_where_one_is_wanted),
		cmocka_unit_test(a_queue_is_found_by_the_ids_of_any_note),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
