/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#include "fixture_wal.h"
#include "core/log.h"
#include "repo/hash.h"
#include "storage/storage_ops.h"
#include "wal/pushplace.h"

#define SEGMENTS 8

/* A backlog: segments 5 to 12 of timeline 1, all noted as .ready. */
struct backlog {
	struct place *p;
	struct made_wal wal;
	char name[SEGMENTS][WAL_SEGMENT_NAME_LEN + 1];
	struct storage *fault; /* of p->repo */
};

/* In place of libc's: another pusher comes at the moment that matters. */
static struct {
	atomic_bool armed;
	const char *name;
	void (*run)(void *arg);
	void *arg;
} before_link;

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	if (atomic_load(&before_link.armed) &&
	    strstr(to, before_link.name) != NULL &&
	    atomic_exchange(&before_link.armed, false))
		before_link.run(before_link.arg);
	return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

static void
note_ready(const struct place *p, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/pg_wal/archive_status/%s.ready",
	    p->pgdata, name);
	place_write(path, "", 0);
}

static void
remove_ready(const struct place *p, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/pg_wal/archive_status/%s.ready",
	    p->pgdata, name);
	assert_int_equal(unlink(path), 0);
}

static void
make_backlog(struct backlog *b)
{
	char path[192];
	unsigned i;

	(void)snprintf(path, sizeof(path), "%s/pg_wal/archive_status",
	    b->p->pgdata);
	assert_int_equal(mkdir(path, 0700), 0);
	b->wal = made_new(b->p->segment_size, 1, 5, SEGMENTS);
	for (i = 0; i < SEGMENTS; i++) {
		(void)made_commit(&b->wal, 100 + i, 1000 + i);
		made_fill(&b->wal, (i + 1) * b->p->segment_size);
	}
	(void)made_record(&b->wal, RM_HEAP, 0, 3, b->wal.bytes, 2000);
	for (i = 0; i < SEGMENTS; i++) {
		place_segment(b->p, &b->wal, 5 + i, b->name[i]);
		note_ready(b->p, b->name[i]);
	}
}

static int
setup(void **state)
{
	struct backlog *b = xcalloc(1, sizeof(*b));
	void *p;

	(void)place_setup(&p);
	b->p = p;
	make_backlog(b);
	*state = b;
	return 0;
}

/* The same in memory, where calls are counted and fail when told to. */
static void
use_memory(struct backlog *b)
{
	bool created;

	repo_close(b->p->repo);
	b->fault = storage_fault_new(storage_mem_new());
	OK(repo_init_storage(&b->p->repo, b->fault, NULL, &created, &err));
	storage_fault_at(b->fault, 0, false);
}

static int
setup_memory(void **state)
{
	(void)setup(state);
	use_memory(*state);
	return 0;
}

static int
teardown(void **state)
{
	struct backlog *b = *state;
	void *p = b->p;

	made_free(&b->wal);
	atomic_store(&before_link.armed, false);
	(void)place_teardown(&p);
	free(b);
	return 0;
}

static struct wal_push_params
params_of(const struct backlog *b, const char *path)
{
	return (struct wal_push_params){ .repo = b->p->repo,
		.cluster = "main", .pgdata = b->p->pgdata, .path = path,
		.compress_level = 1, .jobs = 2, .header_check = true,
		.ahead = 64 * (uint64_t)MB, .state_directory = b->p->state };
}

static int
push(const struct backlog *b, const char *name)
{
	struct wal_push_result r;
	struct wal_push_params params;
	char path[64];

	(void)snprintf(path, sizeof(path), "pg_wal/%s", name);
	params = params_of(b, path);
	return wal_push(&params, &r, &err);
}

/* What the next process would answer at once. */
static bool
was_ahead(const struct backlog *b, const char *name)
{
	struct wal_push_params params;
	struct repo known = { .st = NULL };
	char path[64];

	(void)snprintf(path, sizeof(path), "pg_wal/%s", name);
	memcpy(known.id_text, b->p->repo->id_text, sizeof(known.id_text));
	memcpy(known.place_text, b->p->repo->place_text,
	    sizeof(known.place_text));
	params = params_of(b, path);
	params.repo = NULL;
	return wal_push_was_ahead(&params, &known);
}

/* Is exactly what pg_wal has of it in the repository? */
static bool
is_stored(const struct backlog *b, unsigned i)
{
	struct frame_codec *codec = frame_codec_new(1);
	struct wal_stored ws;
	struct wal_file f;
	uint8_t hash[16];
	bool there;

	OK(wal_file_parse(b->name[i], &f, &err));
	err_clear(&err);
	there = wal_store_pick(b->p->repo, &b->p->inc, &f, &ws, &err) == 0;
	if (there) {
		OK(wal_store_read(b->p->repo, &b->p->inc, &ws, codec, NULL,
		    NULL, &err));
		hash_128(b->wal.bytes + (size_t)i * b->p->segment_size,
		    b->p->segment_size, hash);
		assert_memory_equal(hash, ws.hash, sizeof(hash));
	}
	frame_codec_free(codec);
	return there;
}

static void
record_path(const struct backlog *b, const char *name, char out[512])
{
	(void)snprintf(out, 512, "%s/pushed/%s-%llu/%s/%s", b->p->state,
	    b->p->repo->id_text, (unsigned long long)SYSTEM,
	    b->p->repo->place_text, name);
}

static bool
has_record(const struct backlog *b, const char *name)
{
	char path[512];

	record_path(b, name, path);
	return access(path, F_OK) == 0;
}

static void
the_backlog_is_stored_at_once_and_answered_from_records_once(void **state)
{
	struct backlog *b = *state;
	unsigned i;

	OK(push(b, b->name[0]));
	for (i = 0; i < SEGMENTS; i++)
		assert_true(is_stored(b, i));
	assert_false(was_ahead(b, b->name[0])); /* it was asked for */
	for (i = 1; i < SEGMENTS; i++) {
		assert_true(was_ahead(b, b->name[i]));
		assert_false(has_record(b, b->name[i]));
		assert_false(was_ahead(b, b->name[i]));
		OK(push(b, b->name[i]));
	}
}

static void
one_listing_before_and_one_after_serve_the_whole_batch(void **state)
{
	struct backlog *b = *state;
	unsigned i;

	OK(push(b, b->name[0]));
	assert_int_equal(storage_fault_calls(b->fault), 2 + SEGMENTS);
	for (i = 1; i < SEGMENTS; i++)
		assert_true(was_ahead(b, b->name[i]));
	assert_int_equal(storage_fault_calls(b->fault), 2 + SEGMENTS);
}

static void
no_more_than_push_ahead_allows(void **state)
{
	struct backlog *b = *state;
	struct wal_push_params params;
	struct wal_push_result r;
	char path[64];

	(void)snprintf(path, sizeof(path), "pg_wal/%s", b->name[2]);
	params = params_of(b, path);
	params.ahead = 3 * (uint64_t)MB;
	OK(wal_push(&params, &r, &err));
	assert_false(is_stored(b, 0));
	assert_false(is_stored(b, 1));
	assert_true(is_stored(b, 2));
	assert_true(is_stored(b, 3));
	assert_true(is_stored(b, 4));
	assert_false(is_stored(b, 5));
}

static void
only_what_waits_of_this_timeline_is_taken(void **state)
{
	struct backlog *b = *state;
	struct made_wal other = made_new(b->p->segment_size, 2, 13, 1);
	char name[WAL_SEGMENT_NAME_LEN + 1];

	(void)made_commit(&other, 5, 5);
	place_segment(b->p, &other, 13, name);
	note_ready(b->p, name);
	note_ready(b->p, "00000002.history"); /* without a file, too */
	remove_ready(b->p, b->name[3]);
	OK(push(b, b->name[0]));
	assert_false(is_stored(b, 3));
	assert_true(is_stored(b, 4));
	assert_false(has_record(b, name));
	made_free(&other);
}

static void
another_directorys_archive_status_is_left_alone(void **state)
{
	struct backlog *b = *state;
	struct wal_push_params params;
	struct wal_push_result r;
	char from[192], dir[128], path[256], other[256];

	(void)snprintf(dir, sizeof(dir), "%s/elsewhere", b->p->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/archive_status", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	place_wal_path(b->p, b->name[0], from);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, b->name[0]);
	assert_int_equal(link(from, path), 0);
	(void)snprintf(other, sizeof(other), "%s/archive_status/%s.ready", dir,
	    b->name[1]);
	place_write(other, "", 0);
	params = params_of(b, path);
	OK(wal_push(&params, &r, &err));
	assert_true(is_stored(b, 0));
	assert_false(is_stored(b, 1));
}

static void
another_content_than_the_recorded_one_is_not_answered(void **state)
{
	struct backlog *b = *state;
	char path[192];

	OK(push(b, b->name[0]));
	/* The server was set back, and has written the segment anew. */
	b->wal.bytes[b->p->segment_size + 600000] ^= 1;
	place_wal_path(b->p, b->name[1], path);
	place_write(path, b->wal.bytes + b->p->segment_size,
	    b->p->segment_size);
	assert_false(was_ahead(b, b->name[1]));
	FAILS(push(b, b->name[1]), ERR_EXISTS);
}

static void
rewrite_record(const struct backlog *b, const char *name, const char *from,
    const char *to)
{
	char path[512], text[1024], *at;
	struct buf old;

	record_path(b, name, path);
	buf_init(&old, 1024);
	OK(io_read_file(path, &old, &err));
	at = strstr(buf_str(&old), from);
	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s",
	    (int)(at - buf_str(&old)), buf_str(&old), to, at + strlen(from));
	buf_free(&old);
	place_write(path, text, strlen(text));
}

static void
a_record_of_another_boot_cluster_time_or_format_is_not_answered(void **state)
{
	struct backlog *b = *state;
	char path[512], boot[64] = "", system[64];
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%63s", boot), 1);
	(void)fclose(f);
	OK(push(b, b->name[0]));
	rewrite_record(b, b->name[1], boot, "00000000-0000-4000-8000-0");
	assert_false(was_ahead(b, b->name[1]));
	rewrite_record(b, b->name[2], "clusters/main/", "clusters/copy/");
	assert_false(was_ahead(b, b->name[2]));
	(void)snprintf(system, sizeof(system), "-%llu/",
	    (unsigned long long)SYSTEM);
	rewrite_record(b, b->name[3], system, "-7312345678901234568/");
	assert_false(was_ahead(b, b->name[3]));
	rewrite_record(b, b->name[4], "2 ", "3 ");
	assert_false(was_ahead(b, b->name[4]));
	rewrite_record(b, b->name[5], "\n", "");
	assert_false(was_ahead(b, b->name[5]));
	record_path(b, b->name[6], path);
	place_write(path, "", 0);
	assert_false(was_ahead(b, b->name[6]));
	assert_true(was_ahead(b, b->name[7]));
}

static void
a_record_counts_for_five_minutes_by_both_clocks(void **state)
{
	struct backlog *b = *state;
	char path[512], boot[64], content[33], key[300], text[1024];
	long long since, wall, length;
	unsigned generation;
	unsigned i;
	FILE *f;

	OK(push(b, b->name[0]));
	for (i = 1; i < 5; i++) {
		record_path(b, b->name[i], path);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f,
		    "2 %63s %lld %lld %lld %u %32s %299s", boot, &since,
		    &wall, &length, &generation, content, key), 7);
		(void)fclose(f);
		since -= i == 1 ? 301000000 : 0;
		wall -= i == 2 ? 301000000 : 0;
		wall += i == 3 ? 100000000 : 0; /* the clock was set back */
		(void)snprintf(text, sizeof(text),
		    "2 %s %lld %lld %lld %u %s %s\n", boot, since, wall,
		    length, generation, content, key);
		place_write(path, text, strlen(text));
		assert_int_equal(was_ahead(b, b->name[i]), i == 4);
	}
}

static void
records_of_one_place_mean_nothing_for_another(void **state)
{
	struct backlog *b = *state;
	char was;

	OK(push(b, b->name[0]));
	was = b->p->repo->place_text[3];
	b->p->repo->place_text[3] = was == 'a' ? 'b' : 'a';
	assert_false(was_ahead(b, b->name[1]));
	b->p->repo->place_text[3] = was;
	was = b->p->repo->id_text[3];
	b->p->repo->id_text[3] = was == 'a' ? 'b' : 'a';
	assert_false(was_ahead(b, b->name[1]));
	b->p->repo->id_text[3] = was;
	assert_true(was_ahead(b, b->name[1]));
}

static void
without_a_state_directory_the_file_alone_is_stored(void **state)
{
	struct backlog *b = *state;

	assert_int_equal(rmdir(b->p->state), 0);
	place_write(b->p->state, "", 0);
	OK(push(b, b->name[0]));
	assert_true(is_stored(b, 0));
	assert_false(is_stored(b, 1));
	assert_int_equal(unlink(b->p->state), 0);
	assert_int_equal(mkdir(b->p->state, 0700), 0);
}

static void
lost_records_cost_time_only(void **state)
{
	struct backlog *b = *state;
	char path[256];
	unsigned i;

	OK(push(b, b->name[0]));
	(void)snprintf(path, sizeof(path), "%s/pushed", b->p->state);
	OK(io_remove_tree(path, &err));
	for (i = 1; i < SEGMENTS; i++) {
		assert_false(was_ahead(b, b->name[i]));
		OK(push(b, b->name[i]));
	}
}

/* Store another content under a segment's name; in another thread, too. */
static void
store_another(struct backlog *b, unsigned i)
{
	uint8_t *bytes = xmalloc(b->p->segment_size);
	struct err own = ERR_INIT;
	struct wal_push_result r;
	struct wal_push_params params;
	char path[192];
	int fd;

	memcpy(bytes, b->wal.bytes + (size_t)i * b->p->segment_size,
	    b->p->segment_size);
	bytes[700000] ^= 1;
	(void)snprintf(path, sizeof(path), "%s/%s", b->p->dir, b->name[i]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, bytes, b->p->segment_size, path,
	    &own), 0);
	(void)close(fd);
	free(bytes);
	params = params_of(b, path);
	params.ahead = 0;
	assert_int_equal(wal_push(&params, &r, &own), 0);
}

static void
a_conflict_of_another_file_is_not_the_asked_ones_failure(void **state)
{
	struct backlog *b = *state;

	store_another(b, 3);
	OK(push(b, b->name[0]));
	assert_true(was_ahead(b, b->name[2]));
	assert_false(has_record(b, b->name[3]));
	assert_true(was_ahead(b, b->name[4]));
	FAILS(push(b, b->name[3]), ERR_EXISTS);
	SAYS("another content");
}

static void
a_conflict_of_the_asked_file_is_an_error_and_stays_one(void **state)
{
	struct backlog *b = *state;

	store_another(b, 0);
	FAILS(push(b, b->name[0]), ERR_EXISTS);
	FAILS(push(b, b->name[0]), ERR_EXISTS);
	assert_false(was_ahead(b, b->name[0]));
}

struct rival {
	struct backlog *b;
	unsigned i;
};

static void
come_in_between(void *arg)
{
	struct rival *r = arg;

	store_another(r->b, r->i);
}

static void
two_writers_at_the_same_moment_are_seen_after_the_batch(void **state)
{
	struct backlog *b = *state;
	struct rival r = { b, 2 };

	before_link.name = b->name[2];
	before_link.arg = &r;
	before_link.run = come_in_between;
	atomic_store(&before_link.armed, true);
	OK(push(b, b->name[0]));
	assert_false(atomic_load(&before_link.armed));
	assert_false(has_record(b, b->name[2]));
	assert_true(was_ahead(b, b->name[3]));
	FAILS(push(b, b->name[2]), ERR_EXISTS);
}

static void
two_writers_of_the_asked_file_are_an_error(void **state)
{
	struct backlog *b = *state;
	struct rival r = { b, 0 };

	before_link.name = b->name[0];
	before_link.arg = &r;
	before_link.run = come_in_between;
	atomic_store(&before_link.armed, true);
	FAILS(push(b, b->name[0]), ERR_EXISTS);
	assert_false(atomic_load(&before_link.armed));
}

static void
damaged_and_vanished_files_are_for_their_own_turn(void **state)
{
	struct backlog *b = *state;
	char path[192];

	place_wal_path(b->p, b->name[SEGMENTS - 1], path);
	assert_int_equal(truncate(path, 1000), 0);
	OK(push(b, b->name[0]));
	assert_true(is_stored(b, 0));
	assert_false(has_record(b, b->name[SEGMENTS - 1]));
	FAILS(push(b, b->name[SEGMENTS - 1]), ERR_REFUSED);
}

/* With a fault at the n-th call: nothing is claimed that is not stored. */
static unsigned
fail_at(unsigned n, bool torn)
{
	struct backlog *b;
	unsigned i, calls;
	void *state;
	int rc;

	(void)setup_memory(&state);
	b = state;
	storage_fault_at(b->fault, n, torn);
	err_clear(&err);
	rc = push(b, b->name[0]);
	calls = storage_fault_calls(b->fault);
	storage_fault_at(b->fault, 0, false);
	assert_true(rc == 0 || err.code == ERR_STORAGE);
	if (rc == 0)
		assert_true(is_stored(b, 0));
	for (i = 1; i < SEGMENTS; i++) {
		if (has_record(b, b->name[i]))
			assert_true(is_stored(b, i));
		if (!was_ahead(b, b->name[i]))
			OK(push(b, b->name[i]));
		assert_true(is_stored(b, i));
	}
	OK(push(b, b->name[0]));
	(void)teardown(&state);
	return calls;
}

static void
a_store_that_fails_at_any_call_loses_nothing(void **state)
{
	unsigned n, calls;

	(void)state;
	calls = fail_at(0, false);
	assert_int_equal(calls, 2 + SEGMENTS);
	for (n = 1; n <= calls; n++) {
		(void)fail_at(n, false);
		(void)fail_at(n, true);
	}
}

static void
after_the_first_failure_no_more_is_begun(void **state)
{
	struct backlog *b = *state;
	struct wal_push_params params;
	struct wal_push_result r;
	char path[64];

	(void)snprintf(path, sizeof(path), "pg_wal/%s", b->name[0]);
	params = params_of(b, path);
	params.jobs = 1;
	storage_fault_at(b->fault, 2, false); /* the first put */
	err_clear(&err);
	(void)!wal_push(&params, &r, &err);
	/*
	 * Those that were begun go on, and on a busy machine a few more begin
	 * before the failure is told; but not the whole backlog.
	 */
	assert_true(storage_fault_calls(b->fault) < 1 + SEGMENTS);
	storage_fault_at(b->fault, 0, false);
}

struct told {
	char names[32][WAL_FILE_NAME_MAX];
	unsigned n;
};

static void
tell(void *arg, const struct repo *repo, const struct incarnation *inc,
    const char *name)
{
	struct told *t = arg;

	(void)repo;
	assert_true(inc->system_id == SYSTEM);
	assert_true(t->n < 32);
	(void)snprintf(t->names[t->n++], WAL_FILE_NAME_MAX, "%s", name);
}

static void
each_file_stored_is_told_once_and_before_it_has_a_record(void **state)
{
	struct backlog *b = *state;
	struct told told = { .n = 0 };
	struct wal_push_params params;
	struct wal_push_result r;
	unsigned i;
	char path[64];

	(void)snprintf(path, sizeof(path), "pg_wal/%s", b->name[0]);
	params = params_of(b, path);
	params.stored = tell;
	params.stored_arg = &told;
	OK(wal_push(&params, &r, &err));
	assert_int_equal(told.n, SEGMENTS);
	for (i = 0; i < SEGMENTS; i++)
		assert_string_equal(told.names[i], b->name[i]);
	OK(wal_push(&params, &r, &err)); /* found stored: told again */
	assert_int_equal(told.n, SEGMENTS + 1);
}

static void
an_address_remembers_who_was_there_and_who_failed(void **state)
{
	struct backlog *b = *state;
	struct config_repository at = { .url = b->p->dir };
	struct config_repository other = { .url = b->p->dir,
		.endpoint = b->p->state };
	struct wal_place place, elsewhere;
	struct repo known;

	wal_place_init(&place, b->p->state, &at);
	wal_place_init(&elsewhere, b->p->state, &other);
	assert_false(wal_place_known(&place, &known));
	wal_place_note(&place, b->p->repo);
	assert_true(wal_place_known(&place, &known));
	assert_string_equal(known.id_text, b->p->repo->id_text);
	assert_string_equal(known.place_text, b->p->repo->place_text);
	assert_false(wal_place_known(&elsewhere, &known));
	wal_place_forget(b->p->state, &other);
	assert_true(wal_place_known(&place, &known));
	wal_place_forget(b->p->state, &at);
	assert_false(wal_place_known(&place, &known));
	assert_false(wal_place_failing(&place));
	wal_place_note_failure(&place);
	assert_true(wal_place_failing(&place));
	assert_false(wal_place_failing(&elsewhere));
	wal_place_note_success(&place);
	assert_false(wal_place_failing(&place));
	wal_place_free(&place);
	wal_place_free(&elsewhere);
	/* A state directory that cannot be made: nothing is remembered. */
	wal_place_init(&place, "/proc/nothing", &at);
	wal_place_note(&place, b->p->repo);
	wal_place_note_failure(&place);
	assert_false(wal_place_known(&place, &known));
	assert_false(wal_place_failing(&place));
	wal_place_free(&place);
}

#define HERE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define IN_MEMORY(f) cmocka_unit_test_setup_teardown(f, setup_memory, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HERE(the_backlog_is_stored_at_once_and_answered_from_records_once),
		IN_MEMORY(
		    one_listing_before_and_one_after_serve_the_whole_batch),
		HERE(no_more_than_push_ahead_allows),
		HERE(only_what_waits_of_this_timeline_is_taken),
		HERE(another_directorys_archive_status_is_left_alone),
		HERE(another_content_than_the_recorded_one_is_not_answered),
		HERE(
		    a_record_of_another_boot_cluster_time_or_format_is_not_answered),
		HERE(a_record_counts_for_five_minutes_by_both_clocks),
		HERE(records_of_one_place_mean_nothing_for_another),
		HERE(without_a_state_directory_the_file_alone_is_stored),
		HERE(lost_records_cost_time_only),
		HERE(a_conflict_of_another_file_is_not_the_asked_ones_failure),
		HERE(a_conflict_of_the_asked_file_is_an_error_and_stays_one),
		HERE(two_writers_at_the_same_moment_are_seen_after_the_batch),
		HERE(two_writers_of_the_asked_file_are_an_error),
		HERE(damaged_and_vanished_files_are_for_their_own_turn),
		cmocka_unit_test(a_store_that_fails_at_any_call_loses_nothing),
		IN_MEMORY(after_the_first_failure_no_more_is_begun),
		IN_MEMORY(
		    each_file_stored_is_told_once_and_before_it_has_a_record),
		HERE(an_address_remembers_who_was_there_and_who_failed),
	};

	log_init(LOG_ERROR, LOG_TEXT, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
