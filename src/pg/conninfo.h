/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_CONNINFO_H
#define PG_CONNINFO_H

/*
 * Connection strings with a list of hosts ("host=a,b,c port=5432,5433,5434",
 * libpq's form): libpq connects to the first that answers, while who chooses
 * a server by what it is has to ask each. Pure apart from the environment
 * (PGHOST, PGPORT); thread safe.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define CONNINFO_HOSTS_MAX 32

struct conninfo_host {
	char *conninfo; /* leads to this host alone; may hold a password */
	char *name;	/* "host:port", for messages */
};

/*
 * One entry for each host, in the order given; a string without a list gives
 * itself. ERR_CONFIG: it cannot be parsed, or hosts and ports do not match.
 */
int conninfo_split(const char *conninfo, struct conninfo_host **out, size_t *n,
    struct err *err) ERR_USE;
void conninfo_free(struct conninfo_host *list, size_t n);

/*
 * Does the connection string, or libpq's environment, say which database?
 * True also when a service file may.
 */
bool conninfo_names_database(const char *conninfo);

/* Append " keyword='value'" with what libpq wants escaped; value not NULL. */
struct buf;
void conninfo_add(struct buf *b, const char *keyword, const char *value);

#endif
