/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/getone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/object.h"
#include "wal/absent.h"
#include "wal/prefetch.h"
#include "wal/spool.h"

#define HASH_TEXT (2 * WAL_HASH_SIZE + 1)

/* One place being asked. */
struct get {
	const struct wal_want *want;
	struct repo *repo;
	bool spool_usable;
	struct wal_spool spool;
};

/* The file that is written, before it gets its name. */
struct output {
	int fd;
	const char *path;
	uint64_t len;
};

static int
write_piece(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct output *o = arg;

	if (cancel_check(err) != 0)
		return -1;
	o->len += len;
	return io_write_full(o->fd, data, len, o->path, err);
}

static int
check_length(const struct get *g, const struct wal_stored *ws, uint64_t len,
    struct err *err)
{
	if (ws->file.type != WAL_FILE_SEGMENT &&
	    g->want->file.type != WAL_FILE_SEGMENT)
		return 0;
	if (len == g->want->cluster.control.wal_segment_size)
		return 0;
	return err_set(err, ERR_REFUSED,
	    "%s is stored with %llu bytes, a segment of this cluster has %u",
	    ws->file.name, (unsigned long long)len,
	    g->want->cluster.control.wal_segment_size);
}

/* Decompress into a file beside dest, then give it the name. */
static int
fetch(const struct get *g, const struct wal_stored *ws,
    struct frame_codec *codec, struct err *err)
{
	char *tmp = xasprintf("%s.dapk-tmp", g->want->dest);
	struct output o = { .path = tmp };
	int ret = -1;

	o.fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (o.fd < 0) {
		err_sys(err, errno, "create %s", tmp);
		goto out;
	}
	ret = wal_store_read(g->repo, &g->want->cluster.inc, ws, codec,
	    write_piece, &o, err);
	if (ret == 0)
		ret = check_length(g, ws, o.len, err);
	if (close(o.fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", tmp);
	if (ret == 0 && rename(tmp, g->want->dest) != 0)
		ret = err_sys(err, errno, "rename %s to %s", tmp, g->want->dest);
	if (ret != 0)
		(void)unlink(tmp); /* the first error is the one to tell */
out:
	free(tmp);
	return ret;
}

static int
highest_first(const void *a, const void *b)
{
	const struct wal_stored *x = a, *y = b;

	return x->generation > y->generation ? -1 :
					       x->generation < y->generation;
}

/* Two contents under one name: recovery must not guess. */
static int
refuse_conflict(const struct get *g, const struct wal_stored *a,
    const struct wal_stored *b, struct err *err)
{
	const struct wal_stored *ws[2] = { a, b };
	char hash[2][HASH_TEXT], when[2][TIME_TEXT_MAX];
	struct format_wal_tag tag;
	struct err ignored;
	size_t i;

	for (i = 0; i < 2; i++) {
		err_clear(&ignored);
		text_hex(ws[i]->hash, WAL_HASH_SIZE, hash[i]);
		if (wal_store_describe(g->repo, &g->want->cluster.inc,
		    ws[i], &tag, NULL, &ignored) == 0)
			(void)time_format(tag.archived, when[i]);
		else
			(void)snprintf(when[i], sizeof(when[i]),
			    "at an unknown time, damaged");
	}
	err_set(err, ERR_REFUSED,
	    "%s is stored with two contents: hash %s (archived %s) and %s "
	    "(archived %s): two servers have archived here",
	    a->file.name, hash[0], when[0], hash[1], when[1]);
	return err_hint(err,
	    "recover to a target before it, or move the one of the wrong "
	    "server out of the repository");
}

static void
open_spool(struct get *g)
{
	const struct wal_get_params *p = g->want->params;
	struct err why = ERR_INIT;

	if (p->prefetch == 0 || p->state_directory == NULL)
		return;
	g->spool_usable = wal_spool_open(&g->spool, p->state_directory,
	    g->repo, &g->want->cluster.inc, g->want->cluster.pgdata, &why) == 0;
	if (!g->spool_usable)
		log_debug("no look-ahead: %s", why.msg);
}

static void
look_ahead(const struct get *g)
{
	struct wal_prefetch p = {
		.repo = g->repo,
		.inc = &g->want->cluster.inc,
		.spool = &g->spool,
		.segment_size = g->want->cluster.control.wal_segment_size,
		.window = g->want->params->prefetch,
	};

	if (g->spool_usable)
		wal_prefetch_go(&p, g->want->file.segment);
}

/* All of one name: one content? */
static bool
one_content(const struct wal_stored *ws, size_t n, size_t *other)
{
	for (*other = 1; *other < n; ++*other)
		if (memcmp(ws[*other].hash, ws[0].hash, WAL_HASH_SIZE) != 0)
			return false;
	return true;
}

/* ws: n > 0 objects of one content. They are sorted. */
static int
deliver(const struct get *g, struct wal_stored *ws, size_t n, struct err *err)
{
	struct frame_codec *codec = NULL;
	struct err first = ERR_INIT;
	size_t i;
	int ret = -1;

	if (g->spool_usable && ws[0].file.type == WAL_FILE_SEGMENT &&
	    wal_spool_take(&g->spool, &ws[0],
		g->want->cluster.control.wal_segment_size, g->want->dest))
		return 0;
	qsort(ws, n, sizeof(*ws), highest_first);
	codec = frame_codec_new(1);
	for (i = 0; i < n && ret != 0; i++) {
		if (i > 0)
			log_warning("%s: %s; trying an older copy",
			    ws[i].file.name, err->msg);
		err_clear(err);
		ret = fetch(g, &ws[i], codec, err);
		if (ret != 0 && err->code != ERR_DAMAGED)
			break;
		if (ret != 0 && i == 0)
			first = *err;
	}
	frame_codec_free(codec);
	if (ret != 0 && first.code != ERR_NONE && err->code == ERR_DAMAGED)
		*err = first;
	return ret;
}

static enum wal_answer
ask(struct get *g, struct err *err)
{
	enum wal_answer answer = WAL_ANSWER_ERROR;
	struct wal_stored *ws = NULL;
	bool unknown = false;
	size_t n = 0, other;

	if (wal_store_find(g->repo, &g->want->cluster.inc, &g->want->file,
		&ws, &n, err) != 0)
		return WAL_ANSWER_ERROR;
	if (n == 0) {
		if (wal_absent_prove(g->repo, &g->want->cluster.inc,
			&g->want->file,
			g->want->cluster.control.wal_segment_size, &unknown,
			err) == 0)
			answer = WAL_ANSWER_ABSENT;
		else if (unknown)
			answer = WAL_ANSWER_STRANGER;
	} else if (!one_content(ws, n, &other)) {
		refuse_conflict(g, &ws[0], &ws[other], err);
		answer = WAL_ANSWER_CONFLICT;
	} else {
		open_spool(g);
		if (deliver(g, ws, n, err) == 0)
			answer = WAL_ANSWER_DELIVERED;
		if (answer == WAL_ANSWER_DELIVERED &&
		    g->want->file.type == WAL_FILE_SEGMENT)
			look_ahead(g);
		wal_spool_free(&g->spool);
	}
	free(ws);
	return answer;
}

enum wal_answer
wal_one_ask(const struct wal_want *want, struct repo *repo, struct err *err)
{
	struct get g = { .want = want, .repo = repo };

	return ask(&g, err);
}

/* How far the records of one reach: 0 when that cannot be told. */
static uint64_t
reach(const struct wal_want *want, struct repo *repo,
    const struct wal_stored *ws)
{
	uint32_t size = want->cluster.control.wal_segment_size;
	struct err ignored = ERR_INIT; /* it is tried, if no other is there */
	struct format_wal_tag tag;
	struct wal_summary sum;

	if (wal_store_describe(repo, &want->cluster.inc, ws, &tag, &sum,
		&ignored) != 0 || !sum.parsed)
		return 0;
	return wal_store_records_length(&sum,
	    wal_segment_start(wal_segno(&ws->file, size), size));
}

int
wal_one_partial(const struct wal_want *want, struct repo *repo,
    struct wal_partial *out, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];
	struct wal_stored best;
	struct wal_file partial;
	size_t i, n;

	memset(out, 0, sizeof(*out));
	if (want->file.type != WAL_FILE_SEGMENT)
		return 0;
	(void)snprintf(name, sizeof(name), "%s.partial", want->file.segment);
	if (wal_file_parse(name, &partial, err) != 0 ||
	    wal_store_find(repo, &want->cluster.inc, &partial, &out->list, &n,
		err) != 0)
		return -1;
	if (n == 0)
		return 0;
	if (wal_store_pick_partial(repo, &want->cluster.inc, &partial,
		want->cluster.control.wal_segment_size, &best, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_STORAGE; /* it was there just now */
		wal_partial_free(out);
		return -1;
	}
	for (i = 0; i < n; i++)
		if (memcmp(out->list[i].hash, best.hash, WAL_HASH_SIZE) == 0)
			out->list[out->n++] = out->list[i];
	out->reach = reach(want, repo, &best);
	return 0;
}

void
wal_partial_free(struct wal_partial *p)
{
	free(p->list);
	memset(p, 0, sizeof(*p));
}

int
wal_one_deliver_partial(const struct wal_want *want, struct repo *repo,
    const struct wal_partial *p, struct err *err)
{
	struct get g = { .want = want, .repo = repo };

	return deliver(&g, p->list, p->n, err);
}
