/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "repo/walchain.h"
#include "verify/verify_work.h"

#define LOOK_BACK 8 /* links whose summary is read for a time */

struct entry {
	struct wal_stored ws;
	uint32_t part;
};

struct listing {
	struct entry *list;
	size_t n, cap;
	struct vrun *run;
};

static int
note_object(void *arg, const struct storage_entry *e, struct err *err)
{
	struct listing *l = arg;
	const char *name = strrchr(e->name, '/');
	struct entry *x;

	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	x = &l->list[l->n];
	if (!wal_store_parse(name == NULL ? e->name : name + 1, &x->ws,
		&x->part)) {
		l->run->cl->unreferenced++;
		l->run->cl->unreferenced_bytes += e->size;
		return 0;
	}
	x->ws.size = e->size;
	x->ws.mtime = e->mtime;
	l->n++;
	return 0;
}

static int
compare_content(const struct wal_stored *a, const struct wal_stored *b)
{
	int c = strcmp(a->file.name, b->file.name);

	return c != 0 ? c : memcmp(a->hash, b->hash, WAL_HASH_SIZE);
}

/* By name and hash, the highest generation first, its parts after it. */
static int
compare_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = compare_content(&x->ws, &y->ws);

	if (c != 0)
		return c;
	if (x->ws.generation != y->ws.generation)
		return x->ws.generation > y->ws.generation ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

/* Is a WAL file among what this run reads? */
static bool
is_wanted(const struct vrun *v, const struct wal_file *f)
{
	const struct commit *c;
	size_t i;

	if (f->type == WAL_FILE_HISTORY)
		return true;
	if (!verify_in_share(v, f->name))
		return false;
	if (v->p->n_labels == 0)
		return true;
	for (i = 0; i < v->cl->n_backups; i++) {
		c = &v->commits[i];
		if (v->selected[i] && !v->cl->backups[i].commit_bad &&
		    strcmp(f->segment, c->wal_first) >= 0 &&
		    strcmp(f->segment, c->wal_last) <= 0)
			return true;
	}
	return false;
}

static void
fold(struct vrun *v, const struct listing *l)
{
	const struct entry *e = l->list;
	struct vwal *w = NULL;
	size_t i;

	v->stored = xcalloc(l->n + 1, sizeof(*v->stored));
	v->wals = xcalloc(l->n + 1, sizeof(*v->wals));
	for (i = 0; i < l->n; i++) {
		if (e[i].part != 0) {
			/* A part counts with the object it stands behind. */
			if (w != NULL && w->n == 1 &&
			    compare_content(&e[i].ws, w->list) == 0 &&
			    e[i].ws.generation == w->list->generation) {
				w->parts++;
				w->bytes += e[i].ws.size;
			} else if (w == NULL ||
			    compare_content(&e[i].ws, w->list) != 0) {
				v->cl->unreferenced++;
				v->cl->unreferenced_bytes += e[i].ws.size;
			}
			continue;
		}
		v->stored[v->n_stored] = e[i].ws;
		if (w == NULL || compare_content(&e[i].ws, w->list) != 0) {
			w = &v->wals[v->n_wals++];
			w->list = &v->stored[v->n_stored];
			w->bytes = e[i].ws.size;
			w->deep = is_wanted(v, &e[i].ws.file);
		}
		v->n_stored++;
		w->n++;
	}
}

/* Several contents under one name; of a .partial file that may be right. */
static int
find_conflicts(struct vrun *v, struct err *err)
{
	struct vwal *a, *b;
	struct wal_stored best;
	size_t i, finding;

	for (i = 0; i + 1 < v->n_wals; i++) {
		a = &v->wals[i];
		b = &v->wals[i + 1];
		if (strcmp(a->list->file.name, b->list->file.name) != 0)
			continue;
		if (a->conflict) {
			b->conflict = true;
			continue;
		}
		if (a->list->file.type == WAL_FILE_PARTIAL) {
			if (v->p->quick || v->segment_size == 0 ||
			    wal_store_pick_partial(v->p->repo, &v->inc,
				&a->list->file, v->segment_size, &best,
				err) == 0)
				continue;
			if (err->code != ERR_REFUSED) {
				if (verify_judge(v, VERIFY_WAL,
					a->list->file.name, err,
					&finding) != 0)
					return -1;
				continue;
			}
			err_clear(err);
		}
		a->conflict = b->conflict = true;
		(void)verify_note(v, VERIFY_CONFLICT, a->list->file.name,
		    "is stored with two contents: two servers archived to "
		    "this cluster's name, and nobody may guess which is "
		    "right");
	}
	return 0;
}

static int
find_segment_size(struct vrun *v, struct err *err)
{
	size_t i;

	for (i = 0; i < v->cl->n_backups && v->segment_size == 0; i++)
		if (!v->cl->backups[i].commit_bad &&
		    wal_segment_size_valid(v->commits[i].wal_segment_size))
			v->segment_size = v->commits[i].wal_segment_size;
	if (v->segment_size != 0 || wal_store_segment_size(v->p->repo,
	    &v->inc, &v->segment_size, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND && err->code != ERR_DAMAGED)
		return -1;
	err_clear(err); /* each file tells its own damage */
	return 0;
}

int
verify_list_wal(struct vrun *v, struct err *err)
{
	struct listing l = { .run = v };
	char prefix[STORAGE_KEY_MAX];
	int ret = -1;

	repo_key(&v->inc, "wal/", prefix);
	if (storage_list(v->p->repo->st, prefix, false, note_object, &l,
		err) != 0)
		goto out;
	if (l.n > 0)
		qsort(l.list, l.n, sizeof(*l.list), compare_entry);
	if (find_segment_size(v, err) != 0)
		goto out;
	fold(v, &l);
	ret = find_conflicts(v, err);
	if (ret == 0)
		ret = removed_list(v->p->repo, &v->inc, &v->removed, err);
out:
	free(l.list);
	return ret;
}

static int
compare_wal(const void *key, const void *item)
{
	return compare_content(key, ((const struct vwal *)item)->list);
}

static struct vwal *
find_wal(const struct vrun *v, const struct wal_stored *ws)
{
	if (v->n_wals == 0)
		return NULL;
	return bsearch(ws, v->wals, v->n_wals, sizeof(*v->wals),
	    compare_wal);
}

/* A path of timelines, and the backups on it. */
struct path {
	struct vrun *run;
	const struct history *history;
	size_t *list; /* backups, ascending by start LSN */
	size_t n;
	struct wal_chain chain;
	bool have; /* chain is set */
	uint64_t first; /* segment number of the chain's first link */
	size_t used;	/* links before the first one that does not hold */
	int64_t end;	/* time of its last record, or 0 */
	struct verify_window *gone; /* times that retention let go */
	size_t n_gone;
};

static void
drop_chain(struct path *p)
{
	if (p->have)
		wal_chain_free(&p->chain);
	p->have = false;
}

/* Up to when the links lead. */
static int64_t
find_end(struct path *p)
{
	struct err ignored = ERR_INIT;
	struct format_wal_tag tag;
	struct wal_summary sum;
	struct wal_stored ws;
	struct wal_link l;
	const struct vwal *w;
	int64_t end = 0;
	size_t i;

	for (i = p->used; i > 0; i--) {
		if (wal_chain_link(&p->chain, i - 1, &l, &ignored) != 0)
			break;
		ws = wal_chain_stored(&l);
		w = find_wal(p->run, &ws);
		if (w != NULL && w->known) {
			if (w->max_time > end)
				end = w->max_time;
			continue;
		}
		if (end != 0 || p->used - i >= LOOK_BACK)
			continue;
		/* That it fails is for whoever reads it whole to tell. */
		if (wal_chain_describe(&p->chain, &l, &tag, &sum,
			&ignored) == 0 && sum.parsed)
			end = sum.max_time;
		err_clear(&ignored);
	}
	return end;
}

/* When recovery works again after a gap: the next backup's stop, or 0. */
static int64_t
find_next(const struct path *p, uint64_t segno)
{
	const struct vrun *v = p->run;
	const struct commit *c;
	size_t i;

	for (i = 0; i < p->n; i++) {
		c = &v->commits[p->list[i]];
		if (wal_segno_of_lsn(c->start_lsn, c->wal_segment_size) >
		    segno)
			return c->stop_time;
	}
	return 0;
}

/* The first segment that recovery does not get. */
static void
name_broken(const struct path *p, char out[WAL_SEGMENT_NAME_LEN + 1])
{
	if (p->used < p->chain.n)
		(void)wal_chain_name(&p->chain, p->used, out);
	else
		memcpy(out, p->chain.missing, WAL_SEGMENT_NAME_LEN + 1);
}

/* The first stored WAL file whose name is not less. */
static size_t
first_from(const struct vrun *v, const char *name)
{
	size_t low = 0, high = v->n_wals, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(v->wals[mid].list->file.name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * Is the segment stored, on one of the path's timelines that have some of it?
 * *removed: else, was it removed on one of these?
 */
static bool
is_stored(const struct path *p, uint64_t segno, bool *removed)
{
	const struct vrun *v = p->run;
	const uint32_t size = p->chain.segment_size;
	const pg_lsn start = wal_segment_start(segno, size);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	size_t i, at;

	*removed = false;
	for (i = 0; i < p->history->n; i++) {
		const struct history_entry *e = &p->history->entries[i];

		if (e->end <= start || e->begin >= start + size)
			continue;
		wal_segment_name(e->timeline, segno, size, name);
		at = first_from(v, name);
		if (at < v->n_wals &&
		    strcmp(v->wals[at].list->file.name, name) == 0)
			return true;
		*removed = *removed || removed_was_wal(&v->removed, name);
	}
	return false;
}

/* Did retention remove all that is missing, up to what is stored again? */
static bool
was_let_go(const struct path *p)
{
	uint64_t segno = p->first + p->used;
	bool removed;

	if (p->used < p->chain.n || p->chain.conflict ||
	    p->run->removed.n == 0)
		return false;
	while (!is_stored(p, segno, &removed)) {
		if (!removed)
			return false;
		segno++;
	}
	return segno > p->first + p->used;
}

/* From the end of what a snapshot needs to the next backup nothing is kept. */
static void
note_let_go(struct path *p, int64_t from)
{
	int64_t to = find_next(p, p->first + p->used);

	p->gone = xreallocarray(p->gone, p->n_gone + 1, sizeof(*p->gone));
	p->gone[p->n_gone++] = (struct verify_window){
		.from = from, .to = to == 0 ? INT64_MAX : to };
}

static void
note_gap(struct path *p, int64_t from)
{
	struct vrun *v = p->run;
	char segment[WAL_SEGMENT_NAME_LEN + 1];
	const char *reason;
	struct verify_finding *f;
	size_t i;

	if (p->used == p->chain.n && !p->chain.gap && !p->chain.conflict)
		return; /* here the archive ends */
	if (was_let_go(p)) {
		note_let_go(p, from);
		return;
	}
	name_broken(p, segment);
	reason = p->used < p->chain.n ? "is damaged: recovery cannot go past "
	    "it" : p->chain.conflict ? "is stored with two contents: "
	    "recovery cannot go past it" : "is not there, though later WAL "
	    "is: recovery cannot go past it";
	for (i = 0; i < v->cl->n_findings; i++)
		if (v->cl->findings[i].kind == VERIFY_GAP &&
		    strcmp(v->cl->findings[i].object, segment) == 0)
			return; /* on another path too */
	i = verify_note(v, VERIFY_GAP, segment, reason);
	f = &v->cl->findings[i];
	f->from = from;
	f->to = find_next(p, p->first + p->used);
}

static int
build_chain(struct path *p, const struct commit *c, struct err *err)
{
	struct vrun *v = p->run;
	const struct vwal *w;
	struct wal_stored ws;
	struct wal_link l;
	size_t i;

	drop_chain(p);
	p->have = true;
	p->first = wal_segno_of_lsn(c->start_lsn, c->wal_segment_size);
	if (wal_chain_build(&p->chain, v->p->repo, &v->inc, NULL,
		c->wal_segment_size, p->history, p->first, err) != 0)
		return -1;
	for (i = 0; i < p->chain.n; i++) {
		if (wal_chain_link(&p->chain, i, &l, err) != 0)
			return -1;
		ws = wal_chain_stored(&l);
		w = find_wal(v, &ws);
		if (w != NULL && (w->state == STATE_BAD ||
		    w->state == STATE_MISSING))
			break;
	}
	p->used = i;
	p->end = find_end(p);
	/* What is lost in a gap may have the last record's time. */
	if (p->end != 0 && (i < p->chain.n || p->chain.gap))
		p->end--;
	note_gap(p, p->end > c->stop_time ? p->end : c->stop_time);
	return 0;
}

static void
add_window(struct verify_cluster *cl, uint32_t timeline, int64_t from,
    int64_t to, bool lost)
{
	struct verify_window *last = cl->n_windows == 0 ? NULL :
	    &cl->windows[cl->n_windows - 1];

	if (from >= to && lost)
		return;
	if (last != NULL && last->timeline == timeline && !last->lost &&
	    !lost && from <= last->to) {
		if (to > last->to)
			last->to = to;
		return;
	}
	cl->windows = xreallocarray(cl->windows, cl->n_windows + 1,
	    sizeof(*cl->windows));
	cl->windows[cl->n_windows++] = (struct verify_window){ timeline, from,
		to, lost };
}

/*
 * How far from `at` on moments are known of: restorable, or let go. The first
 * later time from which on some are, in *next.
 */
static int64_t
known_until(const struct verify_window *list, size_t n, int64_t at,
    int64_t *next)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].from <= at && list[i].to > at)
			return list[i].to;
		else if (list[i].from > at && list[i].from < *next)
			*next = list[i].from;
	return at;
}

/* Times that nothing leads to any more lie between those that are left. */
static void
add_lost(struct path *p, size_t begin, int64_t from, int64_t to)
{
	struct verify_cluster *cl = p->run->cl;
	const size_t n = cl->n_windows - begin;
	int64_t at = from, next, later;

	while (at < to) {
		next = to;
		later = known_until(cl->windows + begin, n, at, &next);
		if (later == at)
			later = known_until(p->gone, p->n_gone, at, &next);
		if (later == at) {
			add_window(cl, p->history->timeline, at, next, true);
			later = next;
		}
		at = later;
	}
}

/* The backup cannot be restored; where later WAL is stored, a gap says so. */
static void
note_broken(struct path *p, struct verify_backup *b)
{
	struct vrun *v = p->run;
	char reason[256], segment[WAL_SEGMENT_NAME_LEN + 1];
	size_t i;

	b->wal_bad = true;
	name_broken(p, segment);
	for (i = 0; i < v->cl->n_findings; i++)
		if (v->cl->findings[i].kind == VERIFY_GAP &&
		    (p->used < p->chain.n || p->chain.gap) &&
		    strcmp(v->cl->findings[i].object, segment) == 0)
			return;
	(void)snprintf(reason, sizeof(reason), "needs WAL segment %s to be "
	    "consistent, which is not there", p->chain.missing);
	(void)verify_note(v, VERIFY_WAL, b->label, reason);
}

static int
walk_path(struct path *p, struct err *err)
{
	struct vrun *v = p->run;
	struct verify_cluster *cl = v->cl;
	const size_t begin = cl->n_windows;
	int64_t from = 0, to = 0, end;
	struct verify_backup *b;
	const struct commit *c;
	uint64_t segno, last;
	size_t i;

	for (i = 0; i < p->n; i++) {
		c = &v->commits[p->list[i]];
		b = &cl->backups[p->list[i]];
		segno = wal_segno_of_lsn(c->start_lsn, c->wal_segment_size);
		if (cancel_check(err) != 0 || ((!p->have ||
		    segno < p->first || segno >= p->first + p->used) &&
		    build_chain(p, c, err) != 0))
			return -1;
		last = wal_segno_of_lsn(c->stop_lsn - 1, c->wal_segment_size);
		end = p->end > c->stop_time ? p->end : c->stop_time;
		if (from == 0 || c->stop_time < from)
			from = c->stop_time;
		if (end > to)
			to = end;
		if (last >= p->first + p->used) {
			if (c->timeline == p->history->timeline)
				note_broken(p, b);
		} else if (verify_backup_holds(b))
			add_window(cl, p->history->timeline, c->stop_time,
			    end, false);
	}
	if (p->n > 0)
		add_lost(p, begin, from, to);
	return 0;
}

static int
compare_start(const void *a, const void *b, void *arg)
{
	const struct vrun *v = arg;
	const struct commit *x = &v->commits[*(const size_t *)a],
			    *y = &v->commits[*(const size_t *)b];

	return x->start_lsn < y->start_lsn ? -1 : x->start_lsn > y->start_lsn;
}

static int
check_path(struct vrun *v, const struct history *h, struct err *err)
{
	struct path p = { .run = v, .history = h };
	const struct commit *c;
	size_t i;
	int ret;

	p.list = xcalloc(v->cl->n_backups + 1, sizeof(*p.list));
	for (i = 0; i < v->cl->n_backups; i++) {
		c = &v->commits[i];
		if (!v->cl->backups[i].commit_bad &&
		    (v->p->n_labels == 0 || v->selected[i]) &&
		    wal_segment_size_valid(c->wal_segment_size) &&
		    history_contains(h, c->timeline, c->stop_lsn))
			p.list[p.n++] = i;
	}
	qsort_r(p.list, p.n, sizeof(*p.list), compare_start, v);
	ret = walk_path(&p, err);
	drop_chain(&p);
	free(p.gone);
	free(p.list);
	return ret;
}

static int
check_timeline(struct vrun *v, uint32_t timeline, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];
	struct history h;
	size_t i, finding;
	int rc;

	if (wal_store_history(v->p->repo, &v->inc, timeline, &h, err) == 0) {
		rc = check_path(v, &h, err);
		history_free(&h);
		return rc;
	}
	(void)snprintf(name, sizeof(name), "%08X.history", timeline);
	if (err->code == ERR_REFUSED)
		err_clear(err); /* a conflict that has been noted */
	else if (verify_judge(v, VERIFY_HISTORY, name, err, &finding) != 0)
		return -1;
	for (i = 0; i < v->cl->n_backups; i++)
		if (!v->cl->backups[i].commit_bad &&
		    v->commits[i].timeline == timeline)
			v->cl->backups[i].wal_bad = true;
	return 0;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int
verify_check_chains(struct vrun *v, struct err *err)
{
	uint32_t *list = NULL;
	size_t i, n = 0;
	int rc = 0;

	if (wal_store_timelines(v->p->repo, &v->inc, &list, &n, err) != 0)
		return -1;
	/* Those of backups too: all their WAL may be gone. */
	list = xreallocarray(list, n + v->cl->n_backups + 1, sizeof(*list));
	for (i = 0; i < v->cl->n_backups; i++)
		if (!v->cl->backups[i].commit_bad)
			list[n++] = v->commits[i].timeline;
	qsort(list, n, sizeof(*list), compare_u32);
	for (i = 0; i < n && rc == 0; i++)
		if (i == 0 || list[i] != list[i - 1])
			rc = check_timeline(v, list[i], err);
	free(list);
	return rc;
}
