/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/process.h"
#include "core/time.h"

#define THREADS 8
#define RUNS 20
#define LONG ((size_t)3 << 20)

/* A shell with this script; env and io as in `more`. */
static int
start(struct process **p, const char *script, const struct process_spec *more,
    struct err *err)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct process_spec spec = { .argv = NULL };

	if (more != NULL)
		spec = *more;
	spec.argv = argv;
	return process_start(p, &spec, err);
}

static int
run(const char *script, const struct process_spec *more, struct buf *out,
    struct err *err)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct process_spec spec = { .argv = NULL };

	if (more != NULL)
		spec = *more;
	spec.argv = argv;
	return process_run(&spec, out, err);
}

static bool
alive(int pid)
{
	return kill(pid, 0) == 0;
}

static void
its_output_is_collected_and_its_success_told(void **state)
{
	struct err err = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(run("printf one; echo two", NULL, &b, &err), 0);
	assert_string_equal(buf_str(&b), "onetwo\n");
	buf_free(&b);
	buf_init(&b, 3);
	assert_int_equal(run("printf four", NULL, &b, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	buf_free(&b);
}

static void
a_failure_says_what_it_said_and_how_it_ended(void **state)
{
	const struct process_spec spec = { .name = "tool",
		.code = ERR_POSTGRES };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(run("echo 'tool: error: no way' >&2; "
	    "echo 'detail: x' >&2; exit 3", &spec, NULL, &err), -1);
	assert_int_equal(err.code, ERR_POSTGRES);
	assert_string_equal(err.msg,
	    "tool: error: no way; detail: x (exit status 3)");
	err_clear(&err);
	/* What explains an error may be longer than a message. */
	assert_int_equal(run("echo 'tool: error: it is this' >&2; i=0; "
	    "while [ $i -lt 400 ]; do i=$((i+1)); echo 'and a long query' >&2; "
	    "done; exit 1", &spec, NULL, &err), -1);
	assert_non_null(strstr(err.msg, "tool: error: it is this; and a"));
	err_clear(&err);
	assert_int_equal(run("exit 1", NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	assert_string_equal(err.msg, "sh: (exit status 1)");
	err_clear(&err);
	assert_int_equal(run("echo bye >&2; kill -KILL $$", &spec, NULL,
	    &err), -1);
	assert_string_equal(err.msg, "tool was ended by SIGKILL: bye");
}

static void
a_program_that_is_not_there_is_not_found(void **state)
{
	const char *argv[] = { "/nonexistent/tool", NULL };
	const char *dir[] = { "/tmp", NULL };
	struct process_spec spec = { .argv = argv };
	struct process *p = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(process_start(&p, &spec, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "/nonexistent/tool"));
	err_clear(&err);
	spec.argv = dir;
	assert_int_equal(process_start(&p, &spec, &err), -1);
	assert_int_equal(err.sys_errno, EACCES);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
}

static void
the_environment_is_ours_with_the_changes(void **state)
{
	const char *env[] = { "KEPT=changed", "GONE", "NEW=a=b", NULL };
	const struct process_spec spec = { .env = env };
	struct err err = ERR_INIT;
	struct buf b;

	(void)state;
	(void)setenv("KEPT", "old", 1);
	(void)setenv("GONE", "old", 1);
	(void)setenv("GONE_NOT", "here", 1);
	buf_init(&b, 1000);
	assert_int_equal(run("echo \"$KEPT,${GONE-none},$GONE_NOT,$NEW\"; "
	    "env | grep -c ^KEPT", &spec, &b, &err), 0);
	assert_string_equal(buf_str(&b), "changed,none,here,a=b\n1\n");
	buf_free(&b);
}

static void
much_goes_in_and_comes_out(void **state)
{
	const struct process_spec spec = { .in = PROCESS_PIPE,
		.out = PROCESS_PIPE };
	char *data = calloc(1, LONG), *back = malloc(LONG);
	struct process *p = NULL;
	struct err err = ERR_INIT;
	size_t got, n = 0, i;

	(void)state;
	assert_non_null(data);
	assert_non_null(back);
	for (i = 0; i < LONG; i++)
		data[i] = (char)(i * 7 + i / 1000);
	/* All is read first: cat would stop when nobody reads. */
	assert_int_equal(start(&p, "f=$(mktemp); cat >$f; cat $f; rm $f",
	    &spec, &err), 0);
	assert_int_equal(process_write(p, data, LONG, &err), 0);
	process_close_in(p);
	do {
		assert_int_equal(process_read(p, back + n, LONG - n < 70000 ?
		    LONG - n : 70000, &got, &err), 0);
		n += got;
	} while (got > 0 && n < LONG);
	assert_int_equal(n, LONG);
	assert_memory_equal(data, back, LONG);
	assert_int_equal(process_read(p, back, 10, &got, &err), 0);
	assert_int_equal(got, 0);
	assert_int_equal(process_wait(p, &err), 0);
	process_free(p);
	free(data);
	free(back);
}

static void
writing_to_one_that_failed_says_why_it_failed(void **state)
{
	const struct process_spec spec = { .in = PROCESS_PIPE,
		.name = "psql" };
	char *data = calloc(1, LONG);
	struct process *p = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(start(&p, "echo 'psql: out of patience' >&2; exit 3",
	    &spec, &err), 0);
	assert_int_equal(process_write(p, data, LONG, &err), -1);
	assert_string_equal(err.msg, "psql: out of patience (exit status 3)");
	process_free(p);
	err_clear(&err);
	assert_int_equal(start(&p, "exec <&-; exit 0", &spec, &err), 0);
	assert_int_equal(process_write(p, data, LONG, &err), -1);
	assert_non_null(strstr(err.msg, "before it had read everything"));
	process_free(p);
	free(data);
}

static void
only_the_three_descriptors_and_no_signal_settings_are_inherited(void **state)
{
	struct err err = ERR_INIT;
	struct sigaction sa;
	struct buf b;
	int fd;

	(void)state;
	/*
	 * SIGUSR1 is bit 9, SIGPIPE bit 12: ignored here, not in the child.
	 * glibc's own two, bits 31 and 32, are ignored in whatever its
	 * posix_spawn() began, as GNU make does, and nobody can change that.
	 */
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_IGN;
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	fd = open("/dev/null", O_RDONLY); /* would be inherited */
	assert_true(fd > 2);
	buf_init(&b, 1000);
	assert_int_equal(run("ls /proc/self/fd | tr '\\n' ' '; "
	    "grep -E 'Sig(Ign|Blk)' /proc/self/status | grep -vE "
	    "'0000000(00|18)0000000'; exit 0", NULL, &b, &err), 0);
	/* ls has the directory open */
	assert_string_equal(buf_str(&b), "0 1 2 3 ");
	buf_free(&b);
	(void)close(fd);
}

static void
it_works_with_the_standard_descriptors_closed(void **state)
{
	struct err err = ERR_INIT;
	struct buf b;
	int keep = dup(0), rc;

	(void)state;
	buf_init(&b, 100);
	(void)close(0);
	rc = run("cat; echo all well", NULL, &b, &err);
	assert_int_equal(dup2(keep, 0), 0);
	(void)close(keep);
	assert_int_equal(rc, 0);
	assert_string_equal(buf_str(&b), "all well\n");
	buf_free(&b);
}

static void
a_descriptor_of_the_callers_is_its_output(void **state)
{
	struct process_spec spec = { .out = PROCESS_FD };
	struct process *p = NULL;
	struct err err = ERR_INIT;
	char got[10] = "";
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	spec.out_fd = fileno(f);
	assert_int_equal(start(&p, "printf hello", &spec, &err), 0);
	assert_int_equal(process_wait(p, &err), 0);
	process_free(p);
	assert_int_equal(pread(fileno(f), got, 9, 0), 5);
	assert_string_equal(got, "hello");
	(void)fclose(f);
}

static void
a_talkative_one_neither_blocks_nor_fills_memory(void **state)
{
	struct process *p = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(start(&p, "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); "
	    "printf '%01000d\\n' $i >&2; done; echo the end >&2; exit 1", NULL,
	    &err), 0);
	assert_int_equal(process_wait(p, &err), -1);
	assert_true(strlen(process_said(p)) <= PROCESS_SAID_MAX);
	assert_non_null(strstr(err.msg, "the end (exit status 1)"));
	process_free(p);
}

/* Waits until it is in its loop, that is: until it has said so. */
static void
start_stubborn(struct process **p, const char *trap, unsigned kill_after_ms,
    struct err *err)
{
	const struct process_spec spec = { .out = PROCESS_PIPE,
		.kill_after_ms = kill_after_ms };
	char script[200], c;
	size_t got;

	(void)snprintf(script, sizeof(script), "trap '%s' TERM; echo; "
	    "while :; do sleep 0.01; done", trap);
	assert_int_equal(start(p, script, &spec, err), 0);
	assert_int_equal(process_read(*p, &c, 1, &got, err), 0);
	assert_int_equal(got, 1);
}

static void
it_is_ended_kindly_and_waited_for(void **state)
{
	struct process *p = NULL;
	struct err err = ERR_INIT;
	int pid;

	(void)state;
	start_stubborn(&p, "echo goodbye >&2; exit 0", 0, &err);
	pid = process_id(p);
	assert_true(alive(pid));
	process_terminate(p);
	assert_false(alive(pid));
	assert_int_equal(process_id(p), 0);
	assert_string_equal(process_said(p), "goodbye");
	process_terminate(p); /* again is fine */
	process_free(p);
}

static void
freeing_ends_one_that_does_not_want_to(void **state)
{
	struct process *p = NULL;
	struct err err = ERR_INIT;
	int pid;

	(void)state;
	start_stubborn(&p, ":", 300, &err);
	pid = process_id(p);
	process_free(p);
	assert_false(alive(pid));
}

static void
it_ends_with_its_parent(void **state)
{
	int fds[2], pid = 0, status;
	int64_t until;
	pid_t parent;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		struct process *p = NULL;
		struct err err = ERR_INIT;

		if (start(&p, "sleep 1000", NULL, &err) != 0)
			_exit(1);
		pid = process_id(p);
		_exit(write(fds[1], &pid, sizeof(pid)) !=
		    (ssize_t)sizeof(pid));
	}
	assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(status, 0);
	until = time_monotonic() + 10000000;
	while (alive(pid) && time_monotonic() < until) {
		char name[64], text[256] = "";
		FILE *f;

		/* Nobody may be there to reap it. */
		(void)snprintf(name, sizeof(name), "/proc/%d/stat", pid);
		f = fopen(name, "r");
		if (f != NULL) {
			(void)!fgets(text, sizeof(text), f);
			(void)fclose(f);
		}
		if (strstr(text, ") Z ") != NULL)
			break;
		(void)usleep(1000);
	}
	assert_true(time_monotonic() < until);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void *
many_runs(void *arg)
{
	const int k = *(int *)arg;
	char script[64], want[32];
	struct err err = ERR_INIT;
	struct buf b;
	int i;

	for (i = 0; i < RUNS; i++) {
		buf_init(&b, 100);
		(void)snprintf(script, sizeof(script), "cat; echo %d.%d", k,
		    i);
		(void)snprintf(want, sizeof(want), "%d.%d\n", k, i);
		if (run(script, NULL, &b, &err) != 0 ||
		    strcmp(buf_str(&b), want) != 0)
			return arg;
		buf_free(&b);
	}
	return NULL;
}

static void
threads_do_not_get_in_each_others_way(void **state)
{
	pthread_t t[THREADS];
	int k[THREADS], i;
	void *bad;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		k[i] = i;
		assert_int_equal(pthread_create(&t[i], NULL, many_runs,
		    &k[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
}

/* The last one: the signal stays noted. */
static void
a_signal_to_us_ends_the_wait_and_the_child(void **state)
{
	struct process *p = NULL;
	struct err err = ERR_INIT;
	int pid;

	(void)state;
	assert_int_equal(start(&p, "sleep 1000", NULL, &err), 0);
	pid = process_id(p);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(process_wait(p, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	process_free(p);
	assert_false(alive(pid));
	/* One that has to say that: it is heard to its end. */
	err_clear(&err);
	assert_int_equal(start(&p, "sleep 0.1; echo done", &(struct
	    process_spec){ .out = PROCESS_SAID, .deaf = true }, &err), 0);
	assert_int_equal(process_wait(p, &err), 0);
	assert_string_equal(process_said(p), "done");
	process_free(p);
}

static int
read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	int n = 0;

	if (f != NULL) {
		if (fscanf(f, "%d", &n) != 1)
			n = 0;
		(void)fclose(f);
	}
	return n;
}

/* A shell that waits for a command, and a command that waits long. */
static void
one_that_takes_too_long_is_ended_with_its_children(void **state)
{
	static const struct process_spec more = { .out = PROCESS_SAID,
		.name = "hook", .code = ERR_REFUSED, .limit_ms = 300,
		.kill_after_ms = 300, .group = true };
	char path[] = "/tmp/dapk-process.XXXXXX", script[256];
	struct err err = ERR_INIT;
	struct process *p;
	int fd = mkstemp(path), child, i;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(script, sizeof(script), "echo begun; (trap '' TERM; "
	    "sleep 60 & echo $! >%s; wait; sleep 60); true", path);
	assert_int_equal(start(&p, script, &more, &err), 0);
	assert_int_equal(process_wait(p, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "hook had not ended after 0.3 s"));
	assert_string_equal(process_said(p), "begun");
	child = read_number(path);
	assert_true(child > 0);
	process_free(p);
	for (i = 0; i < 500 && alive(child); i++) {
		char state_of[64];

		/* Nobody may be there to wait for it: a zombie is dead. */
		(void)snprintf(state_of, sizeof(state_of), "grep -q '^State:.*"
		    "Z' /proc/%d/status 2>/dev/null", child);
		if (system(state_of) == 0)
			break;
		(void)usleep(10000);
	}
	assert_true(i < 500);
	(void)unlink(path);
}

static void
what_it_says_on_both_is_kept_in_order(void **state)
{
	static const struct process_spec more = { .out = PROCESS_SAID,
		.limit_ms = 60000, .group = true };
	struct err err = ERR_INIT;
	struct process *p;

	(void)state;
	assert_int_equal(start(&p, "echo a; echo b >&2; echo c", &more, &err),
	    0);
	assert_int_equal(process_wait(p, &err), 0);
	assert_string_equal(process_said(p), "a\nb\nc");
	process_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_output_is_collected_and_its_success_told),
		cmocka_unit_test(a_failure_says_what_it_said_and_how_it_ended),
		cmocka_unit_test(a_program_that_is_not_there_is_not_found),
		cmocka_unit_test(the_environment_is_ours_with_the_changes),
		cmocka_unit_test(much_goes_in_and_comes_out),
		cmocka_unit_test(writing_to_one_that_failed_says_why_it_failed),
		cmocka_unit_test(
		    only_the_three_descriptors_and_no_signal_settings_are_inherited),
		cmocka_unit_test(it_works_with_the_standard_descriptors_closed),
		cmocka_unit_test(a_descriptor_of_the_callers_is_its_output),
		cmocka_unit_test(
		    a_talkative_one_neither_blocks_nor_fills_memory),
		cmocka_unit_test(it_is_ended_kindly_and_waited_for),
		cmocka_unit_test(freeing_ends_one_that_does_not_want_to),
		cmocka_unit_test(it_ends_with_its_parent),
		cmocka_unit_test(threads_do_not_get_in_each_others_way),
		cmocka_unit_test(
		    one_that_takes_too_long_is_ended_with_its_children),
		cmocka_unit_test(what_it_says_on_both_is_kept_in_order),
		cmocka_unit_test(a_signal_to_us_ends_the_wait_and_the_child),
	};

	cancel_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
