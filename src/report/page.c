/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/time.h"
#include "report/report_private.h"

static const char *
sign(enum notes_verdict v)
{
	switch (v) {
	case NOTES_OK:
		return "\xe2\x9c\x93"; /* check mark */
	case NOTES_WARNING:
		return "!";
	case NOTES_CRITICAL:
		return "\xe2\x9c\x95"; /* cross */
	case NOTES_UNKNOWN:
		break;
	}
	return "?";
}

static void
place_name(FILE *f, const struct report_place *p)
{
	html_text(f, p->name != NULL ? p->name : p->url);
}

static void
head(FILE *f, const struct report *r)
{
	(void)fputs("<!DOCTYPE html>\n<html lang=en>\n<head>\n"
	    "<meta charset=utf-8>\n"
	    "<meta name=viewport content=\"width=device-width, "
	    "initial-scale=1\">\n"
	    "<meta name=color-scheme content=\"light dark\">\n"
	    "<meta http-equiv=Content-Security-Policy content=\"default-src "
	    "'none'; style-src 'unsafe-inline'\">\n<title>Backups of ", f);
	html_text(f, r->cluster);
	(void)fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n"
	    "<svg width=0 height=0 class=defs aria-hidden=true><defs>"
	    "<pattern id=stripes width=6 height=6 "
	    "patternUnits=userSpaceOnUse patternTransform=\"rotate(45)\">"
	    "<rect width=6 height=6 class=stripe0></rect>"
	    "<rect width=3 height=6 class=stripe1></rect></pattern></defs>"
	    "</svg>\n<header><h1>Backups of ", report_style);
	html_text(f, r->cluster);
	(void)fputs("</h1>\n<p>Made ", f);
	html_time(f, r->now);
	(void)fputs(" on ", f);
	html_text(f, r->host);
	(void)fputs(" by dapk-backup ", f);
	html_text(f, r->version);
	{
		time_t unix_now = (time_t)(r->now / 1000000 +
		    TIME_UNIX_EPOCH_OFFSET);
		char zone[32] = "";
		struct tm tm;

		if (localtime_r(&unix_now, &tm) != NULL)
			(void)strftime(zone, sizeof(zone), "%Z (%z)", &tm);
		(void)fputs(". Times are ", f);
		html_text(f, zone);
	}
	(void)fputs(".</p></header>\n<main>\n", f);
}

static void
fact(FILE *f, const char *name)
{
	(void)fprintf(f, "<div><dt>%s</dt><dd>", name);
}

static void
fact_end(FILE *f)
{
	(void)fputs("</dd></div>\n", f);
}

static void
ago(FILE *f, const struct report *r, int64_t t)
{
	html_span(f, r->now - t);
	(void)fputs(" ago <span class=weak>", f);
	html_time(f, t);
	(void)fputs("</span>", f);
}

static void
fact_set(FILE *f, const struct report *r, const struct notes_set *set,
    const char *name)
{
	fact(f, name);
	if (set->time == 0)
		(void)fputs("none known", f);
	else
		ago(f, r, set->time);
	if (set->failed != 0) {
		(void)fputs("<br><b class=bad>one failed</b> ", f);
		html_time(f, set->failed);
		(void)fputs(": ", f);
		html_text(f, set->error);
	}
	fact_end(f);
}

static void
fact_verify(FILE *f, const struct report *r, const struct notes *n)
{
	fact(f, "Verified");
	if (n->verified == 0) {
		(void)fputs("never (<code>dapk-backup verify</code>)", f);
		fact_end(f);
		return;
	}
	ago(f, r, n->verified);
	if (n->verify_share[0] != '\0') {
		(void)fputs(", part ", f);
		html_text(f, n->verify_share);
	}
	(void)fputs(n->verify_damaged > 0 ? "<br><b class=bad>" : "<br>", f);
	if (n->verify_damaged > 0) {
		html_number(f, n->verify_damaged, "damaged object");
		(void)fputs(" found</b>", f);
	} else {
		(void)fputs("no damage found", f);
	}
	(void)fputs("<br><span class=weak>all of it: ", f);
	if (n->verified_whole == 0)
		(void)fputs("never", f);
	else
		html_time(f, n->verified_whole);
	(void)fputs("</span>", f);
	fact_end(f);
}

static void
fact_wal(FILE *f, const struct report *r, const struct notes *n)
{
	fact(f, "Last WAL stored");
	if (n->wal_time == 0)
		(void)fputs("not known on this host", f);
	else
		ago(f, r, n->wal_time);
	if (n->wal_file[0] != '\0') {
		(void)fputs("<br><code>", f);
		html_text(f, n->wal_file);
		(void)fputs("</code>", f);
	}
	if (n->has_queue && n->waiting > 0) {
		(void)fputs("<br>", f);
		html_number(f, n->waiting, "object");
		(void)fputs(" waiting to be copied", f);
	}
	fact_end(f);
}

static void
fact_window(FILE *f, const struct report *r, const struct report_place *p)
{
	const struct notes *n = p->facts;

	fact(f, "Goes back");
	if (n->window_from == 0) {
		(void)fputs("nothing is known to be restorable", f);
	} else {
		html_span(f, r->now - n->window_from);
		(void)fputs(" to ", f);
		html_time(f, n->window_from);
	}
	if (p->retain > 0) {
		(void)fputs("<br><span class=weak>promised: ", f);
		html_span(f, p->retain);
		(void)fputs("</span>", f);
	}
	fact_end(f);
}

static void
knowledge(FILE *f, const struct report *r, const struct report_place *p)
{
	fact(f, "This page knows");
	if (p->info == NULL) {
		(void)fputs("<b class=bad>not reached</b>; ", f);
		(void)fputs(notes_known(p->facts) == 0 ? "nothing is known" :
			"what is shown was known ", f);
		if (notes_known(p->facts) != 0)
			ago(f, r, notes_known(p->facts));
	} else if (p->info->listed_at != 0) {
		(void)fputs("listed ", f);
		ago(f, r, p->info->listed_at);
	} else {
		(void)fputs("all was listed now", f);
	}
	fact_end(f);
}

static void
verdict(FILE *f, const struct report *r, const struct report_place *p)
{
	const struct notes_judgement *j = p->judgement;
	const char *name = notes_verdict_name(j->verdict);
	size_t i;

	(void)fprintf(f, "<div class=\"verdict %s\"><p class=line><span "
	    "class=sign aria-hidden=true>%s</span> <b>%s</b> ", name,
	    sign(j->verdict), name);
	place_name(f, p);
	if (p->name != NULL) {
		(void)fputs(" <span class=weak>", f);
		html_text(f, p->url);
		(void)fputs("</span>", f);
	}
	(void)fputs("</p>\n<ul>", f);
	if (p->info == NULL) {
		(void)fputs("<li>could not be read now: ", f);
		html_text(f, p->problem.msg);
		(void)fputs("</li>\n", f);
	}
	for (i = 0; i < j->n; i++) {
		(void)fprintf(f, "<li><b>%s</b>: ",
		    notes_verdict_name(j->reasons[i].verdict));
		html_text(f, j->reasons[i].text);
		(void)fputs("</li>\n", f);
	}
	(void)fputs("</ul><dl>\n", f);
	fact_window(f, r, p);
	fact_set(f, r, &p->facts->backup, "Last backup");
	fact_set(f, r, &p->facts->dump, "Last dump");
	fact_wal(f, r, p->facts);
	fact_verify(f, r, p->facts);
	knowledge(f, r, p);
	(void)fputs("</dl></div>\n", f);
}

static void
incarnation(FILE *f, const struct report *r, const struct report_place *p,
    const struct info_incarnation *inc)
{
	(void)fprintf(f, "<h3>PostgreSQL %d <span class=weak>system %" PRIu64
	    "</span></h3>\n", inc->inc.major, inc->inc.system_id);
	report_timeline(f, r, p, inc);
	report_charts(f, r, inc);
	report_sets(f, r, p, inc, REPO_BACKUP);
	report_sets(f, r, p, inc, REPO_DUMP);
}

static int64_t
newest_of(const struct info_incarnation *inc)
{
	int64_t t = 0;
	size_t i;

	for (i = 0; i < inc->backups.n; i++)
		if (inc->backups.list[i].commit.stop_time > t)
			t = inc->backups.list[i].commit.stop_time;
	return t;
}

/* The incarnation of now first: the others are looked at seldom. */
static void
place(FILE *f, const struct report *r, const struct report_place *p)
{
	const struct info *info = p->info;
	size_t i, first = 0;

	if (info == NULL)
		return;
	(void)fputs("<section><h2>Repository ", f);
	place_name(f, p);
	(void)fputs("</h2>\n", f);
	if (info->n == 0)
		(void)fputs("<p>Nothing of this cluster is in it.</p>\n", f);
	for (i = 0; i < info->n_odd; i++) {
		(void)fputs("<p><b>Odd:</b> ", f);
		html_text(f, info->odd[i]);
		(void)fputs("</p>\n", f);
	}
	for (i = 1; i < info->n; i++)
		if (newest_of(&info->incarnations[i]) >
		    newest_of(&info->incarnations[first]))
			first = i;
	if (info->n > 0)
		incarnation(f, r, p, &info->incarnations[first]);
	for (i = 0; i < info->n; i++) {
		if (i == first)
			continue;
		(void)fputs("<details><summary>An earlier server: ", f);
		(void)fprintf(f, "PostgreSQL %d</summary>\n",
		    info->incarnations[i].inc.major);
		incarnation(f, r, p, &info->incarnations[i]);
		(void)fputs("</details>\n", f);
	}
	(void)fputs("</section>\n", f);
}

void
report_write(const struct report *r, FILE *f)
{
	size_t i;

	head(f, r);
	(void)fputs("<section class=verdicts>\n", f);
	for (i = 0; i < r->n_places; i++)
		verdict(f, r, &r->places[i]);
	(void)fputs("</section>\n", f);
	for (i = 0; i < r->n_places; i++)
		place(f, r, &r->places[i]);
	report_largest(f, r->tables);
	report_settings(f, r);
	(void)fputs("</main>\n</body>\n</html>\n", f);
}
