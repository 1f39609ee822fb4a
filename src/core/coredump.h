/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_COREDUMP_H
#define CORE_COREDUMP_H

/*
 * No core dumps of this process: keys and passwords of repositories are in
 * its memory. A limit of 1 byte, not 0: Linux pipes a dump to the program that
 * kernel.core_pattern names whatever the limit is, unless it is 1 (core(5),
 * fs/coredump.c). Threads: only at the start, and in a child.
 *
 *	coredump_forbid()	once, first
 *	coredump_allow()	in a child, before another program is run: what
 *				it is allowed is what we were
 *
 * Both are as good as they can be: what fails is not told, since nothing that
 * was asked for depends on it. coredump_allow() is async-signal-safe.
 */
void coredump_forbid(void);
void coredump_allow(void);

#endif
