/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHFILE_H
#define WAL_PUSHFILE_H

/*
 * Internal to src/wal: one file into the repository, its identity settled.
 * One thread calls.
 */
#include "repo/walstore.h"
#include "wal/push.h"

struct wal_push_file {
	struct repo *repo;
	const struct incarnation *inc;
	uint32_t segment_size;
	int compress_level;
	unsigned jobs;
	bool header_check;
	const char *path;     /* what is read */
	struct wal_file name; /* what it is stored as */
};

/* The contract of wal_push(). */
int wal_push_file(const struct wal_push_file *f, struct wal_push_result *out,
    struct err *err) ERR_USE;

/*
 * Is what is stored whole, and the content that its name says? All of it is
 * read: to answer that a file is stored already takes more than a name.
 */
int wal_push_sound(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, uint64_t length, bool *sound,
    struct err *err) ERR_USE;

/* The same of one part; *size is what it has stored. Absent: not sound. */
int wal_push_part_sound(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, uint32_t part, uint64_t length,
    uint64_t *size, bool *sound, struct err *err) ERR_USE;

/*
 * ERR_EXISTS: how the file (fd, size bytes) and what is stored under its name
 * differ, and what usually causes it. Returns -1.
 */
int wal_push_conflict(const struct wal_push_file *f, int fd, uint64_t size,
    const struct wal_stored *stored, struct err *err);

/* The summary of a file's bytes, read in pieces. */
int wal_push_summary(int fd, uint64_t size, const char *path, pg_lsn start,
    uint32_t segment_size, struct wal_summary *out, struct err *err) ERR_USE;

#endif
