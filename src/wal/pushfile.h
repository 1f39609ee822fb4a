/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHFILE_H
#define WAL_PUSHFILE_H

/*
 * Internal to src/wal: one file into the repository, its identity settled.
 * One thread calls.
 */
#include <semaphore.h>

#include "repo/walstore.h"
#include "wal/push.h"

struct wal_push_file {
	struct repo *repo;
	const struct incarnation *inc;
	uint32_t segment_size;
	int compress_level;
	unsigned jobs; /* threads that compress; 0: the calling one does */
	bool header_check;
	const char *path;     /* what is read */
	struct wal_file name; /* what it is stored as */
	void (*stored)(void *arg, const struct repo *repo,
	    const struct incarnation *inc, const char *name); /* or NULL */
	void *stored_arg;
};

/* The fields that do not change from file to file. */
void wal_push_file_init(struct wal_push_file *f,
    const struct wal_push_params *params, const struct incarnation *inc,
    uint32_t segment_size);

/* Tell whoever wants to know that it is stored. */
void wal_push_tell(const struct wal_push_file *f);

/* The contract of wal_push(). */
int wal_push_file(const struct wal_push_file *f, struct wal_push_result *out,
    struct err *err) ERR_USE;

/*
 * Open the file and look whether it is what its name says: size and, when
 * wanted, the WAL's header. The caller closes *fd.
 */
int wal_push_open(const struct wal_push_file *f, int *fd, uint64_t *size,
    struct err *err) ERR_USE;

/* One try to store a file, when it is known what is stored under its name. */
struct wal_push_try {
	const struct wal_push_file *f;
	int fd;
	uint64_t size;
	const struct wal_stored *ws; /* all that is stored under the name */
	size_t n;
	uint32_t min_generation;
	sem_t *compressing; /* held while compressing; NULL: none */
	/* Out: */
	uint8_t hash[WAL_HASH_SIZE];	/* as its name has it */
	uint8_t content[WAL_HASH_SIZE]; /* XXH3-128 */
	uint32_t generation;
	/*
	 * With ERR_EXISTS: the name was taken in between, or by a damaged
	 * part of an unfinished push; look again, for a generation one higher.
	 */
	bool again;
};

/* What is stored under the name must be looked at again after a put. */
int wal_push_try(struct wal_push_try *t, struct wal_push_result *out,
    struct err *err) ERR_USE;

/*
 * After a put, with what is stored under the name by then: two that store
 * different contents at the same time do not see each other before. The one
 * that looks last sees both. ERR_EXISTS: the other's may not be there.
 */
int wal_push_look_again(const struct wal_push_file *f, int fd, uint64_t size,
    const uint8_t hash[WAL_HASH_SIZE], const struct wal_stored *ws, size_t n,
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

/* Is the file's content the stored one's, byte by byte? */
int wal_push_same_content(const struct wal_push_file *f, int fd,
    uint64_t size, const struct wal_stored *stored, bool *same,
    struct err *err) ERR_USE;

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
