/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <string.h>

#include "core/text.h"
#include "report/report_private.h"

/* The picture is so high, and its lines are as long as `lines`. */
static void
open_lane(const struct timeline *t, const char *name, int height, int lines)
{
	size_t i;

	(void)fprintf(t->f, "<div class=lane><div class=name>%s</div>"
	    "<svg height=%d role=img aria-label=\"%s\">", name, height,
	    name[0] == '\0' ? "Times" : name);
	for (i = 0; i < t->n_ticks; i++)
		(void)fprintf(t->f, "<line class=grid x1=\"%.3f%%\" "
		    "x2=\"%.3f%%\" y1=0 y2=%d></line>",
		    scale_x(&t->scale, t->ticks[i].at),
		    scale_x(&t->scale, t->ticks[i].at), lines);
	(void)fprintf(t->f, "<line class=now x1=\"%.3f%%\" x2=\"%.3f%%\" y1=0 "
	    "y2=%d></line>", scale_x(&t->scale, t->r->now),
	    scale_x(&t->scale, t->r->now), lines);
}

void
timeline_open(const struct timeline *t, const char *name, int height)
{
	open_lane(t, name, height, height);
}

void
timeline_close(const struct timeline *t)
{
	(void)fputs("</svg></div>\n", t->f);
}

/* What is too near to "now" or to an edge would lie over it. */
static void
axis(const struct timeline *t)
{
	const double now = scale_x(&t->scale, t->r->now);
	double x;
	size_t i;

	open_lane(t, "", 24, 4);
	for (i = 0; i < t->n_ticks; i++) {
		x = scale_x(&t->scale, t->ticks[i].at);
		if (x < 3 || x > now - 6)
			continue;
		(void)fprintf(t->f, "<text class=\"tick%s\" x=\"%.3f%%\" "
		    "y=17>%s</text>", i % 2 == 1 ? " odd" : "", x,
		    t->ticks[i].label);
	}
	(void)fprintf(t->f, "<text class=\"tick nowword\" x=\"%.3f%%\" y=17>"
	    "now</text>", now);
	timeline_close(t);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return b != 0 && b < a ? b : a;
}

static int64_t
first_of(const struct info_set *set, int64_t t)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (set->list[i].problem.code == ERR_NONE)
			t = earlier(t, set->list[i].commit.start_time);
	return t;
}

/* The first moment of all that is there. */
static int64_t
beginning(const struct info_incarnation *inc, int64_t now)
{
	int64_t t = first_of(&inc->dumps, first_of(&inc->backups, now));

	/* A clock that was wrong must not push all else together. */
	return t < now - 3653 * REPORT_DAY ? now - 3653 * REPORT_DAY : t;
}

static void
picture(struct timeline *t, int64_t from, const char *title)
{
	int64_t span = t->r->now - from;

	if (span < 600 * INT64_C(1000000))
		span = 600 * INT64_C(1000000);
	t->scale.from = t->r->now - span - span / 40;
	t->scale.to = t->r->now + span / 20;
	t->n_ticks = scale_ticks(&t->scale, t->ticks);
	(void)fprintf(t->f, "<figure class=timeline><figcaption>%s"
	    "</figcaption>\n", title);
	timeline_promise(t);
	timeline_windows(t);
	timeline_sets(t, REPO_BACKUP);
	if (t->inc->dumps.n > 0)
		timeline_sets(t, REPO_DUMP);
	timeline_pins(t);
	axis(t);
	(void)fputs("</figure>\n", t->f);
}

static void
mark(FILE *f, const char *shape, const char *word)
{
	(void)fprintf(f, "<span class=key><svg width=20 height=16 "
	    "aria-hidden=true>%s</svg>%s</span>\n", shape, word);
}

static void
legend(FILE *f, const struct info_incarnation *inc)
{
	(void)fputs("<p class=legend>", f);
	mark(f, "<rect class=window x=0 y=3 width=20 height=10></rect>",
	    "every moment can be restored");
	mark(f, "<rect class=gap x=0 y=3 width=20 height=10></rect>",
	    "nothing of this time can");
	mark(f, "<rect class=full x=5 y=3 width=10 height=10></rect>",
	    "full backup");
	mark(f, "<circle class=incr cx=10 cy=8 r=4.5></circle>",
	    "incremental (restores by itself)");
	if (inc->dumps.n > 0)
		mark(f, "<path class=dump d=\"M10 2l6 6-6 6-6-6z\"></path>",
		    "dump");
	mark(f, "<path class=bad d=\"M5 3l10 10M15 3L5 13\"></path>",
	    "damaged or failed");
	mark(f, "<rect class=\"full hollow\" x=5 y=3 width=10 height=10>"
		"</rect>", "hollow: listed for removal");
	mark(f, "<rect class=running x=1 y=3 width=18 height=10></rect>",
	    "running");
	(void)fputs("</p>\n", f);
}

static void
say_window(FILE *f, const struct info_incarnation *inc, size_t i,
    int64_t now)
{
	const struct info_window *w = &inc->windows[i];
	const struct commit *c = &inc->backups.list[w->backup].commit;
	int64_t from, to;

	(void)fputs("<li><b class=good>Can be restored:</b> every moment "
	    "from ", f);
	html_time(f, c->stop_time);
	(void)fputs(" to ", f);
	html_time(f, w->reach.proven_time);
	(void)fprintf(f, ", timeline %u", w->reach.end_timeline);
	(void)fputs(" (", f);
	html_span(f, w->reach.proven_time - c->stop_time);
	(void)fputs(timeline_let_go(inc, &w->reach) ?
		"); retention let the WAL after it go</li>\n" : ")</li>\n", f);
	if (!timeline_gap(inc, i, now, &from, &to))
		return;
	(void)fputs("<li><b class=bad>Gap:</b> nothing between ", f);
	html_time(f, from);
	(void)fputs(" and ", f);
	html_time(f, to);
	timeline_why_gap(f, inc, &w->reach);
	(void)fputs("</li>\n", f);
}

#define SAID_MAX 12

/* The newest first. */
static void
in_words(FILE *f, const struct info_incarnation *inc, int64_t now)
{
	size_t i, said = 0;

	(void)fputs("<ul class=said>\n", f);
	if (inc->n_windows == 0) {
		(void)fputs("<li><b class=bad>No moment can be restored:</b> ",
		    f);
		html_text(f, info_no_recovery(inc));
		(void)fputs("</li>\n", f);
	}
	for (i = inc->n_windows; i > 0 && said < SAID_MAX; i--, said++)
		say_window(f, inc, i - 1, now);
	if (i > 0) {
		(void)fputs("<li>and ", f);
		html_number(f, i, "older window");
		(void)fputs(": <code>dapk-backup info</code> has them all"
		    "</li>\n", f);
	}
	for (i = 0; i < inc->n_problems && i < SAID_MAX; i++) {
		(void)fputs("<li><b class=bad>Damaged:</b> ", f);
		html_text(f, inc->problems[i].msg);
		(void)fputs("</li>\n", f);
	}
	(void)fputs("</ul>\n", f);
}

void
report_timeline(FILE *f, const struct report *r,
    const struct report_place *p, const struct info_incarnation *inc)
{
	struct timeline t = { .f = f, .r = r, .p = p, .inc = inc };
	const int64_t first = beginning(inc, r->now);
	const bool two = p->retain > 0 && first < r->now - 2 * p->retain;
	char title[96], age[32];

	in_words(f, inc, r->now);
	if (two) {
		(void)snprintf(title, sizeof(title), "The last %s",
		    notes_age(p->retain, age));
		picture(&t, r->now - p->retain, title);
	}
	picture(&t, first, two ? "All that is kept" : "What can be restored");
	legend(f, inc);
}
