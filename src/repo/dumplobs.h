/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_DUMPLOBS_H
#define REPO_DUMPLOBS_H

/*
 * The content of a dump's large_objects items taken apart as it comes: of
 * each object its OID (u32), its length (u64) and its bytes (FORMAT.md).
 *
 *	struct dumplobs d = { .begin = ..., .data = ..., .end = ..., .arg };
 *	dumplobs_feed(&d, piece, len, err) ...	pieces of any size
 *	dumplobs_finish(&d, err)		ERR_DAMAGED in mid-object
 *
 * Pure apart from the calls; one thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define DUMPLOBS_HEADER 12

struct dumplobs {
	/* An object, its bytes in order, its end; -1 stops. */
	int (*begin)(void *arg, uint32_t oid, uint64_t size, struct err *err);
	int (*data)(void *arg, const void *data, size_t len, struct err *err);
	int (*end)(void *arg, struct err *err);
	void *arg;

	/* private, zero at first */
	uint8_t header[DUMPLOBS_HEADER];
	size_t header_len;
	uint64_t left;
	uint32_t last_oid;
};

int dumplobs_feed(struct dumplobs *d, const void *data, size_t len,
    struct err *err) ERR_USE;
int dumplobs_finish(const struct dumplobs *d, struct err *err) ERR_USE;

#endif
