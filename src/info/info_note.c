/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <string.h>

#include "core/time.h"
#include "info/info.h"
#include "repo/notes.h"

/*
 * Segments that are sent side by side arrive in any order: what is missing
 * just behind the newest is no gap yet.
 */
#define ARRIVING_US (10 * INT64_C(60000000))

/* The newest that can be read. */
static const struct commit *
newest(const struct info_set *set)
{
	return set->newest == set->n ? NULL : &set->list[set->newest].commit;
}

/* A time before 2000 is that of a clock which nobody had set. */
static bool
is_sane(const struct info_backup *b)
{
	return b->commit.stop_time > 0;
}

/* When the oldest backup that can be read ended; 0: there is none. */
static int64_t
oldest(const struct info_set *set)
{
	int64_t t = 0;
	size_t i;

	for (i = 0; i < set->n; i++)
		if (set->list[i].problem.code == ERR_NONE &&
		    is_sane(&set->list[i]) &&
		    (t == 0 || set->list[i].commit.stop_time < t))
			t = set->list[i].commit.stop_time;
	return t;
}

/* By the first of its backups whose clock was right; 0: there is none. */
static int64_t
begins(const struct info_incarnation *inc, const struct info_window *w)
{
	const bool last = w == &inc->windows[inc->n_windows - 1];
	const size_t end = last ? inc->backups.n : w[1].backup;
	size_t i;

	for (i = w->backup; i < end; i++)
		if (is_sane(&inc->backups.list[i]) &&
		    (i == w->backup || inc->backups.list[i].usable))
			return inc->backups.list[i].commit.stop_time;
	return 0;
}

static bool
is_better(const struct info_incarnation *inc, const struct info_window *w,
    const struct info_window *than)
{
	if (w->reach.proven_time != than->reach.proven_time)
		return w->reach.proven_time > than->reach.proven_time;
	return begins(inc, than) == 0 && begins(inc, w) != 0;
}

/* The window that reaches furthest; of those that reach as far the longest. */
static const struct info_window *
current(const struct info_incarnation *inc)
{
	const struct info_window *w = NULL;
	size_t i;

	for (i = 0; i < inc->n_windows; i++)
		if (w == NULL || is_better(inc, &inc->windows[i], w))
			w = &inc->windows[i];
	return w;
}

static void
note_windows(const struct info_incarnation *inc,
    const struct config_repository *address, struct notes_look *look)
{
	const struct info_window *w = current(inc);
	const int64_t now = time_now();
	int64_t end;
	size_t i;

	for (i = 0; i < inc->n_timelines; i++)
		look->conflicts += inc->timelines[i].n_conflicts;
	if (w == NULL)
		return;
	look->window_from = begins(inc, w);
	look->window_to = w->reach.proven_time;
	for (i = 0; i < inc->n_windows; i++) {
		end = inc->windows[i].reach.proven_time;
		if (inc->windows[i].reach.gap && end < now - ARRIVING_US &&
		    end >= now - (int64_t)address->retain_ms * 1000)
			look->gaps++;
	}
	if (w->reach.gap && look->window_to < now - ARRIVING_US)
		look->gap_behind = w->reach.missing;
}

static void
note_look(const struct info *info, const struct info_incarnation *inc,
    const char *state_directory, const struct config_repository *address)
{
	const struct notes_of of = { state_directory, address,
		inc->inc.cluster };
	struct notes_look look = {
		.backup = newest(&inc->backups),
		.dump = newest(&inc->dumps),
		.recoverable = inc->n_windows > 0,
		.whole = inc->n_problems == 0 && !info->damaged,
		.since = oldest(&inc->backups),
	};

	note_windows(inc, address, &look);
	notes_put_look(&of, info->repo, &inc->inc, &look);
}

/* The newer of a cluster's incarnations: what it archives into now. */
static bool
is_older(const struct info_incarnation *a, const struct info_incarnation *b)
{
	const struct commit *x = newest(&a->backups), *y =
	    newest(&b->backups);

	if (a->inc.major != b->inc.major)
		return a->inc.major < b->inc.major;
	return (x == NULL ? 0 : x->stop_time) < (y == NULL ? 0 :
	    y->stop_time);
}

void
info_note(const struct info *info, const char *state_directory,
    const struct config_repository *address)
{
	size_t i, k;

	for (i = 0; i < info->n; i++) {
		for (k = 0; k < info->n; k++)
			if (strcmp(info->incarnations[i].inc.cluster,
				info->incarnations[k].inc.cluster) == 0 &&
			    is_older(&info->incarnations[i],
				&info->incarnations[k]))
				break;
		if (k == info->n)
			note_look(info, &info->incarnations[i],
			    state_directory, address);
	}
}
