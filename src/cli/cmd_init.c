/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "core/log.h"

int
cmd_init(const struct config *cfg, struct err *err)
{
	struct repo *repo = NULL;
	bool created = false;

	if (repo_init(&repo, cfg->repository_url, &created, err) != 0) {
		if (err->sys_errno == EACCES) {
			err->hint[0] = '\0'; /* here more is known */
			(void)err_hint(err, "make the directory as root and "
			    "give it to the user that runs PostgreSQL: "
			    "install -d -m 0700 -o postgres -g postgres %s",
			    cfg->repository_url + sizeof("file://") - 1);
		}
		return -1;
	}
	(void)printf("repository %s (id %s) %s\n", cfg->repository_url,
	    repo->id_text, created ? "created" : "is there already");
	if (created && geteuid() == 0)
		log_warning("the repository belongs to root; PostgreSQL's "
		    "user must be able to write it: chown -R postgres: %s",
		    cfg->repository_url + sizeof("file://") - 1);
	repo_close(repo);
	return EXIT_DONE;
}
