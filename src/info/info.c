/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "info/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "repo/state.h"
#include "repo/tombstone.h"
#include "repo/walcache.h"

#define LABEL_TIME 16 /* characters of a label that are its time */

static void
add_problem(struct info *info, struct info_incarnation *inc,
    const struct err *err)
{
	inc->problems = xreallocarray(inc->problems, inc->n_problems + 1,
	    sizeof(*inc->problems));
	inc->problems[inc->n_problems++] = *err;
	info->damaged = true;
}

/*
 * The store itself failing, or a signal, ends the command; damage of one
 * object does not.
 */
static bool
goes_on(const struct err *err)
{
	return err->code == ERR_DAMAGED || err->code == ERR_UNSUPPORTED ||
	    err->code == ERR_NOT_FOUND || err->code == ERR_REFUSED;
}

/* A backup that was resumed began after the time in its label. */
static int64_t
began(const struct info_backup *b)
{
	int64_t t = 0;

	if (b->commit.start_time != 0)
		return b->commit.start_time;
	(void)label_time(b->label, &t);
	return t;
}

/* By time; the labels of one second are in no order. */
static int
compare_backups(const void *a, const void *b)
{
	const struct info_backup *x = a, *y = b;
	const int64_t at = began(x), bt = began(y);

	if (at != bt)
		return at < bt ? -1 : 1;
	if (x->commit.start_lsn != y->commit.start_lsn)
		return x->commit.start_lsn < y->commit.start_lsn ? -1 : 1;
	return strcmp(x->label, y->label);
}

/* One that has not ended; of several the one that lasts longest. */
static const struct pin *
pin_of(const struct info_incarnation *inc, enum repo_kind kind,
    const char *label)
{
	const int64_t now = time_now();
	const struct pin *found = NULL, *p;
	size_t i;

	for (i = 0; i < inc->n_pins; i++) {
		p = &inc->pins[i];
		if (p->kind != kind || strcmp(p->label, label) != 0 ||
		    (p->until != 0 && p->until <= now))
			continue;
		if (found == NULL || (found->until != 0 &&
		    (p->until == 0 || p->until > found->until)))
			found = p;
	}
	return found;
}

static int
collect_set(struct info *info, struct info_incarnation *inc,
    enum repo_kind kind, const struct tombstone_set *stones,
    struct repo *repo, struct err *err)
{
	struct info_set *set = kind == REPO_DUMP ? &inc->dumps :
						   &inc->backups;
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	size_t n = 0, i;
	int ret = -1;

	if ((kind == REPO_DUMP ?
	    catalogue_dumps(repo, &inc->inc, &labels, &n, &set->unfinished,
		err) :
	    catalogue_backups(repo, &inc->inc, &labels, &n, &set->unfinished,
		err)) != 0)
		return -1;
	set->list = xcalloc(n + 1, sizeof(*set->list));
	for (i = 0; i < n; i++) {
		struct info_backup *b = &set->list[set->n];

		if (cancel_check(err) != 0)
			goto out;
		memcpy(b->label, labels[i], sizeof(b->label));
		b->leaving = tombstone_names_set(stones, kind, b->label);
		b->dismissed = b->leaving &&
		    tombstone_dismisses_set(stones, kind, b->label);
		b->pin = pin_of(inc, kind, b->label);
		set->n++;
		if (commit_get_kind(repo, &inc->inc, kind, b->label,
			&b->commit, &b->problem) == 0) {
			if (kind == REPO_BACKUP)
				inc->wal_segment_size =
				    b->commit.wal_segment_size;
			continue;
		}
		memset(&b->commit, 0, sizeof(b->commit));
		if (!goes_on(&b->problem)) {
			*err = b->problem;
			goto out;
		}
		info->damaged = true;
	}
	qsort(set->list, set->n, sizeof(*set->list), compare_backups);
	info_shares(set);
	ret = 0;
out:
	free(labels);
	return ret;
}

static int
collect_sets(struct info *info, struct info_incarnation *inc,
    struct repo *repo, struct err *err)
{
	struct tombstone_set stones;
	int rc;

	if (tombstone_list(repo, &inc->inc, &stones, err) != 0) {
		if (!goes_on(err))
			return -1;
		add_problem(info, inc, err);
		err_clear(err);
	}
	if (pin_list(repo, &inc->inc, &inc->pins, &inc->n_pins, err) != 0) {
		if (!goes_on(err)) {
			tombstone_list_free(&stones);
			return -1;
		}
		add_problem(info, inc, err);
		err_clear(err);
	}
	rc = collect_set(info, inc, REPO_BACKUP, &stones, repo, err);
	if (rc == 0)
		rc = collect_set(info, inc, REPO_DUMP, &stones, repo, err);
	tombstone_list_free(&stones);
	return rc;
}

static void
add_name(char (**list)[WAL_FILE_NAME_MAX], size_t *n, const char *name)
{
	*list = xreallocarray(*list, *n + 1, sizeof(**list));
	(void)snprintf((*list)[*n], sizeof(**list), "%s", name);
	(*n)++;
}

/*
 * Several contents of a .partial are right when they agree as far as their
 * records go: what a dead server and its successor had of one segment.
 */
static int
partials_agree(struct repo *repo, const struct info_incarnation *inc,
    const struct wal_file *file, bool *agree, struct err *err)
{
	struct wal_stored best;

	*agree = inc->wal_segment_size != 0 && wal_store_pick_partial(repo,
	    &inc->inc, file, inc->wal_segment_size, &best, err) == 0;
	if (err->code != ERR_NONE && !goes_on(err))
		return -1;
	err_clear(err);
	return 0;
}

static bool
same_name(const struct walview_item *a, const struct walview_item *b)
{
	return a->log == b->log && a->seg == b->seg &&
	    a->partial == b->partial;
}

/* A timeline's names are being collected. */
struct naming {
	struct repo *repo;
	struct info_incarnation *inc;
	struct info_timeline *t;
};

#define WEEK (INT64_C(7) * 86400 * 1000000)

/*
 * Since segments come one after another a look at the last week is enough,
 * but for those that were stored again.
 */
static void
add_time(struct info_timeline *t, int64_t mtime)
{
	size_t i;

	if (mtime > t->newest || t->newest == 0)
		t->newest = mtime;
	for (i = t->n_stored; i > 0; i--)
		if (t->stored[i - 1] / WEEK == mtime / WEEK)
			return;
	t->stored = xreallocarray(t->stored, t->n_stored + 1,
	    sizeof(*t->stored));
	t->stored[t->n_stored++] = mtime;
}

/* Partial files, names that two contents claim, and when all was stored. */
static int
add_names(void *arg, struct walview_item *list, size_t n, struct err *err)
{
	struct naming *g = arg;
	struct info_timeline *t = g->t;
	struct wal_stored ws;
	size_t i, k;
	bool agree;

	for (i = 0; i < n; i = k) {
		add_time(t, list[i].mtime);
		for (k = i + 1; k < n && same_name(&list[i], &list[k]);)
			k++;
		info_rate_add(g->inc, list[i].mtime, list[i].size);
		if (k == i + 1 && !list[i].partial)
			continue;
		walview_stored(&list[i], &ws);
		if (list[i].partial)
			add_name(&t->partials, &t->n_partials, ws.file.name);
		agree = k == i + 1;
		if (!agree && list[i].partial && partials_agree(g->repo,
		    g->inc, &ws.file, &agree, err) != 0)
			return -1;
		if (!agree)
			add_name(&t->conflicts, &t->n_conflicts, ws.file.name);
	}
	return 0;
}

static int
collect_history(struct info *info, struct info_incarnation *inc,
    struct walview *wal, struct info_timeline *t, struct err *err)
{
	const struct history *h;
	size_t size;

	if (t->timeline == 1) {
		history_single(1, &t->path);
		return 0;
	}
	if (walview_history(wal, t->timeline, &h, err) != 0) {
		if (err->code == ERR_NOT_FOUND) {
			err_clear(err);
			return 0;
		}
		if (!goes_on(err))
			return -1;
		add_problem(info, inc, err);
		err_clear(err);
		return 0;
	}
	t->has_history = true;
	size = h->n * sizeof(*h->entries);
	t->path.timeline = h->timeline;
	t->path.entries = xreallocarray(NULL, h->n, sizeof(*h->entries));
	memcpy(t->path.entries, h->entries, size);
	t->path.n = h->n;
	if (h->n >= 2) {
		t->parent = h->entries[h->n - 2].timeline;
		t->branched_at = h->entries[h->n - 2].end;
	}
	return 0;
}

static int
collect_wal(struct info *info, struct info_incarnation *inc,
    struct repo *repo, struct walview *wal, struct err *err)
{
	struct naming g = { .repo = repo, .inc = inc };
	const uint32_t *timelines;
	size_t n = 0, i;
	int ret;

	if (walview_timelines(wal, &timelines, &n, err) != 0)
		return -1;
	inc->timelines = xcalloc(n + 1, sizeof(*inc->timelines));
	for (i = 0; i < n; i++) {
		struct info_timeline *t = &inc->timelines[inc->n_timelines++];

		t->timeline = timelines[i];
		g.t = t;
		if (cancel_check(err) != 0 ||
		    walview_each_folder(wal, t->timeline, add_names, &g,
			err) != 0 ||
		    collect_history(info, inc, wal, t, err) != 0)
			return -1;
	}
	ret = 0;
	if (n == 0)
		return 0;
	if (inc->wal_segment_size == 0 && wal_store_segment_size(repo,
	    &inc->inc, &inc->wal_segment_size, err) != 0) {
		inc->wal_segment_size = 0;
		if (err->code == ERR_NOT_FOUND) {
			err_clear(err); /* history files only */
			return 0;
		}
		ret = -1;
	}
	if (ret == 0)
		ret = walview_ranges(wal, inc->wal_segment_size,
		    &inc->ranges, &inc->n_ranges, err);
	if (ret != 0 && goes_on(err)) {
		add_problem(info, inc, err);
		err_clear(err);
		ret = 0;
	}
	return ret;
}

/*
 * Does this window reach over the backup, so that its WAL need not be walked
 * again? The highest timeline that descends from the later backup is the one
 * that the earlier one's path leads to.
 */
static bool
covers(const struct info_window *w, const struct history *path,
    const struct commit *c)
{
	return path->n > 0 && history_contains(path, c->timeline,
	    c->stop_lsn) && w->reach.end >= c->stop_lsn &&
	    w->reach.begin <= c->start_lsn;
}

static int
reach_of(struct info_backup *b, struct repo *repo, struct walview *wal,
    struct history *path, struct wal_reach *reach, struct err *err)
{
	char lsn[LSN_TEXT_MAX];

	if (wal_reach_path_view(wal, "latest", b->commit.timeline,
	    b->commit.stop_lsn, path, err) != 0 ||
	    wal_reach_view(repo, wal, &b->commit, path, reach, err) != 0)
		return -1;
	if (reach->end >= b->commit.stop_lsn)
		return 0;
	return err_set(err, ERR_REFUSED, "WAL segment %s, which it needs to "
	    "be consistent at %s, is not in the repository", reach->missing,
	    lsn_format(b->commit.stop_lsn, lsn));
}

/* 0, or -1 with b->unusable; what cannot be looked for is no damage. */
static int
find_part(struct repo *repo, const struct incarnation *inc,
    struct info_backup *b, size_t part)
{
	struct manifest_stored stored[MANIFEST_GENERATIONS_MAX];
	char key[STORAGE_KEY_MAX];
	uint64_t size = 0;
	size_t i, n;

	/* Its own attempt put it; another generation was repaired. */
	manifest_part_generation_key(inc, b->commit.kind, b->label, part,
	    b->commit.attempt > 0 ? b->commit.attempt - 1 : 0, key);
	if (storage_stat(repo->st, key, &size, NULL, &b->unusable) == 0 &&
	    size == b->commit.parts[part].size)
		return 0;
	if (b->unusable.code != ERR_NONE &&
	    b->unusable.code != ERR_NOT_FOUND)
		return -1;
	err_clear(&b->unusable);
	if (manifest_part_stored(repo, inc, b->commit.kind, b->label, part,
		stored, &n, &b->unusable) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (stored[i].size == b->commit.parts[part].size)
			return 0;
	return err_set(&b->unusable, ERR_DAMAGED, "%s, without which nothing "
	    "of it can be found, is not there as it was put", key);
}

/* Is all of it there? What was lost cannot be recovered from. */
static bool
is_there(struct repo *repo, const struct incarnation *inc,
    struct packset *set, struct info_backup *b)
{
	size_t i;

	for (i = 0; i < b->commit.n_parts; i++)
		if (find_part(repo, inc, b, i) != 0)
			return false;
	for (i = 0; i < b->commit.n_packs; i++)
		if (packset_check(set, &b->commit.packs[i], b->label,
			&b->unusable) != 0)
			return false;
	return true;
}

static int
collect_windows(struct info *info, struct info_incarnation *inc,
    struct repo *repo, struct walview *wal, struct err *err)
{
	struct history path = { 0 }, next;
	struct wal_reach reach;
	struct packset *set = NULL;
	size_t i;
	int ret = -1;

	if (packset_new(&set, repo, &inc->inc, err) != 0)
		return -1;
	inc->windows = xcalloc(inc->backups.n + 1, sizeof(*inc->windows));
	for (i = 0; i < inc->backups.n; i++) {
		struct info_backup *b = &inc->backups.list[i];

		if (b->problem.code != ERR_NONE)
			continue;
		if (cancel_check(err) != 0)
			goto out;
		memset(&next, 0, sizeof(next));
		if (is_there(repo, &inc->inc, set, b) && inc->n_windows > 0 &&
		    covers(&inc->windows[inc->n_windows - 1], &path,
			&b->commit)) {
			b->usable = true;
			continue;
		}
		memset(&reach, 0, sizeof(reach));
		if (b->unusable.code != ERR_NONE ||
		    reach_of(b, repo, wal, &next, &reach, &b->unusable) !=
		    0) {
			history_free(&next);
			if (!goes_on(&b->unusable)) {
				*err = b->unusable;
				goto out;
			}
			if (b->unusable.code == ERR_DAMAGED)
				info->damaged = true;
			continue;
		}
		history_free(&path);
		path = next;
		b->usable = true;
		inc->windows[inc->n_windows].backup = i;
		inc->windows[inc->n_windows].reach = reach;
		inc->n_windows++;
	}
	ret = 0;
out:
	packset_free(set);
	history_free(&path);
	return ret;
}

/* Which dumps can be loaded, as far as listing tells. */
static int
look_at_dumps(struct info *info, struct info_incarnation *inc,
    struct repo *repo, struct err *err)
{
	struct packset *set = NULL;
	size_t i;
	int rc;

	rc = packset_new(&set, repo, &inc->inc, err);
	for (i = 0; i < inc->dumps.n && rc == 0; i++) {
		struct info_backup *b = &inc->dumps.list[i];

		if (b->problem.code != ERR_NONE)
			continue;
		rc = cancel_check(err);
		if (rc != 0)
			break;
		b->usable = is_there(repo, &inc->inc, set, b);
		if (b->usable)
			continue;
		if (!goes_on(&b->unusable)) {
			*err = b->unusable;
			rc = -1;
		}
		info->damaged = true;
	}
	packset_free(set);
	return rc;
}

/* Why WAL is missing is looked up where some is. */
static int
collect_given_up(struct info_incarnation *inc, struct repo *repo,
    struct err *err)
{
	char first[WAL_SEGMENT_NAME_LEN + 1], last[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t missing = inc->n_timelines > 1;
	size_t i;

	for (i = 0; i < inc->n_ranges && missing == 0; i++)
		missing = info_gap(inc, i, first, last);
	if (missing == 0 || (removed_list(repo, &inc->inc, &inc->removed,
	    err) == 0 && gap_list(repo, &inc->inc, &inc->given_up,
	    &inc->n_given_up, err) == 0))
		return 0;
	if (!goes_on(err))
		return -1;
	log_warning("why WAL is missing is not known: %s", err->msg);
	err_clear(err);
	return 0;
}

/* WAL, and what can be recovered with it. */
static int
collect_recovery(struct info *info, struct info_incarnation *inc,
    struct repo *repo, const struct info_source *from, struct err *err)
{
	char *folder = state_catalogue(from->state_directory, repo,
	    &inc->inc);
	struct walcache *cache = folder == NULL ? NULL :
	    walcache_open(folder, repo, &inc->inc);
	struct walview *wal = walview_new(repo, &inc->inc);
	int rc;

	if (cache != NULL && from->refresh)
		walcache_refresh(cache);
	walview_remember(wal, cache);
	rc = collect_wal(info, inc, repo, wal, err);
	if (rc == 0)
		rc = collect_given_up(inc, repo, err);
	if (rc == 0)
		rc = collect_windows(info, inc, repo, wal, err);
	if (rc == 0)
		walview_keep(wal);
	if (rc == 0 && cache != NULL && storage_folder_margin(repo->st) == 0 &&
	    walcache_known_since(cache) != 0 && (info->listed_at == 0 ||
		walcache_known_since(cache) < info->listed_at))
		info->listed_at = walcache_known_since(cache);
	walview_free(wal);
	walcache_close(cache);
	free(folder);
	return rc;
}

int
info_collect(struct info *out, struct repo *repo,
    const struct info_source *from, struct err *err)
{
	struct incarnation *list = NULL;
	size_t n = 0, i;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	out->repo = repo;
	if (repo_incarnations(repo, from->cluster, &list, &n, err) != 0)
		return -1;
	out->incarnations = xcalloc(n + 1, sizeof(*out->incarnations));
	for (i = 0; i < n; i++) {
		struct info_incarnation *inc = &out->incarnations[out->n++];

		inc->inc = list[i];
		if (collect_sets(out, inc, repo, err) != 0 ||
		    look_at_dumps(out, inc, repo, err) != 0 ||
		    collect_recovery(out, inc, repo, from, err) != 0)
			goto out;
	}
	ret = 0;
out:
	free(list);
	if (ret != 0)
		info_free(out);
	return ret;
}

static void
free_set(struct info_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		commit_free(&set->list[i].commit);
		free(set->list[i].why);
	}
	free(set->list);
}

void
info_free(struct info *info)
{
	size_t i, k;

	for (i = 0; i < info->n; i++) {
		struct info_incarnation *inc = &info->incarnations[i];

		free_set(&inc->backups);
		free_set(&inc->dumps);
		for (k = 0; k < inc->n_timelines; k++) {
			free(inc->timelines[k].partials);
			free(inc->timelines[k].conflicts);
			free(inc->timelines[k].stored);
			history_free(&inc->timelines[k].path);
		}
		free(inc->timelines);
		free(inc->ranges);
		free(inc->hours);
		gaps_free(inc->given_up, inc->n_given_up);
		removed_free(&inc->removed);
		pins_free(inc->pins, inc->n_pins);
		free(inc->windows);
		free(inc->problems);
		free(inc->why_wal);
	}
	for (i = 0; i < info->n_odd; i++)
		free(info->odd[i]);
	free(info->odd);
	free(info->incarnations);
	memset(info, 0, sizeof(*info));
}

uint64_t
info_gap(const struct info_incarnation *inc, size_t range,
    char first[WAL_SEGMENT_NAME_LEN + 1], char last[WAL_SEGMENT_NAME_LEN + 1])
{
	struct wal_file before, after;
	struct err err = ERR_INIT;
	uint64_t from, to;

	if (range + 1 >= inc->n_ranges || inc->wal_segment_size == 0 ||
	    inc->ranges[range].timeline != inc->ranges[range + 1].timeline ||
	    wal_file_parse(inc->ranges[range].last, &before, &err) != 0 ||
	    wal_file_parse(inc->ranges[range + 1].first, &after, &err) != 0)
		return 0;
	from = wal_segno(&before, inc->wal_segment_size) + 1;
	to = wal_segno(&after, inc->wal_segment_size);
	if (to <= from)
		return 0;
	wal_segment_name(before.timeline, from, inc->wal_segment_size, first);
	wal_segment_name(before.timeline, to - 1, inc->wal_segment_size,
	    last);
	return to - from;
}

/* How many characters it has in common with another label. */
static size_t
longest_same(const struct info_set *set, const char *label)
{
	size_t i, same, longest = 0;

	for (i = 0; i < set->n; i++) {
		if (strcmp(set->list[i].label, label) == 0)
			continue;
		for (same = 0; label[same] != '\0' &&
		    label[same] == set->list[i].label[same]; same++)
			;
		if (same > longest)
			longest = same;
	}
	return longest;
}

int
info_short_label(const struct info_incarnation *inc, const char *label)
{
	size_t backups = longest_same(&inc->backups, label),
	       dumps = longest_same(&inc->dumps, label),
	       same = backups > dumps ? backups : dumps;

	return same + 1 > LABEL_TIME ? (int)same + 1 : LABEL_TIME;
}

int
info_find(const struct info *info, const char *prefix,
    struct info_found *out, struct err *err)
{
	size_t i, k, kind, matches = 0;

	for (i = 0; i < info->n; i++)
		for (kind = 0; kind < 2; kind++) {
			const struct info_incarnation *inc =
			    &info->incarnations[i];
			const struct info_set *set = kind == 0 ?
			    &inc->backups : &inc->dumps;

			for (k = 0; k < set->n; k++) {
				if (strncmp(set->list[k].label, prefix,
					strlen(prefix)) != 0)
					continue;
				matches++;
				*out = (struct info_found){ inc, set, k };
			}
		}
	if (matches == 1)
		return 0;
	if (matches == 0)
		err_set(err, ERR_NOT_FOUND, "no backup or dump has a label "
		    "that begins with '%s'", prefix);
	else
		err_set(err, ERR_USAGE, "%zu backups or dumps have labels "
		    "that begin with '%s'", matches, prefix);
	return err_hint(err, "'dapk-backup info' lists them");
}

const char *
info_no_recovery(const struct info_incarnation *inc)
{
	size_t i;

	if (inc->backups.n == 0)
		return "there is no backup: WAL alone restores nothing";
	for (i = 0; i < inc->backups.n; i++) {
		if (inc->backups.list[i].unusable.code != ERR_NONE)
			return inc->backups.list[i].unusable.msg;
	}
	return inc->backups.list[inc->backups.n - 1].problem.msg;
}

bool
info_gap_was_removed(const struct info_incarnation *inc, size_t range)
{
	char first[WAL_SEGMENT_NAME_LEN + 1], last[WAL_SEGMENT_NAME_LEN + 1];

	return info_gap(inc, range, first, last) > 0 &&
	    removed_was_all_wal(&inc->removed, first, last,
		inc->wal_segment_size);
}
