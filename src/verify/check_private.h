/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_CHECK_PRIVATE_H
#define VERIFY_CHECK_PRIVATE_H

/* What the files of `check` share; only they include this. */
#include <stdbool.h>

#include "core/buf.h"
#include "pg/conn.h"
#include "pg/control.h"
#include "repo/repo.h"
#include "verify/check.h"

/* A configured repository. */
struct check_place {
	const struct config_repository *from;
	const char *name;  /* as configured, or "repository" */
	struct repo *repo; /* NULL: cannot be used */
	bool arrived;	   /* the segment that was sent */
	double seconds;
	bool lost; /* told to be out of order: not asked any more */
};

struct check {
	const struct config *cfg;
	check_say say;
	void *arg;
	unsigned failed;
	char *pgdata; /* NULL: not known */
	struct control control;
	bool have_control;
	struct pg_conn *conn; /* NULL: no connection */
	struct check_place *places; /* the first is archive-push's */
	unsigned n_places;
	bool in_recovery;
	bool archiving; /* the settings say that WAL is archived by us */
	struct incarnation inc;
	bool have_inc;
};

void check_tell(struct check *c, enum check_result result, const char *what,
    const char *next, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* A failure; its own hint comes before `next`. */
void check_tell_err(struct check *c, const char *what, const struct err *err,
    const char *next);

/* A setting's value, or NULL (told as a failure of `what`); caller frees. */
char *check_query(struct check *c, const char *what, const char *sql);

/*
 * "archiving" with one repository, "archiving offsite" with several, in a
 * buffer of the caller's.
 */
const char *check_what(const struct check *c, const struct check_place *p,
    const char *what, char *out, size_t size);

/* Open, compare and try out all repositories; one line each says what works. */
void check_stores(struct check *c);
void check_stores_close(struct check *c);

/* What is stored of this cluster, in each repository. */
void check_incarnations(struct check *c);

/*
 * Send a segment and wait until it is where it has to be. Returns -1 only
 * when cancelled.
 */
int check_arrival(struct check *c, struct err *err) ERR_USE;

#endif
