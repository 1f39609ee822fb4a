/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_FILEREAD_H
#define REPO_FILEREAD_H

/*
 * The plain bytes of a backup's files, one file after another, from its first
 * byte to its last:
 *
 *	fileread_new(&fr, repo, &commit, err)
 *	fileread_stream(fr, reader, &entry, sink, arg, err)   as often as needed
 *	fileread_free(fr)
 *
 * The frames that were used last are kept decoded, so that a map whose runs
 * go back and forth between many backups' packs decodes each of them once;
 * FILEREAD_CACHE_BYTES bounds them. One thread.
 */
#include "core/err.h"
#include "repo/commit.h"
#include "repo/manifest.h"
#include "repo/repo.h"

#define FILEREAD_CACHE_BYTES ((size_t)64 << 20)

struct fileread;

/* commit (of the backup) is used until fileread_free(). */
int fileread_new(struct fileread **out, struct repo *repo,
    const struct commit *commit, struct err *err) ERR_USE;
void fileread_free(struct fileread *fr); /* NULL is fine */

typedef int (*fileread_sink)(void *arg, const void *data, size_t len,
    struct err *err);

/*
 * All bytes of a FILE, CONFIG or CONTROL line, which the reader just gave, to
 * the sink. Each frame is checked: its own hash, whose file's and which
 * blocks it has; and the whole against the manifest's CRC, when the sink has
 * got it all already. ERR_DAMAGED.
 */
int fileread_stream(struct fileread *fr, const struct manifest_reader *reader,
    const struct manifest_entry *e, fileread_sink sink, void *arg,
    struct err *err) ERR_USE;

/* A sink that adds to a struct buf (arg). */
int fileread_to_buf(void *arg, const void *data, size_t len,
    struct err *err) ERR_USE;

#endif
