/* SPDX-License-Identifier: PostgreSQL */
#ifndef LOAD_RESCHEMA_H
#define LOAD_RESCHEMA_H

/*
 * A dump's objects of one schema made in another: the SQL text of the table
 * of contents is rewritten where it names them.
 *
 *	reschema_new(&r, head, "shop", "shop_of_may", err)
 *	reschema_apply(r, head, err)		head now speaks of shop_of_may
 *	reschema_bodies(r, &n)			what it could not look into
 *	... pg_restore ...
 *	reschema_free(r)			after the head: it has its strings
 *
 * Rewritten is `schema.name` where name is an object of the archive in that
 * schema (entries marked `skip` do not count, so that what is not loaded is
 * meant where it is), the schema itself where a statement is about it, names
 * in strings that are cast to regclass and its like or given to setval and
 * nextval, and search_path settings of functions. Objects that an extension
 * has there are not the archive's and stay. Bodies of functions are text
 * whose language only they know: they stay as they are.
 *
 * In a view that has the schema's name as an alias, shop.id may be a column:
 * what stands where only relations, types and functions can is rewritten.
 *
 * Pure; an object belongs to one thread.
 */
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "pg/archive.h"

struct reschema;

/* Names as they are, without quotes. ERR_NOT_FOUND: nothing is in `from`. */
int reschema_new(struct reschema **out, const struct archive_head *head,
    const char *from, const char *to, struct err *err) ERR_USE;
void reschema_free(struct reschema *r); /* NULL is fine */

/*
 * Rewrite every entry that is not marked `skip`. The new strings are r's.
 * ERR_REFUSED: a text is larger than memory should hold.
 */
int reschema_apply(struct reschema *r, struct archive_head *head,
    struct err *err) ERR_USE;

/*
 * One text, appended to out; true when something was rewritten. extension:
 * it makes an extension, whose schema stays.
 */
bool reschema_text(const struct reschema *r, const char *sql, bool extension,
    struct buf *out);

/* After reschema_apply(): tags of functions whose body has the old name. */
const char *const *reschema_bodies(const struct reschema *r, size_t *n);

#endif
