/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <string.h>

#include "report/report_private.h"

#define SHOWN 40 /* the others unfold */

struct table {
	FILE *f;
	const struct report *r;
	const struct report_place *p;
	const struct info_incarnation *inc;
	enum repo_kind kind;
};

static void
wal_needed(const struct table *t, const struct commit *c)
{
	struct err ignored = ERR_INIT;
	struct wal_file first, last;
	uint64_t n;

	if (c->wal_segment_size == 0 ||
	    wal_file_parse(c->wal_first, &first, &ignored) != 0 ||
	    wal_file_parse(c->wal_last, &last, &ignored) != 0) {
		(void)fputs("<td>-</td>", t->f);
		return;
	}
	n = wal_segno(&last, c->wal_segment_size) + 1 -
	    wal_segno(&first, c->wal_segment_size);
	(void)fprintf(t->f, "<td class=num title=\"%s to %s\">",
	    c->wal_first, c->wal_last);
	html_number(t->f, n, "segment");
	(void)fputs("</td>", t->f);
}

/* Only a whole run tells of each of them that it was read. */
static void
verified(const struct table *t, const struct commit *c)
{
	const struct notes *facts = t->p->facts;

	if (facts->verified_whole < c->stop_time ||
	    t->inc->inc.system_id != facts->system_id)
		(void)fputs("<td class=weak>not since it was made</td>", t->f);
	else if (facts->verify_damaged > 0)
		(void)fputs("<td class=bad>damage found: see above</td>",
		    t->f);
	else {
		(void)fputs("<td>", t->f);
		html_time(t->f, facts->verified_whole);
		(void)fputs("</td>", t->f);
	}
}

static void
pinned(const struct table *t, const struct pin *pin)
{
	(void)fputs("<b>pinned</b>", t->f);
	if (pin->until != 0) {
		(void)fputs(" until ", t->f);
		html_time(t->f, pin->until);
	}
	if (pin->reason[0] != '\0')
		(void)fputs(": ", t->f);
	html_text(t->f, pin->reason);
	(void)fputs(". ", t->f);
}

static void
state(const struct table *t, const struct info_backup *b)
{
	if (!b->usable) {
		(void)fputs("<b class=bad>not usable</b>: ", t->f);
		html_text(t->f, b->unusable.msg);
		(void)fputs(". ", t->f);
	}
	if (b->commit.damaged_count > 0) {
		(void)fputs("<b class=bad>", t->f);
		html_number(t->f, b->commit.damaged_count, "damaged page");
		(void)fputs("</b>. ", t->f);
	}
	/* Retention's sentence names a pin itself. */
	if (b->pin != NULL && (b->why == NULL ||
	    strstr(b->why, "pinned") == NULL))
		pinned(t, b->pin);
	if (b->leaving)
		(void)fputs("<b>listed for removal</b>. ", t->f);
	html_text(t->f, b->why);
}

static void
kind_of(const struct table *t, const struct commit *c)
{
	if (t->kind == REPO_DUMP) {
		html_text(t->f, c->dump.globals ? "roles, tablespaces" :
		    c->dump.database);
		return;
	}
	(void)fputs(c->parent[0] == '\0' ? "full" : "incremental", t->f);
	if (c->method != NULL && strcmp(c->method, "local") != 0) {
		(void)fputs(", ", t->f);
		html_text(t->f, c->method);
	}
	if (c->from_standby)
		(void)fputs(", standby", t->f);
}

static void
row(const struct table *t, const struct info_backup *b)
{
	const struct commit *c = &b->commit;

	(void)fprintf(t->f, "<tr%s><th scope=row title=\"%s\">%.*s</th>",
	    b->problem.code == ERR_NONE && b->usable ? "" : " class=unusable",
	    b->label, info_short_label(t->inc, b->label), b->label);
	if (b->problem.code != ERR_NONE) {
		(void)fputs("<td colspan=8><b class=bad>cannot be read</b>: ",
		    t->f);
		html_text(t->f, b->problem.msg);
		(void)fputs("</td></tr>\n", t->f);
		return;
	}
	(void)fputs("<td>", t->f);
	kind_of(t, c);
	(void)fputs("</td><td>", t->f);
	html_time(t->f, c->start_time);
	(void)fputs("</td><td class=num>", t->f);
	html_span(t->f, c->stop_time - c->start_time);
	(void)fputs("</td><td class=num>", t->f);
	html_size(t->f, c->original_bytes);
	(void)fputs("</td><td class=num>", t->f);
	html_size(t->f, c->stored_bytes);
	(void)fputs("</td>", t->f);
	if (t->kind == REPO_BACKUP) {
		wal_needed(t, c);
	} else {
		(void)fputs("<td class=num>", t->f);
		html_count(t->f, c->dump.rows);
		(void)fputs("</td>", t->f);
	}
	verified(t, c);
	(void)fputs("<td class=why>", t->f);
	state(t, b);
	(void)fputs("</td></tr>\n", t->f);
}

/* The newest first: from `end` down to `begin`. */
static void
rows(const struct table *t, const struct info_set *set, size_t begin,
    size_t end)
{
	(void)fprintf(t->f, "<div class=scroll><table><thead><tr><th>Label"
	    "<th>%s<th>Began<th class=num>Took<th class=num>Size"
	    "<th class=num>Stored<th class=num>%s<th>Verified<th>Why it is "
	    "here</tr></thead><tbody>\n", t->kind == REPO_DUMP ? "Database" :
	    "Kind", t->kind == REPO_DUMP ? "Rows" : "WAL to start");
	for (; end > begin; end--)
		row(t, &set->list[end - 1]);
	(void)fputs("</tbody></table></div>\n", t->f);
}

void
report_sets(FILE *f, const struct report *r, const struct report_place *p,
    const struct info_incarnation *inc, enum repo_kind kind)
{
	const struct info_set *set = kind == REPO_DUMP ? &inc->dumps :
							 &inc->backups;
	const struct table t = { f, r, p, inc, kind };
	const size_t begin = set->n > SHOWN ? set->n - SHOWN : 0;

	if (kind == REPO_DUMP && set->n + set->unfinished == 0)
		return;
	(void)fprintf(f, "<h4>%s</h4>\n", kind == REPO_DUMP ? "Dumps" :
	    "Backups");
	if (set->n > 0)
		rows(&t, set, begin, set->n);
	else
		(void)fputs("<p>None.</p>\n", f);
	if (begin > 0) {
		(void)fputs("<details><summary>", f);
		html_count(f, begin);
		(void)fputs(" older</summary>\n", f);
		rows(&t, set, 0, begin);
		(void)fputs("</details>\n", f);
	}
	if (set->unfinished > 0) {
		(void)fputs("<p class=note>And ", f);
		html_count(f, set->unfinished);
		(void)fputs(" unfinished: running now, or interrupted."
		    "</p>\n", f);
	}
}
