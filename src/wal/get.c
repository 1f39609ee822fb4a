/* SPDX-License-Identifier: PostgreSQL */
/* What the answers of one or several repositories mean together. */
#include "config.h"

#include "wal/get.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "wal/getone.h"
#include "wal/tired.h"

/* Of several: how long one may take before the next is asked. */
#define SHORT_MS 10000u

/* Answers that took this long are worth to be avoided. */
#define SLOW_US INT64_C(1000000)

struct place {
	const struct config_repository *config; /* NULL: repo was given */
	struct repo *repo;
	enum wal_answer answer;
	struct err err; /* unless DELIVERED or ABSENT */
	bool tired;	/* did not answer lately */
	bool may_wait;	/* a longer time limit could change the answer */
};

static const char *
place_name(const struct place *p)
{
	if (p->config == NULL)
		return storage_url(p->repo->st);
	return p->config->name != NULL ? p->config->name : p->config->url;
}

/* Opened anew for each time limit, since a storage keeps its own. */
static int
open_place(struct place *p, uint64_t limit_ms, struct err *err)
{
	struct config_repository with = *p->config;

	repo_close(p->repo);
	p->repo = NULL;
	if (limit_ms != 0 && with.timeout_ms > limit_ms)
		with.timeout_ms = limit_ms;
	if (repo_open_configured(&p->repo, &with, err) == 0)
		return 0;
	/* Only what was read can prove that a file is absent. */
	if (err->code == ERR_NOT_FOUND)
		err->code = ERR_STORAGE;
	return -1;
}

static void
note_time(const struct wal_want *w, struct place *p, int64_t took)
{
	const char *state = w->params->state_directory;

	if (p->config == NULL || w->params->n_places < 2)
		return;
	if (p->answer != WAL_ANSWER_ERROR && p->tired)
		wal_tired_forget(state, p->config->url);
	if (p->answer == WAL_ANSWER_ERROR && took > SLOW_US)
		wal_tired_note(state, p->config->url);
}

static void
ask(const struct wal_want *w, struct place *p, uint64_t limit_ms)
{
	int64_t begin = time_monotonic();

	err_clear(&p->err);
	p->answer = WAL_ANSWER_ERROR;
	if (p->config == NULL || open_place(p, limit_ms, &p->err) == 0)
		p->answer = wal_one_ask(w, p->repo, &p->err);
	p->may_wait = limit_ms != 0 && p->config->timeout_ms > limit_ms &&
	    p->answer == WAL_ANSWER_ERROR && p->err.code == ERR_STORAGE;
	/* "No such file" of anything else must not look like proof (T1). */
	if (p->err.code == ERR_NOT_FOUND)
		p->err.code = ERR_IO;
	note_time(w, p, time_monotonic() - begin);
}

/* Has one of them settled it? *at says which. */
static bool
settled(const struct place *p)
{
	return p->answer == WAL_ANSWER_DELIVERED ||
	    p->answer == WAL_ANSWER_CONFLICT ||
	    p->err.code == ERR_CANCELLED;
}

/*
 * A standby is not kept waiting for one that did not answer a moment ago:
 * "an error" and "absent" make it go on in the same way.
 */
static bool
skip_tired(const struct wal_want *w, struct place *p)
{
	if (!p->tired || !w->params->standby)
		return false;
	(void)err_set(&p->err, ERR_STORAGE, "did not answer a moment ago");
	return true;
}

/* Ask until it is settled; NULL: nobody has. */
static struct place *
ask_all(const struct wal_want *w, struct place *places, unsigned n)
{
	uint64_t limit = n > 1 ? SHORT_MS : 0;
	unsigned i, tired;

	for (tired = 0; tired < 2; tired++)
		for (i = 0; i < n; i++) {
			if (places[i].tired != (tired == 1) ||
			    skip_tired(w, &places[i]))
				continue;
			ask(w, &places[i], limit);
			if (settled(&places[i]))
				return &places[i];
			if (n > 1 && places[i].err.code != ERR_NONE)
				log_debug("%s: %s", place_name(&places[i]),
				    places[i].err.msg);
		}
	/* With their own time limits, before recovery is made to end. */
	for (i = 0; i < n && !w->params->standby; i++) {
		if (!places[i].may_wait)
			continue;
		log_warning("repository %s: %s; trying again for longer",
		    place_name(&places[i]), places[i].err.msg);
		ask(w, &places[i], 0);
		if (settled(&places[i]))
			return &places[i];
	}
	return NULL;
}

/*
 * A copy that was made lately may have nothing of the cluster yet. That is
 * absence when another, which is the same repository, knows the cluster: so
 * neither the cluster's name nor the place is mistyped.
 */
static bool
is_empty_copy(const struct place *p, const struct place *places, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && p->answer == WAL_ANSWER_STRANGER; i++)
		if (places[i].answer == WAL_ANSWER_ABSENT &&
		    strcmp(places[i].repo->id_text, p->repo->id_text) == 0)
			return true;
	return false;
}

/* The first that does not prove absence, or NULL. */
static const struct place *
unproved(const struct place *places, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (places[i].answer != WAL_ANSWER_ABSENT &&
		    !is_empty_copy(&places[i], places, n))
			return &places[i];
	return NULL;
}

static int
tell_error(const struct wal_want *w, const struct place *p, unsigned n,
    struct err *err)
{
	*err = p->err;
	if (n == 1)
		return -1;
	err_wrap(err, "%s: no repository has delivered it, and %s cannot say "
	    "that it does not exist", w->file.name, place_name(p));
	return -1;
}

/*
 * No whole segment is stored. What a promotion or a salvage has left of it
 * is the last there is of the timeline, and recovery can use it, since it is
 * proved that nothing follows. Of several the one with the most records.
 */
static int
partial_or_absent(const struct wal_want *w, struct place *places, unsigned n,
    struct err *err)
{
	struct wal_partial *found = xcalloc(n, sizeof(*found));
	unsigned i, best = n;
	int ret = 0;

	for (i = 0; i < n && ret == 0; i++) {
		ret = wal_one_partial(w, places[i].repo, &found[i], err);
		if (ret == 0 && found[i].n > 0 &&
		    (best == n || found[i].reach > found[best].reach))
			best = i;
	}
	if (ret != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_IO;
		err_wrap(err, "repository %s", place_name(&places[i - 1]));
	} else if (best < n) {
		ret = wal_one_deliver_partial(w, places[best].repo,
		    &found[best], err);
		if (ret != 0 && err->code == ERR_NOT_FOUND)
			err->code = ERR_IO;
	} else {
		ret = err_set(err, ERR_NOT_FOUND,
		    n == 1 ? "%s is not in the repository" :
			     "%s is in none of the repositories",
		    w->file.name);
	}
	for (i = 0; i < n; i++)
		wal_partial_free(&found[i]);
	free(found);
	return ret;
}

static int
get(const struct wal_want *w, struct place *places, unsigned n,
    struct err *err)
{
	const struct place *p = ask_all(w, places, n);
	unsigned i;

	if (p == NULL)
		p = unproved(places, n);
	if (p == NULL)
		return partial_or_absent(w, places, n, err);
	if (p->answer != WAL_ANSWER_DELIVERED)
		return tell_error(w, p, n, err);
	for (i = 0; i < n; i++)
		if (&places[i] != p && places[i].err.code != ERR_NONE &&
		    !places[i].tired)
			log_warning("%s is taken from repository %s, since "
			    "%s failed: %s", w->file.name, place_name(p),
			    place_name(&places[i]), places[i].err.msg);
	return 0;
}

static int
check_identity(const struct wal_get_params *p, struct err *err)
{
	if (p->repo == NULL || p->repository_id == NULL ||
	    strcasecmp(p->repository_id, p->repo->id_text) == 0)
		return 0;
	err_set(err, ERR_CONFIG, "%s is repository %s, expected is %s",
	    storage_url(p->repo->st), p->repo->id_text, p->repository_id);
	return err_hint(err, "is the right disk mounted there?");
}

static struct place *
make_places(const struct wal_get_params *p, unsigned *n)
{
	struct place *places;
	unsigned i;

	*n = p->repo != NULL ? 1 : p->n_places;
	places = xcalloc(*n, sizeof(*places));
	if (p->repo != NULL)
		places[0].repo = p->repo;
	for (i = 0; p->repo == NULL && i < *n; i++) {
		places[i].config = p->places[i];
		places[i].tired = *n > 1 &&
		    wal_tired(p->state_directory, p->places[i]->url);
	}
	return places;
}

int
wal_get(const struct wal_get_params *params, struct err *err)
{
	struct wal_want w = { .params = params };
	struct place *places = NULL;
	unsigned i, n = 0;
	int ret = -1;

	if (wal_file_parse(params->name, &w.file, err) != 0) {
		err_set(err, ERR_USAGE, "'%s' is no name of a WAL file",
		    params->name);
		return err_hint(err, "restore_command = 'dapk-backup "
		    "archive-get %%f \"%%p\"'");
	}
	if (check_identity(params, err) != 0 ||
	    wal_cluster_find(&w.cluster, params->cluster, params->pgdata,
		params->dest, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_IO;
		goto out;
	}
	w.dest = wal_cluster_path(params->pgdata, params->dest);
	places = make_places(params, &n);
	ret = get(&w, places, n, err);
out:
	for (i = 0; params->repo == NULL && i < n; i++)
		repo_close(places[i].repo);
	free(places);
	wal_cluster_free(&w.cluster);
	free(w.dest);
	return ret;
}
