/* SPDX-License-Identifier: PostgreSQL */
/* Step 1: what is to go, and what nothing refers to then, is listed. */
#include "config.h"

#include <string.h>

#include "core/time.h"
#include "retain/removal_private.h"

/*
 * Of WAL there may be much: a tombstone is done with in minutes, and a run that
 * is cut short has not to begin with all of it again.
 */
#define PER_TOMBSTONE 20000

static bool
is_listed(const struct removal_params *p, const char *label)
{
	size_t i;

	for (i = 0; i < p->n_labels; i++)
		if (strcmp(p->labels[i], label) == 0)
			return true;
	return false;
}

/* Step 1: what is to go now, or waits for its end already. */
static bool
leaves_by_mark(void *arg, const char *label)
{
	const struct removal *s = arg;

	return is_listed(s->params, label) ||
	    tombstone_names_set(&s->stones, s->params->kind, label);
}

static int
refuse_last(const struct removal *s, const struct survey_backup *b,
    struct err *err)
{
	const char *cluster = s->params->inc->cluster;

	if (s->params->kind == REPO_BACKUP) {
		err_set(err, ERR_REFUSED, "no usable backup of cluster %s "
		    "would be left", cluster);
		return err_hint(err, "take another one first: dapk-backup "
		    "backup; or repeat this with --force");
	}
	if (b->database[0] == '\0') {
		err_set(err, ERR_REFUSED, "no usable dump of the globals of "
		    "cluster %s would be left", cluster);
		return err_hint(err, "take another one first: dapk-backup "
		    "dump --globals; or repeat this with --force");
	}
	err_set(err, ERR_REFUSED, "no usable dump%s of database %s of cluster "
	    "%s would be left", b->options[0] == '\0' ? "" :
	    " like this one, or of all", b->database, cluster);
	return err_hint(err, "take another one first: dapk-backup dump %s; or "
	    "repeat this with --force", b->database);
}

static int
refuse_pinned(const struct removal *s, const char *label, struct err *err)
{
	const struct pin *pin = removal_pin(s, label);
	char until[TIME_TEXT_MAX];

	err_set(err, ERR_REFUSED, "%s %s is pinned%s%s%s%s",
	    repo_kind_name(s->params->kind), label,
	    pin->until == 0 ? "" : " until ",
	    pin->until == 0 ? "" : time_format_local(pin->until, until),
	    pin->reason[0] == '\0' ? "" : ": ", pin->reason);
	return err_hint(err, "dapk-backup unpin %s", label);
}

static int
check_labels(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	const struct survey_backup *b;
	size_t i;

	for (i = 0; i < p->n_labels; i++) {
		b = survey_backup(&s->survey, p->labels[i]);
		if (b == NULL || !b->committed) {
			err_set(err, ERR_NOT_FOUND, "there is no %s %s",
			    repo_kind_name(p->kind), p->labels[i]);
			return err_hint(err, "'dapk-backup info' lists them");
		}
		if (removal_pin(s, b->label) != NULL)
			return refuse_pinned(s, b->label, err);
		if (!p->force && !removal_may_go(s, b) &&
		    !tombstone_names_set(&s->stones, p->kind, b->label))
			return refuse_last(s, b, err);
	}
	return 0;
}

static void
note_kept(const struct removal *s, const struct survey_object *o)
{
	const struct survey_backup *b =
	    survey_backup(&s->survey, o->id.label);

	if (o->kind != SURVEY_PACK || !b->leaving ||
	    !is_listed(s->params, o->id.label))
		return;
	s->report->kept++;
	s->report->kept_bytes += o->size;
}

static void
show(const struct removal *s, const char *name, uint64_t size)
{
	if (s->params->show != NULL)
		s->params->show(s->params->show_arg, name, size);
}

/* A tombstone that is being filled; those before it are put. */
struct filling {
	struct removal *s;
	struct removal_names names;
};

static int
put_stone(struct filling *f, struct err *err)
{
	const struct removal_params *p = f->s->params;
	const struct tombstone t = { .forced = p->force, .named = p->named,
		.objects = f->names.list, .n = f->names.n };
	int rc = 0;

	if (t.n > 0 && (lease_confirm(p->lease, err) != 0 ||
	    tombstone_put(p->repo, p->inc, &t, err) != 0))
		rc = -1;
	removal_names_free(&f->names);
	return rc;
}

static int
list_object(struct filling *f, const char *name, struct err *err)
{
	f->s->report->objects++;
	if (f->s->params->dry_run)
		return 0;
	removal_names_add(&f->names, name);
	return f->names.n < PER_TOMBSTONE ? 0 : put_stone(f, err);
}

/* Commits first, so that a crash in step 2 leaves garbage at worst. */
static int
list_sets(struct filling *f, bool commits, struct err *err)
{
	const struct removal *s = f->s;
	size_t i;

	for (i = 0; i < s->survey.n; i++) {
		const struct survey_object *o = &s->survey.objects[i];

		if ((o->kind == SURVEY_COMMIT) != commits)
			continue;
		if (survey_keeps(&s->survey, o)) {
			note_kept(s, o);
			continue;
		}
		if (!removal_ripe(s, o) || tombstone_names(&s->stones, o->name))
			continue;
		if (list_object(f, o->name, err) != 0)
			return -1;
		show(s, o->name, o->size);
		s->report->backups += commits ? 1 : 0;
		s->report->bytes += o->size;
	}
	return 0;
}

static int
list_wal(struct filling *f, struct err *err)
{
	const struct removal *s = f->s;
	const struct removal_params *p = s->params;
	size_t i;

	for (i = 0; i < p->n_objects && p->kind == REPO_BACKUP; i++)
		if (!survey_needs_wal(&s->survey, p->objects[i]) &&
		    !tombstone_names(&s->stones, p->objects[i]) &&
		    list_object(f, p->objects[i], err) != 0)
			return -1;
	return 0;
}

static int
mark(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	struct filling f = { .s = s };
	int rc;

	if (survey_read(&s->survey, p->repo, p->inc, p->kind, leaves_by_mark,
	    removal_pulse, s, err) != 0 || check_labels(s, err) != 0)
		return -1;
	rc = list_sets(&f, true, err);
	if (rc == 0)
		rc = list_sets(&f, false, err);
	if (rc == 0)
		rc = list_wal(&f, err);
	if (rc == 0)
		rc = put_stone(&f, err);
	removal_names_free(&f.names);
	return rc;
}

int
removal_mark(const struct removal_params *params, struct removal_report *report,
    struct err *err)
{
	struct removal s;
	int rc;

	rc = removal_begin(&s, params, report, err);
	if (rc == 0)
		rc = mark(&s, err);
	removal_free(&s);
	return rc;
}
