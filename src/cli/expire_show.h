/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_EXPIRE_SHOW_H
#define CLI_EXPIRE_SHOW_H

/*
 * What `expire` shows: as text (expire_text.c) or JSON (expire_json.c, whose
 * shape dapk-backup-expire(1) documents), and what `backup` and `dump` do and
 * say of it when they have succeeded (expire_after.c). One thread.
 */
#include <jansson.h>

#include "config/config.h"
#include "retain/expire.h"

/* A dry run shows each backup and dump, and why it stays or goes. */
void expire_print_text(const struct expire *x, const struct config *cfg,
    const struct config_repository *address);

/* What is odd: the catalogue, or this host's clock. */
void expire_warn(const struct expire *x);

/* What was removed, and what waits: of one kind. */
void expire_print_removed(const struct removal_report *r,
    enum repo_kind kind, bool dry_run);

/* "backup", "2 backups" */
void expire_print_count(size_t n, enum repo_kind kind);

/* One repository; err: why it ended early, or NULL. */
json_t *expire_json(const struct expire *x,
    const struct config_repository *address, const struct err *err);

/*
 * Retention after a backup or dump: in each repository of the cluster, in
 * short words. What fails is a warning and a note for `status`. What is odd
 * is one too.
 */
void expire_after(const struct config *cfg);

/* For `status`: how it ended there (err NULL: well), and what was seen. */
void expire_note(const struct expire *x, const struct config *cfg,
    const struct repo *repo, const struct config_repository *address,
    const struct err *err);

/* And what a run that ended well found there: the window. */
void expire_look(const struct expire *x, const struct config *cfg,
    struct repo *repo, const struct config_repository *address);

#endif
