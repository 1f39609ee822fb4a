/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <signal.h>
#include <sys/wait.h>

#include "fixture_wal.h"

#define SEG "000000010000000000000005"

static void
salvage(const struct place *p, const char *dir,
    struct wal_salvage_result *out)
{
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.path = dir, .compress_level = 1, .jobs = 2,
		.header_check = true };

	OK(wal_push_all(&params, out, &err));
}

/*
 * Segments 5 and 6 full, 7 begun, 8 recycled from an old use, one of them
 * archived before, a history. *end: of valid WAL.
 */
static void
make_dead_server(const struct place *p, uint64_t *end)
{
	struct made_wal w = made_new(p->segment_size, 1, 5, 3);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192];

	(void)made_commit(&w, 700, 5000000);
	made_fill(&w, 2 * p->segment_size + 300000);
	(void)made_commit(&w, 701, 6000000);
	*end = (made_lsn(&w) + 7) & ~UINT64_C(7);
	place_segment(p, &w, 5, name);
	place_push(p, name);
	place_segment(p, &w, 6, name);
	place_segment(p, &w, 7, name);
	place_wal_path(p, "000000010000000000000008", path);
	place_write(path, w.bytes, p->segment_size);
	place_wal_path(p, "00000001.history", path);
	place_write(path, "", 0);
	place_wal_path(p, "xlogtemp.77", path);
	place_write(path, "x", 1);
	made_free(&w);
}

static void
salvage_stores_what_is_left_and_the_last_segment_as_partial(void **state)
{
	struct place *p = *state;
	struct wal_salvage_result r;
	uint64_t end;
	struct keys k;

	make_dead_server(p, &end);
	salvage(p, p->pgdata, &r);
	assert_int_equal(r.pushed, 3); /* history, 6, 7.partial */
	assert_int_equal(r.already, 1);
	assert_int_equal(r.skipped, 1);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.timeline, 1);
	assert_int_equal(r.reached, end);
	assert_int_equal(r.last_commit_time, 6000000);
	place_keys(p, "000000010000000000000007", &k);
	assert_int_equal(k.n, 1);
	assert_non_null(strstr(k.key[0], ".partial-"));
	salvage(p, p->pgdata, &r); /* again: nothing to do */
	assert_int_equal(r.pushed, 0);
	assert_int_equal(r.already, 4);
}

static void
salvage_works_when_pg_wal_is_all_that_is_left(void **state)
{
	struct place *p = *state;
	struct wal_salvage_result r;
	char from[192], to[192];
	uint64_t end;

	make_dead_server(p, &end);
	(void)snprintf(from, sizeof(from), "%s/pg_wal", p->pgdata);
	(void)snprintf(to, sizeof(to), "%s/wal_disk", p->dir);
	assert_int_equal(rename(from, to), 0);
	salvage(p, to, &r);
	assert_int_equal(r.pushed, 3);
	assert_int_equal(r.reached, end);
	assert_int_equal(rename(to, from), 0);
}

static void
salvage_refuses_a_running_server_and_not_a_stale_pid_file(void **state)
{
	struct place *p = *state;
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.path = p->pgdata, .compress_level = 1, .jobs = 1,
		.header_check = true };
	struct wal_salvage_result r;
	char path[192], text[32];
	uint64_t end;
	int status;
	pid_t pid;

	make_dead_server(p, &end);
	pid = fork();
	if (pid == 0) {
		if (chdir(p->pgdata) == 0)
			(void)pause();
		_exit(0);
	}
	(void)snprintf(path, sizeof(path), "%s/postmaster.pid", p->pgdata);
	(void)snprintf(text, sizeof(text), "%ld\n", (long)pid);
	place_write(path, text, strlen(text));
	/* Until it is in its directory it is some other process. */
	for (;;) {
		char link[64], cwd[256];
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/%ld/cwd", (long)pid);
		n = readlink(link, cwd, sizeof(cwd) - 1);
		assert_true(n > 0);
		cwd[n] = '\0';
		if (strcmp(cwd, p->pgdata) == 0)
			break;
	}
	FAILS(wal_push_all(&params, &r, &err), ERR_REFUSED);
	SAYS("running");
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	OK(wal_push_all(&params, &r, &err));
	assert_int_equal(r.pushed, 3);
}

static void
salvage_goes_on_after_a_conflict_and_counts_it(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);
	struct wal_salvage_result r;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t end;

	made_fill(&w, p->segment_size);
	w.bytes[600000] ^= 1;
	place_segment(p, &w, 5, name);
	make_dead_server(p, &end); /* pushes its own 5 and leaves it */
	place_segment(p, &w, 5, name);
	salvage(p, p->pgdata, &r);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.pushed, 3);
	made_free(&w);
}

/* Write a file that no reader takes for WAL. */
static void
place_encrypted(const struct place *p, const char *name, int byte)
{
	uint8_t *bytes = xmalloc(p->segment_size);
	char path[192];

	memset(bytes, byte, p->segment_size);
	place_wal_path(p, name, path);
	place_write(path, bytes, p->segment_size);
	free(bytes);
}

static bool
is_stored(const struct place *p, const char *segment, const char *rest)
{
	struct keys k;

	place_keys(p, segment, &k);
	return k.n == 1 &&
	    strncmp(strstr(k.key[0], segment) + WAL_SEGMENT_NAME_LEN, rest,
		strlen(rest)) == 0;
}

/* Nothing in an encrypted segment tells whether it is from an old use. */
static void
salvage_without_header_check_goes_by_the_servers_notes(void **state)
{
	static const char six[] = "000000010000000000000006";
	static const char seven[] = "000000010000000000000007";
	struct place *p = *state;
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.path = p->pgdata, .compress_level = 1, .jobs = 1,
		.header_check = false };
	const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	struct wal_salvage_result r;
	char path[192];

	place_encrypted(p, SEG, 0x51);
	place_encrypted(p, six, 0x52);
	place_encrypted(p, seven, 0x53);
	OK(wal_push_all(&params, &r, &err));
	assert_int_equal(r.pushed, 0); /* nothing is known of any */
	assert_int_equal(r.skipped, 3);
	place_wal_path(p, "archive_status", path);
	assert_int_equal(mkdir(path, 0700), 0);
	place_wal_path(p, "archive_status/" SEG ".ready", path);
	place_write(path, "", 0);
	/* The one that was renamed for later use was written last. */
	place_wal_path(p, six, path);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	OK(wal_push_all(&params, &r, &err));
	assert_int_equal(r.pushed, 1);
	assert_int_equal(r.skipped, 2);
	assert_true(is_stored(p, SEG, "-"));
	/* It is from an old use, and the one after the noted one is new. */
	place_encrypted(p, six, 0x54);
	place_wal_path(p, seven, path);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	OK(wal_push_all(&params, &r, &err));
	assert_int_equal(r.pushed, 1);
	assert_int_equal(r.already, 1);
	assert_int_equal(r.skipped, 1);
	assert_true(is_stored(p, six, ".partial-"));
	assert_false(is_stored(p, seven, ""));
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(salvage_stores_what_is_left_and_the_last_segment_as_partial),
		T(salvage_works_when_pg_wal_is_all_that_is_left),
		T(salvage_refuses_a_running_server_and_not_a_stale_pid_file),
		T(salvage_goes_on_after_a_conflict_and_counts_it),
		T(salvage_without_header_check_goes_by_the_servers_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
