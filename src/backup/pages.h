/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PAGES_H
#define BACKUP_PAGES_H

/*
 * Are the pages of a relation's file sound? A page that fails was mostly
 * caught while the server was writing it (torn page), so it is read again, a
 * bounded number of times, before it counts as damaged (TRAPS T37, T41: no
 * look at the page's LSN, which may be what is damaged).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define PAGES_ROUNDS 5
#define PAGES_WAIT_MS 100
/* In a file with so much damage already, less patience for each next one. */
#define PAGES_MANY_DAMAGED 16

struct pages_file {
	int fd;
	const char *name; /* for messages and the log */
	uint32_t block_size;
	uint32_t first_block; /* of the file's first byte, in the relation */
	bool with_checksum;
	uint64_t damaged; /* so far; the caller sets 0 */
};

struct pages_bad {
	uint32_t block; /* in the relation */
	uint16_t expected, found;
	const char *reason; /* "checksum", "header" */
};

typedef void (*pages_report)(void *arg, const struct pages_bad *bad);

/*
 * Check the *len bytes that were read from `off` (a whole number of blocks)
 * of the file. Pages that turn out whole when read again are put into data;
 * *len shrinks when the file was cut meanwhile. Each damaged page is
 * reported and stays as it was read last. A page that changes with each
 * reading is in use: recovery brings it back from WAL, which has an image of
 * each page that is written during a backup. A short last page is read again
 * too, and kept as it is when it stays short.
 */
int pages_verify(struct pages_file *f, uint8_t *data, size_t *len,
    uint64_t off, pages_report report, void *arg, struct err *err) ERR_USE;

#endif
