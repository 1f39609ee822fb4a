/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_GAP_H
#define REPO_GAP_H

/*
 * WAL that was given up, so that it did not fill the server's disk while
 * archiving failed (archive-queue-max): gaps with a name, a time and a reason
 * (FORMAT.md section 3.3). That something is missing is seen from the WAL that
 * is there; these objects say why. archive-push notes what it gives up in the
 * state directory at once, and puts it into the repository when WAL that comes
 * after it is stored there.
 *
 *	gap_note(state_directory, &inc, segment, &why, err);	durable
 *	gap_flush(state_directory, repo, &inc, segment_size, err);
 *	gap_list(repo, &inc, &gaps, &n, err);	gaps_free(gaps, n)
 *	gap_find(gaps, n, segment);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"
#include "repo/repo.h"
#include "repo/textset.h"

#define GAP_ID_TEXT 17

struct gap {
	char id[GAP_ID_TEXT]; /* gap_put() fills it in */
	char first[WAL_SEGMENT_NAME_LEN + 1]; /* of one timeline */
	char last[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t segments;
	int64_t from, until; /* the server's host's clock: when they went */
	char *host;
	char *reason; /* the error of the first */
};

/* Where they lie: for who copies them as they are. */
void gap_textset(const struct incarnation *inc, struct textset *set);

int gap_put(struct repo *repo, const struct incarnation *inc,
    struct gap *gap, struct err *err) ERR_USE;

/* All of them, by name. The caller frees. */
int gap_list(struct repo *repo, const struct incarnation *inc,
    struct gap **out, size_t *n, struct err *err) ERR_USE;
void gaps_free(struct gap *gaps, size_t n);

/* The one that this segment is in, or NULL. */
const struct gap *gap_find(const struct gap *gaps, size_t n,
    const char *segment);

/*
 * Of an error about this segment, which is missing: when it was given up, say
 * so before the message. What cannot be read explains nothing. Returns -1.
 */
int gap_explain(struct repo *repo, const struct incarnation *inc,
    const char *segment, struct err *err);

/* 0: it is on disk that this segment is given up, because of `why`. */
int gap_note(const char *state_directory, const struct incarnation *inc,
    const char *segment, const struct err *why, struct err *err) ERR_USE;

/* Is there anything for gap_flush() to do? One look at a directory. */
bool gap_waits(const char *state_directory);

/* What is noted of this server goes into the repository. */
int gap_flush(const char *state_directory, struct repo *repo,
    const struct incarnation *inc, uint32_t segment_size,
    struct err *err) ERR_USE;

#endif
