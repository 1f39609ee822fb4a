/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pipe/pool.h"

/* What the jobs of a test share. */
static struct {
	atomic_int ran, skipped, inits, finis, running, most;
	atomic_bool hold; /* jobs wait while set */
	atomic_int failures;
} seen;

struct job {
	int fail; /* 0: succeeds; else the number it fails with */
	bool wait;
};

static int
setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	return 0;
}

static int
init_worker(void *worker, void *arg, struct err *err)
{
	assert_int_equal(*(int *)worker, 0);
	*(int *)worker = 1000;
	if (atomic_fetch_add(&seen.inits, 1) + 1 == *(int *)arg)
		return err_set(err, ERR_IO, "no worker");
	return 0;
}

static void
fini_worker(void *worker)
{
	(void)worker;
	atomic_fetch_add(&seen.finis, 1);
}

static int
run_job(void *worker, void *arg, bool skip, struct err *err)
{
	struct job *job = arg;
	int fail = job->fail, now, most;
	bool wait = job->wait;

	free(job);
	if (skip) {
		atomic_fetch_add(&seen.skipped, 1);
		return 0;
	}
	now = atomic_fetch_add(&seen.running, 1) + 1;
	most = atomic_load(&seen.most);
	while (now > most &&
	    !atomic_compare_exchange_weak(&seen.most, &most, now))
		;
	while (wait && atomic_load(&seen.hold))
		(void)sched_yield();
	atomic_fetch_sub(&seen.running, 1);
	atomic_fetch_add(&seen.ran, 1);
	++*(int *)worker;
	if (fail == 0)
		return 0;
	atomic_fetch_add(&seen.failures, 1);
	return err_set(err, ERR_IO, "failure %d", fail);
}

static struct job *
job_new(int fail, bool wait)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->fail = fail;
	job->wait = wait;
	return job;
}

static int
add_up(void *worker, void *arg, struct err *err)
{
	*(int *)arg += *(int *)worker - 1000;
	return 0;
}

static void
all_jobs_run_and_workers_keep_their_state(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	int never = 0, i, sum = 0;
	bool idle;

	assert_int_equal(pool_new(&p, 4, 3, sizeof(int), init_worker,
	    fini_worker, &never, &err), 0);
	for (i = 0; i < 1000; i++)
		assert_int_equal(pool_submit(p, run_job, job_new(0, false),
		    &err), 0);
	assert_int_equal(pool_finish(p, &err), 0);
	assert_int_equal(pool_poll(p, 0, &idle, &err), 0);
	assert_true(idle);
	assert_int_equal(atomic_load(&seen.ran), 1000);
	assert_int_equal(pool_each_worker(p, add_up, &sum, &err), 0);
	assert_int_equal(sum, 1000);
	/* After a finish more can be submitted. */
	assert_int_equal(pool_submit(p, run_job, job_new(0, false), &err), 0);
	assert_int_equal(pool_finish(p, &err), 0);
	pool_free(p);
	assert_int_equal(atomic_load(&seen.finis), 4);
}

static void
the_first_error_wins_and_later_jobs_are_only_released(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	int never = 0, i, accepted = 0;

	assert_int_equal(pool_new(&p, 1, 8, sizeof(int), init_worker,
	    fini_worker, &never, &err), 0);
	atomic_store(&seen.hold, true);
	assert_int_equal(pool_submit(p, run_job, job_new(7, true), &err), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(pool_submit(p, run_job, job_new(8, false),
		    &err), 0);
	atomic_store(&seen.hold, false);
	while (!pool_failed(p))
		(void)sched_yield();
	for (i = 0; i < 20; i++) {
		err_clear(&err);
		accepted += pool_submit(p, run_job, job_new(9, false),
		    &err) == 0;
		assert_string_equal(err.msg, "failure 7");
	}
	assert_int_equal(accepted, 0);
	err_clear(&err);
	assert_int_equal(pool_finish(p, &err), -1);
	assert_string_equal(err.msg, "failure 7");
	assert_int_equal(atomic_load(&seen.ran), 1);
	assert_int_equal(atomic_load(&seen.skipped), 25);
	pool_free(p);
}

static atomic_int submitted;

/* Tells how far the owner got; runs beside it. */
static void *
watch(void *arg)
{
	int last = -1, same = 0;

	/* Until the number has not moved for long: then it is bounded. */
	while (same < 2000) {
		int now = atomic_load(&submitted);

		same = now == last && now > 0 ? same + 1 : 0;
		last = now;
		(void)sched_yield();
	}
	*(int *)arg = last;
	atomic_store(&seen.hold, false);
	return NULL;
}

static void
the_queue_is_bounded(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	pthread_t watcher;
	int never = 0, i, stuck = 0;

	atomic_store(&submitted, 0);
	atomic_store(&seen.hold, true);
	assert_int_equal(pool_new(&p, 2, 3, sizeof(int), init_worker,
	    fini_worker, &never, &err), 0);
	assert_int_equal(pthread_create(&watcher, NULL, watch, &stuck), 0);
	for (i = 0; i < 50; i++) {
		assert_int_equal(pool_submit(p, run_job, job_new(0, true),
		    &err), 0);
		atomic_fetch_add(&submitted, 1);
	}
	assert_int_equal(pool_finish(p, &err), 0);
	(void)pthread_join(watcher, NULL);
	assert_true(stuck <= 2 + 3); /* two running, three queued */
	assert_true(atomic_load(&seen.most) <= 2);
	assert_int_equal(atomic_load(&seen.ran), 50);
	pool_free(p);
}

static void
freeing_releases_what_is_queued(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	int never = 0, i;

	assert_int_equal(pool_new(&p, 1, 20, sizeof(int), init_worker,
	    fini_worker, &never, &err), 0);
	for (i = 0; i < 20; i++)
		assert_int_equal(pool_submit(p, run_job, job_new(0, false),
		    &err), 0);
	pool_free(p);
	assert_int_equal(atomic_load(&seen.ran) + atomic_load(&seen.skipped),
	    20);
	pool_free(NULL);
}

static void
a_failing_init_undoes_the_others(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p = NULL;
	int third = 3;

	assert_int_equal(pool_new(&p, 4, 2, sizeof(int), init_worker,
	    fini_worker, &third, &err), -1);
	assert_string_equal(err.msg, "no worker");
	assert_int_equal(atomic_load(&seen.finis), 2);
}

static int
note_mask(void *worker, void *arg, bool skip, struct err *err)
{
	sigset_t mask;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	*(int *)arg = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT);
	return 0;
}

static void
threads_leave_signals_to_the_owner(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	int blocked = 0;

	assert_int_equal(pool_new(&p, 1, 1, 1, NULL, NULL, NULL, &err), 0);
	assert_int_equal(pool_submit(p, note_mask, &blocked, &err), 0);
	assert_int_equal(pool_finish(p, &err), 0);
	assert_true(blocked);
	pool_free(p);
}

static void
poll_comes_back_while_a_job_still_runs(void **state)
{
	struct err err = ERR_INIT;
	struct pool *p;
	int never = 0;
	bool idle = true;

	atomic_store(&seen.hold, true);
	assert_int_equal(pool_new(&p, 1, 1, sizeof(int), init_worker, NULL,
	    &never, &err), 0);
	assert_int_equal(pool_submit(p, run_job, job_new(0, true), &err), 0);
	assert_int_equal(pool_poll(p, 5, &idle, &err), 0);
	assert_false(idle);
	atomic_store(&seen.hold, false);
	while (!idle)
		assert_int_equal(pool_poll(p, 1000, &idle, &err), 0);
	pool_free(p);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_jobs_run_and_workers_keep_their_state),
		TEST(the_first_error_wins_and_later_jobs_are_only_released),
		TEST(the_queue_is_bounded),
		TEST(freeing_releases_what_is_queued),
		TEST(a_failing_init_undoes_the_others),
		TEST(threads_leave_signals_to_the_owner),
		TEST(poll_comes_back_while_a_job_still_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
