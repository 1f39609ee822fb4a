/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/expire_wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

#define FOLDER_DIGITS 8

bool
expire_wal_keeps(const struct policy_line *line, const char *name)
{
	const char *last = strrchr(name, '/');
	struct wal_stored ws;
	uint32_t part;

	last = last == NULL ? name : last + 1;
	return line->wal_segment_size == 0 ||
	    !wal_store_parse(last, &ws, &part) ||
	    ws.file.type == WAL_FILE_HISTORY ||
	    !wal_file_fits(&ws.file, line->wal_segment_size) ||
	    policy_keeps_wal(line, ws.file.timeline,
		wal_segno(&ws.file, line->wal_segment_size));
}

struct listing {
	struct expire_wal *out;
	const struct policy_line *line;
	char folder[64]; /* "wal/TIMELINE/LOG/" */
	size_t first; /* of out->names: this folder's */
	uint32_t *logs; /* of a timeline */
	size_t n_logs;
};

static int
note_log(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct listing *l = arg;
	const size_t len = strcspn(entry->name, "/");
	char digits[FOLDER_DIGITS + 1], again[FOLDER_DIGITS + 1];

	(void)err;
	if (!entry->is_directory || len != FOLDER_DIGITS)
		return 0;
	memcpy(digits, entry->name, FOLDER_DIGITS);
	digits[FOLDER_DIGITS] = '\0';
	l->logs = xreallocarray(l->logs, l->n_logs + 1, sizeof(*l->logs));
	l->logs[l->n_logs] = (uint32_t)strtoul(digits, NULL, 16);
	(void)snprintf(again, sizeof(again), "%08X", l->logs[l->n_logs]);
	if (strcmp(again, digits) == 0)
		l->n_logs++;
	return 0;
}

static int
note_object(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct listing *l = arg;
	struct expire_wal *w = l->out;

	(void)err;
	if (entry->is_directory || expire_wal_keeps(l->line, entry->name))
		return 0;
	if (w->n == EXPIRE_WAL_MAX) {
		w->more = true;
		return 0;
	}
	if ((w->n & (w->n + 1)) == 0)
		w->names = xreallocarray(w->names, 2 * w->n + 2,
		    sizeof(*w->names));
	w->names[w->n++] = xasprintf("%s%s", l->folder, entry->name);
	w->bytes += entry->size;
	return 0;
}

/* Is there anything in this folder that may go? */
static bool
any_goes(const struct policy_line *line, uint32_t timeline, uint32_t log)
{
	const uint64_t each = (UINT64_C(1) << 32) / line->wal_segment_size;
	uint64_t i;

	for (i = 0; i < each; i++)
		if (!policy_keeps_wal(line, timeline, log * each + i))
			return true;
	return false;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The names are in order, so that those of one segment follow each other. */
static void
count_segments(struct listing *l)
{
	const size_t at = strlen(l->folder);
	struct expire_wal *w = l->out;
	size_t i;

	qsort(w->names + l->first, w->n - l->first, sizeof(*w->names),
	    by_name);
	for (i = l->first; i < w->n; i++)
		if (i == l->first || strncmp(w->names[i] + at,
		    w->names[i - 1] + at, WAL_SEGMENT_NAME_LEN) != 0)
			w->segments++;
}

static int
list_log(struct listing *l, struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, uint32_t log, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	if (l->out->more || !any_goes(l->line, timeline, log))
		return 0;
	(void)snprintf(l->folder, sizeof(l->folder), "wal/%08X/%08X/",
	    timeline, log);
	repo_key(inc, l->folder, key);
	l->first = l->out->n;
	if (storage_list(repo->st, key, true, note_object, l, err) != 0)
		return -1;
	if (l->out->n > l->first)
		count_segments(l);
	return 0;
}

static int
list_timeline(struct listing *l, struct repo *repo,
    const struct incarnation *inc, uint32_t timeline, survey_pulse_fn pulse,
    void *arg, struct err *err)
{
	char key[STORAGE_KEY_MAX], name[64];
	size_t i;
	int rc;

	(void)snprintf(name, sizeof(name), "wal/%08X/", timeline);
	repo_key(inc, name, key);
	l->n_logs = 0;
	rc = storage_list(repo->st, key, true, note_log, l, err);
	if (rc == 0 && l->n_logs > 1)
		qsort(l->logs, l->n_logs, sizeof(*l->logs), by_number);
	for (i = 0; i < l->n_logs && rc == 0; i++) {
		rc = list_log(l, repo, inc, timeline, l->logs[i], err);
		if (rc == 0)
			rc = pulse(arg, err);
	}
	return rc;
}

int
expire_wal_list(struct expire_wal *out, struct repo *repo,
    const struct retention_line *line, survey_pulse_fn pulse, void *arg,
    struct err *err)
{
	struct listing l = { .out = out, .line = line->line };
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (line->line->wal_segment_size == 0 || line->line->keep_all)
		return 0;
	for (i = 0; i < line->inc->n_timelines && rc == 0; i++)
		rc = list_timeline(&l, repo, &line->inc->inc,
		    line->inc->timelines[i].timeline, pulse, arg, err);
	free(l.logs);
	if (rc != 0)
		expire_wal_free(out);
	return rc;
}

void
expire_wal_free(struct expire_wal *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->names[i]);
	free(w->names);
	memset(w, 0, sizeof(*w));
}
