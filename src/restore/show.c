/* SPDX-License-Identifier: PostgreSQL */
/* The proof, for people: what is restored from what, and where it ends. */
#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "restore/plan.h"

#define LINE_MAX_TEXT ((size_t)4096)

void
plan_shell_word(struct buf *out, const char *word)
{
	const char *p;

	for (p = word; isalnum((unsigned char)*p) ||
	    (*p != '\0' && strchr("_./-=,:+@%", *p) != NULL);)
		p++;
	if (*p == '\0' && p != word) {
		buf_add_str(out, word);
		return;
	}
	buf_add_byte(out, '\'');
	for (p = word; *p != '\0'; p++)
		if (*p == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add_byte(out, (uint8_t)*p);
	buf_add_byte(out, '\'');
}

void
plan_pg_ctl(const struct restore_plan *plan, const char *bin, struct buf *out)
{
	char *path = xasprintf("%s%spg_ctl", bin == NULL ? "" : bin,
	    bin == NULL ? "" : "/");

	plan_shell_word(out, path);
	buf_add_str(out, " -D ");
	plan_shell_word(out, plan->dir);
	free(path);
}

static void
show_backup(const struct restore_plan *plan, FILE *out)
{
	const struct commit *c = &plan->backup;
	char size[TEXT_SIZE_MAX], from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
	char start[LSN_TEXT_MAX], stop[LSN_TEXT_MAX];

	fprintf(out, "backup       %s of cluster %s, PostgreSQL %d\n",
	    c->label, plan->inc.cluster, plan->inc.major);
	fprintf(out, "  taken      %s to %s\n",
	    time_format_local(c->start_time, from),
	    time_format_local(c->stop_time, to));
	fprintf(out, "  LSN        %s to %s, timeline %u\n",
	    lsn_format(c->start_lsn, start), lsn_format(c->stop_lsn, stop),
	    (unsigned)c->timeline);
	fprintf(out, "  size       %s in %llu files\n",
	    text_human_size(c->original_bytes, size),
	    (unsigned long long)c->files);
}

static void
show_repository(const struct restore_plan *plan, FILE *out)
{
	const struct config_repository *from = plan->params.from;
	const char *url = storage_url(plan->params.repo->st);

	if (from != NULL && from->name != NULL)
		fprintf(out, "repository   %s, %s", from->name, url);
	else
		fprintf(out, "repository   %s", url);
	if (plan->params.why != NULL)
		fprintf(out, ": %s", plan->params.why);
	fputc('\n', out);
}

static void
show_timelines(const struct restore_plan *plan, FILE *out)
{
	const struct history *h = &plan->path;
	char lsn[LSN_TEXT_MAX];
	size_t i;

	fprintf(out, "timeline     ");
	for (i = 0; i < h->n; i++) {
		/* What lies before the backup's is of no interest. */
		if (h->entries[i].end <= plan->backup.start_lsn)
			continue;
		fprintf(out, "%u", (unsigned)h->entries[i].timeline);
		if (i + 1 < h->n)
			fprintf(out, ", from %s on ",
			    lsn_format(h->entries[i].end, lsn));
	}
	fputc('\n', out);
}

/* Where the needed WAL ends: at the target, or with the archive. */
static void
show_wal(const struct restore_plan *plan, FILE *out)
{
	const struct commit *c = &plan->backup;
	const struct wal_reach *r = &plan->reach;
	const char *last = r->last_segment;
	struct err ignored = ERR_INIT; /* then the count is left out */
	struct wal_file a, b;
	uint64_t n;

	if (plan->found.found && plan->found.segment[0] != '\0')
		last = plan->found.segment;
	if (plan->target == TARGET_IMMEDIATE)
		last = c->wal_last;
	fprintf(out, "WAL          %s to %s", c->wal_first, last);
	if (wal_file_parse(c->wal_first, &a, &ignored) == 0 &&
	    wal_file_parse(last, &b, &ignored) == 0) {
		n = wal_segno(&b, c->wal_segment_size) -
		    wal_segno(&a, c->wal_segment_size) + 1;
		fprintf(out, ": %llu %s, all stored, %s", (unsigned long long)n,
		    n == 1 ? "segment" : "segments",
		    plan->proof.read ? "read and whole" : "not read");
	}
	fputc('\n', out);
}

static void
show_event(const struct restore_plan *plan, FILE *out)
{
	const struct wal_event *e = &plan->found.event;
	char lsn[LSN_TEXT_MAX], text[TIME_TEXT_MAX], local[TIME_TEXT_MAX];
	const char *at = lsn_format(e->lsn, lsn);

	if (plan->found.use_lsn) {
		fprintf(out, "  found      everything up to the record at LSN "
			     "%s, the last one stored (latest time in it: "
			     "%s)\n", at, time_format_local(e->time, local));
		return;
	}
	switch (e->type) {
	case WAL_EVENT_COMMIT:
	case WAL_EVENT_ABORT:
		fprintf(out, "  found      %s of transaction %u at %s (%s), "
			     "LSN %s",
		    e->type == WAL_EVENT_COMMIT ? "commit" : "abort",
		    (unsigned)e->xid,
		    e->has_time ? time_format(e->time, text) : "?",
		    e->has_time ? time_format_local(e->time, local) : "?", at);
		break;
	case WAL_EVENT_RESTORE_POINT:
		fprintf(out, "  found      restore point \"%s\", set %s, LSN %s",
		    e->name,
		    e->has_time ? time_format_local(e->time, local) : "?", at);
		break;
	default:
		fprintf(out, "  found      a WAL record at LSN %s", at);
	}
	if (plan->target == TARGET_TIME || !plan->want.inclusive)
		fprintf(out, ": the first thing that is not replayed\n");
	else
		fprintf(out, ": the last thing that is replayed\n");
}

static void
show_target(const struct restore_plan *plan, FILE *out)
{
	const struct wal_reach *r = &plan->reach;
	char lsn[LSN_TEXT_MAX], text[TIME_TEXT_MAX];
	struct buf b;

	buf_init(&b, LINE_MAX_TEXT);
	plan_target_text(plan, &b);
	fprintf(out, "target       %s%s\n", buf_str(&b),
	    plan_has_target(plan) && !plan->want.inclusive ? ", exclusive" : "");
	buf_free(&b);
	if (plan->found.found)
		show_event(plan, out);
	else if (plan->target == TARGET_IMMEDIATE)
		fprintf(out, "  found      the backup is consistent at LSN %s\n",
		    lsn_format(plan->backup.stop_lsn, lsn));
	else if (plan->target == TARGET_LATEST) {
		fprintf(out, "  found      WAL up to LSN %s on timeline %u",
		    lsn_format(r->end, lsn), (unsigned)r->end_timeline);
		if (r->max_commit_time != 0)
			fprintf(out, ", last commit %s",
			    time_format_local(r->max_commit_time, text));
		fputc('\n', out);
	}
}

static void
show_then(const struct restore_plan *plan, FILE *out)
{
	static const char *const then[] = {
		"the server is promoted onto a new timeline",
		"recovery pauses; pg_wal_replay_resume() promotes",
		"the server shuts down"
	};

	if (plan->config->standby)
		fprintf(out, "then         it follows %s as a standby\n",
		    plan->config->primary_conninfo != NULL ? "the primary" :
							     "the archive");
	else
		fprintf(out, "then         %s\n", then[plan->config->action]);
	fprintf(out, "archiving    %s\n",
	    plan->config->standby && !plan->config->keep_archiving ?
		"as the source's archive_mode says: from its promotion on" :
	    plan->config->keep_archiving ?
		"goes on into this repository (--keep-archiving)" :
		"is off in the restored cluster");
}

/* WAL that would be lost with the old directory, were it not kept. */
static void
show_wal_left(const struct restore_plan *plan, FILE *out)
{
	size_t n, wanted;

	n = restore_plan_wal_left(plan, &wanted);
	if (n == 0)
		return;
	fprintf(out, "  its WAL    %zu files of its pg_wal are not in the "
	    "repository:", n);
	if (wanted > 0)
		fprintf(out, " %zu are archived first%s", wanted,
		    wanted < n ? ", the others" : "");
	if (wanted < n)
		fprintf(out, "%s kept in " PLAN_KEPT_WAL,
		    wanted > 0 ? "" : " they are");
	fputc('\n', out);
}

void
restore_plan_print(const struct restore_plan *plan, FILE *out)
{
	const char *line, *end;
	size_t i;

	show_repository(plan, out);
	show_backup(plan, out);
	show_timelines(plan, out);
	show_wal(plan, out);
	show_target(plan, out);
	show_then(plan, out);
	fprintf(out, "into         %s%s\n", plan->dir,
	    plan->delta ? ": what is there is compared, what differs is "
	    "fetched, what the backup does not have is removed" : "");
	show_wal_left(plan, out);
	for (i = 0; i < plan->n_tablespaces; i++)
		fprintf(out, "  tablespace %u %s%s%s\n",
		    (unsigned)plan->tablespaces[i].oid,
		    plan->tablespaces[i].from,
		    strcmp(plan->tablespaces[i].from,
			plan->tablespaces[i].to) == 0 ? "" : " -> ",
		    strcmp(plan->tablespaces[i].from,
			plan->tablespaces[i].to) == 0 ?
			"" : plan->tablespaces[i].to);
	for (line = buf_str(&plan->notes); *line != '\0'; line = end) {
		end = line + strcspn(line, "\n");
		fprintf(out, "note         %.*s\n", (int)(end - line), line);
		end += *end == '\n';
	}
}
