/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/time.h"
#include "repo/lease.h"

#define SECOND INT64_C(1000000)
#define FOLDER "clusters/main/15-7312345678901234567/leases/backups/"
#define TAKERS 8
#define ROUNDS 12

/* A repository whose store's clock can be set. */
struct place {
	struct storage *mem;
	struct repo *repo;
	struct incarnation inc;
};

static int
setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct storage *st;
	bool created;

	p->mem = storage_mem_new();
	if (storage_clone(p->mem, &st, &err) != 0 ||
	    repo_init_storage(&p->repo, storage_fault_new(st), NULL, &created,
		&err) != 0)
		return -1;
	memcpy(p->inc.cluster, "main", 5);
	p->inc.major = 15;
	p->inc.system_id = UINT64_C(7312345678901234567);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	repo_close(p->repo);
	storage_close(p->mem);
	free(p);
	return 0;
}

/* A taker on another host, where pids mean nothing to us. */
static struct lease_params
on_host(const char *host)
{
	struct lease_params lp = { .name = LEASE_BACKUPS, .purpose = "backup",
		.valid_ms = 60000, .host = host, .process = "",
		.pid = 4711 };

	return lp;
}

static int
count_one(void *arg, const struct storage_entry *entry, struct err *e)
{
	++*(int *)arg;
	return 0;
}

static int
objects(struct place *p)
{
	int n = 0;

	OK(storage_list(p->mem, FOLDER, true, count_one, &n, &err));
	return n;
}

static void
only_one_holds_it(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *held, *other;

	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	storage_mem_clock(p->mem, 10 * SECOND); /* not just this moment */
	FAILS(lease_take(&other, p->repo, &p->inc, &b, &err), ERR_LOCKED);
	assert_non_null(strstr(err.msg, "host alpha"));
	assert_non_null(strstr(err.msg, "pid 4711"));
	assert_non_null(strstr(err.msg, "since 20"));
	assert_non_null(strstr(err.msg, "ends at 20"));
	assert_true(err.hint[0] != '\0');
	OK(lease_confirm(held, &err));
	lease_release(held);
	assert_int_equal(objects(p), 0);
	OK(lease_take(&other, p->repo, &p->inc, &b, &err));
	lease_release(other);
}

static void
one_who_renews_keeps_it_and_leaves_no_heap_of_objects(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *held, *other;
	int i;

	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	for (i = 1; i <= 20; i++) {
		storage_mem_clock(p->mem, i * 30 * SECOND);
		OK(lease_confirm(held, &err));
		assert_true(objects(p) <= 2);
	}
	storage_mem_clock(p->mem, 630 * SECOND);
	FAILS(lease_take(&other, p->repo, &p->inc, &b, &err), ERR_LOCKED);
	assert_true(objects(p) <= 2);
	lease_release(held);
	assert_int_equal(objects(p), 0);
}

static void
a_dead_hosts_lease_ends_by_the_stores_clock(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *dead, *next;

	OK(lease_take(&dead, p->repo, &p->inc, &a, &err));
	storage_mem_clock(p->mem, 59 * SECOND);
	FAILS(lease_take(&next, p->repo, &p->inc, &b, &err), ERR_LOCKED);
	storage_mem_clock(p->mem, 61 * SECOND);
	OK(lease_take(&next, p->repo, &p->inc, &b, &err));

	/* It was only asleep: it must see that, and leave the other alone. */
	FAILS(lease_confirm(dead, &err), ERR_LOCKED);
	assert_true(err.hint[0] != '\0');
	OK(lease_confirm(next, &err));
	lease_release(dead);
	OK(lease_confirm(next, &err));
	lease_release(next);
}

static void
one_who_slept_stops_even_if_nobody_took_it(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha");
	struct lease *held;

	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	storage_mem_clock(p->mem, 61 * SECOND);
	FAILS(lease_confirm(held, &err), ERR_LOCKED);
	lease_release(held);
}

static void
who_was_declared_dead_and_gone_again_is_noticed(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *held, *other;

	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	storage_mem_clock(p->mem, 61 * SECOND);
	OK(lease_take(&other, p->repo, &p->inc, &b, &err));
	lease_release(other);
	storage_mem_clock(p->mem, 0); /* and the clock is set back, too */
	FAILS(lease_confirm(held, &err), ERR_LOCKED);
	assert_non_null(strstr(err.msg, "removed"));
	lease_release(held);
}

static void
a_dead_process_of_this_machine_ends_its_lease_at_once(void **state)
{
	struct place *p = *state;
	struct lease_params mine = { .name = LEASE_BACKUPS,
		.purpose = "backup" };
	struct lease *child, *next;
	int ready[2], status;
	pid_t pid;

	/* The child only lends its pid and start time. */
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		char process[LEASE_PROCESS_MAX];

		lease_process(process);
		if (write(ready[1], process, sizeof(process)) < 0)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	char process[LEASE_PROCESS_MAX];
	assert_true(read(ready[0], process, sizeof(process)) > 0);
	mine.process = process;
	mine.pid = pid;
	OK(lease_take(&child, p->repo, &p->inc, &mine, &err));
	mine.process = NULL;
	mine.pid = 0;
	storage_mem_clock(p->mem, 10 * SECOND);
	FAILS(lease_take(&next, p->repo, &p->inc, &mine, &err), ERR_LOCKED);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	OK(lease_take(&next, p->repo, &p->inc, &mine, &err));
	lease_release(next);
	lease_release(child);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void
a_pid_used_again_is_another_process(void **state)
{
	struct lease_info info = { .pid = (long)getpid() };
	char ours[LEASE_PROCESS_MAX];

	lease_process(ours);
	assert_true(ours[0] != '\0');
	memcpy(info.process, ours, sizeof(ours));
	assert_false(lease_process_dead(&info, ours));
	strcpy(strrchr(info.process, '/'), "/1");
	assert_true(lease_process_dead(&info, ours));
	/* Another boot or namespace: nothing is known. */
	info.process[0] = info.process[0] == '0' ? '1' : '0';
	assert_false(lease_process_dead(&info, ours));
	info.process[0] = '\0';
	assert_false(lease_process_dead(&info, ours));
}

static void
a_lease_from_the_future_is_watched(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *dead, *next;

	/* A year ahead, then the clock was set right. */
	a.valid_ms = 1000;
	storage_mem_clock(p->mem, 365 * 86400 * SECOND);
	OK(lease_take(&dead, p->repo, &p->inc, &a, &err));
	storage_mem_clock(p->mem, 0);
	OK(lease_take(&next, p->repo, &p->inc, &b, &err));
	FAILS(lease_confirm(dead, &err), ERR_LOCKED);
	OK(lease_confirm(next, &err));
	lease_release(next);
	lease_release(dead);
}

static void
a_store_that_fails_for_a_while_costs_nothing(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha");
	struct lease *held;
	unsigned n, torn, calls;

	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	storage_fault_at(p->repo->st, 0, false);
	OK(lease_confirm(held, &err));
	calls = storage_fault_calls(p->repo->st);
	assert_true(calls >= 3);
	for (torn = 0; torn < 2; torn++) {
		for (n = 1; n <= calls; n++) {
			storage_fault_at(p->repo->st, n, torn != 0);
			err_clear(&err);
			if (lease_confirm(held, &err) != 0)
				assert_int_equal(err.code, ERR_STORAGE);
			OK(lease_confirm(held, &err));
		}
	}
	lease_release(held);
	assert_int_equal(objects(p), 0);
}

static void
taking_that_fails_anywhere_blocks_nobody(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha"), b = on_host("beta");
	struct lease *held;
	unsigned n, torn;

	for (torn = 0; torn < 2; torn++) {
		for (n = 1; n <= 6; n++) {
			storage_fault_at(p->repo->st, n, torn != 0);
			err_clear(&err);
			held = NULL;
			if (lease_take(&held, p->repo, &p->inc, &a, &err) != 0)
				assert_int_equal(err.code, ERR_STORAGE);
			storage_fault_at(p->repo->st, 0, false);
			lease_release(held);
			OK(lease_take(&held, p->repo, &p->inc, &b, &err));
			lease_release(held);
			assert_int_equal(objects(p), 0);
		}
	}
}

static void
look_tells_who_has_it(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("al\xc3\xa4 \"pha\"");
	struct lease_info *list;
	struct lease *held;
	size_t n;

	OK(lease_look(p->repo, &p->inc, LEASE_BACKUPS, &list, &n, &err));
	assert_int_equal(n, 0);
	free(list);
	OK(lease_take(&held, p->repo, &p->inc, &a, &err));
	OK(lease_confirm(held, &err));
	OK(lease_look(p->repo, &p->inc, LEASE_BACKUPS, &list, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].host, a.host);
	assert_int_equal(list[0].pid, 4711);
	assert_string_equal(list[0].purpose, "backup");
	assert_int_equal(list[0].valid_ms, 60000);
	assert_int_equal(list[0].number, 2);
	free(list);
	lease_release(held);
}

static void
a_body_of_nonsense_is_an_error_not_a_free_lease(void **state)
{
	struct place *p = *state;
	struct lease_params a = on_host("alpha");
	struct lease *held;

	OK(storage_put(p->mem, FOLDER "0000000001-0123456789abcdef", "x", 1,
	    &err));
	FAILS(lease_take(&held, p->repo, &p->inc, &a, &err), ERR_DAMAGED);
}

/* What the takers of a race share. */
static struct {
	struct repo *repo;
	struct incarnation inc;
	atomic_int inside, wins, overlaps, surprises;
} race;

static void *
taker(void *arg)
{
	struct err e = ERR_INIT;
	struct lease_params lp;
	struct lease *held;
	struct repo *repo;
	char host[16];
	int i;

	(void)snprintf(host, sizeof(host), "host%d", *(int *)arg);
	lp = on_host(host);
	if (repo_clone(race.repo, &repo, &e) != 0)
		return NULL;
	for (i = 0; i < ROUNDS; i++) {
		err_clear(&e);
		if (lease_take(&held, repo, &race.inc, &lp, &e) != 0) {
			if (e.code != ERR_LOCKED)
				atomic_fetch_add(&race.surprises, 1);
			continue;
		}
		if (atomic_fetch_add(&race.inside, 1) != 0)
			atomic_fetch_add(&race.overlaps, 1);
		atomic_fetch_add(&race.wins, 1);
		time_sleep_ms(3);
		if (lease_confirm(held, &e) != 0)
			atomic_fetch_add(&race.surprises, 1);
		atomic_fetch_sub(&race.inside, 1);
		lease_release(held);
	}
	repo_close(repo);
	return NULL;
}

static void
run_race(struct repo *repo, const struct incarnation *inc)
{
	pthread_t threads[TAKERS];
	int i, ids[TAKERS];

	memset(&race, 0, sizeof(race));
	race.repo = repo;
	race.inc = *inc;
	for (i = 0; i < TAKERS; i++) {
		ids[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, taker,
		    &ids[i]), 0);
	}
	for (i = 0; i < TAKERS; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&race.overlaps), 0);
	assert_int_equal(atomic_load(&race.surprises), 0);
	assert_true(atomic_load(&race.wins) >= ROUNDS);
	print_message("%d of %d takings won\n", atomic_load(&race.wins),
	    TAKERS * ROUNDS);
}

static void
many_takers_never_hold_it_at_once_in_memory(void **state)
{
	struct place *p = *state;

	run_race(p->repo, &p->inc);
	assert_int_equal(objects(p), 0);
}

static void
many_takers_never_hold_it_at_once_on_disk(void **state)
{
	struct place *p = *state;
	char dir[] = "/tmp/dapk-test-lease.XXXXXX", *url, *command;
	struct repo *repo;
	bool created;

	assert_non_null(mkdtemp(dir));
	url = xasprintf("file://%s/repo", dir);
	OK(repo_init(&repo, &(struct storage_settings){ .url = url }, NULL, &created, &err));
	run_race(repo, &p->inc);
	repo_close(repo);
	command = xasprintf("rm -r '%s'", dir);
	assert_int_equal(system(command), 0);
	free(command);
	free(url);
}

#define LEASE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LEASE_TEST(only_one_holds_it),
		LEASE_TEST(
		    one_who_renews_keeps_it_and_leaves_no_heap_of_objects),
		LEASE_TEST(a_dead_hosts_lease_ends_by_the_stores_clock),
		LEASE_TEST(one_who_slept_stops_even_if_nobody_took_it),
		LEASE_TEST(who_was_declared_dead_and_gone_again_is_noticed),
		LEASE_TEST(
		    a_dead_process_of_this_machine_ends_its_lease_at_once),
		LEASE_TEST(a_pid_used_again_is_another_process),
		LEASE_TEST(a_lease_from_the_future_is_watched),
		LEASE_TEST(a_store_that_fails_for_a_while_costs_nothing),
		LEASE_TEST(taking_that_fails_anywhere_blocks_nobody),
		LEASE_TEST(look_tells_who_has_it),
		LEASE_TEST(a_body_of_nonsense_is_an_error_not_a_free_lease),
		LEASE_TEST(many_takers_never_hold_it_at_once_in_memory),
		LEASE_TEST(many_takers_never_hold_it_at_once_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
