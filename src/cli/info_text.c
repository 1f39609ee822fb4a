/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/info_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/status.h"
#include "core/text.h"
#include "core/time.h"

static unsigned
percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (unsigned)((double)part * 100 /
	    (double)whole + 0.5);
}

/* The parent as it is listed, or that it is no more. */
static void
print_parent(const struct info_incarnation *inc, const struct info_set *set,
    const char *label, bool verbose, FILE *out)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (strcmp(set->list[i].label, label) == 0)
			break;
	(void)fprintf(out, "      parent   %.*s%s\n", verbose ||
	    i == set->n ? FORMAT_LABEL_MAX :
	    info_short_label(inc, label), label, i == set->n ?
	    ", removed meanwhile: it is not needed" : "");
}

void
info_print_share(const struct info_incarnation *inc,
    const struct info_set *set, const struct info_backup *b, bool verbose,
    FILE *out)
{
	const struct info_share *s = &b->share;
	const char *kind = repo_kind_name(b->commit.kind);
	char size[TEXT_SIZE_MAX];

	if (b->commit.parent[0] != '\0')
		print_parent(inc, set, b->commit.parent, verbose, out);
	if (s->refers_packs > 0)
		(void)fprintf(out, "      refers   to %s that %" PRIu64
		    " other %s%s stored, and needs %u %% of it\n",
		    text_human_size(s->refers_bytes, size),
		    s->refers_backups, kind, s->refers_backups == 1 ? "" : "s",
		    percent(s->refers_live, s->refers_plain));
	if (b != &set->list[b->newest] && s->made_plain > 0 &&
	    set->shares_known)
		(void)fprintf(out, "      alive    %u %% of what it stored is "
		    "in the newest %s too\n",
		    percent(s->made_live, s->made_plain), kind);
	if (set->shares_known)
		(void)fprintf(out, "      frees    %s when it is removed\n",
		    text_human_size(s->frees, size));
}

void
info_print_state(const struct info_backup *b, FILE *out)
{
	char until[TIME_TEXT_MAX];

	if (!b->usable)
		(void)fprintf(out, "      unusable %s\n", b->unusable.msg);
	if (b->pin != NULL)
		(void)fprintf(out, "      pinned   until %s%s%s\n",
		    b->pin->until == 0 ? "it is unpinned" :
		    time_format_local(b->pin->until, until),
		    b->pin->reason[0] == '\0' ? "" : ": ", b->pin->reason);
	else if (b->leaving)
		(void)fprintf(out, "      leaving  listed for removal: an "
		    "'expire' after the grace period removes it\n");
	if (b->why != NULL)
		(void)fprintf(out, "      why      %s\n", b->why);
}

static void
print_backup(const struct info_incarnation *inc, size_t i, bool verbose,
    FILE *out)
{
	const struct info_backup *b = &inc->backups.list[i];
	const struct commit *c = &b->commit;
	char begun[TIME_TEXT_MAX], ended[TIME_TEXT_MAX],
	    original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX],
	    start[LSN_TEXT_MAX], stop[LSN_TEXT_MAX];
	size_t t;

	(void)fprintf(out, "    %.*s\n", verbose ? FORMAT_LABEL_MAX :
	    info_short_label(inc, b->label), b->label);
	if (b->problem.code != ERR_NONE) {
		(void)fprintf(out, "      damaged  %s\n", b->problem.msg);
		return;
	}
	(void)fprintf(out, "      time     %s to %s\n",
	    time_format_local(c->start_time, begun),
	    time_format_local(c->stop_time, ended));
	(void)fprintf(out, "      WAL      %s to %s, timeline %" PRIu32
	    "\n", lsn_format(c->start_lsn, start),
	    lsn_format(c->stop_lsn, stop), c->timeline);
	(void)fprintf(out, "      size     %s in %" PRIu64
	    " files, stored %s\n", text_human_size(c->original_bytes,
	    original), c->files, text_human_size(c->stored_bytes, stored));
	info_print_share(inc, &inc->backups, b, verbose, out);
	for (t = 0; t < c->n_tablespaces; t++)
		(void)fprintf(out, "      tablespace %" PRIu32 " %s\n",
		    c->tablespaces[t].oid, c->tablespaces[t].path);
	if (c->damaged_count > 0)
		(void)fprintf(out, "      damaged  %" PRIu64 " page%s of the "
		    "database failed when this was taken, the first in %s "
		    "block %" PRIu64 "\n", c->damaged_count,
		    c->damaged_count == 1 ? "" : "s", c->n_damaged > 0 ?
		    c->damaged[0].path : "?", c->n_damaged > 0 ?
		    c->damaged[0].block : 0);
	info_print_state(b, out);
}

static void
print_gap(const struct info_incarnation *inc, uint64_t missing,
    const char *first, const char *last, FILE *out)
{
	const struct gap *g = gap_find(inc->given_up, inc->n_given_up, first);
	char at[TIME_TEXT_MAX];

	(void)fprintf(out, "      GAP: %" PRIu64 " missing, %s to %s\n",
	    missing, first, last);
	if (g != NULL)
		(void)fprintf(out, "      given up by archive-queue-max from "
		    "%s on, on %s: %s\n", time_format_local(g->from, at),
		    g->host, g->reason);
}

static void
print_timeline(const struct info_incarnation *inc,
    const struct info_timeline *t, FILE *out)
{
	char size[TEXT_SIZE_MAX], lsn[LSN_TEXT_MAX];
	char first[WAL_SEGMENT_NAME_LEN + 1], last[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t missing;
	size_t i;

	(void)fprintf(out, "    timeline %" PRIu32, t->timeline);
	if (t->parent != 0)
		(void)fprintf(out, ", left timeline %" PRIu32 " at %s",
		    t->parent, lsn_format(t->branched_at, lsn));
	else if (t->timeline != 1 && !t->has_history)
		(void)fprintf(out, ", its HISTORY FILE IS MISSING "
		    "(%08" PRIX32 ".history)", t->timeline);
	(void)fprintf(out, "\n");
	for (i = 0; i < inc->n_ranges; i++) {
		const struct wal_range *r = &inc->ranges[i];

		if (r->timeline != t->timeline)
			continue;
		(void)fprintf(out, "      %s to %s, %" PRIu64
		    " segment%s, stored %s\n", r->first, r->last,
		    r->segments, r->segments == 1 ? "" : "s",
		    text_human_size(r->stored_bytes, size));
		missing = info_gap(inc, i, first, last);
		if (missing > 0 && info_gap_was_removed(inc, i))
			(void)fprintf(out, "      %" PRIu64 " removed, %s to "
			    "%s: retention let them go\n", missing, first,
			    last);
		else if (missing > 0)
			print_gap(inc, missing, first, last, out);
	}
	for (i = 0; i < t->n_partials; i++)
		(void)fprintf(out, "      partial %s\n", t->partials[i]);
	for (i = 0; i < t->n_conflicts; i++)
		(void)fprintf(out, "      CONFLICT: two different contents "
		    "are stored for %s (two servers archive as one?)\n",
		    t->conflicts[i]);
}

/* Seconds are printed: the first whole one that is late enough (T87). */
static int64_t
next_second(int64_t t)
{
	const int64_t second = 1000000;

	return t - ((t % second) + second) % second + second;
}

static void
print_windows(const struct info_incarnation *inc, FILE *out)
{
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX],
	    lsn_to[LSN_TEXT_MAX];
	size_t i;

	if (inc->n_windows == 0) {
		(void)fprintf(out, "  recovery: NOT POSSIBLE, %s\n",
		    info_no_recovery(inc));
		if (inc->dumps.n > 0)
			(void)fprintf(out, "    (a dump is loaded as its "
			    "database was at the snapshot)\n");
		(void)fprintf(out, "    next: dapk-backup backup\n");
		return;
	}
	(void)fprintf(out, "  recovery to every moment%s\n",
	    inc->n_windows > 1 ? " of:" : "");
	for (i = 0; i < inc->n_windows; i++) {
		const struct wal_reach *r = &inc->windows[i].reach;
		const struct commit *c =
		    &inc->backups.list[inc->windows[i].backup].commit;

		(void)fprintf(out, "    from %s (%s)\n    to   %s (%s, "
		    "timeline %" PRIu32 "%s)\n",
		    time_format_local(next_second(c->stop_time), from),
		    lsn_format(c->stop_lsn, lsn),
		    time_format_local(r->proven_time, to),
		    lsn_format(r->end, lsn_to), r->end_timeline,
		    r->ends_in_partial ? ", in a partial segment" : "");
		if (r->gap && removed_was_wal(&inc->removed, r->missing))
			(void)fprintf(out, "    then retention let WAL go, "
			    "from %s on\n", r->missing);
		else if (r->gap)
			(void)fprintf(out, "    then segment %s is MISSING\n",
			    r->missing);
	}
}

/* What is there besides those that are listed. */
static void
print_rest(const struct info_set *set, const char *kind, FILE *out)
{
	char size[TEXT_SIZE_MAX];

	if (set->orphan_backups > 0)
		(void)fprintf(out, "    and %s that %" PRIu64 " removed "
		    "%s%s stored, since they refer to it\n",
		    text_human_size(set->orphan_bytes, size),
		    set->orphan_backups, kind,
		    set->orphan_backups == 1 ? "" : "s");
	if (!set->shares_known)
		(void)fprintf(out, "    what each frees when it is removed is "
		    "not known, since a commit cannot be read\n");
	if (set->unfinished > 0)
		(void)fprintf(out, "    and %zu unfinished (running now, or "
		    "interrupted; harmless)\n", set->unfinished);
}

/* Whether it is kept is what `status` judges. */
static void
print_promise(const struct info_incarnation *inc, FILE *out)
{
	char from[TIME_TEXT_MAX];

	if (inc->why_wal == NULL)
		return;
	if (inc->promised_from != 0)
		(void)fprintf(out, "  retention promises every moment since "
		    "%s\n", time_format_local(inc->promised_from, from));
	if (inc->why_wal[0] != '\0')
		(void)fprintf(out, "    WAL: %s\n", inc->why_wal);
}

static void
print_incarnation(const struct info_incarnation *inc, bool verbose, FILE *out)
{
	size_t i;

	(void)fprintf(out, "\ncluster %s, PostgreSQL %d, system identifier %"
	    PRIu64 "\n", inc->inc.cluster, inc->inc.major,
	    inc->inc.system_id);
	print_windows(inc, out);
	print_promise(inc, out);
	(void)fprintf(out, "  backups: %zu\n", inc->backups.n);
	for (i = 0; i < inc->backups.n; i++)
		print_backup(inc, i, verbose, out);
	print_rest(&inc->backups, "backup", out);
	if (inc->dumps.n + inc->dumps.unfinished > 0)
		(void)fprintf(out, "  dumps: %zu\n", inc->dumps.n);
	for (i = 0; i < inc->dumps.n; i++)
		info_print_dump(inc, &inc->dumps.list[i], verbose, out);
	print_rest(&inc->dumps, "dump", out);
	(void)fprintf(out, "  WAL:%s\n", inc->n_timelines == 0 ? " none" :
	    "");
	for (i = 0; i < inc->n_timelines; i++)
		print_timeline(inc, &inc->timelines[i], out);
	for (i = 0; i < inc->n_problems; i++)
		(void)fprintf(out, "  damaged: %s\n", inc->problems[i].msg);
}

void
info_print_one_text(const struct info_found *f, const struct dumpset *items,
    bool verbose, FILE *out)
{
	(void)fprintf(out, "cluster %s, PostgreSQL %d, system identifier %"
	    PRIu64 "\n", f->inc->inc.cluster, f->inc->inc.major,
	    f->inc->inc.system_id);
	if (f->set == &f->inc->backups)
		print_backup(f->inc, f->index, true, out);
	else
		info_print_dump(f->inc, &f->set->list[f->index], true, out);
	if (items != NULL)
		info_print_items(items, verbose, out);
}

/* The cluster's other repositories, by what this host knows of them. */
static void
print_others(const struct info *info, FILE *out)
{
	struct status_line *lines;
	size_t i, n;

	if (info->cfg == NULL || info->cfg->n_others == 0)
		return;
	status_collect(info->cfg, &lines, &n);
	(void)fprintf(out, "\nother repositories (--repository NAME shows "
	    "one)\n");
	for (i = 1; i < n; i++) {
		(void)fprintf(out, "  ");
		status_print_line(&lines[i], out);
	}
	free(lines);
}

void
info_print_text(const struct info *info, bool verbose, FILE *out)
{
	char age[32];
	size_t i;

	(void)fprintf(out, "repository %s, id %s\n", info->url,
	    info->repo->id_text);
	if (info->listed_at != 0)
		(void)fprintf(out, "  older WAL as listed %s ago "
		    "(--refresh lists it anew)\n",
		    notes_age(time_now() - info->listed_at, age));
	if (info->n == 0)
		(void)fprintf(out, "nothing is in it yet; next: dapk-backup "
		    "check, dapk-backup backup\n");
	for (i = 0; i < info->n; i++)
		print_incarnation(&info->incarnations[i], verbose, out);
	for (i = 0; i < info->n_odd; i++)
		(void)fprintf(out, "odd: %s\n", info->odd[i]);
	print_others(info, out);
}
