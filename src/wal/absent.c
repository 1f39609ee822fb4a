/* SPDX-License-Identifier: PostgreSQL */
/*
 * Only the folders from the wanted segment on are listed, so that a standby
 * that asks every few seconds does not read the names of the whole archive.
 */
#include "config.h"

#include "wal/absent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "pg/history.h"
#include "repo/gap.h"
#include "repo/walstore.h"

#define LOG_DIGITS 8
#define TAIL_MAX 64

static int
note_any(void *arg, const struct storage_entry *e, struct err *err)
{
	(void)e;
	(void)err;
	*(bool *)arg = true;
	return 0;
}

/* An incarnation without a folder: a mistyped cluster, prefix or URL. */
static int
check_incarnation(struct repo *repo, const struct incarnation *inc,
    bool *unknown, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	bool any = false;

	repo_key(inc, "", key);
	if (storage_list(repo->st, key, true, note_any, &any, err) != 0)
		return -1;
	*unknown = !any;
	if (any)
		return 0;
	err_set(err, ERR_REFUSED,
	    "%s has nothing of cluster %s, PostgreSQL %d, system %llu",
	    storage_url(repo->st), inc->cluster, inc->major,
	    (unsigned long long)inc->system_id);
	return err_hint(err,
	    "is this the right repository and --cluster? See what it has: "
	    "dapk-backup info");
}

/* The log folders of a timeline from one number on. */
struct logs {
	uint32_t from;
	uint32_t *log;
	size_t n, cap;
};

static int
note_log(void *arg, const struct storage_entry *e, struct err *err)
{
	struct logs *l = arg;
	char name[LOG_DIGITS + 1];
	uint64_t log;

	(void)err;
	if (!e->is_directory || strlen(e->name) < LOG_DIGITS)
		return 0;
	(void)snprintf(name, sizeof(name), "%.8s", e->name);
	if (!text_hex_u64(name, LOG_DIGITS, &log) || log < l->from)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->log = xreallocarray(l->log, l->cap, sizeof(*l->log));
	}
	l->log[l->n++] = (uint32_t)log;
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The first segment (or .partial) after `name`, "" when there is none. */
struct later {
	const char *name;
	char first[WAL_SEGMENT_NAME_LEN + 1];
};

static int
note_later(void *arg, const struct storage_entry *e, struct err *err)
{
	static const char partial[] = ".partial-";
	struct later *l = arg;
	const char *rest = e->name + WAL_SEGMENT_NAME_LEN;

	(void)err;
	if (e->is_directory || strlen(e->name) <= WAL_SEGMENT_NAME_LEN ||
	    (rest[0] != '-' &&
		strncmp(rest, partial, sizeof(partial) - 1) != 0) ||
	    strstr(rest, ".part-") != NULL)
		return 0;
	if (strncmp(e->name, l->name, WAL_SEGMENT_NAME_LEN) > 0 &&
	    (l->first[0] == '\0' ||
		strncmp(e->name, l->first, WAL_SEGMENT_NAME_LEN) < 0))
		memcpy(l->first, e->name, WAL_SEGMENT_NAME_LEN);
	return 0;
}

static int
find_later(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct later *out, struct err *err)
{
	struct logs logs = { .from = file->log };
	char tail[TAIL_MAX], key[STORAGE_KEY_MAX];
	size_t i;
	int ret;

	memset(out, 0, sizeof(*out));
	out->name = file->segment;
	(void)snprintf(tail, sizeof(tail), "wal/%08X/", file->timeline);
	repo_key(inc, tail, key);
	ret = storage_list(repo->st, key, true, note_log, &logs, err);
	if (ret == 0 && logs.n > 0)
		qsort(logs.log, logs.n, sizeof(*logs.log), by_number);
	for (i = 0; ret == 0 && i < logs.n && out->first[0] == '\0'; i++) {
		(void)snprintf(tail, sizeof(tail), "wal/%08X/%08X/",
		    file->timeline, logs.log[i]);
		repo_key(inc, tail, key);
		ret = storage_list(repo->st, key, true, note_later, out, err);
	}
	free(logs.log);
	return ret;
}

static int
history_missing(uint32_t timeline, const char *why, struct err *err)
{
	err_set(err, ERR_DAMAGED, "%08X.history is not stored, but %s",
	    timeline, why);
	return err_hint(err,
	    "a server that was on timeline %u still has it in its pg_wal: "
	    "dapk-backup archive-push PGDATA/pg_wal/%08X.history",
	    timeline, timeline);
}

static int
read_history(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, struct history *out, struct err *err)
{
	if (wal_store_history(repo, inc, timeline, out, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return history_missing(timeline, "WAL of that timeline is", err);
}

static int
gap(const struct wal_file *file, struct err *err, const char *why)
{
	err_set(err, ERR_DAMAGED, "%s is missing in the repository, but %s",
	    file->segment, why);
	return err_hint(err,
	    "if a server still has it: dapk-backup archive-push "
	    "PGDATA/pg_wal/%s; else recover to a target before it",
	    file->segment);
}

/* Later segments are stored: fine only when it is before the timeline. */
static int
prove_before_begin(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, const char *later,
    bool *before, struct err *err)
{
	char why[128];
	struct history h;
	const struct history_entry *e;

	*before = false;
	(void)snprintf(why, sizeof(why), "later WAL is stored, from %s on",
	    later);
	if (file->timeline == 1)
		return gap(file, err, why);
	if (read_history(repo, inc, file->timeline, &h, err) != 0)
		return -1;
	e = history_find(&h, file->timeline);
	*before = e != NULL && wal_segno(file, segment_size) <
	    wal_segno_of_lsn(e->begin, segment_size);
	history_free(&h);
	return *before ? 0 : gap(file, err, why);
}

/* Does a stored timeline prove that the whole segment has existed? */
static int
check_descendant(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, uint32_t timeline,
    struct err *err)
{
	uint64_t segno = wal_segno(file, segment_size);
	const struct history_entry *e;
	char why[128], lsn[LSN_TEXT_MAX];
	struct history h;
	int ret = 0;

	if (read_history(repo, inc, timeline, &h, err) != 0)
		return -1;
	e = history_find(&h, file->timeline);
	if (e != NULL && segno >= wal_segno_of_lsn(e->begin, segment_size) &&
	    wal_segment_start(segno + 1, segment_size) <= e->end) {
		(void)snprintf(why, sizeof(why),
		    "timeline %u goes on from timeline %u only at %s",
		    timeline, file->timeline, lsn_format(e->end, lsn));
		ret = gap(file, err, why);
	}
	history_free(&h);
	return ret;
}

/*
 * Of a stored copy of an ancestor's segment: are there records in it that the
 * ancestor wrote after it was left? What cannot be read as WAL may have some.
 */
static int
goes_past(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, pg_lsn left, bool *past, struct err *err)
{
	struct format_wal_tag tag;
	struct wal_summary sum;

	if (wal_store_describe(repo, inc, ws, &tag, &sum, err) != 0)
		return -1;
	*past = !sum.parsed || sum.end > left || sum.unfinished != 0;
	return 0;
}

/* All copies of one name, of which the sound ones decide. */
static int
check_copies(struct repo *repo, const struct incarnation *inc,
    const char *name, pg_lsn left, bool *past, struct err *err)
{
	struct wal_stored *ws = NULL;
	struct wal_file file;
	bool this_one = false, any = false;
	size_t i, n = 0;
	int ret = 0;

	*past = false;
	if (wal_file_parse(name, &file, err) != 0 ||
	    wal_store_find(repo, inc, &file, &ws, &n, err) != 0)
		return -1;
	for (i = 0; i < n && !*past; i++) {
		ret = goes_past(repo, inc, &ws[i], left, &this_one, err);
		if (ret != 0 && err->code != ERR_DAMAGED)
			break;
		any = any || ret == 0;
		*past = ret == 0 && this_one;
	}
	free(ws);
	if (ret != 0 && (err->code != ERR_DAMAGED || !any))
		return -1;
	err_clear(err);
	return 0;
}

static int
fork_missing(const struct wal_file *file, const struct history_entry *parent,
    const char *copy, struct err *err)
{
	char lsn[LSN_TEXT_MAX];

	err_set(err, ERR_DAMAGED, "%s is missing in the repository, but "
	    "timeline %u begins in it, at %s, and %s goes on past that",
	    file->segment, file->timeline, lsn_format(parent->end, lsn),
	    copy);
	return err_hint(err,
	    "if a server on timeline %u still has it: dapk-backup "
	    "archive-push PGDATA/pg_wal/%s; else recover along its parent: "
	    "--timeline %u", file->timeline, file->segment,
	    parent->timeline);
}

/*
 * The segment that a timeline begins in, which is not stored on it. Recovery
 * would take an ancestor's copy instead and, when that has records past the
 * fork, replay what this timeline was made to leave behind.
 */
static int
check_fork(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size,
    const struct history *h, struct err *err)
{
	uint64_t segno = wal_segno(file, segment_size);
	char name[2][WAL_FILE_NAME_MAX];
	const struct history_entry *e;
	size_t i, kind;
	bool past;

	/* The ancestors that were left in this segment, newest first. */
	for (i = h->n - 1; i > 0; i--) {
		e = &h->entries[i - 1];
		if (wal_segno_of_lsn(e->end, segment_size) != segno)
			break;
		wal_segment_name(e->timeline, segno, segment_size, name[0]);
		(void)snprintf(name[1], sizeof(name[1]), "%.24s.partial",
		    name[0]);
		for (kind = 0; kind < 2; kind++) {
			if (check_copies(repo, inc, name[kind], e->end, &past,
			    err) != 0)
				return -1;
			if (past)
				return fork_missing(file, e, name[kind], err);
		}
	}
	return 0;
}

static int
prove_fork(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];
	struct wal_stored *ws = NULL;
	struct wal_file partial;
	struct history h;
	size_t n = 0;
	int ret = 0;

	if (file->timeline == 1)
		return 0;
	if (wal_store_history(repo, inc, file->timeline, &h, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	(void)snprintf(name, sizeof(name), "%s.partial", file->segment);
	if (wal_file_parse(name, &partial, err) != 0 ||
	    wal_store_find(repo, inc, &partial, &ws, &n, err) != 0)
		ret = -1;
	else if (n == 0)
		ret = check_fork(repo, inc, file, segment_size, &h, err);
	free(ws);
	history_free(&h);
	return ret;
}

static int
prove_segment(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, struct err *err)
{
	struct later later;
	uint32_t *timelines = NULL;
	bool before;
	size_t i, n = 0;
	int ret = 0;

	if (find_later(repo, inc, file, &later, err) != 0)
		return -1;
	if (later.first[0] != '\0')
		return prove_before_begin(repo, inc, file, segment_size,
		    later.first, &before, err);
	if (wal_store_timelines(repo, inc, &timelines, &n, err) != 0)
		return -1;
	for (i = 0; i < n && ret == 0; i++)
		if (timelines[i] > file->timeline)
			ret = check_descendant(repo, inc, file, segment_size,
			    timelines[i], err);
	free(timelines);
	if (ret != 0)
		return -1;
	return prove_fork(repo, inc, file, segment_size, err);
}

/*
 * PostgreSQL finds the newest timeline by asking for one history after the
 * other and stops at the first that is absent: a hole makes "latest"
 * silently old (TRAPS T28). Timeline 1 has no history file (T27).
 */
static int
prove_history(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, struct err *err)
{
	uint32_t *timelines = NULL;
	char why[64];
	size_t n = 0;
	int ret = 0;

	if (timeline == 1)
		return 0;
	if (wal_store_timelines(repo, inc, &timelines, &n, err) != 0)
		return -1;
	if (n > 0 && timelines[n - 1] >= timeline) {
		(void)snprintf(why, sizeof(why), "timeline %u is",
		    timelines[n - 1]);
		ret = history_missing(timeline, why, err);
	}
	free(timelines);
	return ret;
}

int
wal_absent_prove(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, bool *unknown,
    struct err *err)
{
	*unknown = false;
	if (check_incarnation(repo, inc, unknown, err) != 0)
		return -1;
	switch (file->type) {
	case WAL_FILE_SEGMENT:
		if (prove_segment(repo, inc, file, segment_size, err) == 0)
			return 0;
		return err->code != ERR_DAMAGED ? -1 :
		    gap_explain(repo, inc, file->segment, err);
	case WAL_FILE_HISTORY:
		return prove_history(repo, inc, file->timeline, err);
	case WAL_FILE_PARTIAL:
	case WAL_FILE_BACKUP:
	default:
		return 0; /* recovery asks for neither */
	}
}
