/* SPDX-License-Identifier: PostgreSQL */
/* What every storage must do: one suite, run over each of them. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "storage/storage_ops.h"
#include "stores.h"

static struct err err; /* of the call at hand */

struct place {
	struct storage *st;
	char *dir; /* posix: the directory the root is made in */
	char *root;
};

static int
setup_mem(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->st = storage_mem_new();
	*state = p;
	return 0;
}

static int
setup_fault(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->st = storage_fault_new(storage_mem_new());
	*state = p;
	return 0;
}

static int
setup_posix(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	char *url;

	p->dir = xasprintf("%s/dapk-storage-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(p->dir) == NULL)
		return -1;
	p->root = xasprintf("%s/repo", p->dir);
	url = xasprintf("file://%s/", p->root);
	if (storage_open(&p->st, &(struct storage_settings){ .url = url }, &err) != 0 ||
	    storage_create(p->st, &err) != 0)
		return -1;
	free(url);
	*state = p;
	return 0;
}

/* A real server (stores.h); each test has a folder of its own there. */
static int
setup_server(void **state, const char *scheme)
{
	static unsigned number;
	struct place *p = xcalloc(1, sizeof(*p));
	struct storage_settings set;
	char *url = xasprintf("%s/contract-%ld-%lld-%u",
	    stores_env(scheme, &set), (long)getpid(), (long long)time_now(),
	    number++);
	int rc;

	err_clear(&err);
	set.url = url;
	rc = storage_open(&p->st, &set, &err);
	if (rc == 0)
		rc = storage_create(p->st, &err);
	if (rc != 0)
		print_error("%s: %s (%s)\n", url, err.msg, err.hint);
	free(url);
	*state = p;
	return rc;
}

static int
setup_s3(void **state)
{
	return setup_server(state, "s3");
}

static int
setup_sftp(void **state)
{
	return setup_server(state, "sftp");
}

static int
teardown(void **state)
{
	struct place *p = *state;
	int rc = 0;

	storage_close(p->st);
	if (p->dir != NULL)
		rc = io_remove_tree(p->dir, &err);
	free(p->root);
	free(p->dir);
	free(p);
	return rc;
}

#define OK(call)                                                              \
	do {                                                                  \
		err_clear(&err);                                              \
		if ((call) != 0)                                              \
			fail_msg("%s: %s (%s)", #call, err.msg, err.hint);    \
	} while (0)

#define FAILS(call, wanted)                                                   \
	do {                                                                  \
		err_clear(&err);                                              \
		if ((call) == 0)                                              \
			fail_msg("%s succeeded", #call);                      \
		if (err.code != (wanted))                                     \
			fail_msg("%s: %s: %s", #call,                         \
			    err_code_name(err.code), err.msg);                \
	} while (0)

static struct storage *
st_of(void **state)
{
	return ((struct place *)*state)->st;
}

static uint8_t *
noise(size_t len)
{
	uint8_t *p = xmalloc(len);
	size_t i;
	uint32_t x = 1;

	for (i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

static void
what_was_put_comes_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 5000000 };
	struct storage *st = st_of(state);
	uint8_t *data = noise(5000000);
	uint64_t size;
	int64_t mtime;
	struct buf b;
	char key[64];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(key, sizeof(key), "a/b/key-%zu.zst", i);
		OK(storage_put(st, key, data, sizes[i], &err));
		OK(storage_stat(st, key, &size, &mtime, &err));
		assert_int_equal(size, sizes[i]);
		assert_true(mtime > time_now() - 60000000 &&
		    mtime < time_now() + 60000000);
		buf_init(&b, 5000000);
		OK(storage_get_all(st, key, &b, &err));
		assert_int_equal(b.len, sizes[i]);
		assert_memory_equal(b.data, data, sizes[i]);
		buf_free(&b);
	}
	free(data);
}

static void
ranges_are_exact_and_past_the_end_is_damage(void **state)
{
	struct storage *st = st_of(state);
	char got[10];

	OK(storage_put(st, "k", "0123456789", 10, &err));
	OK(storage_get(st, "k", 3, 4, got, &err));
	assert_memory_equal(got, "3456", 4);
	OK(storage_get(st, "k", 10, 0, got, &err));
	FAILS(storage_get(st, "k", 8, 3, got, &err), ERR_DAMAGED);
	FAILS(storage_get(st, "k", 100, 1, got, &err), ERR_DAMAGED);
}

static void
what_is_missing_is_not_found(void **state)
{
	struct storage *st = st_of(state);
	uint64_t size;
	struct buf b;
	char c;

	OK(storage_put(st, "dir/file", "x", 1, &err));
	buf_init(&b, 10);
	FAILS(storage_get(st, "none", 0, 1, &c, &err), ERR_NOT_FOUND);
	FAILS(storage_get_all(st, "dir/none", &b, &err), ERR_NOT_FOUND);
	FAILS(storage_stat(st, "no/such/dir", &size, NULL, &err),
	    ERR_NOT_FOUND);
	/* A "directory" is no object, nor is anything below one. */
	FAILS(storage_stat(st, "dir", &size, NULL, &err), ERR_NOT_FOUND);
	FAILS(storage_get(st, "dir", 0, 1, &c, &err), ERR_NOT_FOUND);
	FAILS(storage_stat(st, "dir/file/x", &size, NULL, &err),
	    ERR_NOT_FOUND);
	assert_int_equal(storage_get(st, "some/key", 0, 1, &c, &err), -1);
	assert_non_null(strstr(err.msg, "some/key"));
	assert_non_null(strstr(err.msg, storage_url(st)));
	buf_free(&b);
}

static void
a_taken_name_is_refused_and_untouched(void **state)
{
	struct storage *st = st_of(state);
	struct storage_put *put;
	char got[3];

	OK(storage_put(st, "d/k", "one", 3, &err));
	FAILS(storage_put(st, "d/k", "two", 3, &err), ERR_EXISTS);
	FAILS(storage_put(st, "d/k", "one", 3, &err), ERR_EXISTS);
	OK(storage_put_begin(st, "d/k", &put, &err));
	OK(storage_put_append(put, "three", 5, &err));
	FAILS(storage_put_finish(put, &err), ERR_EXISTS);
	OK(storage_get(st, "d/k", 0, 3, got, &err));
	assert_memory_equal(got, "one", 3);
	OK(storage_settle(st, "d/k", &err));
}

static void
pieces_make_one_object_and_nothing_shows_before(void **state)
{
	struct storage *st = st_of(state);
	uint8_t *data = noise(3000000);
	struct storage_put *put;
	uint64_t size;
	struct buf b;
	size_t done, step;

	OK(storage_put_begin(st, "p/k", &put, &err));
	for (done = 0, step = 1; done < 3000000; done += step, step *= 3) {
		if (step > 3000000 - done)
			step = 3000000 - done;
		OK(storage_put_append(put, data + done, step, &err));
		FAILS(storage_stat(st, "p/k", &size, NULL, &err),
		    ERR_NOT_FOUND);
	}
	OK(storage_put_finish(put, &err));
	buf_init(&b, 3000000);
	OK(storage_get_all(st, "p/k", &b, &err));
	assert_int_equal(b.len, 3000000);
	assert_memory_equal(b.data, data, b.len);
	OK(storage_put_begin(st, "p/gone", &put, &err));
	OK(storage_put_append(put, data, 100, &err));
	storage_put_abort(put);
	storage_put_abort(NULL);
	FAILS(storage_stat(st, "p/gone", &size, NULL, &err), ERR_NOT_FOUND);
	OK(storage_put_begin(st, "p/empty", &put, &err));
	OK(storage_put_finish(put, &err));
	OK(storage_stat(st, "p/empty", &size, NULL, &err));
	assert_int_equal(size, 0);
	buf_free(&b);
	free(data);
}

struct listing {
	char text[1000];
	int stop_after;
};

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
note(void *arg, const struct storage_entry *e, struct err *why)
{
	struct listing *l = arg;
	size_t len = strlen(l->text);

	if (l->stop_after > 0 && --l->stop_after == 0)
		return err_set(why, ERR_CANCELLED, "enough");
	if (e->is_directory)
		(void)snprintf(l->text + len, sizeof(l->text) - len, "%s ",
		    e->name);
	else
		(void)snprintf(l->text + len, sizeof(l->text) - len,
		    "%s=%llu ", e->name, (unsigned long long)e->size);
	return 0;
}

/* The entries in order, with a space behind each. */
static void
expect(struct storage *st, const char *prefix, bool delimiter,
    const char *wanted)
{
	struct listing l = { "", 0 };
	char *words[50], *save = NULL, *w, sorted[1000] = "";
	size_t n = 0, i;

	OK(storage_list(st, prefix, delimiter, note, &l, &err));
	for (w = strtok_r(l.text, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	if (n > 1)
		qsort(words, n, sizeof(*words), compare_lines);
	for (i = 0; i < n; i++)
		(void)snprintf(sorted + strlen(sorted),
		    sizeof(sorted) - strlen(sorted), "%s ", words[i]);
	assert_string_equal(sorted, wanted);
}

static void
listing_gives_what_begins_with_the_prefix(void **state)
{
	static const char *const keys[] = { "top", "wal/1/0/03-aa.zst",
		"wal/1/0/03-bb.zst", "wal/1/0/03.partial-cc.zst",
		"wal/1/0/04-dd.zst", "wal/1/1/00-ee.zst", "wal/2.history",
		"wal/10/0/03-ff.zst" };
	struct storage *st = st_of(state);
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		OK(storage_put(st, keys[i], "12345678", i + 1, &err));
	expect(st, "", true, "top=1 wal/ ");
	expect(st, "wal/", true, "1/ 10/ 2.history=7 ");
	expect(st, "wal/1", true, "/ 0/ ");
	expect(st, "wal/1/0/03-", true, "aa.zst=2 bb.zst=3 ");
	expect(st, "wal/1/0/03", true,
	    "-aa.zst=2 -bb.zst=3 .partial-cc.zst=4 ");
	expect(st, "wal/1/", false, "0/03-aa.zst=2 0/03-bb.zst=3 "
	    "0/03.partial-cc.zst=4 0/04-dd.zst=5 1/00-ee.zst=6 ");
	expect(st, "wal/1", false, "/0/03-aa.zst=2 /0/03-bb.zst=3 "
	    "/0/03.partial-cc.zst=4 /0/04-dd.zst=5 /1/00-ee.zst=6 "
	    "0/0/03-ff.zst=8 ");
	expect(st, "none/", true, "");
	expect(st, "wal/none", false, "");
	expect(st, "top/", true, "");
}

static void
a_listing_stops_with_the_callers_error(void **state)
{
	struct storage *st = st_of(state);
	struct listing l = { "", 2 };

	OK(storage_put(st, "a/1", "", 0, &err));
	OK(storage_put(st, "a/2", "", 0, &err));
	OK(storage_put(st, "b/3", "", 0, &err));
	assert_int_equal(storage_list(st, "", false, note, &l, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
}

static void
removing_is_certain_and_may_be_repeated(void **state)
{
	struct storage *st = st_of(state);
	uint64_t size;

	OK(storage_put(st, "d/e/k", "x", 1, &err));
	OK(storage_put(st, "d/k2", "x", 1, &err));
	OK(storage_remove(st, "d/e/k", &err));
	OK(storage_remove(st, "d/e/k", &err));
	OK(storage_remove(st, "no/such/key", &err));
	FAILS(storage_stat(st, "d/e/k", &size, NULL, &err), ERR_NOT_FOUND);
	/* Nothing is left of a "directory" whose objects are gone. */
	expect(st, "", true, "d/ ");
	expect(st, "d/", true, "k2=1 ");
	OK(storage_put(st, "d/e/k", "y", 1, &err));
	OK(storage_stat(st, "d/e/k", &size, NULL, &err));
}

static void
several_are_removed_at_once(void **state)
{
	static const char *const keys[] = { "m/1", "m/none", "m/2", "m/x/3" };
	struct storage *st = st_of(state);
	char *many[2500], key[64];
	const char *bad = "many/../x";
	size_t i;

	OK(storage_put(st, "m/1", "x", 1, &err));
	OK(storage_put(st, "m/2", "x", 1, &err));
	OK(storage_put(st, "m/x/3", "x", 1, &err));
	OK(storage_put(st, "m/stays", "x", 1, &err));
	OK(storage_remove_many(st, keys, 4, &err));
	OK(storage_remove_many(st, keys, 0, &err));
	expect(st, "", false, "m/stays=1 ");
	/* More than one request may have. */
	for (i = 0; i < 2500; i++) {
		(void)snprintf(key, sizeof(key), "many/%zu", i);
		many[i] = xstrdup(key);
		if (i % 1250 == 0)
			OK(storage_put(st, key, "", 0, &err));
	}
	OK(storage_remove_many(st, (const char *const *)many, 2500, &err));
	expect(st, "", false, "m/stays=1 ");
	FAILS(storage_remove_many(st, &bad, 1, &err), ERR_BUG);
	for (i = 0; i < 2500; i++)
		free(many[i]);
}

static void
what_is_too_large_is_refused(void **state)
{
	struct storage *st = st_of(state);
	uint8_t *data = xcalloc(1, STORAGE_OBJECT_MAX + 1);
	struct storage_put *put;
	uint64_t size;

	assert_int_equal(storage_put(st, "k", data, STORAGE_OBJECT_MAX + 1,
	    &err), -1);
	OK(storage_put_begin(st, "k", &put, &err));
	OK(storage_put_append(put, data, STORAGE_OBJECT_MAX, &err));
	assert_int_equal(storage_put_append(put, data, 1, &err), -1);
	assert_int_equal(storage_put_finish(put, &err), -1);
	FAILS(storage_stat(st, "k", &size, NULL, &err), ERR_NOT_FOUND);
	OK(storage_put(st, "k", data, STORAGE_OBJECT_MAX, &err));
	free(data);
}

static void
a_whole_object_respects_the_buffers_ceiling(void **state)
{
	struct storage *st = st_of(state);
	struct buf b;

	OK(storage_put(st, "k", "12345", 5, &err));
	buf_init(&b, 8);
	OK(storage_get_all(st, "k", &b, &err));
	FAILS(storage_get_all(st, "k", &b, &err), ERR_REFUSED);
	assert_string_equal(buf_str(&b), "12345");
	buf_free(&b);
}

static void
names_that_could_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", "..",
		"../a", "a/../b", "a/.", ".hidden", "a/.b", "a b", "a\nb",
		"a%41", "\xc3\xa4", "a\\b", "a:b" };
	struct storage *st = st_of(state);
	char *longest = xcalloc(1, STORAGE_KEY_MAX + 10);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(storage_key_valid(bad[i]));
		FAILS(storage_put(st, bad[i], "x", 1, &err), ERR_BUG);
		FAILS(storage_remove(st, bad[i], &err), ERR_BUG);
	}
	memset(longest, 'a', 255);
	assert_true(storage_key_valid(longest));
	longest[255] = 'a';
	assert_false(storage_key_valid(longest));
	for (i = 0; i < STORAGE_KEY_MAX + 2; i++)
		longest[i] = i % 100 == 99 ? '/' : 'a';
	assert_false(storage_key_valid(longest));
	longest[STORAGE_KEY_MAX - 1] = '\0';
	assert_true(storage_key_valid(longest));
	OK(storage_put(st, longest, "x", 1, &err));
	free(longest);
}

static void
a_clone_sees_the_same_and_outlives_its_origin(void **state)
{
	struct place *p = *state;
	struct storage *clone;
	char c;

	OK(storage_put(p->st, "k", "x", 1, &err));
	OK(storage_clone(p->st, &clone, &err));
	OK(storage_put(clone, "k2", "y", 1, &err));
	OK(storage_get(p->st, "k2", 0, 1, &c, &err));
	storage_close(p->st);
	p->st = clone;
	OK(storage_get(p->st, "k", 0, 1, &c, &err));
	assert_int_equal(c, 'x');
}

static void
the_check_passes_and_leaves_nothing(void **state)
{
	struct storage *st = st_of(state);
	struct storage_check c;
	struct buf b;

	OK(storage_probe_root(st, &err));
	OK(storage_check(st, true, &c, &err));
	expect(st, "", false, "");
	assert_true(c.up > 0 && c.down > 0);
	/* The servers of the tests are on this host. */
	assert_true(c.clock_us > -2000000 && c.clock_us < 2000000);
	buf_init(&b, 1000);
	storage_check_text(&c, &b);
	assert_non_null(strstr(buf_str(&b), "put, get, range, list, "
	    "create-if-absent (the store refuses a taken name itself), "
	    "remove; clock "));
	assert_non_null(strstr(buf_str(&b), " MB/s up"));
	buf_free(&b);
}

#define RACERS 8
#define ROUNDS 40

struct racer {
	struct storage *st;
	int number;
	pthread_barrier_t *barrier;
	int won[ROUNDS];
	int bad;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	struct err mine = ERR_INIT;
	char key[64], content[64];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		(void)snprintf(key, sizeof(key), "race/%d/key", i);
		(void)snprintf(content, sizeof(content), "racer %d", r->number);
		(void)pthread_barrier_wait(r->barrier);
		if (storage_put(r->st, key, content, strlen(content),
			&mine) == 0)
			r->won[i] = 1;
		else if (mine.code != ERR_EXISTS)
			r->bad++;
	}
	return NULL;
}

static void
of_parallel_puts_of_one_name_exactly_one_wins(void **state)
{
	struct storage *st = st_of(state);
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	pthread_barrier_t barrier;
	char key[64], wanted[64], got[8];
	int i, round, winners, winner = 0;

	memset(racers, 0, sizeof(racers));
	assert_int_equal(pthread_barrier_init(&barrier, NULL, RACERS), 0);
	for (i = 0; i < RACERS; i++) {
		OK(storage_clone(st, &racers[i].st, &err));
		racers[i].number = i;
		racers[i].barrier = &barrier;
		assert_int_equal(pthread_create(&threads[i], NULL, race,
		    &racers[i]), 0);
	}
	for (i = 0; i < RACERS; i++) {
		(void)pthread_join(threads[i], NULL);
		storage_close(racers[i].st);
		assert_int_equal(racers[i].bad, 0);
	}
	for (round = 0; round < ROUNDS; round++) {
		for (winners = i = 0; i < RACERS; i++)
			if (racers[i].won[round]) {
				winners++;
				winner = i;
			}
		assert_int_equal(winners, 1);
		(void)snprintf(key, sizeof(key), "race/%d/key", round);
		(void)snprintf(wanted, sizeof(wanted), "racer %d", winner);
		OK(storage_get(st, key, 0, 7, got, &err));
		assert_memory_equal(got, wanted, 7);
	}
	(void)pthread_barrier_destroy(&barrier);
}

/* From here on: the posix storage's own. */

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

#define SUITE(s)                                                              \
	TEST(s, what_was_put_comes_back),                                     \
	    TEST(s, ranges_are_exact_and_past_the_end_is_damage),             \
	    TEST(s, what_is_missing_is_not_found),                            \
	    TEST(s, a_taken_name_is_refused_and_untouched),                   \
	    TEST(s, pieces_make_one_object_and_nothing_shows_before),         \
	    TEST(s, listing_gives_what_begins_with_the_prefix),               \
	    TEST(s, a_listing_stops_with_the_callers_error),                  \
	    TEST(s, removing_is_certain_and_may_be_repeated),                 \
	    TEST(s, several_are_removed_at_once),                             \
	    TEST(s, what_is_too_large_is_refused),                            \
	    TEST(s, a_whole_object_respects_the_buffers_ceiling),             \
	    TEST(s, names_that_could_lead_elsewhere_are_refused),             \
	    TEST(s, a_clone_sees_the_same_and_outlives_its_origin),           \
	    TEST(s, the_check_passes_and_leaves_nothing),                     \
	    TEST(s, of_parallel_puts_of_one_name_exactly_one_wins)
#define TEST(s, f) cmocka_unit_test_setup_teardown(f, s, teardown)

int
main(void)
{
	const struct CMUnitTest mem[] = { SUITE(setup_mem) };
	const struct CMUnitTest fault[] = { SUITE(setup_fault) };
	const struct CMUnitTest posix[] = { SUITE(setup_posix),
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
		TEST(setup_posix, without_permission_the_owner_is_named) };
	const struct CMUnitTest s3[] = { SUITE(setup_s3) };
	const struct CMUnitTest sftp[] = { SUITE(setup_sftp) };
	struct storage_settings set;
	int failed = 0;

	/* Only these then: the rest needs no server. */
	if (stores_env("s3", &set) != NULL)
		failed += cmocka_run_group_tests_name("s3", s3, NULL, NULL);
	if (stores_env("sftp", &set) != NULL)
		failed += cmocka_run_group_tests_name("sftp", sftp, NULL,
		    NULL);
	if (stores_env("s3", &set) != NULL || stores_env("sftp", &set) != NULL)
		return failed;
	failed += cmocka_run_group_tests_name("mem", mem, NULL, NULL);
	failed += cmocka_run_group_tests_name("fault", fault, NULL, NULL);
	failed += cmocka_run_group_tests_name("posix", posix, NULL, NULL);
	return failed;
}
