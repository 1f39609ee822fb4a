/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_RETENTION_H
#define RETAIN_RETENTION_H

/*
 * What retention says of a cluster in a repository: the catalogue, the queues
 * of the cluster's other repositories and the intents, put before the policy
 * (retain/policy.h). Nothing is removed or written.
 *
 *	info_collect(&info, repo, &source, err);
 *	retention_decide(&r, &info, &params, err);
 *	retention_set(&r, i, REPO_BACKUP, k)->why;
 *	retention_free(&r);		before info_free()
 *
 * One thread.
 */
#include "config/config.h"
#include "core/err.h"
#include "info/info.h"
#include "retain/policy.h"

struct retention_params {
	struct repo *repo; /* the info's */
	const struct config *cfg; /* whose other repositories may wait */
	const struct config_repository *address; /* whose rules; of the info's
						    repository */
	const char *cluster;
	int64_t now;
};

struct retention_line {
	const struct info_incarnation *inc;
	struct policy_line *line; /* in policy.lines */
	char **texts; /* that its sets borrow */
	size_t n_texts;
};

struct retention {
	struct policy policy;
	struct retention_line *lines; /* as policy.lines */
};

/*
 * Intents are read from the store, queues from the state directory: one that
 * cannot be read is an error, since nobody knows then what is needed.
 */
int retention_decide(struct retention *out, const struct info *info,
    const struct retention_params *params, struct err *err) ERR_USE;
void retention_free(struct retention *r); /* a zeroed one too */

/* The line of an incarnation, or NULL. */
const struct retention_line *retention_of(const struct retention *r,
    const struct info_incarnation *inc);

/* What was decided of the index-th of its backups or dumps. */
const struct policy_set *retention_set(const struct retention_line *line,
    enum repo_kind kind, size_t index);

/*
 * Fill in why of all that `info` has of each of its clusters: for whoever
 * shows it. What cannot be found out is left out.
 */
void retention_explain(struct info *info, struct repo *repo,
    const struct config *cfg, const struct config_repository *address);

#endif
