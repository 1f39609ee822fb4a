/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_POSTMASTER_H
#define RESTORE_POSTMASTER_H

/*
 * Internal to src/restore: finding the right PostgreSQL, starting it in the
 * restored directory, stopping it again.
 *
 *	postmaster_prepare(&pm, plan, err)	binaries, port, sockets, options
 *	postmaster_start(&pm, err)
 *	postmaster_running(&pm)			asks, and remembers the end
 *	postmaster_stop(&pm)			when it must not go on
 *	postmaster_free(&pm)			a running server goes on
 *
 * The server is reached only through a socket in a private directory (the data
 * directory where its name allows), uses
 * the restored configuration and never the one in /etc of this host, and
 * writes its log to DIR/dapk-backup-start.log. One thread.
 */
#include <sys/types.h>

#include "core/err.h"
#include "restore/plan.h"

#define POSTMASTER_LOG "dapk-backup-start.log"
#define POSTMASTER_ARGS_MAX 64

struct postmaster {
	const struct restore_plan *plan;
	char *bin;    /* the directory of postgres and pg_ctl */
	char *log;    /* its name */
	char *sockets; /* the socket directory */
	unsigned port;
	char *args[POSTMASTER_ARGS_MAX];
	size_t n_args;
	pid_t pid; /* 0: not running */
	bool left_running; /* set by the caller: its sockets stay */
	int exit_status; /* as wait() gives it, when it ended */
};

int postmaster_prepare(struct postmaster *pm, const struct restore_plan *plan,
    struct err *err) ERR_USE;
/* Only the binaries; free it too. */
int postmaster_find(struct postmaster *pm, const struct restore_plan *plan,
    struct err *err) ERR_USE;

int postmaster_start(struct postmaster *pm, struct err *err) ERR_USE;
bool postmaster_running(struct postmaster *pm);
void postmaster_stop(struct postmaster *pm);
void postmaster_free(struct postmaster *pm);

/* A setting as this server would have it; *out is "" when it cannot be told. */
int postmaster_setting(const struct postmaster *pm, const char *name,
    char *out, size_t size, struct err *err) ERR_USE;

#endif
