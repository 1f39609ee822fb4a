/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_LEASE_H
#define REPO_LEASE_H

/*
 * A lease: at most one process on any host changes something (FORMAT.md
 * section 3.3). LEASE_BACKUPS, one for each incarnation, belongs to whoever
 * adds to its backups or removes from them: `backup` and `expire`;
 * LEASE_DUMPS likewise to `dump` and `expire`. Who needs both takes
 * LEASE_BACKUPS first.
 *
 *	lease_take(&lease, repo, &inc, &params, err);	ERR_LOCKED: held
 *	lease_renew(lease, err);	often; cheap until it is time to
 *	lease_confirm(lease, err);	before what may not happen without it
 *	lease_release(lease);
 *
 * How it excludes, with nothing but put, list and remove: each holder's
 * objects have names of their own. Who wants it puts an object first and
 * lists then; who sees another living one takes its own back. Of two takers
 * the one whose put came last sees the other: at most one wins, or both back
 * off and try again a little later, each after a time of its own.
 *
 * Time is the store's (mtime of objects), compared with an object just put;
 * no host's clock counts. A lease ends valid_ms after its newest object was
 * put, or at once when its process is known to be dead: the same boot of the
 * same machine and the same pid namespace, and no process has the pid or the
 * one that has it started at another time. An object from the future (a
 * clock was set back) is watched for valid_ms: who lives renews.
 *
 * A holder that slept past its time, or was declared dead, sees it at the
 * next renewal: by the distance of its objects' mtimes, by CLOCK_BOOTTIME,
 * by its own older object that is gone, by an object of another holder. A
 * process can still sleep between lease_confirm() and what it confirmed for:
 * what is done then must be harmless (removal has two steps, and a backup
 * looks again after its commit).
 *
 * A lease serves the thread that has the repository.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/repo.h"

#define LEASE_BACKUPS "backups"
#define LEASE_DUMPS "dumps"
#define LEASE_VALID_MS_DEFAULT UINT64_C(600000)
#define LEASE_ID_TEXT 17 /* 16 digits and the 0 */
#define LEASE_HOST_MAX 256
#define LEASE_PROCESS_MAX 160

/* The lease on what is of a kind. */
const char *lease_name(enum repo_kind kind);

struct lease;

struct lease_params {
	const char *name;    /* LEASE_BACKUPS, LEASE_DUMPS */
	const char *purpose; /* "backup": for messages */
	uint64_t valid_ms;   /* whole seconds, at least one; 0: the default */
	/* For tests: another process than this one; NULL, 0: this one. */
	const char *host, *process;
	long pid;
};

/* What an object of a holder says. */
struct lease_info {
	char id[LEASE_ID_TEXT];
	uint64_t number;
	char host[LEASE_HOST_MAX];
	char process[LEASE_PROCESS_MAX]; /* boot/pid namespace/start time */
	char purpose[32];
	long pid;
	int64_t started; /* the holder's clock: to show, not to compare */
	uint64_t valid_ms;
	bool ended;
	int64_t mtime; /* the store's clock */
};

/*
 * ERR_LOCKED when another process holds it: the message names it. Then, and
 * after any other error, nothing of ours stays, if the store lets us remove.
 */
int lease_take(struct lease **out, struct repo *repo,
    const struct incarnation *inc, const struct lease_params *params,
    struct err *err) ERR_USE;

/*
 * Renews when a sixth of the time has passed since it was done last; else it
 * only looks at a clock. -1 with ERR_LOCKED: it is lost, and whatever it
 * protects must stop now. A store that fails for a while is no error as long
 * as the lease holds.
 */
int lease_renew(struct lease *lease, struct err *err) ERR_USE;

/* Renews in any case; any failure is an error. */
int lease_confirm(struct lease *lease, struct err *err) ERR_USE;

/* The store's clock when it was renewed last: microseconds since 2000. */
int64_t lease_time(const struct lease *lease);

/* Ends it, as far as it is ours. NULL is fine. */
void lease_release(struct lease *lease);

/* Who holds it or wants it: each one's newest object. The caller frees. */
int lease_look(struct repo *repo, const struct incarnation *inc,
    const char *name, struct lease_info **out, size_t *n,
    struct err *err) ERR_USE;

/* This process, as in lease_info.process; "" when /proc does not tell. */
void lease_process(char out[LEASE_PROCESS_MAX]);

/*
 * Is the holder's process known to be dead? process: as lease_process() gives
 * it here and now.
 */
bool lease_process_dead(const struct lease_info *info, const char *process);

#endif
