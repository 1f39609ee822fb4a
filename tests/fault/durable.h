/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FAULT_DURABLE_H
#define TESTS_FAULT_DURABLE_H

/*
 * What of a file system a power cut would leave, by the syncs that were done:
 *
 *	durable_begin(root, state, begun)	all that is there counts, unless
 *						another process has begun
 *	durable_synced(pid, fd, whole)		after each sync; whole: syncfs
 *	durable_cut(state, out, now)		out: each directory as it was last
 *			synced, each file with what it had then. With now, which is
 *			ROOT: all names as they are, of each file only what was synced
 *
 * ROOT must not use an inode number twice (a tmpfs does not). What fails ends
 * the process with code 98. One thread; processes may share a state.
 */
#include <stdbool.h>
#include <sys/types.h>

void durable_begin(const char *root, const char *state, bool begun);
void durable_synced(pid_t pid, int fd, bool whole);
void durable_cut(const char *state, const char *out, const char *now);

/* Says why, with errno's text, and ends with 98. */
void die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

#endif
