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
	bool same_server; /* pgdata is the connection's, and on this host */
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

/* Settings, rights and the clock of the server; sets c->archiving. */
void check_server(struct check *c);

/* archive_command: does it do what it should? */
bool check_archive_command(struct check *c);

/* Whose are the directories that are written to, and where do they lie? */
void check_folders(struct check *c);

/*
 * Does another server, a copy of this one, archive there too? And once more
 * with a segment that has just arrived: is it this server's?
 */
void check_others(struct check *c);
void check_content(struct check *c, struct repo *repo, const char *segment);

/* Holds, and how old the last backup is. */
void check_holds(struct check *c);

/* Is there room for tomorrow, and can retention be as it is meant? */
void check_space(struct check *c);

/* What is stored of this cluster, in each repository. */
void check_incarnations(struct check *c);

/*
 * Send a segment and wait until it is where it has to be. Returns -1 only
 * when cancelled.
 */
int check_arrival(struct check *c, struct err *err) ERR_USE;

#endif
