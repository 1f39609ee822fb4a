/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/verify_show.h"

#include <inttypes.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"

#define FILES_SHOWN 20
#define RANGES_SHOWN 8

static void
print_finding(const struct verify_finding *f, FILE *out)
{
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
	const char *reason = f->reason;
	size_t n = strlen(f->object);

	/* Many a reason begins with the object's name. */
	if (strncmp(reason, f->object, n) == 0 &&
	    strncmp(reason + n, ": ", 2) == 0)
		reason += n + 2;
	(void)fprintf(out, "  %s %s: %s\n", verify_kind_name(f->kind),
	    f->object, reason);
	if (f->kind == VERIFY_GAP && f->to != 0)
		(void)fprintf(out, "    times after %s cannot be recovered "
		    "to, until %s\n", time_format_local(f->from, from),
		    time_format_local(f->to, to));
	else if (f->kind == VERIFY_GAP)
		(void)fprintf(out, "    no time after %s can be recovered "
		    "to\n", time_format_local(f->from, from));
	if (f->repaired)
		(void)fprintf(out, "    repaired: stored anew and read "
		    "back\n");
	else if (f->spare)
		(void)fprintf(out, "    nothing is lost: another generation "
		    "of it holds\n");
	if (f->marked && !f->repaired)
		(void)fprintf(out, "    marked: the next backup stores anew "
		    "what it needs of it\n");
}

static void
print_file(const struct verify_file *f, const char *unit, FILE *out)
{
	size_t i;

	(void)fprintf(out, "      %s", f->path);
	if (f->bad_blocks > 0)
		(void)fprintf(out, ": %" PRIu64 " %s%s", f->bad_blocks, unit,
		    f->bad_blocks == 1 ? "" : "s");
	for (i = 0; i < f->n_ranges && i < RANGES_SHOWN; i++)
		if (f->ranges[i].n == 1)
			(void)fprintf(out, "%s %" PRIu64, i == 0 ? "," : "",
			    f->ranges[i].first);
		else
			(void)fprintf(out, "%s %" PRIu64 "-%" PRIu64,
			    i == 0 ? "," : "", f->ranges[i].first,
			    f->ranges[i].first + f->ranges[i].n - 1);
	(void)fprintf(out, "%s (%s)\n", f->n_ranges > RANGES_SHOWN ? " ..." :
	    "", f->reason);
}

static void
print_bad_backup(const struct verify_backup *b, bool all, FILE *out)
{
	const bool dump = b->database != NULL;
	size_t i, n = all ? b->n_list : FILES_SHOWN;

	(void)fprintf(out, "    %s%s%s: %s\n", b->label, !dump ? "" :
	    b->database[0] == '\0' ? ", globals" : ", database ",
	    dump ? b->database : "",
	    b->commit_bad ? "its commit cannot be read" :
	    b->manifest_bad ? "its manifest cannot be read" :
	    b->wal_bad ? "the WAL that makes it consistent is not whole" :
	    b->bad_files > 0 ? dump ? "items of it are damaged" :
	    "files of it are damaged" :
	    dump ? "packs of it are damaged or missing" :
	    "packs of it are damaged or missing; restore needs "
	    "--allow-damage");
	if (b->bad_files > 0)
		(void)fprintf(out, "      %" PRIu64 " of %" PRIu64 " %s, %"
		    PRIu64 " %s:\n", b->bad_files, b->files, dump ?
		    "items" : "files", b->bad_blocks, dump ? "chunks" :
		    "blocks");
	for (i = 0; i < b->n_list && i < n; i++)
		print_file(&b->list[i], dump ? "chunk" : "block", out);
	if (b->bad_files > i)
		(void)fprintf(out, "      and %" PRIu64 " more %s%s\n",
		    b->bad_files - i, dump ? "items" : "files",
		    all ? "" : " (--verbose)");
}

static void
print_windows(const struct verify_cluster *cl, FILE *out)
{
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
	const struct verify_window *w;
	size_t i;

	for (i = 0; i < cl->n_windows; i++) {
		w = &cl->windows[i];
		(void)time_format_local(w->from, from);
		(void)time_format_local(w->to, to);
		if (w->lost && w->from == w->to)
			continue; /* no instant is */
		(void)fprintf(out, "  %s %s to %s on timeline %" PRIu32 "\n",
		    w->lost ? "LOST          " : "can be restored", from, to,
		    w->timeline);
	}
}

static void
print_next(const struct verify_cluster *cl, const struct config *cfg,
    FILE *out)
{
	const struct verify_backup *b, *good = NULL;
	bool backups = false, dumps = false;
	size_t i;

	for (i = 0; i < cl->n_dumps; i++)
		dumps |= !verify_backup_holds(&cl->dumps[i]);

	/* By time: a resumed backup is newer than its label. */
	for (i = 0; i < cl->n_backups; i++) {
		b = &cl->backups[i];
		if (verify_backup_holds(b) && !b->removed &&
		    (good == NULL || b->stop_time > good->stop_time))
			good = b;
	}
	if (good != NULL)
		(void)fprintf(out, "  newest backup without damage: %s\n",
		    good->label);
	else if (cl->n_backups > 0)
		(void)fprintf(out, "  NO BACKUP IS WITHOUT DAMAGE\n");
	if (cfg->verify_quick) {
		(void)fprintf(out, "  next: dapk-backup verify    (reads "
		    "everything and says which files)\n");
		return;
	}
	for (i = 0; i < cl->n_backups; i++)
		backups |= !verify_backup_holds(&cl->backups[i]);
	(void)fprintf(out, "  next: dapk-backup %s    (stores anew what "
	    "is damaged)\n", dumps && !backups ? "dump" : "backup");
	if (dumps && backups)
		(void)fprintf(out, "        dapk-backup dump      (the "
		    "databases whose dumps are damaged)\n");
	if (!cfg->verify_repair)
		(void)fprintf(out, "        dapk-backup verify --repair "
		    "[--repair-from URL]    (repairs the old backups, where "
		    "another copy is)\n");
}

static bool
has_damage(const struct verify_cluster *cl)
{
	size_t i;

	for (i = 0; i < cl->n_backups; i++)
		if (!verify_backup_holds(&cl->backups[i]))
			return true;
	for (i = 0; i < cl->n_dumps; i++)
		if (!verify_backup_holds(&cl->dumps[i]))
			return true;
	return cl->n_findings > 0;
}

static void
print_cluster(const struct verify_cluster *cl, const struct config *cfg,
    FILE *out)
{
	char size[TEXT_SIZE_MAX];
	size_t i, bad = 0;

	if (cl->unreferenced > 0 && !cfg->quiet)
		(void)fprintf(out, "cluster %s: %" PRIu64 " object%s (%s) of "
		    "no backup or dump, left by attempts that did not end; harmless\n",
		    cl->inc.cluster, cl->unreferenced, cl->unreferenced == 1 ?
		    "" : "s", text_human_size(cl->unreferenced_bytes, size));
	if (!has_damage(cl))
		return;
	(void)fprintf(out, "cluster %s, PostgreSQL %d, system %" PRIu64 ":\n",
	    cl->inc.cluster, cl->inc.major, cl->inc.system_id);
	for (i = 0; i < cl->n_findings; i++)
		print_finding(&cl->findings[i], out);
	for (i = 0; i < cl->n_backups; i++) {
		if (verify_backup_holds(&cl->backups[i]))
			continue;
		if (bad++ == 0)
			(void)fprintf(out, "  backups that are damaged:\n");
		print_bad_backup(&cl->backups[i], cfg->verbose, out);
	}
	for (i = 0, bad = 0; i < cl->n_dumps; i++) {
		if (verify_backup_holds(&cl->dumps[i]))
			continue;
		if (bad++ == 0)
			(void)fprintf(out, "  dumps that are damaged:\n");
		print_bad_backup(&cl->dumps[i], cfg->verbose, out);
	}
	print_windows(cl, out);
	print_next(cl, cfg, out);
}

void
verify_print_text(const struct verify_result *r, const struct config *cfg,
    FILE *out)
{
	char size[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX];
	const double seconds = (double)r->took_us / 1e6;
	size_t i;

	if (!cfg->quiet && cfg->verify_quick)
		(void)fprintf(out, "looked at %" PRIu64 " objects in %.1f s\n",
		    r->objects, seconds);
	else if (!cfg->quiet)
		(void)fprintf(out, "read %" PRIu64 " objects, %s in %.1f s "
		    "(%s/s)\nproved %" PRIu64 " files of %" PRIu64
		    " backups", r->objects, text_human_size(r->bytes, size),
		    seconds, text_human_size(seconds > 0 ? (uint64_t)
		    ((double)r->bytes / seconds) : 0, rate), r->files,
		    r->backups);
	if (!cfg->quiet && !cfg->verify_quick && r->items > 0)
		(void)fprintf(out, " and %" PRIu64 " items of %" PRIu64
		    " dump%s", r->items, r->dumps, r->dumps == 1 ? "" : "s");
	if (!cfg->quiet && !cfg->verify_quick)
		(void)fputc('\n', out);
	for (i = 0; i < r->n; i++)
		print_cluster(&r->clusters[i], cfg, out);
	if (r->repaired > 0)
		(void)fprintf(out, "%" PRIu64 " damaged object%s repaired\n",
		    r->repaired, r->repaired == 1 ? " was" : "s were");
	if (r->damaged > 0)
		(void)fprintf(out, "DAMAGE: %" PRIu64 " finding%s\n",
		    r->damaged, r->damaged == 1 ? "" : "s");
	else if (r->unread == 0 && !cfg->quiet)
		(void)fprintf(out, "no damage\n");
}
