/* SPDX-License-Identifier: PostgreSQL */
/* What the posix storage does besides (the contract is in test_storage.c). */
#include "config.h"

#include "place.h"

static unsigned
files_in_tmp(const struct place *p)
{
	char *path = xasprintf("%s/tmp", p->root);
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	free(path);
	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static void
files_are_private_and_temporary_ones_go(void **state)
{
	struct place *p = *state;
	struct storage_put *put;
	char *file = xasprintf("%s/d/k", p->root);
	char *dir = xasprintf("%s/d", p->root);
	struct stat st;

	OK(storage_put(p->st, "d/k", "x", 1, &err));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(files_in_tmp(p), 0);
	FAILS(storage_put(p->st, "d/k", "x", 1, &err), ERR_EXISTS);
	OK(storage_put_begin(p->st, "d/k2", &put, &err));
	assert_int_equal(files_in_tmp(p), 1);
	storage_put_abort(put);
	assert_int_equal(files_in_tmp(p), 0);
	free(dir);
	free(file);
}

static void
a_failed_write_leaves_neither_object_nor_temporary_file(void **state)
{
	struct place *p = *state;
	struct rlimit old, small;
	uint8_t *data = noise(300000);
	uint64_t size;
	int rc;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 100000, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = storage_put(p->st, "d/k", data, 300000, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_STORAGE);
	assert_string_not_equal(err.hint, "");
	FAILS(storage_stat(p->st, "d/k", &size, NULL, &err), ERR_NOT_FOUND);
	assert_int_equal(files_in_tmp(p), 0);
	OK(storage_put(p->st, "d/k", data, 300000, &err));
	free(data);
}

static void
a_full_disk_is_told_and_leaves_nothing(void **state)
{
	struct place *p = *state;
	uint8_t *data = noise(3000000);
	uint64_t size;
	struct storage *full;
	char *mount_at = xasprintf("%s/full", p->dir);
	char *url = xasprintf("file://%s", mount_at);
	struct place other = { .root = mount_at };
	bool mounted;

	assert_int_equal(mkdir(mount_at, 0700), 0);
	mounted = mount("none", mount_at, "tmpfs", 0, "size=1m") == 0;
	if (mounted) {
		OK(storage_open(&full, &(struct storage_settings){ .url = url }, &err));
		OK(storage_put(full, "d/small", data, 1000, &err));
		assert_int_equal(storage_put(full, "d/k", data, 3000000,
		    &err), -1);
		assert_int_equal(err.code, ERR_STORAGE);
		assert_non_null(strstr(err.hint, "free space"));
		FAILS(storage_stat(full, "d/k", &size, NULL, &err),
		    ERR_NOT_FOUND);
		assert_int_equal(files_in_tmp(&other), 0);
		OK(storage_put(full, "d/k", data, 500000, &err));
		/* The disk goes away under an open handle. */
		assert_int_equal(umount2(mount_at, MNT_DETACH), 0);
		FAILS(storage_put(full, "d/k2", data, 10, &err), ERR_STORAGE);
		FAILS(storage_stat(full, "d/k", &size, NULL, &err),
		    ERR_STORAGE);
		FAILS(storage_probe_root(full, &err), ERR_NOT_FOUND);
		storage_close(full);
		assert_int_equal(rmdir(mount_at), 0);
	}
	free(url);
	free(mount_at);
	free(data);
	if (!mounted)
		skip();
}

static void
a_missing_root_is_never_taken_for_a_missing_object(void **state)
{
	struct place *p = *state;
	struct listing l = { "", 0 };
	char *moved = xasprintf("%s/moved", p->dir);
	struct storage *fresh;
	uint64_t size;

	OK(storage_put(p->st, "d/k", "x", 1, &err));
	assert_int_equal(rename(p->root, moved), 0);
	FAILS(storage_stat(p->st, "d/none", &size, NULL, &err), ERR_STORAGE);
	FAILS(storage_put(p->st, "d/k2", "x", 1, &err), ERR_STORAGE);
	FAILS(storage_list(p->st, "", true, note, &l, &err), ERR_STORAGE);
	FAILS(storage_probe_root(p->st, &err), ERR_NOT_FOUND);
	OK(storage_open(&fresh, &(struct storage_settings){ .url = storage_url(p->st) }, &err));
	assert_int_equal(storage_stat(fresh, "d/k", &size, NULL, &err), -1);
	assert_int_equal(err.code, ERR_STORAGE);
	assert_non_null(strstr(err.hint, "mounted"));
	/* Another directory in its place is not the store that was opened. */
	assert_int_equal(mkdir(p->root, 0700), 0);
	FAILS(storage_put(p->st, "d/k2", "x", 1, &err), ERR_STORAGE);
	FAILS(storage_stat(p->st, "d/k", &size, NULL, &err), ERR_STORAGE);
	assert_int_equal(rmdir(p->root), 0);
	assert_int_equal(rename(moved, p->root), 0);
	OK(storage_put(p->st, "d/k2", "x", 1, &err));
	OK(storage_stat(fresh, "d/k2", &size, NULL, &err));
	storage_close(fresh);
	free(moved);
}

static void
a_directory_that_another_process_removed_is_made_again(void **state)
{
	struct place *p = *state;
	struct storage *other;

	OK(storage_clone(p->st, &other, &err));
	OK(storage_put(p->st, "a/b/c/1", "x", 1, &err));
	OK(storage_remove(other, "a/b/c/1", &err));
	expect(other, "", true, "");
	OK(storage_put(p->st, "a/b/c/2", "x", 1, &err));
	expect(other, "", false, "a/b/c/2=1 ");
	storage_close(other);
}

static int
count_entry(void *arg, const struct storage_entry *entry, struct err *e)
{
	(void)entry;
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

static void
what_was_moved_behind_a_link_is_still_listed(void **state)
{
	const struct place *p = *state;
	char *dir = xasprintf("%s/wal/1", p->root);
	char *moved = xasprintf("%s/elsewhere", p->dir);
	unsigned n = 0;

	OK(storage_put(p->st, "wal/1/a", "x", 1, &err));
	assert_int_equal(rename(dir, moved), 0);
	assert_int_equal(symlink(moved, dir), 0);
	OK(storage_list(p->st, "wal/", false, count_entry, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(symlink("/nonexistent/disk", dir), 0);
	FAILS(storage_list(p->st, "wal/", false, count_entry, &n, &err),
	    ERR_STORAGE);
	free(dir);
	free(moved);
}

static void
make_old(const char *path, time_t seconds)
{
	struct timespec times[2];

	(void)clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
old_unfinished_files_are_swept_away(void **state)
{
	static const uint64_t day = UINT64_C(86400) * 1000000;
	const struct place *p = *state;
	char *dead = xasprintf("%s/tmp/1-dead", p->root);
	char *young = xasprintf("%s/tmp/1-young", p->root);
	char *object = xasprintf("%s/old", p->root);
	struct storage_put *put;
	uint64_t removed;

	OK(storage_put(p->st, "old", "x", 1, &err));
	make_old(object, 10 * 86400);
	OK(io_write_file_durable(dead, "half", 4, 0600, &err));
	make_old(dead, 86400 + 60);
	OK(io_write_file_durable(young, "half", 4, 0600, &err));
	make_old(young, 86400 - 60);
	OK(storage_put_begin(p->st, "new", &put, &err));
	OK(storage_put_append(put, "abc", 3, &err));
	OK(storage_sweep(p->st, day, &removed, &err));
	assert_int_equal(removed, 1);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(young, F_OK), 0);
	assert_int_equal(access(object, F_OK), 0);
	OK(storage_put_finish(put, &err));
	OK(storage_sweep(p->st, day, NULL, &err));
	assert_int_equal(unlink(young), 0);
	*strrchr(young, '/') = '\0';
	assert_int_equal(rmdir(young), 0);
	OK(storage_sweep(p->st, day, &removed, &err)); /* no tmp yet */
	assert_int_equal(removed, 0);
	free(dead);
	free(young);
	free(object);
}

static void
what_is_no_object_is_not_listed(void **state)
{
	static const char *const names[] = { "lost+found", "tmp/123-abc",
		".nfs0001", "d/.hidden" };
	struct place *p = *state;
	char *path;
	size_t i;

	OK(storage_put(p->st, "d/k", "x", 1, &err));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path = xasprintf("%s/%s", p->root, names[i]);
		if (io_write_file_durable(path, "x", 1, 0600, &err) != 0)
			fail_msg("%s", err.msg);
		free(path);
	}
	path = xasprintf("%s/d/link", p->root);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	free(path);
	expect(p->st, "", false, "d/k=1 ");
	expect(p->st, "", true, "d/ ");
}

static void
an_address_that_makes_no_sense_is_told(void **state)
{
	static const char *const bad[] = { "", "/srv/repo", "file://",
		"file:///", "file://host/path", "file:/srv", "s4://bucket" };
	struct storage *st;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(storage_open(&st, &(struct storage_settings){ .url = bad[i] }, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_string_not_equal(err.hint, "");
	}
	OK(storage_open(&st, &(struct storage_settings){ .url = "file:///srv/repo//" }, &err));
	assert_string_equal(storage_url(st), "file:///srv/repo");
	storage_close(st);
}

static void
without_permission_the_owner_is_named(void **state)
{
	struct place *p = *state;
	pid_t rc;

	if (geteuid() != 0)
		skip();
	OK(storage_put(p->st, "d/k", "x", 1, &err));
	rc = seteuid(65534);
	assert_int_equal(rc, 0);
	rc = storage_put(p->st, "d/k2", "x", 1, &err);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_STORAGE);
	assert_non_null(strstr(err.hint, "owner"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup_posix, files_are_private_and_temporary_ones_go),
		TEST(setup_posix,
		    a_failed_write_leaves_neither_object_nor_temporary_file),
		TEST(setup_posix, a_full_disk_is_told_and_leaves_nothing),
		TEST(setup_posix,
		    a_missing_root_is_never_taken_for_a_missing_object),
		TEST(setup_posix,
		    a_directory_that_another_process_removed_is_made_again),
		TEST(setup_posix, what_is_no_object_is_not_listed),
		TEST(setup_posix, old_unfinished_files_are_swept_away),
		TEST(setup_posix, what_was_moved_behind_a_link_is_still_listed),
		TEST(setup_posix, an_address_that_makes_no_sense_is_told),
		TEST(setup_posix, without_permission_the_owner_is_named),
	};

	return cmocka_run_group_tests_name("posix only", tests, NULL, NULL);
}
