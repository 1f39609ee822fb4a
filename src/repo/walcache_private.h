/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALCACHE_PRIVATE_H
#define REPO_WALCACHE_PRIVATE_H

/* What the files walcache*.c share; no one else includes it. */
#include "core/buf.h"
#include "repo/walcache.h"

/*
 * A file, numbers little-endian:
 *
 *	 0  8   "DKWALCAC"
 *	 8  u32 version, u32 0
 *	16  16  repository id, 16 place id (32), u64 system id (48)
 *	56  u32 folders, u32 spans, u32 items, u32 0
 *	72  u64 0; of the newer file: the check of the base that it belongs to
 *	80      folders, 48 bytes each, ascending
 *		spans, 88 bytes each
 *		u64 the check: XXH3-64 of all before
 *		items of the folders in the same order, 84 bytes each
 */
#define WALCACHE_MAGIC "DKWALCAC"
#define WALCACHE_VERSION 2
#define WALCACHE_HEAD 80
#define WALCACHE_FOLDER_SIZE 48
#define WALCACHE_ITEM_SIZE 84
#define WALCACHE_SPAN_SIZE 88
#define WALCACHE_FOLDERS_MAX 200000
#define WALCACHE_TABLE_MAX                                                    \
	(WALCACHE_HEAD + (size_t)WALCACHE_FOLDERS_MAX * WALCACHE_FOLDER_SIZE + \
	    (size_t)WALCACHE_SPANS_MAX * WALCACHE_SPAN_SIZE + 8)

struct walcache {
	char *directory;
	char *paths[WALCACHE_FILES]; /* NULL: has no name */
	int fds[WALCACHE_FILES];     /* -1: is not there */
	uint64_t spilled;	     /* bytes */
	uint8_t identity[40];	     /* as in the file */
	bool refresh;
	int64_t known_since;
	uint64_t base; /* the base's check; 0: there is none */
	/* Of both files together, ascending. */
	struct walcache_folder *folders;
	size_t n_folders;
	struct walview_span *spans;
	size_t n_spans;
	struct buf scratch; /* a folder's items as bytes */
};

#endif
