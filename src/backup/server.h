/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_SERVER_H
#define BACKUP_SERVER_H

/*
 * The server that is backed up: the connection, and the proof that it is the
 * one that runs on the data directory at hand, that we may read it, and that
 * it archives. One thread.
 */
#include "backup/sources.h"
#include "core/err.h"
#include "pg/conn.h"
#include "pg/control.h"

#define SERVER_MAJOR_MIN 13
#define SERVER_MAJOR_MAX 18

struct server {
	struct pg_conn *conn; /* of one of the sources */
	struct sources sources;
	const char *name;	/* "host:port" of conn */
	const char *conninfo;	/* its own; may hold a password */
	bool standby;		/* conn is one's: */
	struct source *primary; /* then its primary, or NULL: not in reach */
	int major;
	char *pgdata; /* absolute, links resolved; NULL: elsewhere */
	int pgdata_fd; /* -1 with that */
	struct control control;
};

/*
 * Connect, choose the server that runs on the data directory, and check all.
 * pgdata NULL: the server's. ERR_CONFIG: wrong user, other data directory.
 * ERR_REFUSED: other system, not the role that is wanted, no archiving.
 */
int server_open(struct server *s, const char *conninfo, const char *pgdata,
    enum source_from from, struct err *err) ERR_USE;

/*
 * The same for a server on any host, whose data directory is not looked at.
 * Of s->control what SQL tells is known.
 */
int server_open_remote(struct server *s, const char *conninfo,
    enum source_from from, struct err *err) ERR_USE;

/* How much there is, by SQL. */
int server_size(struct server *s, uint64_t *bytes, struct err *err) ERR_USE;

/* ERR_POSTGRES when the standby was promoted since (T55). */
int server_check_role(struct server *s, struct err *err) ERR_USE;

/* One backup at a time: ERR_LOCKED names who runs. Ends with the close. */
int server_lock(struct server *s, struct err *err) ERR_USE;

/* Ends the session (and with it a backup on the server). Also of zeroes. */
void server_close(struct server *s);

#endif
