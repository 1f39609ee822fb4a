/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_QUEUE_H
#define REPO_QUEUE_H

/*
 * What one of a cluster's repositories still lacks, as this host knows: one
 * empty file an item, and a note of the last attempts. archive-push adds the
 * WAL file that it has stored elsewhere, backup and dump their label; the
 * process that brings the repository up to date takes items away. The queue
 * is a hint: a comparison of both repositories finds what it does not say.
 *
 *	queue_open(&q, state_directory, repo, &inc, "offsite", err);
 *	queue_add(q, "000000010000000000000003", err);
 *	queue_list(q, &items, &n, err);		free each, and the list
 *	queue_done(q, "000000010000000000000003");
 *	queue_close(q);
 *
 * Adding and taking away may happen at the same time in several processes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/repo.h"

struct queue;

/* name: the repository's in the configuration. repo: any place of it. */
int queue_open(struct queue **out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc, const char *name,
    struct err *err) ERR_USE;
void queue_close(struct queue *q); /* NULL is fine */

/* To look only, whoever's it is: nothing is made. False: there is none. */
bool queue_open_existing(struct queue **out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc,
    const char *name);

/*
 * A WAL file's name, "backup-LABEL" or "dump-LABEL". Twice is once. When it
 * cannot be added, the note goes, so that both are compared soon.
 */
int queue_add(struct queue *q, const char *item, struct err *err) ERR_USE;
void queue_done(struct queue *q, const char *item);

struct queue_item {
	char *name;
	int64_t since; /* when it was added: this host's clock */
};

/* All of them, by name. queue_items_free() takes the list. */
int queue_list(const struct queue *q, struct queue_item **out, size_t *n,
    struct err *err) ERR_USE;
void queue_items_free(struct queue_item *items, size_t n);

/* How many items, and since when the oldest waits (0: none). */
int queue_lag(const struct queue *q, uint64_t *items, int64_t *oldest,
    struct err *err) ERR_USE;

/* Does a backup or dump wait? */
bool queue_has_set(const struct queue *q);

/* The right to work on it: as state_lock(). */
int queue_lock(const struct queue *q);

/* What the last attempts came to; times are this host's, 0: never. */
struct queue_note {
	int64_t last_success; /* all that was queued is there */
	int64_t last_compared; /* both repositories were compared, and agree */
	int64_t last_failure;
	int64_t next_try; /* not before: pauses grow while it fails */
	unsigned failures; /* since the last success */
	char error[512]; /* of the last failure, "" since a success */
};

/* None was written, or it cannot be read: zeroed. */
void queue_note_read(const struct queue *q, struct queue_note *note);
void queue_note_write(struct queue *q, const struct queue_note *note);

#endif
