/* SPDX-License-Identifier: PostgreSQL */
/* Step 2: tombstones whose time has come, commits first. */
#include "config.h"

#include <string.h>

#include "core/log.h"
#include "repo/removed.h"
#include "retain/removal_private.h"

static bool
stone_names(enum repo_kind kind, const struct tombstone *t,
    const char *label)
{
	char of[FORMAT_LABEL_MAX];
	size_t i;

	for (i = 0; i < t->n && removal_is_commit(kind, t->objects[i]); i++)
		if (removal_label_of(kind, t->objects[i], of) &&
		    strcmp(of, label) == 0)
			return true;
	return false;
}

/* Step 2: commits that the tombstone at hand names, but for the wanted. */
static bool
leaves_by_run(void *arg, const char *label)
{
	const struct removal *s = arg;

	return stone_names(s->params->kind, s->due, label) &&
	    !removal_wanted(s, label);
}

/* Has its time come? An older intent that lives, or one that refers to a
 * backup that would go, holds it up. */
static bool
is_due(const struct removal *s, const struct tombstone *t)
{
	size_t i;

	if (!removal_past_grace(s, t->mtime))
		return false;
	for (i = 0; i < s->n_intents; i++) {
		const struct intent *in = &s->intents[i];

		if (removal_concerns(s, in) && removal_intent_lives(s, in) &&
		    (in->mtime < t->mtime ||
		    stone_names(in->kind, t, in->parent) ||
		    stone_names(in->kind, t, in->label)))
			return false;
	}
	return true;
}

static int
remove_object(struct removal *s, const char *name, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	repo_key(s->params->inc, name, key);
	if (storage_remove(s->params->repo->st, key, err) != 0)
		return err_wrap(err, "remove what nothing refers to");
	s->report->objects++;
	return removal_pulse(s, err);
}

/*
 * The store keeps an object locked, as a bucket without versions can: it
 * stays, and so does the tombstone, for a later run.
 */
int
removal_note_locked(struct removal *s, struct err *err)
{
	if (err->code != ERR_REFUSED)
		return -1;
	if (s->locked++ == 0)
		log_warning("tombstone %s waits: %s", s->due->id, err->msg);
	s->report->locked++;
	err_clear(err);
	return 0;
}

static bool
commits_may_go(struct removal *s, const struct tombstone *t)
{
	const enum repo_kind kind = s->params->kind;
	const struct survey_backup *b;
	char label[FORMAT_LABEL_MAX];
	size_t i;

	for (i = 0; i < t->n && removal_is_commit(kind, t->objects[i]); i++) {
		if (!removal_label_of(kind, t->objects[i], label))
			continue;
		b = survey_backup(&s->survey, label);
		/* Gone by an earlier run: what is left was judged then. */
		if (b == NULL || !b->committed) {
			if (kind == REPO_BACKUP &&
			    !removal_usable_stays(s, NULL))
				return false;
			continue;
		}
		if (b->leaving && !removal_may_go(s, b))
			return false;
	}
	return true;
}

/*
 * What is left when they are gone is judged before the first of them goes. 1:
 * go on; 0: this tombstone waits until there is a usable backup, or until a
 * lock has ended.
 */
static int
remove_commits(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	const struct tombstone *t = s->due;
	const struct survey_object *o;
	size_t i;

	if (t->n == 0 || !removal_is_commit(p->kind, t->objects[0]))
		return 1;
	survey_free(&s->survey);
	if (survey_read(&s->survey, p->repo, p->inc, p->kind, leaves_by_run,
	    removal_pulse, s, err) != 0)
		return -1;
	if (!t->forced && !commits_may_go(s, t)) {
		log_warning("tombstone %s waits: without the %ss that it "
		    "names no usable one would be left", t->id,
		    repo_kind_name(p->kind));
		return 0;
	}
	for (i = 0; i < t->n && removal_is_commit(p->kind, t->objects[i]);
	    i++) {
		o = survey_find(&s->survey, t->objects[i]);
		if (o == NULL)
			continue; /* an earlier run did it */
		if (removal_wanted(s, o->id.label)) {
			log_info("%s %s stays: %s", repo_kind_name(p->kind),
			    o->id.label, removal_pin(s, o->id.label) != NULL ?
			    "it is pinned" : "retention wants it by now");
			s->report->wanted++;
			s->report->kept++;
			continue;
		}
		/* Noted first, so that no copy brings it back. */
		if (removed_note_set(p->repo, p->inc, p->kind, o->id.label,
		    err) != 0 || lease_confirm(p->lease, err) != 0)
			return -1;
		/* What a commit that stays refers to stays too. */
		if (remove_object(s, t->objects[i], err) != 0)
			return removal_note_locked(s, err);
		s->report->backups++;
	}
	return 1;
}

static int
run_stone(struct removal *s, const struct tombstone *t, struct err *err)
{
	int rc;

	s->due = t;
	s->locked = 0;
	rc = remove_commits(s, err);
	if (rc <= 0)
		return rc;
	if (removal_rest(s, err) != 0)
		return -1;
	if (s->locked > 0)
		return 0;
	s->report->tombstones++;
	return tombstone_remove(s->params->repo, s->params->inc, t->id, err);
}

static int
remove_dead_intents(struct removal *s, struct err *err)
{
	size_t i;

	for (i = 0; i < s->n_intents; i++) {
		if (!removal_concerns(s, &s->intents[i]) ||
		    removal_intent_lives(s, &s->intents[i]))
			continue;
		if (intent_remove(s->params->repo, s->params->inc,
		    s->intents[i].id, err) != 0)
			return -1;
		s->report->intents++;
	}
	return 0;
}

static int
run(struct removal *s, struct err *err)
{
	size_t i;

	for (i = 0; i < s->stones.n; i++) {
		const struct tombstone *t = &s->stones.list[i];

		if (removal_stone_kind(t) != s->params->kind)
			continue;
		/* What retention lists waits for a run that asks it again. */
		if (s->params->named && !t->named)
			continue;
		if (!is_due(s, t)) {
			int64_t due = t->mtime + s->params->grace_us;

			if (s->report->waiting++ == 0 ||
			    due < s->report->next_due)
				s->report->next_due = due;
		} else if (s->params->dry_run) {
			s->report->objects += t->n;
		} else if (run_stone(s, t, err) != 0)
			return -1;
	}
	return s->params->dry_run ? 0 : remove_dead_intents(s, err);
}

int
removal_run(const struct removal_params *params, struct removal_report *report,
    struct err *err)
{
	struct removal s;
	int rc;

	rc = removal_begin(&s, params, report, err);
	if (rc == 0)
		rc = run(&s, err);
	removal_free(&s);
	return rc;
}
