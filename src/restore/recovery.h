/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_RECOVERY_H
#define RESTORE_RECOVERY_H

/*
 * Internal to src/restore: the settings that send PostgreSQL 13 to 18 to the
 * target, at the end of postgresql.auto.conf, and the signal file.
 */
#include "core/buf.h"
#include "core/err.h"
#include "pg/autoconf.h"
#include "restore/plan.h"

#define RECOVERY_CONF_MAX ((size_t)4 << 20)
#define RECOVERY_BEGIN AUTOCONF_BEGIN
#define RECOVERY_END AUTOCONF_END

/*
 * postgresql.auto.conf without what an earlier restore put there: the block
 * between the marks, and, as ALTER SYSTEM drops comments and so the marks,
 * every recovery setting by name. Pure.
 */
void recovery_strip(const char *old, size_t len, bool strip_archive_off,
    struct buf *out);

/* The block for a plan (made, not yet applied). Pure. */
void recovery_block(const struct restore_plan *plan, struct buf *out);

/* restore_command itself, before it is quoted for the file. Pure. */
void recovery_command(const struct restore_plan *plan, struct buf *out);

/* NAME = 'VALUE' as postgresql.conf reads it. Pure. */
void recovery_setting(struct buf *out, const char *name, const char *value);

/* Write both into plan->dir (descriptor dir). Not synced. */
int recovery_write(const struct restore_plan *plan, int dir,
    struct err *err) ERR_USE;

#endif
