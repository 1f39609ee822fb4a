/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_HOOK_H
#define CLI_HOOK_H

/*
 * The commands that somebody wants run before and after a backup or dump, and
 * when it failed (hook-before, hook-after, hook-failure): by /bin/sh, with a
 * JSON description on standard input (dapk-backup.conf(5) has its members)
 * and a time limit. What they print goes to the log.
 *
 *	hook_init(&h, cfg, "backup");
 *	hook_before(&h, repo, err)	-1: it failed, nothing may be begun
 *	hook_stored(&h, &commit);	of each that was stored
 *	return hook_end(&h, code, err);	runs the one that fits
 *
 * hook_end() runs in any case, also when it did not come to hook_before():
 * a command that fails early is one that somebody wants to hear of.
 */
#include <jansson.h>

#include "config/config.h"
#include "core/err.h"
#include "repo/commit.h"
#include "repo/repo.h"

struct hook {
	const struct config *cfg;
	const char *command; /* "backup" */
	unsigned bit;
	bool off; /* nothing is stored: no hook runs */
	bool begun; /* hook_before() was called */
	int64_t started;
	json_t *results; /* of what was stored */
	bool damaged;
};

void hook_init(struct hook *h, const struct config *cfg, const char *command,
    unsigned bit, bool off);
int hook_before(struct hook *h, struct err *err) ERR_USE;
void hook_stored(struct hook *h, const struct commit *c);

/* code and err: the command's result. Returns code, and changes neither. */
int hook_end(struct hook *h, int code, const struct err *err);

#endif
