/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_STORE_H
#define DUMP_STORE_H

/*
 * From rows to a dump in the repository: cut into chunks, those that the
 * parent has are referred to, the rest is compressed into packs.
 *
 *	dump_store_new(&st, &params, err);	lease, parent, label, intent
 *	dump_writer_new(&w, st, err);		one a thread
 *	  dump_writer_begin(w, &item, err);
 *	  dump_writer_write(w, row, len, true, err);	text: false
 *	  dump_writer_end(w, err);
 *	dump_writer_free(w);			puts its last pack
 *	dump_store_finish(st, &commit, err);	manifest and commit
 *	dump_store_free(st);		without a commit: removes all it stored
 *
 * dump_store_pulse() must be called a few times a second meanwhile: it keeps
 * the lease. A writer belongs to one thread, all else to the thread of the
 * repository. A writer takes 12 MiB; the store 24 MiB, 8 bytes for each chunk
 * that the parent has of the tables at hand (more of small ones, see
 * chunkindex.h), 40 bytes for each 8,192 chunks or range of a table, and some
 * 100 bytes an item.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/repo.h"

struct dump_store_params {
	struct repo *repo;
	const struct incarnation *inc;
	const char *database; /* "" of globals */
	bool globals;
	int64_t start_time; /* the server's clock */
	int compress_level;
	bool full; /* without a parent */
	uint64_t lease_ms;
	uint64_t refresh_age_ms;
};

/* A part of an item: of a table read in ranges, one of them. */
struct dump_store_item {
	const char *path; /* FORMAT.md section 5.1 */
	uint32_t dump_id, oid;
	uint32_t range, ranges; /* 0 of 1: all of it */
};

struct dump_store;
int dump_store_new(struct dump_store **out,
    const struct dump_store_params *params, struct err *err) ERR_USE;

/* About how many bytes will be written: before the first writer, if known. */
void dump_store_expect(struct dump_store *st, uint64_t bytes);

const char *dump_store_label(const struct dump_store *st);
const char *dump_store_parent(const struct dump_store *st); /* or "" */

/* ERR_LOCKED: the lease is lost. Also whether putting has failed. */
int dump_store_pulse(struct dump_store *st, struct err *err) ERR_USE;

struct dump_writer;
int dump_writer_new(struct dump_writer **out, struct dump_store *st,
    struct err *err) ERR_USE;
/* A failure to put its last pack is dump_store_finish()'s error. */
void dump_writer_free(struct dump_writer *w); /* NULL is fine */

/* Each range of each item once; all have the same `ranges`. */
int dump_writer_begin(struct dump_writer *w,
    const struct dump_store_item *item, struct err *err) ERR_USE;
int dump_writer_write(struct dump_writer *w, const void *data, size_t len,
    bool end_of_row, struct err *err) ERR_USE;
int dump_writer_end(struct dump_writer *w, struct err *err) ERR_USE;

/*
 * All packs durable, manifest, commit. c: what is known of the dump (inc,
 * times, method, program, host, dump.*); label, parent, sizes, packs, parts,
 * dump.chunks and dump.rows are filled in here. ERR_BUG when a range of an
 * item was not written. All writers are freed before.
 */
int dump_store_finish(struct dump_store *st, struct commit *c,
    struct err *err) ERR_USE;

/*
 * Ends intent and lease. Without a commit what was stored is removed, as far
 * as the store lets us. NULL is fine.
 */
void dump_store_free(struct dump_store *st);

#endif
