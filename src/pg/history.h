/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_HISTORY_H
#define PG_HISTORY_H

/*
 * Timeline history files and paths through timelines. Source: PostgreSQL
 * src/backend/access/transam/timeline.c: each line "TLI <tab> LSN <tab>
 * reason", oldest first, '#' comments; an empty file and timeline 1 without
 * a file are valid (TRAPS T27). Pure and thread safe.
 */
#include <stddef.h>

#include "core/err.h"
#include "pg/walname.h"

#define HISTORY_FILE_MAX ((size_t)1 << 20)
#define HISTORY_ENTRIES_MAX 4096

/* A stretch of WAL on one timeline: begin <= LSN < end. */
struct history_entry {
	uint32_t timeline;
	pg_lsn begin;
	pg_lsn end; /* UINT64_MAX for the last entry, the timeline itself */
};

/* The path from the beginning of WAL to a timeline, oldest first. */
struct history {
	uint32_t timeline;
	struct history_entry *entries;
	size_t n; /* at least 1; entries[n - 1].timeline == timeline */
};

/* Decode NNNNNNNN.history of `timeline`; ERR_DAMAGED when it makes no sense. */
int history_decode(uint32_t timeline, const char *text, size_t len,
    struct history *out, struct err *err) ERR_USE;

/* The history of a timeline that has no file (timeline 1). */
void history_single(uint32_t timeline, struct history *out);

void history_free(struct history *h);

/* The entry whose timeline holds this LSN; NULL never (end is open). */
const struct history_entry *history_at(const struct history *h, pg_lsn lsn);

/* The entry of this timeline, or NULL when it is not on the path. */
const struct history_entry *history_find(const struct history *h,
    uint32_t timeline);

/*
 * Can WAL position `lsn` on `timeline` be on this path: is the timeline an
 * ancestor (or itself) that was left at or after lsn?
 */
bool history_contains(const struct history *h, uint32_t timeline, pg_lsn lsn);

#endif
