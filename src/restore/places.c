/* SPDX-License-Identifier: PostgreSQL */
/*
 * From which of several repositories. What each one has is proved alone: its
 * restore_command will ask no other, so that a dead offsite store cannot hold
 * up the recovery from a local one.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "restore/plan.h"

/* How long one may take to say that it is there. */
#define ANSWER_MS 15000u

struct place {
	const struct config_repository *from;
	struct repo *repo; /* NULL: cannot be reached */
	struct err err;	   /* why it is not taken */
	bool surveyed;
	struct plan_survey survey;
};

static const char *
name_of(const struct config_repository *from)
{
	return from->name != NULL ? from->name : from->url;
}

static int
open_places(struct place *places, unsigned n, struct err *err)
{
	unsigned i, open = 0;

	for (i = 0; i < n; i++) {
		if (repo_open_within(&places[i].repo, places[i].from,
			ANSWER_MS, &places[i].err) == 0) {
			open++;
			continue;
		}
		if (places[i].err.code == ERR_CANCELLED) {
			*err = places[i].err;
			return -1;
		}
		log_err(LOG_WARNING, &places[i].err);
		log_warning("repository %s is left out: what only it has "
		    "(later WAL, other backups) is not restored",
		    name_of(places[i].from));
	}
	if (open > 0)
		return 0;
	*err = places[0].err;
	return err_wrap(err, "none of the %u repositories can be read; %s", n,
	    name_of(places[0].from));
}

/* Would asking another repository be of no use? */
static bool
is_final(const struct err *err)
{
	return err->code == ERR_USAGE || err->code == ERR_CANCELLED ||
	    err->code == ERR_BUG;
}

static int
survey_places(const struct restore_params *params, struct place *places,
    unsigned n, struct err *err)
{
	struct restore_params own = *params;
	struct restore_plan *plan;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (places[i].repo == NULL)
			continue;
		own.repo = places[i].repo;
		plan = plan_new(&own);
		places[i].surveyed = plan_survey(plan, &places[i].survey,
		    &places[i].err) == 0;
		restore_plan_free(plan);
		if (is_final(&places[i].err)) {
			*err = places[i].err;
			return -1;
		}
	}
	return 0;
}

/* Does a go further than b? Of two systems the one backed up last. */
static bool
goes_further(const struct plan_survey *a, const struct plan_survey *b)
{
	if (a->system_id != b->system_id || a->major != b->major)
		return a->backup_time > b->backup_time;
	if (a->timeline != b->timeline)
		return a->timeline > b->timeline;
	return a->end > b->end;
}

/* The order in which they are tried. *spread: some go further than others. */
static void
order_places(const struct place *places, unsigned n, unsigned *order,
    bool *spread)
{
	unsigned i, k, at;

	*spread = false;
	for (i = 0; i < n; i++) {
		for (at = i; at > 0; at--) {
			k = order[at - 1];
			if (!places[i].surveyed || (places[k].surveyed &&
			    !goes_further(&places[i].survey,
				&places[k].survey)))
				break;
			order[at] = k;
		}
		order[at] = i;
	}
	for (i = 0; i + 1 < n; i++)
		if (places[order[i]].surveyed &&
		    places[order[i + 1]].surveyed &&
		    goes_further(&places[order[i]].survey,
			&places[order[i + 1]].survey))
			*spread = true;
}

static int
try_place(struct restore_plan **out, const struct restore_params *params,
    struct place *p)
{
	struct restore_params own = *params;

	own.repo = p->repo;
	own.from = p->from;
	*out = plan_new(&own);
	if (plan_choose(*out, &p->err) == 0)
		return 0;
	restore_plan_free(*out);
	*out = NULL;
	return -1;
}

/* None: the nearest one that could be read says best what is the matter. */
static int
tell_all(const struct place *places, unsigned n, struct err *err)
{
	const struct place *told = NULL;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (places[i].repo == NULL)
			continue;
		if (told == NULL)
			told = &places[i];
		else
			log_warning("repository %s: %s",
			    name_of(places[i].from), places[i].err.msg);
	}
	if (told == NULL) /* none was reached */
		told = &places[0];
	*err = told->err;
	return err_wrap(err, "repository %s", name_of(told->from));
}

static const char *
reason(const struct place *chosen, const struct place *places, bool spread)
{
	if (spread)
		return "of several the one whose WAL reaches furthest";
	if (chosen == places)
		return "the nearest";
	return "the nearest from which the target is reached";
}

static void
note_others(struct restore_plan *plan, const struct place *places, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (places[i].err.code == ERR_NONE)
			continue;
		plan_note(plan, places[i].repo == NULL ?
		    "repository %s cannot be reached and is left out: %s" :
		    "repository %s is passed over: %s",
		    name_of(places[i].from), places[i].err.msg);
	}
}

static int
choose(struct restore_plan **out, struct restore_params *params,
    struct place *places, unsigned n, unsigned *order, struct err *err)
{
	const enum config_target target = params->config->target;
	bool spread = false;
	struct place *p;
	unsigned i;

	if (open_places(places, n, err) != 0)
		return -1;
	if ((target == TARGET_DEFAULT || target == TARGET_LATEST) &&
	    survey_places(params, places, n, err) != 0)
		return -1;
	order_places(places, n, order, &spread);
	for (i = 0; i < n; i++) {
		p = &places[order[i]];
		if (p->repo == NULL || p->err.code != ERR_NONE)
			continue; /* the survey has refused it already */
		if (try_place(out, params, p) == 0)
			break;
		if (is_final(&p->err)) {
			*err = p->err;
			return -1;
		}
	}
	if (i == n)
		return tell_all(places, n, err);
	params->repo = p->repo;
	p->repo = NULL; /* the caller's */
	params->from = p->from;
	params->why = reason(p, places, spread);
	(*out)->params.why = params->why;
	note_others(*out, places, n);
	return plan_destination(*out, err);
}

/*
 * Keys never stand in restore_command. What this shell has in its environment
 * the restored server may lack, and then it would find out in recovery.
 */
static void
note_keys(struct restore_plan *plan)
{
	static const char *const s3[] = { "AWS_ACCESS_KEY_ID", "AWS_PROFILE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" };
	const struct config_repository *from = plan->params.from;
	const bool sftp = strncmp(from->url, "sftp://", 7) == 0;
	const char *found = NULL;
	size_t i;

	if (sftp && from->key_file == NULL && from->password_file == NULL &&
	    getenv("SSH_AUTH_SOCK") != NULL)
		found = "SSH_AUTH_SOCK";
	if (strncmp(from->url, "s3://", 5) == 0 &&
	    from->access_key_id == NULL && (from->credentials == NULL ||
	    strncmp(from->credentials, "file:", 5) != 0))
		for (i = 0; i < sizeof(s3) / sizeof(s3[0]) &&
		     found == NULL; i++)
			if (getenv(s3[i]) != NULL)
				found = s3[i];
	if (plan->params.repo->ring != NULL && from->encryption_key_file ==
	    NULL && from->encryption_passphrase_file == NULL &&
	    getenv(CONFIG_PASSPHRASE_ENV) != NULL)
		plan_note(plan, "the passphrase comes from this shell's "
		    "environment (" CONFIG_PASSPHRASE_ENV "): restore_command "
		    "needs it too, so start the server from here, or name a "
		    "file: --encryption-passphrase-file");
	if (found != NULL)
		plan_note(plan, "the keys of the repository come from this "
		    "shell's environment (%s): restore_command needs them "
		    "too, so start the server from here, or name a file: %s",
		    found, sftp ? "--key-file" : "--credentials file:PATH");
}

static int
open_only(struct restore_params *params, struct err *err)
{
	params->from = &params->config->repo;
	return repo_open_configured(&params->repo, params->from, err);
}

int
restore_choose(struct restore_plan **out, struct restore_params *params,
    struct err *err)
{
	const unsigned n = 1 + params->config->n_others;
	struct place *places;
	unsigned *order, i;
	int ret;

	*out = NULL;
	if (n == 1) {
		if (open_only(params, err) != 0 ||
		    restore_plan(out, params, err) != 0)
			return -1;
		note_keys(*out);
		return 0;
	}
	places = xcalloc(n, sizeof(*places));
	order = xcalloc(n, sizeof(*order));
	for (i = 0; i < n; i++)
		places[i].from = config_repository(params->config, i);
	ret = choose(out, params, places, n, order, err);
	for (i = 0; i < n; i++)
		repo_close(places[i].repo);
	free(order);
	free(places);
	if (ret == 0) {
		note_keys(*out);
	} else {
		restore_plan_free(*out);
		*out = NULL;
	}
	return ret;
}
