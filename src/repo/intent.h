/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_INTENT_H
#define REPO_INTENT_H

/*
 * Intents (FORMAT.md section 3.3): who is about to make a backup or dump that refers
 * to another one's packs says so before it does, so that a removal waits.
 *
 *	intent_put(repo, &inc, kind, label, attempt, parent, id, err);
 *	...					the backup
 *	intent_remove(repo, &inc, id, err);
 *
 * An intent whose maker does not hold the lease any more is dead when it is
 * older than the grace period of removals, or at once when its process is known
 * to be; a removal (retain/removal.h) removes it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/format.h"
#include "repo/lease.h"
#include "repo/repo.h"

#define INTENT_ID_TEXT 17 /* 16 digits and the 0 */
#define INTENT_HOST_MAX 256

struct intent {
	char id[INTENT_ID_TEXT];
	enum repo_kind kind; /* of label and parent */
	char label[FORMAT_LABEL_MAX];
	uint32_t attempt;
	char parent[FORMAT_LABEL_MAX]; /* "": none */
	char host[INTENT_HOST_MAX];
	char process[LEASE_PROCESS_MAX]; /* as a lease's; "": not known */
	long pid;
	int64_t started; /* the maker's clock */
	int64_t mtime;	 /* the store's */
};

int intent_put(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, uint32_t attempt, const char *parent,
    char id[INTENT_ID_TEXT], struct err *err) ERR_USE;

/*
 * Is its process known to be dead? process: as lease_process() gives it here
 * and now.
 */
bool intent_process_dead(const struct intent *i, const char *process);

/* That it is not there is fine. */
int intent_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err) ERR_USE;

/* All of them, in no order. The caller frees. */
int intent_list(struct repo *repo, const struct incarnation *inc,
    struct intent **out, size_t *n, struct err *err) ERR_USE;

#endif
