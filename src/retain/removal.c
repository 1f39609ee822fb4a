/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/intent.h"
#include "repo/removed.h"
#include "repo/tombstone.h"
#include "retain/survey.h"

#define AT_ONCE 200 /* objects removed by one call */
#define BATCH 1000 /* objects removed before the catalogue is read again */

struct removal {
	const struct removal_params *params;
	struct removal_report *report;
	int64_t now; /* the store's clock */
	struct tombstone_set stones;
	struct intent *intents;
	size_t n_intents;
	char process[LEASE_PROCESS_MAX]; /* this one */
	const struct tombstone *due; /* step 2: the one at hand */
	size_t locked; /* of what it names: what the store did not let go */
	struct survey survey;
};

static int
pulse(void *arg, struct err *err)
{
	const struct removal *s = arg;

	if (cancel_check(err) != 0)
		return -1;
	return s->params->lease == NULL ? 0 :
					  lease_renew(s->params->lease, err);
}

static void
removal_free(struct removal *s)
{
	tombstone_list_free(&s->stones);
	survey_free(&s->survey);
	free(s->intents);
}

/* The store's clock, tombstones and intents. */
static int
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
		&s->n_intents, err) != 0)
		return -1;
	return 0;
}

static bool
past_grace(const struct removal *s, int64_t mtime)
{
	return s->now - mtime >= s->params->grace_us;
}

/*
 * We hold the lease, so whoever put an intent does not; it may be asleep, and
 * gets the grace period to find that out, unless it is known to be dead.
 */
static bool
intent_lives(const struct removal *s, const struct intent *i)
{
	return !past_grace(s, i->mtime) &&
	    !intent_process_dead(i, s->process);
}

/* Intents of the other kind concern another folder. */
static bool
is_ours(const struct removal *s, const struct intent *i)
{
	return i->kind == s->params->kind;
}

/* Is somebody making this backup, or one that refers to it? */
static bool
intended(const struct removal *s, const char *label)
{
	size_t i;

	for (i = 0; i < s->n_intents; i++)
		if (is_ours(s, &s->intents[i]) &&
		    intent_lives(s, &s->intents[i]) &&
		    (strcmp(s->intents[i].label, label) == 0 ||
			strcmp(s->intents[i].parent, label) == 0))
			return true;
	return false;
}

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
 * Does a usable backup, or dump of the same database, stay? Where none is
 * without damaged pages, those that go included, nothing better is lost, and
 * the newest whole one counts: else one bad page of the cluster would keep
 * everything for ever.
 */
static bool
usable_stays(const struct survey *s, const struct survey_backup *like)
{
	const struct survey_backup *b, *newest = NULL;
	bool undamaged = false;
	size_t i;

	for (i = 0; i < s->n_backups; i++) {
		b = &s->backups[i];
		if (!b->committed || !stands_in(b, like))
			continue;
		if (b->usable && !b->leaving)
			return true;
		undamaged = undamaged || b->usable;
		if (b->whole)
			newest = b;
	}
	if (undamaged || newest == NULL || newest->leaving)
		return false;
	log_warning("no backup is without damaged pages: %s, the newest whole "
	    "one, counts as usable", newest->label);
	return true;
}

/* May `b` go, which somebody wants removed, for what stays? */
static bool
may_go(const struct survey *s, const struct survey_backup *b)
{
	if (s->kind == REPO_BACKUP)
		return usable_stays(s, NULL);
	/* Of a dump whose commit cannot be read nothing is lost. */
	return b->database == NULL || usable_stays(s, b);
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
check_labels(const struct removal *s, struct err *err)
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
		if (!p->force && !may_go(&s->survey, b) &&
		    !tombstone_names_set(&s->stones, p->kind, b->label))
			return refuse_last(s, b, err);
	}
	return 0;
}

/* May this object go, as far as its folder's state says? */
static bool
ripe(const struct removal *s, const struct survey_object *o)
{
	const struct survey_backup *b =
	    survey_backup(&s->survey, o->id.label);

	if (b->committed)
		return true;
	return past_grace(s, b->newest) && !intended(s, b->label);
}

struct names {
	char **list;
	size_t n, cap;
};

static void
add_name(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	l->list[l->n++] = xstrdup(name);
}

static void
free_names(struct names *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
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

/* Commits first, so that a crash in step 2 leaves garbage at worst. */
static void
collect(const struct removal *s, bool commits, struct names *out)
{
	size_t i;

	for (i = 0; i < s->survey.n; i++) {
		const struct survey_object *o = &s->survey.objects[i];

		if ((o->kind == SURVEY_COMMIT) != commits)
			continue;
		if (survey_keeps(&s->survey, o)) {
			note_kept(s, o);
			continue;
		}
		if (!ripe(s, o) || tombstone_names(&s->stones, o->name))
			continue;
		add_name(out, o->name);
		show(s, o->name, o->size);
		s->report->backups += commits ? 1 : 0;
		s->report->bytes += o->size;
	}
}

static void
collect_wal(const struct removal *s, struct names *out)
{
	const struct removal_params *p = s->params;
	size_t i;

	for (i = 0; i < p->n_objects && p->kind == REPO_BACKUP; i++)
		if (!survey_needs_wal(&s->survey, p->objects[i]) &&
		    !tombstone_names(&s->stones, p->objects[i]))
			add_name(out, p->objects[i]);
}

static int
mark(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	struct names out = { .list = NULL };
	size_t at, n;
	int rc;

	if (survey_read(&s->survey, p->repo, p->inc, p->kind, leaves_by_mark,
	    pulse, s, err) != 0 || check_labels(s, err) != 0)
		return -1;
	collect(s, true, &out);
	collect(s, false, &out);
	collect_wal(s, &out);
	s->report->objects = out.n;
	rc = p->dry_run ? 0 : lease_confirm(p->lease, err);
	for (at = 0; at < out.n && rc == 0 && !p->dry_run; at += n) {
		n = out.n - at < TOMBSTONE_OBJECTS_MAX ? out.n - at :
							 TOMBSTONE_OBJECTS_MAX;
		rc = tombstone_put(p->repo, p->inc, out.list + at, n,
		    p->force, err);
	}
	free_names(&out);
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

/* The rest of a name in the folder of this kind; NULL: it is not in it. */
static const char *
in_folder(enum repo_kind kind, const char *name)
{
	const char *folder = repo_folder(kind);
	const size_t len = strlen(folder);

	return strncmp(name, folder, len) == 0 ? name + len : NULL;
}

static bool
is_commit(enum repo_kind kind, const char *name)
{
	const char *last = strrchr(name, '/');

	return in_folder(kind, name) != NULL && strcmp(last, "/commit") == 0;
}

/* The label in "dumps/LABEL/..."; false when it is not such a name. */
static bool
label_of(enum repo_kind kind, const char *name, char out[FORMAT_LABEL_MAX])
{
	size_t len;

	name = in_folder(kind, name);
	len = name == NULL ? 0 : strcspn(name, "/");
	if (name == NULL || len >= FORMAT_LABEL_MAX)
		return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return label_valid(out);
}

/* Whose objects it names: of one kind only. */
static enum repo_kind
stone_kind(const struct tombstone *t)
{
	return t->n > 0 && in_folder(REPO_DUMP, t->objects[0]) != NULL ?
	    REPO_DUMP : REPO_BACKUP;
}

static bool
stone_names(enum repo_kind kind, const struct tombstone *t,
    const char *label)
{
	char of[FORMAT_LABEL_MAX];
	size_t i;

	for (i = 0; i < t->n && is_commit(kind, t->objects[i]); i++)
		if (label_of(kind, t->objects[i], of) && strcmp(of, label) == 0)
			return true;
	return false;
}

/* Step 2: the commits that the tombstone at hand names. */
static bool
leaves_by_run(void *arg, const char *label)
{
	const struct removal *s = arg;

	return stone_names(s->params->kind, s->due, label);
}

/* Has its time come? An older intent that lives, or one that refers to a
 * backup that would go, holds it up. */
static bool
is_due(const struct removal *s, const struct tombstone *t)
{
	size_t i;

	if (!past_grace(s, t->mtime))
		return false;
	for (i = 0; i < s->n_intents; i++) {
		const struct intent *in = &s->intents[i];

		if (is_ours(s, in) && intent_lives(s, in) &&
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
	return pulse(s, err);
}

/*
 * The store keeps an object locked, as a bucket without versions can: it
 * stays, and so does the tombstone, for a later run.
 */
static int
note_locked(struct removal *s, struct err *err)
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
commits_may_go(const struct removal *s, const struct tombstone *t)
{
	const enum repo_kind kind = s->params->kind;
	const struct survey_backup *b;
	char label[FORMAT_LABEL_MAX];
	size_t i;

	for (i = 0; i < t->n && is_commit(kind, t->objects[i]); i++) {
		if (!label_of(kind, t->objects[i], label))
			continue;
		b = survey_backup(&s->survey, label);
		/* Gone by an earlier run: what is left was judged then. */
		if (b == NULL || !b->committed) {
			if (kind == REPO_BACKUP &&
			    !usable_stays(&s->survey, NULL))
				return false;
			continue;
		}
		if (!may_go(&s->survey, b))
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

	if (t->n == 0 || !is_commit(p->kind, t->objects[0]))
		return 1;
	survey_free(&s->survey);
	if (survey_read(&s->survey, p->repo, p->inc, p->kind, leaves_by_run,
	    pulse, s, err) != 0)
		return -1;
	if (!t->forced && !commits_may_go(s, t)) {
		log_warning("tombstone %s waits: without the %ss that it "
		    "names no usable one would be left", t->id,
		    repo_kind_name(p->kind));
		return 0;
	}
	for (i = 0; i < t->n && is_commit(p->kind, t->objects[i]); i++) {
		o = survey_find(&s->survey, t->objects[i]);
		if (o == NULL)
			continue; /* an earlier run did it */
		/* Noted first, so that no copy brings it back. */
		if (removed_note_set(p->repo, p->inc, p->kind, o->id.label,
		    err) != 0 || lease_confirm(p->lease, err) != 0)
			return -1;
		/* What a commit that stays refers to stays too. */
		if (remove_object(s, t->objects[i], err) != 0)
			return note_locked(s, err);
		s->report->backups++;
	}
	return 1;
}

/* Is what was read of the catalogue still so? Then it need not be again. */
static int
read_again(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	char (*labels)[FORMAT_LABEL_MAX];
	size_t i, n, same = 0;

	if (lease_confirm(p->lease, err) != 0 || (p->kind == REPO_DUMP ?
	    catalogue_dumps(p->repo, p->inc, &labels, &n, NULL, err) :
	    catalogue_backups(p->repo, p->inc, &labels, &n, NULL, err)) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		const struct survey_backup *b =
		    survey_backup(&s->survey, labels[i]);

		if (b != NULL && b->committed)
			same++;
	}
	free(labels);
	if (same == n && s->survey.n > 0)
		return 0;
	survey_free(&s->survey);
	return survey_read(&s->survey, p->repo, p->inc, p->kind, NULL,
	    pulse, s, err);
}

/* Our lease is for one folder, and WAL goes with backups. */
static bool
is_ours_to_remove(enum repo_kind kind, const char *name)
{
	return in_folder(kind, name) != NULL ||
	    (kind == REPO_BACKUP && strncmp(name, "wal/", 4) == 0);
}

#define WAL_FOLDER_LEN 13 /* "wal/TIMELINE/" */

/*
 * A timeline's first file is about to go: note the last segment that this
 * tombstone names of it. *noted: the timeline that this was done for.
 */
static int
note_wal(const struct removal *s, const char *name, char *noted,
    struct err *err)
{
	const struct tombstone *t = s->due;
	char last[WAL_SEGMENT_NAME_LEN + 1] = "";
	const char *file;
	size_t i;

	if (strncmp(name, "wal/", 4) != 0 ||
	    strlen(name) < WAL_FOLDER_LEN ||
	    strncmp(name, noted, WAL_FOLDER_LEN) == 0)
		return 0;
	memcpy(noted, name, WAL_FOLDER_LEN);
	for (i = 0; i < t->n; i++) {
		file = strrchr(t->objects[i], '/');
		if (strncmp(t->objects[i], noted, WAL_FOLDER_LEN) == 0 &&
		    strspn(file + 1, "0123456789ABCDEF") ==
		    WAL_SEGMENT_NAME_LEN &&
		    strncmp(file + 1, last, WAL_SEGMENT_NAME_LEN) > 0)
			memcpy(last, file + 1, WAL_SEGMENT_NAME_LEN);
	}
	return last[0] == '\0' ? 0 :
	    removed_note_wal(s->params->repo, s->params->inc, last, err);
}

/* Some of them are locked: those that are not. */
static int
remove_unlocked(struct removal *s, const struct names *going, struct err *err)
{
	size_t i;

	for (i = 0; i < going->n; i++) {
		if (storage_remove(s->params->repo->st, going->list[i], err) ==
		    0)
			s->report->objects++;
		else if (note_locked(s, err) != 0)
			return -1;
		if (pulse(s, err) != 0)
			return -1;
	}
	return 0;
}

/* Remove what was gathered: one request, where the store can. */
static int
remove_gathered(struct removal *s, struct names *going, struct err *err)
{
	const size_t n = going->n;
	int rc;

	if (n == 0)
		return 0;
	rc = storage_remove_many(s->params->repo->st,
	    (const char *const *)going->list, n, err);
	if (rc != 0 && err->code == ERR_REFUSED) {
		err_clear(err);
		rc = remove_unlocked(s, going, err);
	} else if (rc == 0)
		s->report->objects += n;
	while (going->n > 0)
		free(going->list[--going->n]);
	if (rc != 0)
		return err_wrap(err, "remove what nothing refers to");
	return pulse(s, err);
}

static int
gather(struct removal *s, const char *name, struct names *going,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];

	repo_key(s->params->inc, name, key);
	add_name(going, key);
	return going->n < AT_ONCE ? 0 : remove_gathered(s, going, err);
}

static int
remove_named(struct removal *s, struct names *going, struct err *err)
{
	const struct removal_params *p = s->params;
	const struct tombstone *t = s->due;
	char noted[WAL_FOLDER_LEN + 1] = "";
	const struct survey_object *o;
	size_t i, batch = 0;

	for (i = 0; i < t->n; i++) {
		const char *name = t->objects[i];

		if (is_commit(p->kind, name))
			continue;
		if (!is_ours_to_remove(p->kind, name)) {
			s->report->kept++;
			continue;
		}
		if (batch++ % BATCH == 0 &&
		    (remove_gathered(s, going, err) != 0 ||
		    read_again(s, err) != 0))
			return -1;
		o = survey_find(&s->survey, name);
		if (o != NULL ? survey_keeps(&s->survey, o) ||
			!ripe(s, o) :
			survey_needs_wal(&s->survey, name)) {
			s->report->kept++;
			continue;
		}
		if (o == NULL && in_folder(p->kind, name) != NULL)
			continue; /* an earlier run did it */
		/* Noted before it goes, whenever that is. */
		if (note_wal(s, name, noted, err) != 0 ||
		    gather(s, name, going, err) != 0)
			return -1;
	}
	return remove_gathered(s, going, err);
}

static int
remove_rest(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	struct names going = { .list = NULL };
	int rc;

	survey_free(&s->survey);
	rc = survey_read(&s->survey, p->repo, p->inc, p->kind, NULL, pulse, s,
	    err);
	if (rc == 0)
		rc = remove_named(s, &going, err);
	free_names(&going);
	return rc;
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
	if (remove_rest(s, err) != 0)
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
		if (!is_ours(s, &s->intents[i]) ||
		    intent_lives(s, &s->intents[i]))
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

		if (stone_kind(t) != s->params->kind)
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
