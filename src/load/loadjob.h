/* SPDX-License-Identifier: PostgreSQL */
#ifndef LOAD_LOADJOB_H
#define LOAD_LOADJOB_H

/* Internal to src/load: a load on its way. */
#include "load/load.h"
#include "load/reschema.h"
#include "pg/archive.h"
#include "pg/conn.h"
#include "pg/pgtools.h"
#include "repo/dumpparts.h"

struct loadjob {
	const struct load_params *params;
	struct load_result *result;
	struct dumpset *set;
	struct dumpread *reader; /* the calling thread's */
	struct archive_head head;
	struct dumpparts parts;
	struct reschema *reschema; /* owns strings of head */
	struct pg_conn *conn;	   /* to the database loaded into */
	struct pgtool restore;
	int server_version;
	char *dir, *toc; /* for pg_restore, in a directory of ours */
};

/* ------------------------------------------------------------ choose.c */

/*
 * Mark what is not to be loaded with `skip`: what no pattern selects and does
 * not belong to something selected. ERR_NOT_FOUND: a pattern for nothing.
 */
int choose_entries(struct archive_head *head, const struct load_selection *s,
    struct err *err) ERR_USE;

/* ---------------------------------------------------------- sections.c */

/* Find pg_restore, make the directory for it. */
int sections_open(struct loadjob *j, struct err *err) ERR_USE;
void sections_close(struct loadjob *j);

/*
 * Run pg_restore over the entries of this section (enum archive_section).
 * conn: where to; the data section without rows and large objects, which are
 * not pg_restore's here.
 */
int sections_run(struct loadjob *j, struct pg_conn *conn, int section,
    struct err *err) ERR_USE;

/* -------------------------------------------------------------- rows.c */

/* Rows and large objects of all parts that are not marked `skip`. */
int rows_load(struct loadjob *j, struct err *err) ERR_USE;

/* The same for result.plan, and nothing is loaded. */
void rows_plan(struct loadjob *j);

/* The settings of a session that loads this archive. */
int rows_session(const struct loadjob *j, struct pg_conn *conn,
    struct err *err) ERR_USE;

/* ----------------------------------------------------------- objects.c */

struct objects; /* writes large objects that exist already */
void objects_new(struct objects **out, struct pg_conn *conn,
    struct load_result *result);
void objects_free(struct objects *o);

/* Content as the repository has it; pieces of any size. */
int objects_feed(struct objects *o, const void *data, size_t len,
    struct err *err) ERR_USE;
int objects_finish(struct objects *o, struct err *err) ERR_USE;

/* ----------------------------------------------------------- roles.c */

/* A dump of globals. */
int roles_load(struct loadjob *j, struct err *err) ERR_USE;

#endif
