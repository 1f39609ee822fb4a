/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "wal/pushplace.h"

/* The folder of a file:// repository, or NULL. */
static const char *
folder(const struct config_repository *r)
{
	static const char scheme[] = "file://";

	return strncmp(r->url, scheme, sizeof(scheme) - 1) == 0 ?
	    r->url + sizeof(scheme) - 1 : NULL;
}

/* of: the first, which the others are copies of; NULL for itself. */
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
	if (created)
		wal_place_forget(cfg->state_directory, r);
	(void)printf("repository %s (id %s) %s%s\n", r->url, (*out)->id_text,
	    created ? "created" : "is there already", of == NULL ? "" :
	    ", for copies of the first");
	if (created && geteuid() == 0 && folder(r) != NULL)
		log_warning("the repository belongs to root; PostgreSQL's "
		    "user must be able to write it: chown -R postgres: %s",
		    folder(r));
	return 0;
}

int
cmd_init(const struct config *cfg, struct err *err)
{
	struct repo *first = NULL, *other;
	struct err failed = ERR_INIT;
	unsigned i;
	int ret = 0;

	if (init_one(cfg, &cfg->repo, NULL, &first, err) != 0)
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
