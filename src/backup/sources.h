/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_SOURCES_H
#define BACKUP_SOURCES_H

/*
 * The servers of one cluster that a connection string names, and which of
 * them a backup is taken from: each is asked what it is (primary or standby,
 * system identifier, how far it is), and they are put in order of preference.
 * One thread.
 *
 *	sources_open(&l, conninfo, err);
 *	sources_order(&l, SOURCE_PREFER_STANDBY, err);
 *	l.list[0 .. l.n_fit - 1]	may be used, the best first
 *	sources_primary(&l, used)	where a standby's WAL comes from
 *	sources_close(&l);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"
#include "pg/walname.h"

/* In the order of the choices of option backup-from. */
enum source_from {
	SOURCE_ANY, /* the first in the order given */
	SOURCE_PRIMARY,
	SOURCE_STANDBY, /* of several the one that replayed furthest */
	SOURCE_PREFER_STANDBY
};

struct source {
	struct pg_conn *conn;
	char *conninfo; /* may hold a password */
	char *name;	/* "host:port" */
	size_t place;	/* in the order given */
	bool standby;
	uint64_t system_id;
	pg_lsn lsn; /* written by a primary, replayed by a standby */
};

struct sources {
	struct source *list;
	size_t n;     /* that answered */
	size_t n_fit; /* after sources_order(): that may be used */
	size_t named; /* in the connection string */
};

/*
 * Connect to all. One that does not answer is a warning; none at all, or
 * servers of different clusters, an error.
 */
int sources_open(struct sources *l, const char *conninfo,
    struct err *err) ERR_USE;

/* ERR_REFUSED: none is what is wanted. */
int sources_order(struct sources *l, enum source_from from,
    struct err *err) ERR_USE;

/* The only primary of the list, unless it is `used`; else NULL. */
struct source *sources_primary(struct sources *l, const struct source *used);

/* Say which was chosen, and why. */
void sources_say(struct sources *l, const struct source *used,
    enum source_from from);

void sources_close(struct sources *l); /* also of a zeroed one */

/* The order alone, pure: for sources_order() and its test. */
void sources_sort(struct source *list, size_t n, enum source_from from,
    size_t *n_fit);

#endif
