/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_BASIS_H
#define BACKUP_BASIS_H

/*
 * What a backup builds on: the parent it is compared with, and the evidence
 * from WAL that tells what need not be read. One thread.
 */
#include "backup/evidence.h"
#include "backup/parent.h"
#include "backup/server.h"
#include "core/err.h"
#include "pg/backupapi.h"
#include "repo/commit.h"

struct basis {
	struct parent *parent;	   /* NULL: all is stored */
	struct evidence *evidence; /* NULL: all is read */
};

struct basis_params {
	struct repo *repo;
	const struct server *server;
	const struct backup_begin *begin;
	const struct commit *commit; /* incarnation and source are set */
	unsigned jobs;
	bool full; /* asked for */
	bool with_evidence; /* else the server is asked what changed */
	uint64_t refresh_age_ms;
	uint64_t full_read_every_ms;
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
	struct leftover *leftover; /* of earlier attempts; NULL: none */
};

/* Says what was chosen, and why something was not. */
int basis_choose(struct basis *b, const struct basis_params *p,
    struct err *err) ERR_USE;
void basis_free(struct basis *b); /* also of a zeroed one */

#endif
