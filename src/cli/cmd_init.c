/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "repo/notes.h"
#include "wal/pushplace.h"

/* The folder of a file:// repository, or NULL. */
static const char *
folder(const struct config_repository *r)
{
	static const char scheme[] = "file://";

	return strncmp(r->url, scheme, sizeof(scheme) - 1) == 0 ?
	    r->url + sizeof(scheme) - 1 : NULL;
}

/* of: what it is a place of, if that is there already; or NULL. */
static int
init_one(const struct config *cfg, const struct config_repository *r,
    const struct repo *of, struct repo **out, struct err *err)
{
	struct storage_settings set;
	bool created = false;

	repo_settings(r, &set);
	if (repo_init(out, &set, of, &created, err) != 0) {
		if (err->sys_errno == EACCES && folder(r) != NULL) {
			err->hint[0] = '\0'; /* here more is known */
			(void)err_hint(err, "make the directory as root and "
			    "give it to the user that runs PostgreSQL: "
			    "install -d -m 0700 -o postgres -g postgres %s",
			    folder(r));
		}
		return -1;
	}
	if (created) {
		wal_place_forget(cfg->state_directory, r);
		notes_forget(cfg->state_directory, r);
	}
	(void)printf("repository %s (id %s) %s%s\n", r->url, (*out)->id_text,
	    created ? "created" : "is there already", of == NULL ? "" :
	    ", a place of the same repository");
	if (created && geteuid() == 0 && folder(r) != NULL)
		log_warning("the repository belongs to root; PostgreSQL's "
		    "user must be able to write it: chown -R postgres: %s",
		    folder(r));
	return 0;
}

#define LIMIT_MS 20000

/*
 * After the loss of the first place the others have its identity: it is made
 * as a copy of one of them. NULL: none is there, or the first is.
 */
static struct repo *
find_other(const struct config *cfg)
{
	const struct config_repository *r;
	struct err err = ERR_INIT;
	struct repo *repo = NULL;
	unsigned i;

	for (i = 0; (r = config_repository(cfg, i)) != NULL; i++) {
		err_clear(&err);
		if (cfg->n_others > 0 &&
		    repo_open_within(&repo, r, LIMIT_MS, &err) == 0) {
			if (i > 0)
				return repo;
			repo_close(repo);
			return NULL;
		}
	}
	return NULL;
}

int
cmd_init(const struct config *cfg, struct err *err)
{
	struct repo *first = NULL, *other = find_other(cfg);
	struct err failed = ERR_INIT;
	unsigned i;
	int ret = 0;

	ret = init_one(cfg, &cfg->repo, other, &first, err);
	repo_close(other);
	if (ret != 0)
		return -1;
	/* One that cannot be reached keeps no other from being made. */
	for (i = 1; config_repository(cfg, i) != NULL; i++) {
		other = NULL;
		err_clear(&failed);
		if (init_one(cfg, config_repository(cfg, i), first, &other,
		    &failed) != 0) {
			if (ret != 0)
				log_err(LOG_ERROR, err);
			*err = failed;
			ret = -1;
		}
		repo_close(other);
	}
	repo_close(first);
	return ret == 0 ? EXIT_DONE : -1;
}
