/* SPDX-License-Identifier: PostgreSQL */
/* Step 2, after the commits: what else a tombstone names. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "repo/removed.h"
#include "retain/removal_private.h"

#define AT_ONCE 200 /* objects removed by one call */
#define BATCH 1000 /* objects removed before the catalogue is read again */

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
	    removal_pulse, s, err);
}

/* Our lease is for one folder, and WAL goes with backups. */
static bool
is_ours_to_remove(enum repo_kind kind, const char *name)
{
	return removal_in_folder(kind, name) != NULL ||
	    (kind == REPO_BACKUP && strncmp(name, "wal/", 4) == 0);
}

/* Of WAL: do neither a backup nor retention need it? */
static bool
wal_goes(const struct removal *s, const char *name)
{
	return !survey_needs_wal(&s->survey, name) &&
	    !removal_wanted_wal(s, name);
}

/* A stretch of a timeline that goes: nothing between its ends is kept. */
struct stretch {
	char first[WAL_SEGMENT_NAME_LEN + 1];
	char last[WAL_SEGMENT_NAME_LEN + 1]; /* "": it has not begun */
};

static int
end_stretch(const struct removal *s, struct stretch *at, struct err *err)
{
	int rc = at->last[0] == '\0' ? 0 : removed_note_wal(
	    s->params->repo, s->params->inc, at->first, at->last, err);

	at->last[0] = '\0';
	return rc;
}

/* Segments that are not there count as gone, if nobody wants them. */
static bool
joins(const struct removal *s, const struct stretch *at, const char *name)
{
	char between[WAL_SEGMENT_NAME_LEN + 1];
	struct err ignored = ERR_INIT;
	const uint32_t size = s->params->wal_segment_size;
	struct wal_file last, next;
	uint64_t i;

	if (at->last[0] == '\0' || strncmp(at->last, name, 8) != 0 ||
	    wal_file_parse(at->last, &last, &ignored) != 0 ||
	    wal_file_parse(name, &next, &ignored) != 0)
		return false;
	for (i = wal_segno(&last, size) + 1; i < wal_segno(&next, size); i++) {
		wal_segment_name(last.timeline, i, size, between);
		if (!wal_goes(s, between))
			return false;
	}
	return true;
}

/*
 * Before the first of them goes: note the segments that this tombstone names
 * and that go, stretch by stretch, so that a gap is told from a loss.
 */
static int
note_wal(const struct removal *s, struct err *err)
{
	const struct tombstone *t = s->due;
	struct stretch at = { .last = "" };
	char name[WAL_SEGMENT_NAME_LEN + 1];
	const char *file;
	size_t i;

	for (i = 0; i < t->n; i++) {
		file = strrchr(t->objects[i], '/');
		if (strncmp(t->objects[i], "wal/", 4) != 0 ||
		    strspn(file + 1, "0123456789ABCDEF") !=
		    WAL_SEGMENT_NAME_LEN || !wal_goes(s, t->objects[i]))
			continue;
		memcpy(name, file + 1, WAL_SEGMENT_NAME_LEN);
		name[WAL_SEGMENT_NAME_LEN] = '\0';
		if (!joins(s, &at, name)) {
			if (end_stretch(s, &at, err) != 0)
				return -1;
			memcpy(at.first, name, sizeof(name));
		}
		memcpy(at.last, name, sizeof(name));
	}
	return end_stretch(s, &at, err);
}

/* Some of them are locked: those that are not. */
static int
remove_unlocked(struct removal *s, const struct removal_names *going,
    struct err *err)
{
	size_t i;

	for (i = 0; i < going->n; i++) {
		if (storage_remove(s->params->repo->st, going->list[i], err) ==
		    0)
			s->report->objects++;
		else if (removal_note_locked(s, err) != 0)
			return -1;
		if (removal_pulse(s, err) != 0)
			return -1;
	}
	return 0;
}

/* Remove what was gathered: one request, where the store can. */
static int
remove_gathered(struct removal *s, struct removal_names *going,
    struct err *err)
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
	return removal_pulse(s, err);
}

static int
gather(struct removal *s, const char *name, struct removal_names *going,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];

	repo_key(s->params->inc, name, key);
	removal_names_add(going, key);
	return going->n < AT_ONCE ? 0 : remove_gathered(s, going, err);
}

static int
remove_named(struct removal *s, struct removal_names *going,
    struct err *err)
{
	const struct removal_params *p = s->params;
	const struct tombstone *t = s->due;
	const struct survey_object *o;
	bool noted = false;
	size_t i, batch = 0;

	for (i = 0; i < t->n; i++) {
		const char *name = t->objects[i];

		if (removal_is_commit(p->kind, name))
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
			!removal_ripe(s, o) : !wal_goes(s, name)) {
			s->report->kept++;
			continue;
		}
		if (o == NULL && removal_in_folder(p->kind, name) != NULL)
			continue; /* an earlier run did it */
		if (!noted && strncmp(name, "wal/", 4) == 0) {
			if (note_wal(s, err) != 0)
				return -1;
			noted = true;
		}
		if (gather(s, name, going, err) != 0)
			return -1;
	}
	return remove_gathered(s, going, err);
}

int
removal_rest(struct removal *s, struct err *err)
{
	const struct removal_params *p = s->params;
	struct removal_names going = { .list = NULL };
	int rc;

	survey_free(&s->survey);
	rc = survey_read(&s->survey, p->repo, p->inc, p->kind, NULL,
	    removal_pulse, s, err);
	if (rc == 0)
		rc = remove_named(s, &going, err);
	removal_names_free(&going);
	return rc;
}
