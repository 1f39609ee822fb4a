/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/expire.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/hold.h"
#include "repo/prove.h"
#include "retain/expire_wal.h"

/* Clocks of two hosts differ; by more than this it is said. */
#define CLOCK_MARGIN (INT64_C(60) * 1000000)

struct work {
	struct expire *x;
	const struct expire_params *p;
	const struct retention_line *line; /* in hand */
	struct lease *lease; /* NULL: a dry run */
};

static int
pulse(void *arg, struct err *err)
{
	const struct work *w = arg;

	if (cancel_check(err) != 0)
		return -1;
	return w->lease == NULL ? 0 : lease_renew(w->lease, err);
}

/* What others go for the sake of. What merely stays as well need not hold. */
static bool
is_relied_on(const struct policy_set *set)
{
	return set->keep && set->usable && (set->reason == POLICY_BASE ||
	    set->reason == POLICY_SNAPSHOT || set->reason == POLICY_LAST);
}

/*
 * What the policy relies on is read before anything goes for its sake: what
 * info says of it, it says by names and sizes. *again: something does not hold
 * and counts as unusable from now on.
 */
static int
prove_line(struct work *w, struct retention_line *line, bool *again,
    struct err *err)
{
	struct expire *x = w->x;
	const size_t at = (size_t)(line->inc - x->info.incarnations);
	struct info_incarnation *inc = &x->info.incarnations[at];
	enum repo_kind kind;
	size_t i;

	for (kind = REPO_BACKUP; kind <= REPO_DUMP; kind++) {
		struct info_set *set = kind == REPO_DUMP ? &inc->dumps :
							   &inc->backups;

		for (i = 0; i < set->n; i++) {
			struct info_backup *b = &set->list[i];

			if (b->proved ||
			    !is_relied_on(retention_set(line, kind, i)))
				continue;
			b->proved = prove_set(w->p->repo, &inc->inc,
			    &b->commit, pulse, w, &b->unusable) == 0;
			if (b->proved)
				continue;
			if (!prove_is_no(&b->unusable)) {
				*err = b->unusable;
				return err_wrap(err, "nothing goes before %s "
				    "%s was looked at", repo_kind_name(kind),
				    b->label);
			}
			log_warning("%s %s does not count as usable: %s",
			    repo_kind_name(kind), b->label, b->unusable.msg);
			b->usable = false;
			x->info.damaged = true;
			*again = true;
		}
	}
	return 0;
}

/* Until all that is relied on holds. */
static int
decide(struct work *w, int64_t now, struct err *err)
{
	const struct expire_params *p = w->p;
	struct expire *x = w->x;
	const struct retention_params rp = { .repo = p->repo, .cfg = p->cfg,
		.address = p->address, .cluster = p->cfg->cluster,
		.now = now };
	bool again = true;
	size_t i;

	while (again) {
		again = false;
		retention_free(&x->retention);
		if (retention_decide(&x->retention, &x->info, &rp, err) != 0)
			return -1;
		for (i = 0; i < x->retention.policy.n; i++)
			if (prove_line(w, &x->retention.lines[i], &again,
				err) != 0)
				return -1;
	}
	return 0;
}

static int
collect(struct work *w, int64_t now, struct err *err)
{
	const struct expire_params *p = w->p;
	struct expire *x = w->x;
	const struct info_source from = { .cluster = p->cfg->cluster,
		.state_directory = p->cfg->state_directory };

	retention_free(&x->retention);
	info_free(&x->info);
	if (info_collect(&x->info, p->repo, &from, err) != 0)
		return -1;
	return decide(w, now, err);
}

/* What was collected before the lease was taken: is it still all there is? */
static int
same_sets(const struct work *w, enum repo_kind kind, bool *same,
    struct err *err)
{
	const struct info_incarnation *inc = w->line->inc;
	const struct info_set *set = kind == REPO_DUMP ? &inc->dumps :
							 &inc->backups;
	char(*labels)[FORMAT_LABEL_MAX];
	size_t n, i, k, found = 0;

	if ((kind == REPO_DUMP ?
	    catalogue_dumps(w->p->repo, &inc->inc, &labels, &n, NULL, err) :
	    catalogue_backups(w->p->repo, &inc->inc, &labels, &n, NULL,
		err)) != 0)
		return -1;
	for (i = 0; i < set->n; i++)
		for (k = 0; k < n; k++)
			if (strcmp(labels[k], set->list[i].label) == 0) {
				found++;
				break;
			}
	*same = found == n && n == set->n;
	free(labels);
	return 0;
}

static const struct retention_line *
find_line(const struct expire *x, const struct incarnation *inc)
{
	size_t i;

	for (i = 0; i < x->retention.policy.n; i++) {
		const struct retention_line *l = &x->retention.lines[i];

		if (l->inc->inc.system_id == inc->system_id &&
		    l->inc->inc.major == inc->major)
			return l;
	}
	return NULL;
}

/*
 * Under the lease nobody adds or removes. The earlier of both clocks counts:
 * the later one would let more go.
 */
static int
decide_under_lease(struct work *w, const struct incarnation *inc,
    enum repo_kind kind, struct err *err)
{
	struct expire *x = w->x;
	int64_t host = time_now(), now = lease_time(w->lease);
	bool same;

	x->ahead = host - now;
	if (host < now)
		now = host;
	if (same_sets(w, kind, &same, err) != 0)
		return -1;
	if (!same) {
		if (collect(w, now, err) != 0)
			return -1;
	} else if (x->ahead <= CLOCK_MARGIN) {
		return 0;
	} else if (decide(w, now, err) != 0) {
		return -1;
	}
	w->line = find_line(x, inc);
	if (w->line == NULL)
		return err_set(err, ERR_NOT_FOUND, "what was stored of "
		    "cluster %s has just gone", inc->cluster);
	return lease_renew(w->lease, err);
}

/* removal_run: has retention changed its mind? */
static bool
wants_set(void *arg, enum repo_kind kind, const char *label)
{
	const struct work *w = arg;
	const struct policy_line *line = w->line->line;
	size_t i;

	for (i = 0; i < line->n; i++)
		if (line->sets[i].kind == kind &&
		    strcmp(line->sets[i].label, label) == 0)
			return line->sets[i].keep;
	return true; /* nobody asked the policy */
}

static bool
wants_wal(void *arg, const char *name)
{
	const struct work *w = arg;

	return expire_wal_keeps(w->line->line, name);
}

/* What may go and is not listed yet. */
static const char **
labels_that_go(const struct work *w, enum repo_kind kind, size_t *n)
{
	const struct info_incarnation *inc = w->line->inc;
	const struct info_set *set = kind == REPO_DUMP ? &inc->dumps :
							 &inc->backups;
	const char **out = xcalloc(set->n + 1, sizeof(*out));
	size_t i;

	*n = 0;
	for (i = 0; i < set->n; i++)
		if (!set->list[i].leaving &&
		    !retention_set(w->line, kind, i)->keep)
			out[(*n)++] = set->list[i].label;
	return out;
}

/*
 * Removal counts for itself what would be left. When it comes to another
 * result than the policy, nothing that somebody could need goes.
 */
static int
mark(struct work *w, struct removal_params *rp, struct expire_run *run,
    struct err *err)
{
	if (removal_mark(rp, &run->marked, err) == 0)
		return 0;
	if (err->code != ERR_REFUSED)
		return -1;
	log_warning("retention lets %zu %s%s go that stay: %s", rp->n_labels,
	    repo_kind_name(rp->kind), rp->n_labels == 1 ? "" : "s", err->msg);
	err_clear(err);
	run->refused = rp->n_labels;
	run->wal_segments = run->wal_bytes = 0;
	run->wal_more = false;
	rp->n_labels = rp->n_objects = 0;
	return pulse(w, err) != 0 ? -1 : removal_mark(rp, &run->marked, err);
}

static int
mark_all(struct work *w, struct removal_params *rp, struct expire_run *run,
    struct err *err)
{
	struct expire_wal wal = { .names = NULL };
	const char **labels;
	int rc = 0;

	labels = labels_that_go(w, run->kind, &rp->n_labels);
	rp->labels = labels;
	if (run->kind == REPO_BACKUP)
		rc = expire_wal_list(&wal, w->p->repo, w->line, pulse, w,
		    err);
	rp->objects = (const char *const *)wal.names;
	rp->n_objects = wal.n;
	run->wal_segments = wal.segments;
	run->wal_bytes = wal.bytes;
	run->wal_more = wal.more;
	if (rc == 0)
		rc = mark(w, rp, run, err);
	expire_wal_free(&wal);
	free(labels);
	return rc;
}

static int
run_locked(struct work *w, struct expire_run *run, struct err *err)
{
	const struct config *cfg = w->p->cfg;
	struct removal_params rp = { .repo = w->p->repo, .inc = &run->inc,
		.kind = run->kind, .lease = w->lease,
		.grace_us = (int64_t)cfg->grace_ms * 1000,
		.prove = prove_set,
		.wal_segment_size = w->line->line->wal_segment_size,
		.dry_run = cfg->dry_run, .wants_set = wants_set,
		.wants_wal = wants_wal, .wants_arg = w };

	if (removal_run(&rp, &run->removed, err) != 0)
		return -1;
	return mark_all(w, &rp, run, err);
}

static int
run_kind(struct work *w, struct expire_run *run, struct err *err)
{
	const struct config *cfg = w->p->cfg;
	const struct lease_params lp = { .name = lease_name(run->kind),
		.purpose = "expire", .valid_ms = cfg->lease_ms };
	int rc = 0;

	w->lease = NULL;
	if (!cfg->dry_run) {
		rc = lease_take(&w->lease, w->p->repo, &run->inc, &lp, err);
		if (rc == 0)
			rc = decide_under_lease(w, &run->inc, run->kind, err);
	}
	if (rc == 0)
		rc = run_locked(w, run, err);
	lease_release(w->lease);
	w->lease = NULL;
	run->done = rc == 0;
	return rc;
}

/* Where no dump was ever made nothing need be locked for them. */
static int
has_any(const struct work *w, enum repo_kind kind, bool *out,
    struct err *err)
{
	const struct info_incarnation *inc = w->line->inc;
	struct lease_info *leases;
	size_t n;

	*out = kind == REPO_BACKUP || inc->dumps.n + inc->dumps.unfinished > 0;
	if (*out)
		return 0;
	if (lease_look(w->p->repo, &inc->inc, LEASE_DUMPS, &leases, &n,
	    err) != 0)
		return -1;
	free(leases);
	*out = n > 0;
	return 0;
}

/* Whose lease somebody else has is passed over, and that is told. */
static int
run_incarnation(struct work *w, const struct incarnation *inc,
    struct err *err)
{
	struct expire *x = w->x;
	enum repo_kind kind;
	bool any;

	for (kind = REPO_BACKUP; kind <= REPO_DUMP; kind++) {
		w->line = find_line(x, inc);
		if (w->line == NULL)
			return 0;
		if (has_any(w, kind, &any, err) != 0)
			return -1;
		if (!any)
			continue;
		x->runs[x->n] = (struct expire_run){ .inc = *inc,
			.kind = kind };
		if (run_kind(w, &x->runs[x->n++], err) == 0)
			continue;
		if (err->code != ERR_LOCKED)
			return -1;
		if (x->locked.code == ERR_NONE)
			x->locked = *err;
		err_clear(err);
	}
	return 0;
}

int
expire_run(struct expire *out, const struct expire_params *params,
    struct err *err)
{
	struct work w = { .x = out, .p = params };
	struct incarnation *incs;
	size_t i, n;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!params->cfg->dry_run &&
	    hold_check(params->repo, params->cfg->cluster, err) != 0)
		return -1;
	if (collect(&w, time_now(), err) != 0)
		return -1;
	/* Deciding again makes the list anew. */
	n = out->info.n;
	incs = xcalloc(n + 1, sizeof(*incs));
	for (i = 0; i < n; i++)
		incs[i] = out->info.incarnations[i].inc;
	out->runs = xcalloc(2 * n + 1, sizeof(*out->runs));
	for (i = 0; i < n && rc == 0; i++)
		rc = run_incarnation(&w, &incs[i], err);
	free(incs);
	if (rc == 0 && out->locked.code != ERR_NONE) {
		*err = out->locked;
		rc = -1;
	}
	return rc;
}

void
expire_free(struct expire *x)
{
	retention_free(&x->retention);
	info_free(&x->info);
	free(x->runs);
	memset(x, 0, sizeof(*x));
}
