/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "core/text.h"
#include "report/report_private.h"

#define LANE 26
#define MIDDLE 13

/* What lies outside of the picture is not drawn at its edge. */
static bool
outside(const struct timeline *t, int64_t from, int64_t to)
{
	return to < t->scale.from || from > t->scale.to;
}

/* A bar with its title begun: the caller ends it by bar_end(). */
static void
bar(const struct timeline *t, const char *class, int64_t from, int64_t to)
{
	const double x = scale_x(&t->scale, from);
	double width = scale_x(&t->scale, to) - x;

	if (width < 0.25)
		width = 0.25; /* still to be seen */
	(void)fprintf(t->f, "<rect class=%s x=\"%.3f%%\" y=6 width=\"%.3f%%\" "
	    "height=14><title>", class, x, width);
}

static void
bar_end(const struct timeline *t)
{
	(void)fputs("</title></rect>", t->f);
}

/* Words on a bar, when it is wide enough for them on any screen. */
static void
words(const struct timeline *t, const char *class, int64_t from, int64_t to,
    const char *text)
{
	const double x = scale_x(&t->scale, from),
		     end = scale_x(&t->scale, to);

	if (end - x < 3.0 * (double)strlen(text))
		return;
	(void)fprintf(t->f, "<text class=\"on %s\" x=\"%.3f%%\" y=17>%s"
	    "</text>", class, (x + end) / 2, text);
}

void
timeline_promise(const struct timeline *t)
{
	const int64_t now = t->r->now;
	const int64_t from = t->inc->promised_from != 0 ?
	    t->inc->promised_from : now - t->p->retain;
	char age[32], text[64], when[HTML_TIME_MAX];

	if (t->p->retain == 0)
		return;
	timeline_open(t, "Promised", LANE);
	bar(t, "promise", from, now);
	(void)fprintf(t->f, "promised (retain): every moment since %s",
	    html_time_text(from, when));
	bar_end(t);
	(void)snprintf(text, sizeof(text), "%s%s", from < t->scale.from ?
	    "\xe2\x97\x82 " : "", notes_age(t->p->retain, age));
	words(t, "dark", from, now, text);
	timeline_close(t);
}

bool
timeline_let_go(const struct info_incarnation *inc,
    const struct wal_reach *before)
{
	char first[WAL_SEGMENT_NAME_LEN + 1], last[WAL_SEGMENT_NAME_LEN + 1];
	size_t low = 0, high = inc->n_ranges, middle;

	/* The last range that is before what is missing. */
	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcmp(inc->ranges[middle].last, before->missing) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return before->gap && low > 0 && info_gap(inc, low - 1, first, last) >
	    0 && strcmp(first, before->missing) == 0 &&
	    info_gap_was_removed(inc, low - 1);
}

bool
timeline_gap(const struct info_incarnation *inc, size_t window, int64_t now,
    int64_t *from, int64_t *to)
{
	const struct wal_reach *r = &inc->windows[window].reach;
	size_t i;
	int64_t begin;

	*from = r->proven_time;
	*to = now;
	if ((!r->gap && !r->conflict && !r->damaged) ||
	    timeline_let_go(inc, r))
		return false;
	for (i = 0; i < inc->n_windows; i++) {
		begin = inc->backups.list[inc->windows[i].backup]
		    .commit.stop_time;
		if (i != window && begin <= *from &&
		    inc->windows[i].reach.proven_time > *from)
			return false; /* another way leads on */
		if (begin > *from && begin < *to)
			*to = begin;
	}
	return *to > *from;
}

void
timeline_why_gap(FILE *f, const struct info_incarnation *inc,
    const struct wal_reach *before)
{
	const struct gap *g = gap_find(inc->given_up, inc->n_given_up,
	    before->missing);

	(void)fprintf(f, ": WAL segment %s %s", before->missing,
	    before->conflict ? "is stored with two contents" :
	    before->damaged ? "is damaged" : "is missing");
	if (g == NULL)
		return;
	(void)fputs(", given up at ", f);
	{
		char when[HTML_TIME_MAX];

		(void)fputs(html_time_text(g->from, when), f);
	}
	(void)fputs(" on ", f);
	html_text(f, g->host);
	(void)fprintf(f, " with %" PRIu64 " segment%s (archive-queue-max), "
	    "because: ", g->segments, g->segments == 1 ? "" : "s");
	html_text(f, g->reason);
}

static void
window(const struct timeline *t, size_t i)
{
	const struct info_window *w = &t->inc->windows[i];
	const struct commit *c = &t->inc->backups.list[w->backup].commit;
	const int64_t from = c->stop_time, to = w->reach.proven_time;
	char a[HTML_TIME_MAX], b[HTML_TIME_MAX];
	int64_t gap_from, gap_to;

	if (!outside(t, from, to)) {
		bar(t, "window", from, to);
		(void)fprintf(t->f, "every moment from %s to %s can be "
		    "restored", html_time_text(from, a),
		    html_time_text(to, b));
		bar_end(t);
		words(t, "light", from, to, "every moment");
	}
	if (!timeline_gap(t->inc, i, t->r->now, &gap_from, &gap_to) ||
	    outside(t, gap_from, gap_to))
		return;
	bar(t, "gap", gap_from, gap_to);
	(void)fprintf(t->f, "nothing from %s to %s can be restored",
	    html_time_text(gap_from, a), html_time_text(gap_to, b));
	timeline_why_gap(t->f, t->inc, &w->reach);
	bar_end(t);
	words(t, "gapword", gap_from, gap_to, "gap");
}

#define LANES_MAX 8 /* of timelines; the newest */

/* A lane for each timeline that a window ends on. */
void
timeline_windows(const struct timeline *t)
{
	uint32_t lanes[LANES_MAX + 1];
	char name[48];
	size_t n = 0, i, k;

	for (i = t->inc->n_windows; i > 0 && n < LANES_MAX; i--) {
		uint32_t one = t->inc->windows[i - 1].reach.end_timeline;

		for (k = 0; k < n && lanes[k] != one; k++)
			;
		if (k == n)
			lanes[n++] = one;
	}
	for (k = n; k > 0; k--) {
		(void)snprintf(name, sizeof(name), n == 1 ? "Restorable" :
		    "Timeline %u", lanes[k - 1]);
		timeline_open(t, name, LANE);
		for (i = 0; i < t->inc->n_windows; i++)
			if (t->inc->windows[i].reach.end_timeline ==
			    lanes[k - 1])
				window(t, i);
		timeline_close(t);
	}
}

/* A mark around a place that moves with the width: an svg of its own. */
static void
symbol(const struct timeline *t, int64_t at, const char *shape)
{
	(void)fprintf(t->f, "<svg class=at x=\"%.3f%%\" y=%d><g tabindex=0>%s"
	    "<title>", scale_x(&t->scale, at), MIDDLE, shape);
}

static void
symbol_end(const struct timeline *t)
{
	(void)fputs("</title></g></svg>", t->f);
}

#define CROSS "<path class=bad d=\"M-5-5L5 5M5-5L-5 5\"></path>"

static const char *
shape_of(const struct info_backup *b, enum repo_kind kind)
{
	if (!b->usable || b->commit.damaged_count > 0)
		return CROSS;
	if (kind == REPO_DUMP)
		return b->leaving ?
		    "<path class=\"dump hollow\" d=\"M0-6l6 6-6 6-6-6z\">"
		    "</path>" :
		    "<path class=dump d=\"M0-6l6 6-6 6-6-6z\"></path>";
	if (b->commit.parent[0] == '\0')
		return b->leaving ? "<rect class=\"full hollow\" x=-5 y=-5 "
				    "width=10 height=10></rect>" :
				    "<rect class=full x=-5 y=-5 width=10 "
				    "height=10></rect>";
	return b->leaving ?
	    "<circle class=\"incr hollow\" r=4.5></circle>" :
	    "<circle class=incr r=4.5></circle>";
}

static void
set(const struct timeline *t, const struct info_backup *b,
    enum repo_kind kind)
{
	const struct commit *c = &b->commit;
	char when[HTML_TIME_MAX], size[TEXT_SIZE_MAX];

	if (b->problem.code != ERR_NONE ||
	    outside(t, c->stop_time, c->stop_time))
		return;
	symbol(t, c->stop_time, shape_of(b, kind));
	(void)fprintf(t->f, "%s ", kind == REPO_DUMP ? "dump of" :
	    c->parent[0] == '\0' ? "full backup" : "incremental backup");
	if (kind == REPO_DUMP)
		html_text(t->f, c->dump.globals ? "roles and tablespaces" :
		    c->dump.database);
	(void)fprintf(t->f, "%s%s, ended %s, %s", kind == REPO_DUMP ? ", " : "",
	    b->label, html_time_text(c->stop_time, when),
	    text_human_size(c->original_bytes, size));
	if (!b->usable)
		(void)fputs(", NOT USABLE: ", t->f);
	html_text(t->f, b->usable ? NULL : b->unusable.msg);
	if (c->damaged_count > 0)
		(void)fprintf(t->f, ", damaged pages: %" PRIu64,
		    c->damaged_count);
	if (b->leaving)
		(void)fputs(", listed for removal", t->f);
	symbol_end(t);
}

static void
running(const struct timeline *t, enum repo_kind kind)
{
	const struct report_running *run;
	char when[HTML_TIME_MAX];
	size_t i;

	for (i = 0; i < t->p->n_running; i++) {
		run = &t->p->running[i];
		if (run->inc != t->inc || run->kind != kind)
			continue;
		bar(t, "running", run->lease.started, t->r->now);
		html_text(t->f, run->lease.purpose);
		(void)fprintf(t->f, " running since %s on ",
		    html_time_text(run->lease.started, when));
		html_text(t->f, run->lease.host);
		bar_end(t);
	}
}

static void
failure(const struct timeline *t, const struct notes_set *facts,
    const char *kind)
{
	char when[HTML_TIME_MAX];

	if (facts->failed == 0 || outside(t, facts->failed, facts->failed))
		return;
	symbol(t, facts->failed, CROSS);
	(void)fprintf(t->f, "a %s failed at %s: ", kind,
	    html_time_text(facts->failed, when));
	html_text(t->f, facts->error);
	symbol_end(t);
}

void
timeline_sets(const struct timeline *t, enum repo_kind kind)
{
	const struct info_set *all = kind == REPO_DUMP ? &t->inc->dumps :
							 &t->inc->backups;
	const struct notes *facts = t->p->facts;
	size_t i;

	timeline_open(t, kind == REPO_DUMP ? "Dumps" : "Backups", LANE);
	running(t, kind);
	for (i = 0; i < all->n; i++)
		set(t, &all->list[i], kind);
	/* What this host knows is of its server of now. */
	if (t->inc->inc.system_id == facts->system_id)
		failure(t, kind == REPO_DUMP ? &facts->dump : &facts->backup,
		    repo_kind_name(kind));
	timeline_close(t);
}

static void
pinned(const struct timeline *t, const struct info_set *all)
{
	const struct pin *pin;
	char when[HTML_TIME_MAX];
	int64_t from, until;
	size_t i;

	for (i = 0; i < all->n; i++) {
		pin = all->list[i].pin;
		if (pin == NULL || all->list[i].problem.code != ERR_NONE)
			continue;
		from = all->list[i].commit.stop_time;
		until = pin->until != 0 ? pin->until : t->scale.to;
		if (outside(t, from, until))
			continue;
		bar(t, "pin", from, until);
		(void)fprintf(t->f, "%s pinned %s%s", all->list[i].label,
		    pin->until == 0 ? "until it is unpinned" : "until ",
		    pin->until == 0 ? "" : html_time_text(until, when));
		if (pin->reason[0] != '\0')
			(void)fputs(": ", t->f);
		html_text(t->f, pin->reason);
		bar_end(t);
	}
}

void
timeline_pins(const struct timeline *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->inc->backups.n; i++)
		n += t->inc->backups.list[i].pin != NULL;
	for (i = 0; i < t->inc->dumps.n; i++)
		n += t->inc->dumps.list[i].pin != NULL;
	if (n == 0)
		return;
	timeline_open(t, "Pinned", LANE);
	pinned(t, &t->inc->backups);
	pinned(t, &t->inc->dumps);
	timeline_close(t);
}
