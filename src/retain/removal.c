/* SPDX-License-Identifier: PostgreSQL */
/*
 * What both steps need: what is read at the beginning, who is at work, and
 * whether enough stays.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "retain/removal_private.h"

int
removal_pulse(void *arg, struct err *err)
{
	const struct removal *s = arg;

	if (cancel_check(err) != 0)
		return -1;
	return s->params->lease == NULL ? 0 :
					  lease_renew(s->params->lease, err);
}

void
removal_free(struct removal *s)
{
	tombstone_list_free(&s->stones);
	survey_free(&s->survey);
	free(s->intents);
	pins_free(s->pins, s->n_pins);
}

int
removal_begin(struct removal *s, const struct removal_params *params,
    struct removal_report *report, struct err *err)
{
	memset(s, 0, sizeof(*s));
	memset(report, 0, sizeof(*report));
	s->params = params;
	s->report = report;
	lease_process(s->process);
	if (params->lease == NULL) {
		s->now = time_now(); /* nothing is done: good enough */
	} else {
		if (lease_confirm(params->lease, err) != 0)
			return -1;
		s->now = lease_time(params->lease);
	}
	if (tombstone_list(params->repo, params->inc, &s->stones, err) != 0 ||
	    intent_list(params->repo, params->inc, &s->intents,
		&s->n_intents, err) != 0 ||
	    pin_list(params->repo, params->inc, &s->pins, &s->n_pins, err) !=
		0)
		return -1;
	return 0;
}

bool
removal_past_grace(const struct removal *s, int64_t mtime)
{
	return s->now - mtime >= s->params->grace_us;
}

bool
removal_intent_lives(const struct removal *s, const struct intent *i)
{
	return !removal_past_grace(s, i->mtime) &&
	    !intent_process_dead(i, s->process);
}

bool
removal_concerns(const struct removal *s, const struct intent *i)
{
	return i->kind == s->params->kind;
}

const struct pin *
removal_pin(const struct removal *s, const char *label)
{
	size_t i;

	for (i = 0; i < s->n_pins; i++)
		if (s->pins[i].kind == s->params->kind &&
		    strcmp(s->pins[i].label, label) == 0 &&
		    (s->pins[i].until == 0 || s->pins[i].until > s->now))
			return &s->pins[i];
	return NULL;
}

bool
removal_wanted(const struct removal *s, const char *label)
{
	const struct removal_params *p = s->params;

	if (removal_pin(s, label) != NULL)
		return true;
	return !s->due->named && p->wants_set != NULL &&
	    p->wants_set(p->wants_arg, p->kind, label);
}

bool
removal_wanted_wal(const struct removal *s, const char *name)
{
	const struct removal_params *p = s->params;

	return !s->due->named && p->wants_wal != NULL &&
	    p->wants_wal(p->wants_arg, name);
}

/* Is somebody making this backup, or one that refers to it? */
static bool
intended(const struct removal *s, const char *label)
{
	size_t i;

	for (i = 0; i < s->n_intents; i++)
		if (removal_concerns(s, &s->intents[i]) &&
		    removal_intent_lives(s, &s->intents[i]) &&
		    (strcmp(s->intents[i].label, label) == 0 ||
			strcmp(s->intents[i].parent, label) == 0))
			return true;
	return false;
}

/*
 * Can `b` stand in for what is removed? Any backup can for another; a dump for
 * one of the same database, if it has all of it or was told to leave out the
 * same. like NULL: any.
 */
static bool
stands_in(const struct survey_backup *b, const struct survey_backup *like)
{
	if (like == NULL || like->database == NULL)
		return true;
	return b->database != NULL &&
	    strcmp(b->database, like->database) == 0 &&
	    (b->options[0] == '\0' || strcmp(b->options, like->options) == 0);
}

/*
 * What its names and sizes promise is read before others go for its sake. What
 * cannot be read now does not count either: nothing is lost by waiting.
 */
static bool
proved(struct removal *s, struct survey_backup *b)
{
	const struct removal_params *p = s->params;
	struct err err = ERR_INIT;
	struct commit c;
	int rc;

	if (p->prove == NULL || b->proof == SURVEY_PROVED)
		return true;
	if (b->proof == SURVEY_DISPROVED)
		return false;
	rc = commit_get_kind(p->repo, p->inc, p->kind, b->label, &c, &err);
	if (rc == 0) {
		rc = p->prove(p->repo, p->inc, &c, removal_pulse, s, &err);
		commit_free(&c);
	}
	b->proof = rc == 0 ? SURVEY_PROVED : SURVEY_DISPROVED;
	if (rc != 0)
		log_warning("%s %s does not count as usable: %s",
		    repo_kind_name(p->kind), b->label, err.msg);
	return rc == 0;
}

/*
 * Where none is without damaged pages, those that go included, nothing better
 * is lost, and the newest whole one counts: else one bad page of the cluster
 * would keep everything for ever.
 */
bool
removal_usable_stays(struct removal *s, const struct survey_backup *like)
{
	struct survey_backup *b, *newest = NULL;
	bool undamaged = false;
	size_t i;

	/* The newest first: it is the likeliest to hold. */
	for (i = s->survey.n_backups; i > 0; i--) {
		b = &s->survey.backups[i - 1];
		if (!b->committed || !stands_in(b, like))
			continue;
		if (b->usable && !b->leaving && proved(s, b))
			return true;
		undamaged = undamaged || b->usable;
		if (b->whole && newest == NULL)
			newest = b;
	}
	if (undamaged || newest == NULL || newest->leaving ||
	    !proved(s, newest))
		return false;
	log_warning("no backup is without damaged pages: %s, the newest whole "
	    "one, counts as usable", newest->label);
	return true;
}

bool
removal_may_go(struct removal *s, const struct survey_backup *b)
{
	if (s->survey.kind == REPO_BACKUP)
		return removal_usable_stays(s, NULL);
	/* Of a dump whose commit cannot be read nothing is lost. */
	return b->database == NULL || removal_usable_stays(s, b);
}

bool
removal_ripe(const struct removal *s, const struct survey_object *o)
{
	const struct survey_backup *b =
	    survey_backup(&s->survey, o->id.label);

	if (b->committed)
		return true;
	return removal_past_grace(s, b->newest) && !intended(s, b->label);
}

void
removal_names_add(struct removal_names *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	l->list[l->n++] = xstrdup(name);
}

void
removal_names_free(struct removal_names *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
	memset(l, 0, sizeof(*l));
}

const char *
removal_in_folder(enum repo_kind kind, const char *name)
{
	const char *folder = repo_folder(kind);
	const size_t len = strlen(folder);

	return strncmp(name, folder, len) == 0 ? name + len : NULL;
}

bool
removal_is_commit(enum repo_kind kind, const char *name)
{
	const char *last = strrchr(name, '/');

	return removal_in_folder(kind, name) != NULL &&
	    strcmp(last, "/commit") == 0;
}

bool
removal_label_of(enum repo_kind kind, const char *name,
    char out[FORMAT_LABEL_MAX])
{
	size_t len;

	name = removal_in_folder(kind, name);
	len = name == NULL ? 0 : strcspn(name, "/");
	if (name == NULL || len >= FORMAT_LABEL_MAX)
		return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return label_valid(out);
}

enum repo_kind
removal_stone_kind(const struct tombstone *t)
{
	return t->n > 0 && removal_in_folder(REPO_DUMP, t->objects[0]) != NULL ?
	    REPO_DUMP : REPO_BACKUP;
}
