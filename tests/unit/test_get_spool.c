/* SPDX-License-Identifier: PostgreSQL */
/* archive-get with what was fetched ahead. */
#include "config.h"

#include "fixture_get.h"
#include "wal/prefetch.h"
#include "wal/spool.h"

static void
open_spool(const struct place *p, struct wal_spool *s)
{
	OK(wal_spool_open(s, p->state, p->repo, &p->inc, p->pgdata, &err));
}

static void
stored_of(const struct place *p, const char *name, struct wal_stored *ws)
{
	struct wal_file f;

	OK(wal_file_parse(name, &f, &err));
	OK(wal_store_pick(p->repo, &p->inc, &f, ws, &err));
}

/* Files in the spool with this segment's name. */
static bool
in_spool(const struct wal_spool *s, const char *segment)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;
	bool found = false;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, segment, WAL_SEGMENT_NAME_LEN) == 0)
			found = true;
	(void)closedir(d);
	return found;
}

static void
run_prefetch(const struct place *p, const struct wal_spool *s,
    const char *position, uint64_t window, unsigned idle_ms)
{
	struct wal_prefetch pf = { .repo = p->repo, .inc = &p->inc,
		.spool = s, .segment_size = p->segment_size,
		.window = window };

	wal_spool_set_position(s, position);
	wal_prefetch_run(&pf, idle_ms);
}

static void
the_following_segments_wait_in_the_spool_and_are_taken_from_it(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 4);
	struct wal_spool s;
	struct wal_stored ws;
	char dest[192];
	unsigned i;

	open_spool(p, &s);
	OK(try_get(p, "000000010000000000000005", 3 * (uint64_t)MB));
	assert_delivered(p, w.bytes, p->segment_size);
	/* The process that was started fills it; wait for the condition. */
	stored_of(p, "000000010000000000000006", &ws);
	dest_path(p, dest);
	for (i = 0; i < 2000 &&
	     !wal_spool_take(&s, &ws, p->segment_size, dest); i++) {
		struct timespec ts = { 0, 5000000 };

		(void)nanosleep(&ts, NULL);
	}
	assert_delivered(p, w.bytes + p->segment_size, p->segment_size);
	OK(try_get(p, "000000010000000000000007", 3 * (uint64_t)MB));
	assert_delivered(p, w.bytes + 2 * p->segment_size, p->segment_size);
	OK(try_get(p, "000000010000000000000008", 3 * (uint64_t)MB));
	assert_delivered(p, w.bytes + 3 * p->segment_size, p->segment_size);
	/* At the archive's end it goes by itself: the lock gets free. */
	for (i = 0; i < 2000; i++) {
		struct timespec ts = { 0, 5000000 };
		int fd = wal_spool_lock(&s);

		if (fd >= 0) {
			(void)close(fd);
			break;
		}
		(void)nanosleep(&ts, NULL);
	}
	assert_true(i < 2000);
	wal_spool_free(&s);
	made_free(&w);
}

/* TRAPS T21: what an earlier recovery or a stranger left in the spool. */
static void
a_stale_spool_file_is_never_delivered(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	uint8_t *junk = xcalloc(1, p->segment_size);
	char path[512], name[WAL_SPOOL_NAME_MAX];
	struct wal_spool s;
	struct wal_stored ws;

	open_spool(p, &s);
	stored_of(p, "000000010000000000000005", &ws);
	/* Of another content: its hash is not the stored one's. */
	ws.hash[0] ^= 1;
	wal_spool_name(&ws, name);
	(void)snprintf(path, sizeof(path), "%s/%s", s.dir, name);
	place_write(path, junk, p->segment_size);
	OK(try_get(p, "000000010000000000000005", 2 * (uint64_t)MB));
	assert_delivered(p, w.bytes, p->segment_size);
	/* The right name, but cut. */
	ws.hash[0] ^= 1;
	wal_spool_name(&ws, name);
	(void)snprintf(path, sizeof(path), "%s/%s", s.dir, name);
	place_write(path, junk, 5000);
	OK(try_get(p, "000000010000000000000005", 2 * (uint64_t)MB));
	assert_delivered(p, w.bytes, p->segment_size);
	/* A segment that is not in the repository. */
	(void)snprintf(path, sizeof(path),
	    "%s/000000010000000000000006-%032d", s.dir, 0);
	place_write(path, junk, p->segment_size);
	FAILS(try_get(p, "000000010000000000000006", 2 * (uint64_t)MB),
	    ERR_NOT_FOUND);
	wal_spool_free(&s);
	free(junk);
	made_free(&w);
}

static void
the_look_ahead_keeps_to_its_window_and_removes_the_rest(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 8);
	struct wal_spool s;
	char path[512];
	pid_t pid;
	int status;
	unsigned i;

	open_spool(p, &s);
	(void)snprintf(path, sizeof(path),
	    "%s/000000010000000000000002-%032d", s.dir, 0);
	place_write(path, "old", 3);
	pid = fork();
	if (pid == 0) {
		run_prefetch(p, &s, "000000010000000000000006",
		    3 * (uint64_t)MB, 5000);
		_exit(0);
	}
	for (i = 0; i < 2000 && !in_spool(&s, "000000010000000000000009");
	     i++) {
		struct timespec ts = { 0, 5000000 };

		(void)nanosleep(&ts, NULL);
	}
	assert_true(in_spool(&s, "000000010000000000000007"));
	assert_true(in_spool(&s, "000000010000000000000009"));
	assert_false(in_spool(&s, "00000001000000000000000A"));
	assert_false(in_spool(&s, "000000010000000000000002"));
	/* Recovery begins anew, elsewhere: the window follows. */
	wal_spool_set_position(&s, "000000010000000000000009");
	for (i = 0; i < 2000 && !in_spool(&s, "00000001000000000000000C");
	     i++) {
		struct timespec ts = { 0, 5000000 };

		(void)nanosleep(&ts, NULL);
	}
	assert_true(in_spool(&s, "00000001000000000000000C"));
	assert_false(in_spool(&s, "000000010000000000000007"));
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	wal_spool_free(&s);
	made_free(&w);
}

static void
a_look_ahead_that_nobody_uses_ends_and_clears_up(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 6);
	struct wal_spool s;

	open_spool(p, &s);
	run_prefetch(p, &s, "000000010000000000000005", 2 * (uint64_t)MB, 200);
	assert_false(in_spool(&s, "000000010000000000000006"));
	wal_spool_free(&s);
	made_free(&w);
}

static void
a_damaged_segment_ends_the_look_ahead_without_a_file(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 2);
	struct wal_spool s;
	struct keys k;

	place_keys(p, "000000010000000000000006", &k);
	flip_byte(p, k.key[0], 3000);
	open_spool(p, &s);
	run_prefetch(p, &s, "000000010000000000000005", 2 * (uint64_t)MB,
	    10000);
	assert_false(in_spool(&s, "000000010000000000000006"));
	wal_spool_free(&s);
	made_free(&w);
}

static void
two_data_directories_have_spools_of_their_own(void **state)
{
	struct place *p = *state;
	char other[128];
	struct wal_spool a, b;

	(void)snprintf(other, sizeof(other), "%s/other", p->dir);
	assert_int_equal(mkdir(other, 0700), 0);
	open_spool(p, &a);
	OK(wal_spool_open(&b, p->state, p->repo, &p->inc, other, &err));
	assert_string_not_equal(a.dir, b.dir);
	assert_null(strstr(a.dir, "pg_wal")); /* TRAPS T23 */
	wal_spool_free(&a);
	wal_spool_free(&b);
}

static void
files_of_another_boot_are_swept_away(void **state)
{
	struct place *p = *state;
	char other[256];
	struct wal_spool s;

	open_spool(p, &s);
	(void)snprintf(other, sizeof(other), "%s/old-boot", s.parent);
	assert_int_equal(mkdir(other, 0700), 0);
	wal_spool_sweep(&s);
	assert_int_not_equal(access(other, F_OK), 0);
	assert_int_equal(access(s.dir, F_OK), 0);
	wal_spool_free(&s);
}

static void
without_a_state_directory_segments_still_come(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 2);
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .name = "000000010000000000000005",
		.dest = "pg_wal/RECOVERYXLOG", .prefetch = 2 * (uint64_t)MB,
		.state_directory = "/proc/no/such" };

	OK(wal_get(&params, &err));
	assert_delivered(p, w.bytes, p->segment_size);
	made_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T16(the_following_segments_wait_in_the_spool_and_are_taken_from_it),
		T(a_stale_spool_file_is_never_delivered),
		T(the_look_ahead_keeps_to_its_window_and_removes_the_rest),
		T(a_look_ahead_that_nobody_uses_ends_and_clears_up),
		T(a_damaged_segment_ends_the_look_ahead_without_a_file),
		T(two_data_directories_have_spools_of_their_own),
		T(files_of_another_boot_are_swept_away),
		T(without_a_state_directory_segments_still_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
