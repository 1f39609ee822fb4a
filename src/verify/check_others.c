/* SPDX-License-Identifier: PostgreSQL */
/*
 * Another server that archives into the same place: a copy of this one, or
 * the one that this one was copied from. Both have one system identifier, so
 * what tells them apart is WAL that this server cannot have written:
 *
 * - a complete segment of its timeline from the one on that it is writing;
 * - another content of a segment that it has;
 * - commits on a timeline that left its own, while it was running, or on
 *   one that it has left, after it did.
 *
 * Not seen is one that has archived nothing since it was copied, or less
 * than this one on the same timeline: then its first segment is refused.
 */
#include "config.h"

#include "verify/check_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/time.h"
#include "repo/contenthash.h"
#include "repo/hold.h"
#include "repo/walstore.h"
#include "repo/walview.h"

#define RECENT_US (INT64_C(86400) * 1000000)
#define CLOCKS_US (INT64_C(60) * 1000000) /* two hosts' may differ */
#define READ_SIZE ((size_t)1 << 20)

#define NEXT_OTHER "on the server that is the copy: ALTER SYSTEM SET " \
    "archive_mode = off; then restart it (if this server was set back " \
    "instead, by a snapshot, 'dapk-backup restore' gives it a timeline)"

/* Where the server is. False: told. */
static bool
ask_position(struct check *c, pg_lsn *lsn, uint32_t *timeline)
{
	char *text = check_query(c, "other servers", "SELECT "
	    "pg_catalog.pg_current_wal_insert_lsn()");
	char *name = check_query(c, "other servers", "SELECT "
	    "pg_catalog.pg_walfile_name(pg_catalog."
	    "pg_current_wal_insert_lsn())");
	struct err ignored = ERR_INIT;
	struct wal_file file;
	bool ok = text != NULL && name != NULL && lsn_parse(text, lsn) &&
	    wal_file_parse(name, &file, &ignored) == 0;

	if (ok)
		*timeline = file.timeline;
	free(name);
	free(text);
	return ok;
}

/* The last complete segment of a timeline from this one on; false: none. */
static bool
newest_from(struct walview *v, uint32_t timeline, uint64_t segno,
    uint32_t size, struct walview_item *out)
{
	const uint64_t per_log = (UINT64_C(1) << 32) / size;
	struct err ignored = ERR_INIT; /* check of the store has told */
	struct walview_item *items;
	bool found = false;
	size_t i, n = 0;
	uint64_t at = segno;

	for (;;) {
		if (walview_seek(v, timeline, (uint32_t)(at / per_log),
			(uint32_t)(at % per_log), &items, &n, &ignored) != 0 ||
		    n == 0)
			return found;
		for (i = 0; i < n; i++) {
			at = items[i].log * per_log + items[i].seg + 1;
			if (items[i].partial)
				continue;
			*out = items[i];
			found = true;
		}
	}
}

/* Segments of this timeline that are still to be written. */
static void
check_ahead(struct check *c, struct walview *v, uint32_t timeline,
    uint64_t before)
{
	const uint32_t size = c->control.wal_segment_size;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct walview_item item;
	uint32_t same;
	pg_lsn now;

	/* The position is asked again after the store: it only grows. */
	if (!newest_from(v, timeline, before, size, &item) ||
	    !ask_position(c, &now, &same) || same != timeline ||
	    item.log * ((UINT64_C(1) << 32) / size) + item.seg <
	    wal_segno_of_lsn(now, size))
		return;
	walview_segment_name(&item, name);
	check_tell(c, CHECK_FAILED, "other servers", NEXT_OTHER, "segment %s "
	    "is stored, and this server has not written it yet: another one "
	    "with its system identifier archives here", name);
}

/* Seconds since 1970 as the server tells them; 0: not known. */
static int64_t
server_started(struct check *c)
{
	char *text = check_query(c, "other servers", "SELECT (extract(epoch "
	    "FROM pg_catalog.pg_postmaster_start_time()))::pg_catalog.int8");
	int64_t at = text == NULL ? 0 : strtoll(text, NULL, 10);

	free(text);
	return at == 0 ? 0 : time_from_unix(at);
}

/* From when on it was on its timeline for sure: its history file is as old. */
static int64_t
timeline_began(const struct check *c, uint32_t timeline)
{
	char *path = xasprintf("%s/pg_wal/%08" PRIX32 ".history", c->pgdata,
	    timeline);
	struct stat st;
	int64_t at = !c->same_server || stat(path, &st) != 0 ? 0 :
	    time_from_unix(st.st_mtime) + CLOCKS_US;

	free(path);
	return at;
}

/* Was something committed there after `since`, in the last day? */
static bool
commits_since(struct walview *v, struct walview_item *item, int64_t since)
{
	struct err ignored = ERR_INIT;

	return since != 0 && walview_facts(v, item, &ignored) == 0 &&
	    item->has_commits && item->max_commit_time > since &&
	    item->max_commit_time > time_now() - RECENT_US;
}

/* A timeline that left this server's own. */
static void
check_branch(struct check *c, struct walview *v, uint32_t own,
    const struct history *h)
{
	const struct history_entry *left = history_find(h, own);
	const uint32_t size = c->control.wal_segment_size;
	char at[LSN_TEXT_MAX], time[TIME_TEXT_MAX], *next;
	struct walview_item item;

	if (newest_from(v, h->timeline, wal_segno_of_lsn(left->end, size),
		size, &item) && commits_since(v, &item, server_started(c)))
		check_tell(c, CHECK_FAILED, "other servers", NEXT_OTHER,
		    "another server archives here, on timeline %" PRIu32
		    ", which left this server's at %s: its last commit is of "
		    "%s, and this server was running", h->timeline,
		    lsn_format(left->end, at),
		    time_format_local(item.max_commit_time, time));
	else {
		next = xasprintf("to recover this server rather: dapk-backup "
		    "restore --timeline %" PRIu32, own);
		check_tell(c, CHECK_NOTE, "other servers", next, "timeline %"
		    PRIu32 " is stored, which left this server's, %" PRIu32
		    ", at %s: restore takes it for the latest", h->timeline,
		    own, lsn_format(left->end, at));
		free(next);
	}
}

/* A timeline that this server has left. */
static void
check_left(struct check *c, struct walview *v, const struct history *own,
    uint32_t timeline)
{
	const struct history_entry *left = history_find(own, timeline);
	const uint32_t size = c->control.wal_segment_size;
	char time[TIME_TEXT_MAX];
	struct walview_item item;

	if (newest_from(v, timeline, wal_segno_of_lsn(left->end, size), size,
		&item) && commits_since(v, &item, timeline_began(c,
		own->timeline)))
		check_tell(c, CHECK_FAILED, "other servers", NEXT_OTHER,
		    "another server archives here, on timeline %" PRIu32
		    ", which this server has left: its last commit is of %s",
		    timeline, time_format_local(item.max_commit_time, time));
}

void
check_others(struct check *c)
{
	const uint32_t size = c->control.wal_segment_size;
	struct repo *repo = c->places[0].repo;
	struct err ignored = ERR_INIT;
	const struct history *own = NULL, *h;
	const uint32_t *timelines;
	struct walview *v;
	uint32_t timeline;
	size_t i, n = 0;
	pg_lsn now;

	if (repo == NULL || !ask_position(c, &now, &timeline))
		return;
	v = walview_new(repo, &c->inc);
	check_ahead(c, v, timeline, wal_segno_of_lsn(now, size));
	if (walview_timelines(v, &timelines, &n, &ignored) != 0)
		n = 0;
	if (walview_history(v, timeline, &own, &ignored) != 0)
		own = NULL;
	for (i = 0; i < n; i++) {
		err_clear(&ignored);
		if (timelines[i] == timeline)
			continue;
		if (own != NULL && history_find(own, timelines[i]) != NULL)
			check_left(c, v, own, timelines[i]);
		else if (walview_history(v, timelines[i], &h, &ignored) == 0 &&
		    history_find(h, timeline) != NULL)
			check_branch(c, v, timeline, h);
	}
	walview_free(v);
}

/* The hash of a segment in pg_wal, as long as it is there. */
static bool
hash_segment(const struct check *c, struct repo *repo, const char *segment,
    uint8_t hash[CONTENT_HASH_SIZE])
{
	char *path = xasprintf("%s/pg_wal/%s", c->pgdata, segment);
	struct err ignored = ERR_INIT;
	struct content_hash *s = NULL;
	uint8_t *bytes = xmalloc(READ_SIZE);
	int fd = content_hash_new(&s, repo, NULL, &ignored) != 0 ? -1 :
	    open(path, O_RDONLY | O_CLOEXEC);
	uint64_t left = c->control.wal_segment_size;
	ssize_t n = 0;

	while (fd >= 0 && left > 0 && (n = read(fd, bytes, READ_SIZE)) > 0) {
		content_hash_add(s, bytes, (size_t)n);
		left -= (uint64_t)n;
	}
	if (fd >= 0)
		(void)close(fd); /* was read only */
	free(bytes);
	free(path);
	if (left == 0)
		return content_hash_finish(s, hash, NULL, &ignored) == 0;
	content_hash_free(s);
	return false;
}

void
check_content(struct check *c, struct repo *repo, const char *segment)
{
	struct err ignored = ERR_INIT;
	struct wal_stored *found = NULL;
	uint8_t hash[CONTENT_HASH_SIZE];
	struct wal_file file;
	size_t i, n = 0;
	bool ours = true;

	if (!c->same_server || !hash_segment(c, repo, segment, hash) ||
	    wal_file_parse(segment, &file, &ignored) != 0 ||
	    wal_store_find(repo, &c->inc, &file, &found, &n, &ignored) != 0)
		return;
	for (i = 0; i < n && ours; i++)
		ours = memcmp(found[i].hash, hash, sizeof(hash)) == 0;
	if (!ours)
		check_tell(c, CHECK_FAILED, "other servers", NEXT_OTHER,
		    "segment %s is stored with another content than this "
		    "server's: another one with its system identifier "
		    "archives here", segment);
	free(found);
}

static void
check_hold(struct check *c, const struct check_place *p)
{
	struct err err = ERR_INIT;
	char what[160], since[TIME_TEXT_MAX];
	struct hold *holds = NULL;
	size_t i, n = 0;

	(void)check_what(c, p, "hold", what, sizeof(what));
	if (hold_list(p->repo, c->inc.cluster, &holds, &n, &err) != 0) {
		check_tell_err(c, what, &err, NULL);
		return;
	}
	for (i = 0; i < n; i++)
		check_tell(c, CHECK_NOTE, what, "dapk-backup release", "since "
		    "%s, by %s on %s%s%s: no backup is taken and nothing "
		    "is removed", time_format_local(holds[i].created, since),
		    holds[i].user, holds[i].host, holds[i].reason[0] == '\0' ?
		    "" : ", ", holds[i].reason);
	holds_free(holds, n);
}

void
check_holds(struct check *c)
{
	const struct check_place *p;

	for (p = c->places; p < c->places + c->n_places; p++)
		if (p->repo != NULL)
			check_hold(c, p);
}
