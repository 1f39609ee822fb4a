/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_LINESTORE_H
#define REPO_LINESTORE_H

/*
 * Manifest lines of files, directories and links kept in memory, for who gets
 * or wants them in another order than the manifest's. A line takes its path
 * and some 30 bytes, and a few more for each run.
 *
 *	s = linestore_new();
 *	linestore_add(s, &entry);	copies
 *	linestore_sort(s);		by the bytes of the path
 *	linestore_find(s, path, &entry), linestore_get(s, i, &entry)
 *	linestore_free(s);
 *
 * One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "repo/manifest.h"

struct linestore;

struct linestore *linestore_new(void);
void linestore_free(struct linestore *s); /* NULL is fine */

/* Types DIR, LINK and FILE: path, target, mode, mtime, size, CRC, runs, map. */
void linestore_add(struct linestore *s, const struct manifest_entry *entry);
void linestore_sort(struct linestore *s);

size_t linestore_count(const struct linestore *s);

/* *out is valid until the next call of get or find. */
void linestore_get(struct linestore *s, size_t i, struct manifest_entry *out);

/* After the sort. */
bool linestore_find(struct linestore *s, const char *path,
    struct manifest_entry *out);

#endif
