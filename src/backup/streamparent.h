/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAMPARENT_H
#define BACKUP_STREAMPARENT_H

/*
 * The parent of a backup over the replication protocol: its lines in memory,
 * since the server's files come in no order; and as a backup_manifest for
 * the server, which then sends only what changed since (PostgreSQL 17). One
 * thread.
 */
#include <stdbool.h>

#include "backup/parent.h"
#include "backup/server.h"
#include "core/err.h"
#include "pg/replication.h"
#include "repo/linestore.h"

#define STREAMPARENT_MAJOR 17 /* takes a manifest */

/* A replication connection to that server, proved to be it. */
int streamparent_connect(struct replication **out, const struct server *server,
    uint32_t *timeline, struct err *err) ERR_USE;

/* All its files, sorted. */
int streamparent_load(struct parent *parent, struct linestore **out,
    struct err *err) ERR_USE;

/*
 * May what the server does not send be taken from it? Says why not. Only for
 * a parent of this source whose end is on this history, all of whose packs
 * are there.
 */
bool streamparent_usable(struct parent *parent, struct server *server,
    const char *source);

int streamparent_upload(struct replication *r, const struct server *server,
    const struct parent *parent, struct linestore *lines,
    struct err *err) ERR_USE;

#endif
