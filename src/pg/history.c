/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/history.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define LSN_OPEN UINT64_MAX

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The line's words; a missing one is "". line is NUL-terminated, changed. */
static void
split_line(char *line, char **timeline, char **lsn)
{
	char *p = line;

	while (is_blank(*p))
		p++;
	*timeline = p;
	while (*p != '\0' && !is_blank(*p))
		p++;
	if (*p != '\0')
		*p++ = '\0';
	while (is_blank(*p))
		p++;
	*lsn = p;
	while (*p != '\0' && !is_blank(*p))
		p++;
	*p = '\0';
}

/* The number is decimal here, unlike in file names. */
static bool
parse_timeline(const char *s, uint32_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)v;
	return v != 0;
}

static int
damaged(uint32_t timeline, size_t line_no, const char *what, struct err *err)
{
	return err_set(err, ERR_DAMAGED,
	    "history of timeline %u, line %zu: %s", timeline, line_no, what);
}

static int
add_line(struct history *h, char *line, size_t line_no, struct err *err)
{
	struct history_entry *e = &h->entries[h->n];
	char *timeline, *lsn;

	split_line(line, &timeline, &lsn);
	if (*timeline == '\0' || *timeline == '#')
		return 0;
	if (h->n == HISTORY_ENTRIES_MAX - 1)
		return damaged(h->timeline, line_no, "too many timelines", err);
	if (!parse_timeline(timeline, &e->timeline))
		return damaged(h->timeline, line_no, "no timeline number", err);
	if (!lsn_parse(lsn, &e->end) || e->end == LSN_OPEN)
		return damaged(h->timeline, line_no, "no WAL location", err);
	e->begin = h->n == 0 ? 0 : h->entries[h->n - 1].end;
	if (h->n > 0 && e->timeline <= h->entries[h->n - 1].timeline)
		return damaged(h->timeline, line_no,
		    "timelines are not ascending", err);
	if (e->end < e->begin)
		return damaged(h->timeline, line_no,
		    "WAL locations are not ascending", err);
	if (e->timeline >= h->timeline)
		return damaged(h->timeline, line_no,
		    "an ancestor is not older than the timeline", err);
	h->n++;
	return 0;
}

int
history_decode(uint32_t timeline, const char *text, size_t len,
    struct history *out, struct err *err)
{
	struct history h = { .timeline = timeline };
	char *copy = NULL, *line, *next;
	size_t line_no = 0;
	int ret = -1;

	if (timeline == 0)
		return err_set(err, ERR_DAMAGED, "there is no timeline 0");
	if (len > HISTORY_FILE_MAX || memchr(text, '\0', len) != NULL)
		return err_set(err, ERR_DAMAGED,
		    "history of timeline %u: not a history file", timeline);
	copy = xstrndup(text, len);
	h.entries = xcalloc(HISTORY_ENTRIES_MAX, sizeof(*h.entries));
	for (line = copy; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (add_line(&h, line, ++line_no, err) != 0)
			goto out;
	}
	h.entries[h.n].timeline = timeline;
	h.entries[h.n].begin = h.n == 0 ? 0 : h.entries[h.n - 1].end;
	h.entries[h.n].end = LSN_OPEN;
	h.n++;
	h.entries = xreallocarray(h.entries, h.n, sizeof(*h.entries));
	*out = h;
	h.entries = NULL;
	ret = 0;
out:
	history_free(&h);
	free(copy);
	return ret;
}

void
history_single(uint32_t timeline, struct history *out)
{
	out->timeline = timeline;
	out->entries = xcalloc(1, sizeof(*out->entries));
	out->entries[0].timeline = timeline;
	out->entries[0].end = LSN_OPEN;
	out->n = 1;
}

void
history_free(struct history *h)
{
	if (h == NULL)
		return;
	free(h->entries);
	h->entries = NULL;
	h->n = 0;
}

const struct history_entry *
history_at(const struct history *h, pg_lsn lsn)
{
	size_t i;

	for (i = 0; i + 1 < h->n; i++)
		if (lsn < h->entries[i].end)
			break;
	return &h->entries[i];
}

const struct history_entry *
history_find(const struct history *h, uint32_t timeline)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->entries[i].timeline == timeline)
			return &h->entries[i];
	return NULL;
}

bool
history_contains(const struct history *h, uint32_t timeline, pg_lsn lsn)
{
	const struct history_entry *e = history_find(h, timeline);

	return e != NULL && lsn <= e->end;
}
