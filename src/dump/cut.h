/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_CUT_H
#define DUMP_CUT_H

/*
 * Cuts a stream of rows into chunks of at most 1 MiB that end where a row
 * ends. Where that is depends on the rows themselves, so that the cuts of
 * tonight's stream are those of last night's wherever the rows are the same:
 * a row that came or went moves no cut but those beside it. Pure.
 *
 *	cut_init(&c, emit, arg);
 *	cut_add(&c, data, len, end_of_row, err);	as often as needed
 *	cut_flush(&c, true, err);			the rest
 *	cut_free(&c);
 *
 * A row that is too long for a chunk goes on over several, and is not kept.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/format.h"

#define CUT_MAX FORMAT_FRAME_PLAIN_MAX
#define CUT_MIN ((size_t)64 << 10)
/* Beyond CUT_MIN a cut comes after so many bytes on average. */
#define CUT_MEAN ((size_t)192 << 10)
/* So many bytes up to a row's end decide, or the whole row if it is longer. */
#define CUT_WINDOW 128

/* rows: that end in it; when not 0, the chunk ends with one. */
typedef int (*cut_emit)(void *arg, const void *data, size_t len,
    uint32_t rows, struct err *err);

struct cutter {
	uint8_t *data; /* CUT_MAX bytes */
	size_t len;
	size_t row;    /* where the row that goes on begins */
	uint32_t rows; /* that ended in data */
	bool in_row;   /* earlier pieces of this row were emitted */
	cut_emit emit;
	void *arg;
};

void cut_init(struct cutter *c, cut_emit emit, void *arg);
void cut_free(struct cutter *c); /* also of a zeroed one */

/* A row or a piece of one. */
int cut_add(struct cutter *c, const void *data, size_t len, bool end_of_row,
    struct err *err) ERR_USE;

/*
 * Emit what is left. rows: it was a stream of rows, and ERR_BUG when one has
 * not ended; else it was text in which nothing ended.
 */
int cut_flush(struct cutter *c, bool rows, struct err *err) ERR_USE;

/* Forget what is left: after an error. */
void cut_reset(struct cutter *c);

#endif
