/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

/*
 * Child processes: other programs that are run, talked to through pipes, and
 * waited for.
 *
 *	struct process_spec spec = { .argv = argv, .out = PROCESS_PIPE };
 *	process_start(&p, &spec, err)
 *	process_read(p, data, size, &got, err)	until got is 0
 *	process_wait(p, err)			0 when it ended with status 0
 *	process_free(p)				ends one that still runs
 *
 * The child has signal handlers and mask as a new process has them, no
 * descriptor but the three standard ones, and a process group of its own, so
 * that Ctrl-C reaches it through us. When the thread that started it ends, it
 * gets SIGTERM: that thread must live until the child was waited for. What it
 * says on standard error is kept, the last PROCESS_SAID_MAX bytes of it.
 *
 * Waiting for it ends when a signal comes to us (core/cancel.h) with
 * ERR_CANCELLED; process_free() then ends the child. SIGPIPE must be ignored
 * (cancel_install() does) where something is written to one. Several threads
 * may each have children; one process belongs to one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define PROCESS_SAID_MAX 16384

enum process_io {
	PROCESS_NULL, /* /dev/null */
	PROCESS_PIPE, /* process_read(), process_write() */
	PROCESS_FD,   /* this descriptor, which stays the caller's */
	PROCESS_SAID  /* output: kept with what goes to standard error */
};

struct process_spec {
	const char *const *argv; /* ends with NULL; argv[0] is a path */
	/*
	 * "NAME=value" sets, "NAME" alone removes; ends with NULL. The rest
	 * is our own environment. NULL: all of it.
	 */
	const char *const *env;
	enum process_io in, out;
	int in_fd, out_fd;  /* for PROCESS_FD */
	const char *name;   /* for messages; NULL: argv[0]'s last part */
	enum err_code code; /* of its failures; ERR_NONE: ERR_IO */
	unsigned kill_after_ms; /* process_terminate(); 0: 10 s */
	/*
	 * Beyond this time since its start reading, writing and waiting fail
	 * with `code`, and process_free() ends it; 0: no limit.
	 */
	uint64_t limit_ms;
	bool group; /* process_terminate() ends its children as well */
	bool deaf;  /* a signal to us does not end the wait for it */
};

struct process;

/* ERR_NOT_FOUND: there is no such program. Nothing runs after an error. */
int process_start(struct process **out, const struct process_spec *spec,
    struct err *err) ERR_USE;

/*
 * Some of its standard output, as soon as there is any; *got is 0 at the end.
 * Whether all was well is process_wait()'s to say.
 */
int process_read(struct process *p, void *data, size_t size, size_t *got,
    struct err *err) ERR_USE;

/*
 * Write all of it to its standard input. When it does not read any more it
 * has failed: the error is what process_wait() would say.
 */
int process_write(struct process *p, const void *data, size_t len,
    struct err *err) ERR_USE;

/* The end of its standard input; the pipe of its output. */
void process_close_in(struct process *p);
void process_close_out(struct process *p);

/*
 * Close the pipes and wait for its end. An error unless it exits with status
 * 0, with what it said ("pg_dump: error: ... (exit status 1)"). Once only.
 */
int process_wait(struct process *p, struct err *err) ERR_USE;

/*
 * The same for programs that tell by their exit status: *status is 0 to 255.
 * Ended by a signal is an error.
 */
int process_wait_status(struct process *p, int *status, struct err *err)
    ERR_USE;

/*
 * End it: SIGTERM, and after a while SIGKILL to it and its children. Nothing
 * of it runs when this returns. One that has ended already is fine.
 */
void process_terminate(struct process *p);

/* What it said on standard error until now, its end. Valid until the next
 * call or the free. */
const char *process_said(struct process *p);

/* Its process id, for messages; 0 when it was waited for. */
int process_id(const struct process *p);

void process_free(struct process *p); /* NULL is fine; terminates */

/*
 * Run it with nothing on its standard input, append its standard output to
 * `output` (may be NULL: dropped) and wait. More output than the buffer's
 * ceiling is an error.
 */
int process_run(const struct process_spec *spec, struct buf *output,
    struct err *err) ERR_USE;

#endif
