/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_LOBS_H
#define DUMP_LOBS_H

/*
 * Large objects of a snapshot: which of them belong to the archive, and
 * their content.
 *
 *	lobs_plan(&plan, head, leader, err)	after the head of pg_dump
 *	for (i = 0; i < plan.n; i++)		on any worker's connection
 *		lobs_read(conn, &plan.list[i], sink, arg, err)
 *	lobs_plan_free(&plan)
 *
 * An item is a part of the objects of one BLOBS entry, ascending by OID, and
 * becomes a `large_objects/` item of the manifest. Where one ends depends on
 * the OIDs alone, so that objects that come or go change the items beside
 * them only, and the rest is found stored.
 *
 * The plan may be read by many threads; a connection belongs to one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/archive.h"
#include "pg/conn.h"

#define LOBS_ITEM_MAX 1000 /* objects */
#define LOBS_PATH_MAX 32

struct lobs_item {
	const uint32_t *oids; /* n of them, n > 0 */
	size_t n;
	int32_t dump_id; /* of the BLOBS entry; several items may have one */
	char path[LOBS_PATH_MAX]; /* "large_objects/0000016400" */
};

struct lobs_plan {
	struct lobs_item *list; /* ascending by first OID */
	size_t n;
	uint64_t objects;
	uint32_t *oids; /* what the items point into */
};

/*
 * What the archive's BLOBS entries stand for. Up to archive version 1.15
 * that is every large object of the database, which is asked of `leader`,
 * whose transaction has the snapshot; from 1.16 on it is in the archive
 * (leader is not used). No such entry: an empty plan.
 */
int lobs_plan(struct lobs_plan *out, const struct archive_head *head,
    struct pg_conn *leader, struct err *err) ERR_USE;
void lobs_plan_free(struct lobs_plan *plan); /* also of zeroes */

/* The next bytes of the item; end_of_object: with them an object ends. */
typedef int lobs_sink(void *arg, const void *data, size_t len,
    bool end_of_object, struct err *err);

/*
 * The item's content as FORMAT.md has it: of each object its OID (u32), its
 * length (u64) and its bytes. conn is in a transaction with the snapshot. The
 * memory for it does not grow with the objects. A role that may not read one
 * of them gets the server's error, as from pg_dump, and what to type. After an
 * error of the sink the connection is only good for pg_disconnect().
 */
int lobs_read(struct pg_conn *conn, const struct lobs_item *item,
    lobs_sink *sink, void *arg, struct err *err) ERR_USE;

#endif
