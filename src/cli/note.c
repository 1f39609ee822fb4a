/* SPDX-License-Identifier: PostgreSQL */
/* What commands leave for `status`. */
#include "config.h"

#include "cli/cli.h"

#include "pg/conn.h"
#include "repo/hold.h"
#include "repo/notes.h"

void
cli_note_set(const struct config *cfg, enum repo_kind kind,
    const struct repo *repo, const struct commit *c, const struct err *err)
{
	const struct notes_of of = { cfg->state_directory, &cfg->repo,
		cfg->cluster };

	if (err == NULL || (err->code != ERR_CANCELLED &&
	    err->code != ERR_USAGE))
		notes_put_set(&of, kind, repo, c, err);
}

void
cli_note_hold(const struct config *cfg,
    const struct config_repository *address, const struct hold *hold)
{
	notes_put_hold(&(struct notes_of){ cfg->state_directory, address,
	    cfg->cluster }, hold);
}

int
cli_check_hold(const struct config *cfg, struct repo *repo, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct hold *holds;
	size_t n;

	if (hold_check(repo, cfg->cluster, err) == 0) {
		cli_note_hold(cfg, &cfg->repo, NULL);
		return 0;
	}
	if (err->code == ERR_LOCKED && hold_list(repo, cfg->cluster, &holds,
	    &n, &ignored) == 0) {
		if (n > 0)
			cli_note_hold(cfg, &cfg->repo, &holds[0]);
		holds_free(holds, n);
	}
	return -1;
}

void
cli_note_server(const struct config *cfg)
{
	struct err ignored = ERR_INIT;
	struct pg_conn *conn = NULL;
	struct notes_server server;
	bool has_archiver;

	if (pg_connect(&conn, cfg->conninfo, "status", &ignored) != 0)
		return;
	if (notes_ask_server(conn, &server, &has_archiver, &ignored) == 0 &&
	    has_archiver)
		notes_put_server(cfg->state_directory, cfg->cluster,
		    &server);
	pg_disconnect(conn);
}
