/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <string.h>

#include "core/text.h"
#include "report/report_private.h"

#define HOUR (INT64_C(3600) * 1000000)
#define HEIGHT 120 /* of the bars' field */
#define TOP 16

/* What came in a bar's time, stacked from below. */
enum { WAL, BACKUPS, DUMPS, KINDS };
static const char *const classes[KINDS] = { "wal", "full", "dump" };
static const char *const kind_names[KINDS] = { "WAL", "backups", "dumps" };

struct chart {
	FILE *f;
	struct scale scale;
	struct scale_bar bars[SCALE_BARS_MAX];
	size_t n;
	const char *unit; /* "day" */
	uint64_t values[SCALE_BARS_MAX][KINDS];
	uint64_t segments[SCALE_BARS_MAX];
	uint64_t max;
};

static uint64_t
sum(const uint64_t v[KINDS])
{
	return v[WAL] + v[BACKUPS] + v[DUMPS];
}

static void
find_max(struct chart *c)
{
	size_t i;

	c->max = 1;
	for (i = 0; i < c->n; i++)
		if (sum(c->values[i]) > c->max)
			c->max = sum(c->values[i]);
	c->max = scale_round_up(c->max);
}

static void
grid(const struct chart *c)
{
	int half, y;

	for (half = 0; half <= 2; half++) {
		y = TOP + HEIGHT * half / 2;
		(void)fprintf(c->f, "<line class=grid x1=0 x2=\"100%%\" y1=%d "
		    "y2=%d></line>", y, y);
	}
}

/* Over the bars: they would hide it. */
static void
heights(const struct chart *c)
{
	char size[TEXT_SIZE_MAX];

	(void)fprintf(c->f, "<text class=scale x=0 y=%d>%s</text>", TOP - 3,
	    text_human_size(c->max, size));
	(void)fprintf(c->f, "<text class=scale x=0 y=%d>%s</text>",
	    TOP + HEIGHT / 2 - 3, text_human_size(c->max / 2, size));
}

static void
axis(const struct chart *c)
{
	struct scale_tick ticks[SCALE_TICKS_MAX];
	size_t n = scale_ticks(&c->scale, ticks), i;
	double x;

	for (i = 0; i < n; i++) {
		x = scale_x(&c->scale, ticks[i].at);
		if (x < 4 || x > 96)
			continue;
		(void)fprintf(c->f, "<text class=\"tick%s\" x=\"%.3f%%\" y=%d>"
		    "%s</text>", i % 2 == 1 ? " odd" : "", x,
		    TOP + HEIGHT + 16, ticks[i].label);
	}
}

static void
one_bar(const struct chart *c, size_t i)
{
	const double x = scale_x(&c->scale, c->bars[i].from),
		     width = scale_x(&c->scale, c->bars[i].to) - x;
	double bottom = TOP + HEIGHT, height;
	char size[TEXT_SIZE_MAX], when[HTML_TIME_MAX];
	int k;

	if (sum(c->values[i]) == 0)
		return;
	(void)fputs("<g tabindex=0>", c->f);
	for (k = 0; k < KINDS; k++) {
		if (c->values[i][k] == 0)
			continue;
		height = HEIGHT * (double)c->values[i][k] / (double)c->max;
		if (height < 1)
			height = 1; /* there is something */
		bottom -= height;
		(void)fprintf(c->f, "<rect class=%s x=\"%.3f%%\" y=\"%.2f\" "
		    "width=\"%.3f%%\" height=\"%.2f\"></rect>", classes[k],
		    x + width * 0.08, bottom, width * 0.84, height);
	}
	(void)fprintf(c->f, "<title>%.16s", html_time_text(c->bars[i].from,
	    when));
	for (k = 0; k < KINDS; k++)
		if (c->values[i][k] > 0)
			(void)fprintf(c->f, "%s %s %s", k == 0 ? "," : ";",
			    text_human_size(c->values[i][k], size),
			    kind_names[k]);
	if (c->segments[i] > 0) {
		(void)fputs(", ", c->f);
		html_number(c->f, c->segments[i], "segment");
	}
	(void)fputs("</title></g>", c->f);
}

static void
draw(const struct chart *c, const char *title)
{
	size_t i;

	(void)fprintf(c->f, "<figure class=chart><figcaption>%s</figcaption>"
	    "<svg height=%d role=img aria-label=\"%s\">", title,
	    TOP + HEIGHT + 24, title);
	grid(c);
	for (i = 0; i < c->n; i++)
		one_bar(c, i);
	heights(c);
	axis(c);
	(void)fputs("</svg>", c->f);
}

static void
wal_rate(struct chart *c, const struct info_incarnation *inc)
{
	uint64_t segments = 0, bytes = 0;
	char title[128];
	size_t i, at;

	memset(c->values, 0, sizeof(c->values));
	memset(c->segments, 0, sizeof(c->segments));
	for (i = 0; i < inc->n_hours; i++) {
		at = scale_bar_of(c->bars, c->n, inc->hours[i].hour * HOUR);
		segments += inc->hours[i].segments;
		bytes += inc->hours[i].bytes;
		if (at == c->n)
			continue;
		c->segments[at] += inc->hours[i].segments;
		c->values[at][WAL] += inc->hours[i].segments *
		    inc->wal_segment_size;
	}
	find_max(c);
	(void)snprintf(title, sizeof(title), "WAL archived in each %s",
	    c->unit);
	draw(c, title);
	(void)fputs("<p class=note>", c->f);
	html_number(c->f, segments, "segment");
	(void)fputs(", ", c->f);
	html_size(c->f, segments * inc->wal_segment_size);
	(void)fputs(", stored as ", c->f);
	html_size(c->f, bytes);
	(void)fputs("; by the time at which it arrived in this repository"
	    "</p></figure>\n", c->f);
}

static void
add_set(struct chart *c, const struct info_set *set, int kind)
{
	const struct info_backup *b;
	size_t i, at;

	c->values[0][kind] += set->orphan_bytes;
	for (i = 0; i < set->n; i++) {
		b = &set->list[i];
		if (b->problem.code != ERR_NONE)
			continue;
		at = scale_bar_of(c->bars, c->n, b->commit.stop_time);
		c->values[at == c->n ? 0 : at][kind] += set->shares_known ?
		    b->share.made_bytes : b->commit.stored_bytes;
	}
}

static void
stored(struct chart *c, const struct info_incarnation *inc)
{
	static const char title[] = "What is stored, and since when";
	size_t i, at;
	int k;

	memset(c->values, 0, sizeof(c->values));
	memset(c->segments, 0, sizeof(c->segments));
	add_set(c, &inc->backups, BACKUPS);
	add_set(c, &inc->dumps, DUMPS);
	for (i = 0; i < inc->n_hours; i++) {
		at = scale_bar_of(c->bars, c->n, inc->hours[i].hour * HOUR);
		c->values[at == c->n ? 0 : at][WAL] += inc->hours[i].bytes;
	}
	for (i = 1; i < c->n; i++)
		for (k = 0; k < KINDS; k++)
			c->values[i][k] += c->values[i - 1][k];
	find_max(c);
	draw(c, title);
	(void)fputs("<p class=note>", c->f);
	for (k = 0; k < KINDS; k++) {
		if (c->values[c->n - 1][k] == 0)
			continue;
		(void)fprintf(c->f, "<span class=key><svg width=12 height=12 "
		    "aria-hidden=true><rect class=%s width=12 height=12>"
		    "</rect></svg>%s ", classes[k], kind_names[k]);
		html_size(c->f, c->values[c->n - 1][k]);
		(void)fputs("</span> ", c->f);
	}
	(void)fputs("in all ", c->f);
	html_size(c->f, sum(c->values[c->n - 1]));
	(void)fputs("; what was removed since is not in it</p></figure>\n",
	    c->f);
}

static int64_t
first_time(const struct info_incarnation *inc, int64_t now)
{
	int64_t t = now - HOUR;
	size_t i;

	for (i = 0; i < inc->backups.n; i++)
		if (inc->backups.list[i].problem.code == ERR_NONE &&
		    inc->backups.list[i].commit.stop_time < t)
			t = inc->backups.list[i].commit.stop_time;
	for (i = 0; i < inc->dumps.n; i++)
		if (inc->dumps.list[i].problem.code == ERR_NONE &&
		    inc->dumps.list[i].commit.stop_time < t)
			t = inc->dumps.list[i].commit.stop_time;
	if (inc->n_hours > 0 && inc->hours[0].hour * HOUR < t)
		t = inc->hours[0].hour * HOUR;
	return t < now - 3653 * REPORT_DAY ? now - 3653 * REPORT_DAY : t;
}

void
report_charts(FILE *f, const struct report *r,
    const struct info_incarnation *inc)
{
	struct chart c = { .f = f };

	if (inc->n_hours + inc->backups.n + inc->dumps.n == 0)
		return;
	c.scale.from = first_time(inc, r->now);
	c.scale.to = r->now + 1;
	c.n = scale_bars(&c.scale, c.bars, &c.unit);
	if (c.n == 0)
		return;
	/* Whole bars, so that the first and the last are as wide. */
	c.scale.from = c.bars[0].from;
	c.scale.to = c.bars[c.n - 1].to;
	if (c.n < 12) /* nor is a lonely one as wide as the page */
		c.scale.from -= (int64_t)(12 - c.n) *
		    (c.bars[0].to - c.bars[0].from);
	(void)fputs("<div class=charts>\n", f);
	wal_rate(&c, inc);
	stored(&c, inc);
	(void)fputs("</div>\n", f);
}
