/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_AUTOCONF_H
#define PG_AUTOCONF_H

/*
 * What `restore` writes into postgresql.auto.conf stands between these lines,
 * which also tell who turned archiving off.
 */
#define AUTOCONF_NAME "postgresql.auto.conf"
#define AUTOCONF_BEGIN "# dapk-backup restore: begin\n"
#define AUTOCONF_END "# dapk-backup restore: end\n"

#endif
