/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "fixture_push.h"

/*
 * In place of libc's, so that another pusher can come at the one moment that
 * matters, and so that what is made durable can be seen.
 */
static struct {
	const char *name; /* part of the name that is waited for */
	void (*run)(void *arg);
	void *arg;
} before_link;

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	void (*run)(void *) = before_link.run;

	if (run != NULL && strstr(to, before_link.name) != NULL) {
		before_link.run = NULL;
		run(before_link.arg);
	}
	return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

static struct {
	char path[64][512];
	size_t n;
} synced;

int
fsync(int fd)
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (synced.n < 64) {
		n = readlink(link, synced.path[synced.n], 511);
		if (n >= 0)
			synced.path[synced.n++][n] = '\0';
	}
	return (int)syscall(SYS_fsync, fd);
}

/* How often was this path of the repository fsynced? */
static unsigned
count_synced(const struct place *p, const char *tail)
{
	char path[700];
	unsigned count = 0;
	size_t i;

	(void)snprintf(path, sizeof(path), "%s/repo%s", p->dir, tail);
	assert_true(synced.n < 64);
	for (i = 0; i < synced.n; i++)
		count += strcmp(synced.path[i], path) == 0;
	return count;
}

static void
a_pushed_segment_reads_back_as_it_was(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;

	place_segment(p, &w, 5, name);
	assert_string_equal(name, SEG);
	OK(place_try_push(p, name, &r));
	assert_false(r.already);
	assert_int_equal(r.original_bytes, p->segment_size);
	assert_true(r.stored_bytes > 0);
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

static void
the_stored_summary_tells_commits_and_the_tag_tells_the_place(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct format_wal_tag tag;
	struct wal_summary sum;
	struct wal_stored ws;
	struct wal_file f;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	OK(wal_file_parse(name, &f, &err));
	OK(wal_store_pick(p->repo, &p->inc, &f, &ws, &err));
	OK(wal_store_describe(p->repo, &p->inc, &ws, &tag, &sum, &err));
	assert_int_equal(tag.lsn, made_start(&w));
	assert_int_equal(tag.length, p->segment_size);
	assert_int_equal(tag.segment_size, p->segment_size);
	assert_true(sum.parsed);
	assert_int_equal(sum.commits, 1);
	assert_int_equal(sum.max_commit_time, 5000000);
	assert_int_equal(sum.max_xid, 700);
	made_free(&w);
}

static void
the_same_content_twice_is_success_and_is_stored_once(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	struct keys k;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	OK(place_try_push(p, name, &r));
	assert_true(r.already);
	place_keys(p, name, &k);
	assert_int_equal(k.n, 1);
	made_free(&w);
}

static void
another_content_is_refused_and_the_message_compares_both(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	struct keys k;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	w.bytes[500000] ^= 1;
	place_segment(p, &w, 5, name);
	FAILS(place_try_push(p, name, &r), ERR_EXISTS);
	SAYS("another content");
	SAYS("offset 500000");
	SAYS("0/57A120"); /* 5 MB and 500000 */
	SAYS("timeline 1");
	SAYS("7312345678901234567");
	SAYS("archived 20");
	SAYS("cloned copy");
	assert_non_null(strstr(err.hint, "archive_mode"));
	place_keys(p, name, &k);
	assert_int_equal(k.n, 1); /* the first one is untouched */
	w.bytes[500000] ^= 1;
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

/* TRAPS T15: only what follows the last record differs. */
static void
a_difference_in_the_unused_rest_is_told_apart(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;

	(void)made_commit(&w, 700, 5000000);
	(void)made_switch(&w);
	place_segment(p, &w, 5, name);
	place_push(p, name);
	w.bytes[900001] = 77;
	place_segment(p, &w, 5, name);
	FAILS(place_try_push(p, name, &r), ERR_EXISTS);
	SAYS("archive_mode = always");
	made_free(&w);
}

static void
a_second_history_of_a_timeline_is_refused(void **state)
{
	struct place *p = *state;
	struct wal_push_result r;
	char path[192];

	place_push_text(p, "00000002.history", "1\t0/5000000\tone\n");
	place_wal_path(p, "00000002.history", path);
	place_write(path, "1\t0/6000000\ttwo\n", 16);
	FAILS(place_try_push(p, "00000002.history", &r), ERR_EXISTS);
	SAYS("promoted");
}

static void
history_backup_and_empty_files_are_accepted(void **state)
{
	struct place *p = *state;

	place_push_text(p, "00000003.history", ""); /* TRAPS T27 */
	place_push_text(p, SEG ".00000028.backup", "START WAL LOCATION\n");
	place_push_text(p, "0000000A.history", "1\t0/5000000\tx\n"); /* T26 */
	assert_stored(p, SEG ".00000028.backup",
	    (const uint8_t *)"START WAL LOCATION\n", 19);
	assert_stored(p, "00000003.history", (const uint8_t *)"", 0);
}

/*
 * A cluster was promoted twice while its archiving was off: the server hands
 * over segments of timeline 3 only, and without the histories "latest" and
 * timeline 3 could never be recovered to.
 */
static void
histories_that_were_never_archived_go_with_the_first_segment(void **state)
{
	static const char two[] = "1\t0/300000\tx\n";
	static const char three[] = "1\t0/300000\tx\n2\t0/480000\ty\n";
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 3, 5, 1);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192];
	struct wal_push_result r;

	made_fill(&w, p->segment_size);
	place_segment(p, &w, 5, name);
	place_wal_path(p, "00000002.history", path);
	place_write(path, (const uint8_t *)two, strlen(two));
	place_wal_path(p, "00000003.history", path);
	place_write(path, (const uint8_t *)three, strlen(three));
	OK(place_try_push(p, name, &r));
	assert_stored(p, "00000002.history", (const uint8_t *)two,
	    strlen(two));
	assert_stored(p, "00000003.history", (const uint8_t *)three,
	    strlen(three));
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

static void
other_names_are_refused_and_the_hint_lists_the_right_ones(void **state)
{
	struct place *p = *state;
	static const char *const names[] = { SEG ".tmp", "xlogtemp.123",
		"00000001000000000000000g", "archive_status", SEG ".gz" };
	struct wal_push_result r;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FAILS(place_try_push(p, names[i], &r), ERR_USAGE);
		assert_non_null(strstr(err.hint, ".history"));
	}
}

static void
a_cut_segment_is_refused(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192];
	struct wal_push_result r;

	place_segment(p, &w, 5, name);
	place_wal_path(p, name, path);
	assert_int_equal(truncate(path, 8192), 0);
	FAILS(place_try_push(p, name, &r), ERR_REFUSED);
	SAYS("8192 bytes");
	made_free(&w);
}

/* Write what is in w under the name of segment 5 and try to push it. */
static void
assert_header_refused(struct place *p, struct made_wal *w, const char *says)
{
	char path[192];
	struct wal_push_result r;
	struct keys k;

	place_wal_path(p, SEG, path);
	place_write(path, w->bytes, p->segment_size);
	err_clear(&err);
	if (place_try_push(p, SEG, &r) == 0)
		fail_msg("pushed, though: %s", says);
	SAYS(says);
	place_keys(p, SEG, &k);
	assert_int_equal(k.n, 0);
}

static void
a_segment_that_is_not_what_its_name_says_is_refused(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);

	assert_header_refused(p, &w, "begins at 0/600000");
	made_free(&w);
	w = made_new(p->segment_size, 2, 5, 1);
	assert_header_refused(p, &w, "timeline 2");
	made_free(&w);
	w = one_segment(p);
	put_le64(w.bytes + 24, SYSTEM + 1);
	assert_header_refused(p, &w, "of system 7312345678901234568");
	put_le64(w.bytes + 24, SYSTEM);
	put_le32(w.bytes + 32, 2 * MB);
	assert_header_refused(p, &w, "segment");
	put_le32(w.bytes + 32, MB);
	put_le16(w.bytes, 0xd113);
	assert_header_refused(p, &w, "PostgreSQL 16");
	memset(w.bytes, 0, 100);
	assert_header_refused(p, &w, "no WAL segment header");
	made_free(&w);
}

/* TRAPS T18: WAL that the server encrypts has no header to look at. */
static void
without_the_header_check_the_control_file_decides(void **state)
{
	struct place *p = *state;
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .path = "pg_wal/" SEG,
		.compress_level = 1, .jobs = 2, .header_check = false };
	uint8_t *bytes = xmalloc(p->segment_size);
	struct wal_push_result r;
	char path[192];

	memset(bytes, 0xa5, p->segment_size);
	place_wal_path(p, SEG, path);
	place_write(path, bytes, p->segment_size);
	OK(wal_push(&params, &r, &err));
	assert_stored(p, SEG, bytes, p->segment_size);
	free(bytes);
}

static void
a_first_segment_of_a_timeline_begins_with_its_parents_pages(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);
	char path[192];

	made_fill(&w, 100000);
	w.timeline = 2;
	made_fill(&w, p->segment_size);
	place_wal_path(p, "000000020000000000000005", path);
	place_write(path, w.bytes, p->segment_size);
	place_push(p, "000000020000000000000005");
	made_free(&w);
}

static void
an_object_that_was_cut_is_superseded_by_a_next_generation(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[700];
	struct wal_push_result r;
	struct keys k;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	place_keys(p, name, &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(truncate(path, 1000), 0);
	OK(place_try_push(p, name, &r));
	assert_false(r.already);
	place_keys(p, name, &k);
	assert_int_equal(k.n, 2);
	assert_stored(p, name, w.bytes, p->segment_size);
	OK(place_try_push(p, name, &r));
	assert_true(r.already);
	made_free(&w);
}

/* PostgreSQL removes the file after a 0: a name and a size are no proof. */
static void
a_flipped_byte_in_what_is_stored_is_noticed_and_mended(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	struct keys k;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	place_keys(p, name, &k);
	flip_byte(p, k.key[0], 3000);
	OK(place_try_push(p, name, &r));
	assert_false(r.already);
	place_keys(p, name, &k);
	assert_int_equal(k.n, 2);
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

static void
an_empty_object_of_a_crashed_store_does_not_jam_the_archive(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[700];
	struct keys k;

	place_segment(p, &w, 5, name);
	place_push(p, name);
	place_keys(p, name, &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(truncate(path, 0), 0);
	place_push(p, name);
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

/* The child is killed at some point of its pushes; the parent goes on. */
static void
a_killed_push_leaves_nothing_in_the_way(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	unsigned i;

	place_segment(p, &w, 5, name);
	for (i = 0; i < 12; i++) {
		struct timespec ts = { 0, (long)i * 1500000 };
		pid_t pid = fork();
		int status;
		struct keys k;

		if (pid == 0) {
			struct repo *own;

			if (repo_clone(p->repo, &own, &err) == 0) {
				p->repo = own;
				(void)!place_try_push(p, name, &r);
			}
			_exit(0);
		}
		(void)nanosleep(&ts, NULL);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		place_keys(p, name, &k); /* absent or whole */
		if (k.n > 0)
			assert_stored(p, name, w.bytes, p->segment_size);
		place_push(p, name);
		assert_stored(p, name, w.bytes, p->segment_size);
		place_keys(p, name, &k);
		assert_int_equal(k.n, 1);
		OK(storage_remove(p->repo->st, k.key[0], &err));
	}
	made_free(&w);
}

/* TRAPS T9 */
static void
two_pushers_of_the_same_content_both_succeed(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	pid_t pid[4];
	struct keys k;
	unsigned i, round;
	int status;

	place_segment(p, &w, 5, name);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 4; i++) {
			pid[i] = fork();
			if (pid[i] == 0) {
				struct repo *own;

				if (repo_clone(p->repo, &own, &err) != 0)
					_exit(2);
				p->repo = own;
				_exit(place_try_push(p, name, &r) == 0 ? 0 :
									 1);
			}
		}
		for (i = 0; i < 4; i++) {
			assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
		}
		place_keys(p, name, &k);
		assert_int_equal(k.n, 1);
		OK(storage_remove(p->repo->st, k.key[0], &err));
	}
	made_free(&w);
}

/* Another pusher, with what it pushes. */
struct rival {
	const struct place *place;
	struct made_wal wal;
	bool done;
};

/* From a directory of its own, with a handle of its own. */
static void
push_as_rival(void *arg)
{
	struct rival *r = arg;
	struct wal_push_params params = { .cluster = "main",
		.pgdata = r->place->pgdata, .compress_level = 1, .jobs = 1,
		.header_check = true };
	struct wal_push_result result;
	struct err why = ERR_INIT;
	char dir[96], path[160];

	(void)snprintf(dir, sizeof(dir), "%s/rival", r->place->dir);
	(void)snprintf(path, sizeof(path), "%s/" SEG, dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	place_write(path, r->wal.bytes, r->place->segment_size);
	params.path = path;
	assert_int_equal(repo_clone(r->place->repo, &params.repo, &why), 0);
	assert_int_equal(wal_push(&params, &result, &why), 0);
	repo_close(params.repo);
	r->done = true;
}

static void
two_pushers_of_different_contents_do_not_both_succeed(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	struct rival rival = { .place = p, .wal = one_segment(p) };
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;

	rival.wal.bytes[500000] ^= 1;
	place_segment(p, &w, 5, name);
	before_link.name = SEG;
	before_link.arg = &rival;
	before_link.run = push_as_rival;
	FAILS(place_try_push(p, name, &r), ERR_EXISTS);
	assert_true(rival.done);
	SAYS("another content");
	made_free(&rival.wal);
	made_free(&w);
}

/* One that is not at the object itself yet, which is put last. */
static void
push_parts_as_rival(void *arg)
{
	struct rival *r = arg;
	struct keys k;
	size_t i;

	push_as_rival(r);
	place_keys(r->place, SEG, &k);
	assert_int_equal(k.n, 4);
	for (i = 0; i < k.n; i++)
		if (strstr(k.key[i], ".part-") == NULL)
			OK(storage_remove(r->place->repo->st, k.key[i],
			    &err));
}

static void
two_pushers_of_a_long_segment_store_its_parts_once(void **state)
{
	struct place *p;
	struct made_wal w;
	struct rival rival;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_push_result r;
	struct keys k;

	(void)place_setup_size(state, 64 * MB);
	p = *state;
	w = one_segment(p);
	rival = (struct rival){ .place = p, .wal = w };
	place_segment(p, &w, 5, name);
	before_link.name = ".part-0001";
	before_link.arg = &rival;
	before_link.run = push_parts_as_rival;
	OK(place_try_push(p, name, &r));
	assert_true(rival.done);
	place_keys(p, name, &k);
	assert_int_equal(k.n, 4);
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

/* A folder that a killed pusher made may not have a durable name yet. */
static void
an_empty_folder_is_made_durable_before_it_is_used(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 2);
	char name[WAL_SEGMENT_NAME_LEN + 1], dir[STORAGE_KEY_MAX];
	char above[STORAGE_KEY_MAX + 32], timeline[STORAGE_KEY_MAX + 32];
	char path[700];

	made_fill(&w, 2 * p->segment_size);
	repo_key(&p->inc, "wal", dir);
	(void)snprintf(above, sizeof(above), "/%.*s",
	    (int)(strrchr(dir, '/') - dir), dir);
	(void)snprintf(timeline, sizeof(timeline), "/%s/00000001", dir);
	place_key_path(p, dir, path);
	OK(io_mkdir_p(path, 0700, &err));
	place_segment(p, &w, 5, name);
	synced.n = 0;
	place_push(p, name); /* makes more in "wal" */
	assert_true(count_synced(p, above) > 0);
	/* The lowest one is there, and empty. */
	place_key_path(p, timeline + 1, path);
	OK(io_remove_tree(path, &err));
	(void)snprintf(path + strlen(path), 16, "/00000000");
	OK(io_mkdir_p(path, 0700, &err));
	repo_close(p->repo);
	(void)snprintf(path, sizeof(path), "file://%s/repo", p->dir);
	OK(repo_open(&p->repo, &(struct storage_settings){ .url = path }, &err));
	synced.n = 0;
	place_push(p, name);
	assert_true(count_synced(p, timeline) > 0);
	/* With something in it that has been done. */
	place_segment(p, &w, 6, name);
	repo_close(p->repo);
	OK(repo_open(&p->repo, &(struct storage_settings){ .url = path }, &err));
	synced.n = 0;
	place_push(p, name);
	assert_int_equal(count_synced(p, timeline), 0);
	made_free(&w);
}

/* TRAPS T14 */
static void
the_data_directory_may_be_a_link_or_come_from_the_path(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1], link[128], path[256];
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.compress_level = 1, .jobs = 1, .header_check = true };
	struct wal_push_result r;

	place_segment(p, &w, 5, name);
	(void)snprintf(link, sizeof(link), "%s/link", p->dir);
	assert_int_equal(symlink(p->pgdata, link), 0);
	(void)snprintf(path, sizeof(path), "%s/pg_wal/%s", link, name);
	params.path = path;
	OK(wal_push(&params, &r, &err));
	assert_false(r.already);
	params.pgdata = link;
	params.path = "pg_wal/" SEG;
	OK(wal_push(&params, &r, &err));
	assert_true(r.already);
	params.pgdata = NULL;
	params.path = "/nowhere/" SEG;
	FAILS(wal_push(&params, &r, &err), ERR_CONFIG);
	made_free(&w);
}

static void
a_long_segment_is_stored_in_parts_of_which_the_first_is_last(void **state)
{
	struct place *p;
	struct made_wal w;
	char name[WAL_SEGMENT_NAME_LEN + 1], path[700];
	struct wal_push_result r;
	struct keys k;

	(void)place_setup_size(state, 64 * MB);
	p = *state;
	w = one_segment(p);
	place_segment(p, &w, 5, name);
	place_push(p, name);
	place_keys(p, name, &k);
	assert_int_equal(k.n, 4);
	assert_stored(p, name, w.bytes, p->segment_size);
	OK(place_try_push(p, name, &r));
	assert_true(r.already);
	/* A part that is lost is noticed, and all is put again. */
	place_key_path(p, strstr(k.key[0], ".part-") ? k.key[0] : k.key[1],
	    path);
	assert_int_equal(truncate(path, 100), 0);
	OK(place_try_push(p, name, &r));
	assert_false(r.already);
	assert_stored(p, name, w.bytes, p->segment_size);
	made_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pushed_segment_reads_back_as_it_was),
		T16(a_pushed_segment_reads_back_as_it_was),
		T(the_stored_summary_tells_commits_and_the_tag_tells_the_place),
		T16(the_same_content_twice_is_success_and_is_stored_once),
		T(another_content_is_refused_and_the_message_compares_both),
		T(a_difference_in_the_unused_rest_is_told_apart),
		T(a_second_history_of_a_timeline_is_refused),
		T(history_backup_and_empty_files_are_accepted),
		T(histories_that_were_never_archived_go_with_the_first_segment),
		T(other_names_are_refused_and_the_hint_lists_the_right_ones),
		T(a_cut_segment_is_refused),
		T(a_segment_that_is_not_what_its_name_says_is_refused),
		T(without_the_header_check_the_control_file_decides),
		T(a_first_segment_of_a_timeline_begins_with_its_parents_pages),
		T(an_object_that_was_cut_is_superseded_by_a_next_generation),
		T(a_flipped_byte_in_what_is_stored_is_noticed_and_mended),
		T16(a_flipped_byte_in_what_is_stored_is_noticed_and_mended),
		T(an_empty_object_of_a_crashed_store_does_not_jam_the_archive),
		T16(a_killed_push_leaves_nothing_in_the_way),
		T16(two_pushers_of_the_same_content_both_succeed),
		T(two_pushers_of_different_contents_do_not_both_succeed),
		cmocka_unit_test_teardown(
		    two_pushers_of_a_long_segment_store_its_parts_once,
		    place_teardown),
		T(an_empty_folder_is_made_durable_before_it_is_used),
		T(the_data_directory_may_be_a_link_or_come_from_the_path),
		cmocka_unit_test_teardown(
		    a_long_segment_is_stored_in_parts_of_which_the_first_is_last,
		    place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
