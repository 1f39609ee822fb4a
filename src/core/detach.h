/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_DETACH_H
#define CORE_DETACH_H

/*
 * A process of our own that goes on when the command has ended: it fetches
 * ahead, or brings another repository up to date. It runs the same program
 * without an exec, so that it has the same configuration.
 *
 *	pid = detach_fork();
 *	if (pid == 0) {
 *		work();
 *		_exit(0);
 *	}
 *
 * The child has a session of its own, no descriptor that was inherited (those
 * of ours have the close-on-exec flag and stay open), /dev/null for the
 * standard ones, and / as its directory; so neither PostgreSQL nor a shell
 * ever waits for it. It should end with status 0 in any case: where the
 * postmaster is process 1 (containers) it becomes its child, and another
 * status would be taken for a crash. To be called without other threads.
 */
#include <sys/types.h>

/* As fork(): 0 in the child, -1 (errno) when there is none. */
pid_t detach_fork(void);

#endif
