/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_SURVEY_H
#define RETAIN_SURVEY_H

/*
 * What an incarnation's backups, or its dumps, consist of, and which of their
 * objects something still refers to. Read while the lease on them is held. A
 * dump refers to dumps' packs only, so each kind is surveyed by itself.
 *
 *	survey_read(&s, repo, &inc, kind, leaving, pulse, arg, err);
 *	survey_keeps(&s, &s.objects[i]);
 *	survey_free(&s);
 *
 * One thread. Takes some 150 bytes an object.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/repo.h"

enum survey_kind {
	SURVEY_COMMIT,
	SURVEY_MANIFEST,
	SURVEY_PACK,
	SURVEY_MARK, /* that a generation of a pack is damaged */
	SURVEY_OTHER
};

struct survey_object {
	char *name; /* "backups/LABEL/pack-01-000000.zst", or in "dumps/" */
	enum survey_kind kind;
	uint32_t generation; /* pack, mark, manifest */
	uint32_t part;	     /* manifest */
	struct pack_id id;   /* the label always; pack and mark: all of it */
	uint64_t size;
	int64_t mtime;
	bool proved; /* pack: its index was read */
	bool bad;    /* pack: what is there does not hold */
};

enum survey_proof { SURVEY_UNPROVED, SURVEY_PROVED, SURVEY_DISPROVED };

struct survey_backup { /* or dump */
	char label[FORMAT_LABEL_MAX];
	bool committed;
	bool leaving; /* committed, and does not count any more */
	bool whole;   /* all that it refers to is there */
	bool usable;  /* whole and without damaged pages */
	enum survey_proof proof; /* who needs it to be true asks (removal.c) */
	/* Of a dump whose commit can be read; else NULL. */
	char *database; /* "": globals */
	char *options;	/* one a line; "": all of the database */
	uint32_t n_parts;
	uint32_t timeline;
	char wal_first[WAL_SEGMENT_NAME_LEN + 1];
	char wal_last[WAL_SEGMENT_NAME_LEN + 1];
	int64_t newest; /* time of its newest object */
	uint64_t bytes; /* of its folder */
};

/* Segments of one timeline, both ends among them. */
struct survey_wal {
	char first[WAL_SEGMENT_NAME_LEN + 1];
	char last[WAL_SEGMENT_NAME_LEN + 1];
};

struct survey {
	enum repo_kind kind;
	struct survey_object *objects; /* ascending by name */
	size_t n;
	struct survey_backup *backups; /* ascending by label */
	size_t n_backups;
	struct pack_id *refs; /* what commits that stay refer to; ascending */
	size_t n_refs, cap_refs;
	struct survey_wal *wal; /* what these need; ascending, none touch */
	size_t n_wal;
};

/* Is a commit's label one of those that go? */
typedef bool (*survey_leaving_fn)(void *arg, const char *label);

/* Called now and then; -1 stops. */
typedef int (*survey_pulse_fn)(void *arg, struct err *err);

/*
 * leaving may be NULL: no backup goes. A commit that stays and cannot be read
 * is an error: nobody knows what it refers to.
 */
int survey_read(struct survey *out, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind,
    survey_leaving_fn leaving, survey_pulse_fn pulse, void *arg,
    struct err *err) ERR_USE;
void survey_free(struct survey *s); /* a zeroed one too */

/* NULL when it is not there. */
const struct survey_object *survey_find(const struct survey *s,
    const char *name);
const struct survey_backup *survey_backup(const struct survey *s,
    const char *label);

/* Does something refer to it? (A commit: does it stay?) */
bool survey_keeps(const struct survey *s, const struct survey_object *o);

/* Does a commit that stays need this WAL object, by its name? */
bool survey_needs_wal(const struct survey *s, const char *name);

#endif
