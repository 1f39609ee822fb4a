/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/walcollect.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/blockset.h"
#include "pg/datafile.h"
#include "pg/history.h"
#include "pg/walsumfile.h"
#include "repo/walstore.h"

#define SET_BYTES_MAX ((size_t)64 << 20) /* changes spread over 4 TB */
#define SUMMARY_BYTES_MAX ((size_t)64 << 20)
#define SUMMARIES_MAX 1000000
#define SUMMARIES_SINCE 17 /* major */

struct evidence {
	char reason[WALCOLLECT_REASON_MAX]; /* "": the set is believed */
	struct blockset *set;
	uint32_t segment_blocks; /* of relation files */
	size_t summaries;
	uint64_t segments;
};

static void __attribute__((format(printf, 2, 3)))
read_all(struct evidence *ev, const char *fmt, ...)
{
	va_list ap;

	if (ev->reason[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(ev->reason, sizeof(ev->reason), fmt, ap);
	va_end(ap);
}

static bool
is_refused(const struct evidence *ev)
{
	return ev->reason[0] != '\0';
}

/* Is it a backup that WAL can be counted from? */
static void
check_parent(struct evidence *ev, const struct evidence_params *p)
{
	const struct commit *parent = p->parent;
	const struct control *ctl = p->control;

	if (parent == NULL)
		read_all(ev, "there is no backup to begin from");
	else if (parent->source[0] == '\0' || p->source[0] == '\0' ||
	    strcmp(parent->source, p->source) != 0)
		read_all(ev, "backup %s was read from another data directory "
		    "or with another --method", parent->label);
	else if (parent->inc.major != p->major ||
	    parent->inc.system_id != ctl->system_id ||
	    parent->block_size != ctl->block_size ||
	    parent->relation_segment_blocks != ctl->relation_segment_blocks ||
	    parent->wal_segment_size != ctl->wal_segment_size)
		read_all(ev, "backup %s is of another cluster", parent->label);
	else if (parent->data_checksums != (ctl->data_checksum_version != 0))
		read_all(ev, "page checksums were turned on or off since "
		    "backup %s", parent->label);
	else if (parent->start_lsn == 0 ||
	    parent->start_lsn > parent->stop_lsn ||
	    parent->stop_lsn > p->start_lsn)
		read_all(ev, "backup %s does not end before this one begins",
		    parent->label);
}

static void
check_settings(struct evidence *ev, const struct evidence_params *p,
    bool *summaries)
{
	struct pg_result *res = NULL;
	struct err why = ERR_INIT;

	*summaries = false;
	if (pg_query(p->conn, &res, &why, 0, NULL,
	    "SELECT pg_catalog.current_setting('wal_level'),"
	    " pg_catalog.current_setting('full_page_writes'),"
	    " pg_catalog.current_setting('summarize_wal', true)") != 0 ||
	    pg_rows(res) != 1) {
		read_all(ev, "the server's settings are not known: %.200s",
		    why.msg);
	} else if (p->control->wal_level == 0 ||
	    strcmp(pg_value(res, 0, 0), "minimal") == 0) {
		read_all(ev, "wal_level is minimal");
	} else if (strcmp(pg_value(res, 0, 1), "on") != 0) {
		read_all(ev, "full_page_writes is off");
	} else {
		*summaries = p->major >= SUMMARIES_SINCE &&
		    strcmp(pg_value(res, 0, 2), "on") == 0;
	}
	pg_result_free(res);
}

/* The path of timelines that leads to this backup. */
static bool
find_path(struct evidence *ev, const struct evidence_params *p,
    struct history *path)
{
	char *name = xasprintf("%s/pg_wal/%08X.history", p->pgdata,
	    p->timeline);
	struct err why = ERR_INIT;
	struct buf text;
	int ret;

	buf_init(&text, HISTORY_FILE_MAX);
	if (p->timeline == 1) {
		history_single(1, path);
		ret = 0;
	} else {
		ret = io_read_file(name, &text, &why);
		if (ret == 0)
			ret = history_decode(p->timeline, buf_str(&text),
			    text.len, path, &why);
		if (ret != 0)
			ret = wal_store_history(p->repo, &p->parent->inc,
			    p->timeline, path, &why);
	}
	buf_free(&text);
	free(name);
	if (ret != 0) {
		read_all(ev, "the history of timeline %u is not known: %.200s",
		    p->timeline, why.msg);
		return false;
	}
	if (!history_contains(path, p->parent->timeline, p->parent->stop_lsn))
		read_all(ev, "the server's history does not go through "
		    "backup %s", p->parent->label);
	return true;
}

/* Only what changed main forks. */
static void
note_change(void *arg, const struct wal_change *change)
{
	if (change->fork == 0)
		blockset_add(arg, change);
}

/* All names in pg_wal/summaries. The caller frees. */
static struct wal_sumfile *
list_summaries(const char *pgdata, size_t *n)
{
	char *path = xasprintf("%s/" WAL_SUMFILE_DIR, pgdata);
	DIR *dir = opendir(path);
	struct wal_sumfile *list = NULL, one;
	struct dirent *e;
	size_t cap = 0;

	*n = 0;
	while (dir != NULL && *n < SUMMARIES_MAX &&
	    (e = readdir(dir)) != NULL) {
		if (!wal_sumfile_parse(e->d_name, &one))
			continue;
		if (*n == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			list = xreallocarray(list, cap, sizeof(*list));
		}
		list[(*n)++] = one;
	}
	if (dir != NULL)
		(void)closedir(dir);
	free(path);
	return list;
}

static bool
take_summary(struct evidence *ev, const char *pgdata,
    const struct wal_sumfile *f)
{
	char name[WAL_SUMFILE_NAME_MAX];
	struct err why = ERR_INIT;
	struct buf data;
	char *path;
	bool ok;

	wal_sumfile_name(f, name);
	path = xasprintf("%s/" WAL_SUMFILE_DIR "/%s", pgdata, name);
	buf_init(&data, SUMMARY_BYTES_MAX);
	ok = io_read_file(path, &data, &why) == 0 &&
	    wal_sumfile_decode(data.data, data.len, note_change, ev->set,
	    &why) == 0;
	if (!ok)
		log_debug("WAL summary %s is not used: %s", name, why.msg);
	buf_free(&data);
	free(path);
	return ok;
}

/*
 * What the server's summaries tell, from *from on; *from becomes the place
 * up to which they do. WAL itself is asked for the rest.
 */
static int
take_summaries(struct evidence *ev, const struct evidence_params *p,
    const struct history *path, pg_lsn *from, struct err *err)
{
	const struct wal_sumfile *f;
	struct wal_sumfile *list;
	pg_lsn reached;
	size_t n;
	int ret = 0;

	list = list_summaries(p->pgdata, &n);
	while (ret == 0 && *from < p->start_lsn) {
		f = wal_sumfile_next(list, n, path, *from, &reached);
		if (f == NULL || !take_summary(ev, p->pgdata, f))
			break;
		ev->summaries++;
		*from = reached;
		if (p->pulse != NULL)
			ret = p->pulse(p->pulse_arg, err);
	}
	free(list);
	return ret;
}

static int
take_wal(struct evidence *ev, const struct evidence_params *p,
    const struct history *path, pg_lsn from, struct err *err)
{
	struct walcollect w = { .repo = p->repo, .inc = &p->parent->inc,
		.pgdata = p->pgdata, .control = p->control, .path = path,
		.from = from, .to = p->start_lsn,
		.stored_to = p->parent->stop_lsn, .jobs = p->jobs,
		.pulse = p->pulse, .pulse_arg = p->pulse_arg };

	if (walcollect(&w, ev->set, err) != 0)
		return -1;
	if (w.reason[0] != '\0')
		read_all(ev, "%s", w.reason);
	ev->segments = w.segments;
	return 0;
}

static void
report(const struct evidence *ev, const struct evidence_params *p)
{
	char lsn[LSN_TEXT_MAX];
	uint64_t forks, blocks;

	if (p->parent == NULL)
		return;
	if (is_refused(ev)) {
		log_info("everything is read: %s", ev->reason);
		return;
	}
	blockset_count(ev->set, &forks, &blocks);
	log_info("WAL since %s tells what to read: %llu blocks of %llu "
	    "relations (%zu summaries, %llu segments)",
	    lsn_format(p->parent->start_lsn, lsn),
	    (unsigned long long)blocks, (unsigned long long)forks,
	    ev->summaries, (unsigned long long)ev->segments);
}

int
evidence_collect(struct evidence **out, const struct evidence_params *p,
    struct err *err)
{
	struct evidence *ev = xcalloc(1, sizeof(*ev));
	struct history path = { 0 };
	bool summaries = false;
	pg_lsn from;
	int ret = 0;

	*out = NULL;
	ev->segment_blocks = p->control->relation_segment_blocks;
	ev->set = blockset_new(SET_BYTES_MAX);
	check_parent(ev, p);
	if (!is_refused(ev))
		check_settings(ev, p, &summaries);
	if (!is_refused(ev) && find_path(ev, p, &path) && !is_refused(ev)) {
		from = p->parent->start_lsn;
		if (summaries)
			ret = take_summaries(ev, p, &path, &from, err);
		if (ret == 0 && from < p->start_lsn)
			ret = take_wal(ev, p, &path, from, err);
	}
	history_free(&path);
	if (ret != 0) {
		evidence_free(ev);
		return -1;
	}
	if (blockset_full(ev->set))
		read_all(ev, "too many relations changed");
	report(ev, p);
	*out = ev;
	return 0;
}

void
evidence_free(struct evidence *ev)
{
	if (ev == NULL)
		return;
	blockset_free(ev->set);
	free(ev);
}

const char *
evidence_reason(const struct evidence *ev)
{
	return is_refused(ev) ? ev->reason : NULL;
}

enum evidence_answer
evidence_file(const struct evidence *ev, const char *path,
    uint64_t parent_blocks, uint64_t now_blocks, uint8_t *bits)
{
	if (ev == NULL || is_refused(ev))
		return EVIDENCE_READ_ALL;
	return evidence_of_set(ev->set, ev->segment_blocks, path,
	    parent_blocks, now_blocks, bits);
}

enum evidence_answer
evidence_of_set(const struct blockset *set, uint32_t segment_blocks,
    const char *path, uint64_t parent_blocks, uint64_t now_blocks,
    uint8_t *bits)
{
	struct wal_relation relation;
	struct datafile df;
	uint64_t first, i;

	datafile_parse(path, &df);
	if (df.kind != DATAFILE_RELATION || df.fork != FORK_MAIN ||
	    parent_blocks == 0 ||
	    blockset_has_database(set, df.tablespace, df.database))
		return EVIDENCE_READ_ALL;
	relation = (struct wal_relation){ df.tablespace, df.database,
		df.filenode };
	first = (uint64_t)df.segment * segment_blocks;
	/* It became shorter, and WAL does not say why. */
	if (now_blocks < parent_blocks &&
	    blockset_limit(set, &relation, FORK_MAIN) > first + now_blocks)
		return EVIDENCE_READ_ALL;
	memset(bits, 0, (size_t)(now_blocks + 7) / 8);
	blockset_bits(set, &relation, FORK_MAIN, first, now_blocks, bits);
	for (i = parent_blocks; i < now_blocks; i++)
		bits[i / 8] |= (uint8_t)(1u << i % 8);
	return EVIDENCE_BLOCKS;
}
