/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushhistory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/history.h"

/* Where NNNNNNNN.history stands: beside the segment. The caller frees. */
static char *
history_path(const struct wal_push_file *segment, uint32_t timeline)
{
	const char *slash = strrchr(segment->path, '/');
	int dir = slash == NULL ? 0 : (int)(slash - segment->path) + 1;

	return xasprintf("%.*s%08X.history", dir, segment->path, timeline);
}

static int
is_stored(const struct wal_push_file *segment, uint32_t timeline,
    bool *stored, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];
	struct wal_stored *ws = NULL;
	struct wal_file file;
	size_t n = 0;

	(void)snprintf(name, sizeof(name), "%08X.history", timeline);
	if (wal_file_parse(name, &file, err) != 0 ||
	    wal_store_find(segment->repo, segment->inc, &file, &ws, &n,
	    err) != 0)
		return -1;
	free(ws);
	*stored = n > 0;
	return 0;
}

/* Store one; *there: the file exists. */
static int
push_one(const struct wal_push_file *segment, uint32_t timeline, bool *there,
    struct err *err)
{
	struct wal_push_file f = *segment;
	struct wal_push_result result;
	char *path = history_path(segment, timeline);
	int ret = -1;

	f.path = path;
	if (io_exists(path, there, err) == 0)
		ret = 0;
	if (ret == 0 && *there) {
		ret = wal_file_parse(strrchr(path, '/') == NULL ? path :
		    strrchr(path, '/') + 1, &f.name, err);
		if (ret == 0)
			ret = wal_push_file(&f, &result, err);
		if (ret == 0)
			log_info("stored %s too, which was never archived",
			    f.name.name);
		else
			err_wrap(err, "archive %08X.history first", timeline);
	}
	free(path);
	return ret;
}

/* The timelines that lead to this one, from its history file. */
static int
push_ancestors(const struct wal_push_file *segment, uint32_t timeline,
    struct err *err)
{
	char *path = history_path(segment, timeline);
	struct history h = { .entries = NULL };
	struct buf text;
	bool stored, there;
	size_t i;
	int ret;

	buf_init(&text, HISTORY_FILE_MAX);
	ret = io_read_file(path, &text, err);
	if (ret == 0)
		ret = history_decode(timeline, buf_str(&text), text.len, &h,
		    err);
	for (i = 0; ret == 0 && i + 1 < h.n; i++) {
		if (h.entries[i].timeline == 1)
			continue;
		ret = is_stored(segment, h.entries[i].timeline, &stored, err);
		if (ret == 0 && !stored)
			ret = push_one(segment, h.entries[i].timeline, &there,
			    err);
	}
	history_free(&h);
	buf_free(&text);
	free(path);
	return ret;
}

int
wal_push_histories(const struct wal_push_file *segment, struct err *err)
{
	uint32_t timeline = segment->name.timeline;
	bool stored, there;

	if (timeline == 1 || (segment->name.type != WAL_FILE_SEGMENT &&
	    segment->name.type != WAL_FILE_PARTIAL))
		return 0;
	if (is_stored(segment, timeline, &stored, err) != 0)
		return -1;
	if (stored)
		return 0;
	if (push_one(segment, timeline, &there, err) != 0)
		return -1;
	if (!there) {
		log_warning("%08X.history is neither stored nor beside %s: "
		    "without it nothing can be recovered to timeline %u",
		    timeline, segment->path, timeline);
		return 0;
	}
	return push_ancestors(segment, timeline, err);
}
