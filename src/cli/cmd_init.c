/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/people.h"
#include "core/log.h"
#include "repo/keyring.h"
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

/* What init_one() knows of the keys of one that is to be made. */
struct wish {
	const struct config *cfg;
	const struct config_repository *to;
	struct keyring_unlock unlock;
	struct people people;
};

/* Nothing is there yet: now it counts who is let in. */
static int
gather(void *arg, struct keyring_recipient **out, size_t *n, struct err *err)
{
	struct wish *w = arg;
	const struct people_wish wish = {
		.key_file = w->unlock.key_file,
		.passphrase_file = w->unlock.passphrase_file,
		.passphrase = w->unlock.passphrase,
		.public_key_file = w->to->encryption_public_key_file,
		.name = w->cfg->key_name,
	};

	if (people_gather(&w->people, &wish, err) != 0)
		return -1;
	if (w->people.typed)
		w->unlock.passphrase = w->people.passphrase;
	*out = w->people.list;
	*n = w->people.n;
	return 0;
}

/* What a person must know before anything is stored. */
static void
tell_keys(const struct wish *w)
{
	const struct people *p = &w->people;
	bool key_file = false;
	size_t i;

	(void)printf("It is encrypted. These open it, and nothing else does:\n");
	for (i = 0; i < p->n; i++) {
		const struct keyring_recipient *r = &p->list[i];

		key_file |= r->kind == KEYRING_KEY_FILE;
		(void)printf("  %s  %s%s%s%s\n", r->id, people_kind(r->kind),
		    r->kind == KEYRING_KEY_FILE ? " " : "",
		    r->kind == KEYRING_KEY_FILE ? w->unlock.key_file : "",
		    r->kind == KEYRING_KEY_FILE && p->key_made ?
		    " (made now)" : "");
	}
	(void)printf("Without one of them nothing comes back, whoever asks. "
	    "Keep a copy on another\nmachine and one on paper, before the "
	    "first backup:\n  dapk-backup keys sheet%s\n", key_file ?
	    " --with-secret --output FILE" : "");
}

static int
create_one(struct wish *w, const struct repo *of, struct repo **out,
    bool *created, struct err *err)
{
	struct storage_settings set;
	const struct repo_keys keys = { .unlock = &w->unlock,
		.expected = repo_expects_keys(w->to),
		.recipients = w->cfg->encrypt && of == NULL ? gather : NULL,
		.arg = w };

	repo_settings(w->to, &set);
	if (repo_init_keys(out, &set, of, &keys, created, err) != 0) {
		if (err->sys_errno == EACCES && folder(w->to) != NULL) {
			err->hint[0] = '\0'; /* here more is known */
			(void)err_hint(err, "make the directory as root and "
			    "give it to the user that runs PostgreSQL: "
			    "install -d -m 0700 -o postgres -g postgres %s",
			    folder(w->to));
		}
		return -1;
	}
	if (!w->cfg->encrypt || (*out)->ring != NULL)
		return 0;
	(void)err_set(err, ERR_REFUSED, "%s is there already, and it is not "
	    "encrypted: a repository is from its beginning or never",
	    w->to->url);
	return err_hint(err, "name an empty place for an encrypted one");
}

/* of: what it is a place of, if that is there already; or NULL. */
static int
init_one(const struct config *cfg, const struct config_repository *r,
    const struct repo *of, struct repo **out, struct err *err)
{
	struct wish w = { .cfg = cfg, .to = r };
	bool created = false;
	int rc;

	repo_unlock(r, &w.unlock);
	rc = create_one(&w, of, out, &created, err);
	if (rc == 0 && created) {
		wal_place_forget(cfg->state_directory, r);
		notes_forget(cfg->state_directory, r);
	}
	if (rc == 0)
		(void)printf("repository %s (id %s) %s%s\n", r->url,
		    (*out)->id_text, created ? "created" : "is there already",
		    of == NULL ? "" : ", a place of the same repository");
	if (rc == 0 && created && w.people.n > 0)
		tell_keys(&w);
	people_free(&w.people);
	return rc;
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
