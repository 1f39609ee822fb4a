/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/object.h"
#include "repo/walstore.h"
#include "wal/absent.h"
#include "wal/cluster.h"
#include "wal/prefetch.h"
#include "wal/spool.h"

#define HASH_TEXT (2 * WAL_HASH_SIZE + 1)

struct get {
	const struct wal_get_params *params;
	struct wal_cluster cluster;
	struct wal_file file; /* what was asked for */
	char *dest;
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
	    g->file.type != WAL_FILE_SEGMENT)
		return 0;
	if (len == g->cluster.control.wal_segment_size)
		return 0;
	return err_set(err, ERR_REFUSED,
	    "%s is stored with %llu bytes, a segment of this cluster has %u",
	    ws->file.name, (unsigned long long)len,
	    g->cluster.control.wal_segment_size);
}

/* Decompress into a file beside dest, then give it the name. */
static int
fetch(const struct get *g, const struct wal_stored *ws,
    struct frame_codec *codec, struct err *err)
{
	char *tmp = xasprintf("%s.dapk-tmp", g->dest);
	struct output o = { .path = tmp };
	int ret = -1;

	o.fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (o.fd < 0) {
		err_sys(err, errno, "create %s", tmp);
		goto out;
	}
	ret = wal_store_read(g->params->repo, &g->cluster.inc, ws, codec,
	    write_piece, &o, err);
	if (ret == 0)
		ret = check_length(g, ws, o.len, err);
	if (close(o.fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", tmp);
	if (ret == 0 && rename(tmp, g->dest) != 0)
		ret = err_sys(err, errno, "rename %s to %s", tmp, g->dest);
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
		if (wal_store_describe(g->params->repo, &g->cluster.inc,
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
	const struct wal_get_params *p = g->params;
	struct err why = ERR_INIT;

	if (p->prefetch == 0 || p->state_directory == NULL)
		return;
	g->spool_usable = wal_spool_open(&g->spool, p->state_directory,
	    p->repo, &g->cluster.inc, g->cluster.pgdata, &why) == 0;
	if (!g->spool_usable)
		log_debug("no look-ahead: %s", why.msg);
}

static void
look_ahead(const struct get *g)
{
	struct wal_prefetch p = {
		.repo = g->params->repo,
		.inc = &g->cluster.inc,
		.spool = &g->spool,
		.segment_size = g->cluster.control.wal_segment_size,
		.window = g->params->prefetch,
	};

	if (g->spool_usable)
		wal_prefetch_go(&p, g->file.segment);
}

/* ws: n > 0 objects of one name. They are sorted. */
static int
deliver(const struct get *g, struct wal_stored *ws, size_t n, struct err *err)
{
	struct frame_codec *codec = NULL;
	struct err first = ERR_INIT;
	size_t i;
	int ret = -1;

	for (i = 1; i < n; i++)
		if (memcmp(ws[i].hash, ws[0].hash, WAL_HASH_SIZE) != 0)
			return refuse_conflict(g, &ws[0], &ws[i], err);
	if (g->spool_usable && ws[0].file.type == WAL_FILE_SEGMENT &&
	    wal_spool_take(&g->spool, &ws[0],
		g->cluster.control.wal_segment_size, g->dest))
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

/* Of several contents the one to use, with its generations: to the front. */
static int
choose_partial(const struct get *g, const struct wal_file *partial,
    struct wal_stored *ws, size_t *n, struct err *err)
{
	struct wal_stored best;
	size_t i, kept = 0;

	if (wal_store_pick_partial(g->params->repo, &g->cluster.inc, partial,
	    g->cluster.control.wal_segment_size, &best, err) != 0)
		return -1;
	for (i = 0; i < *n; i++)
		if (memcmp(ws[i].hash, best.hash, WAL_HASH_SIZE) == 0)
			ws[kept++] = ws[i];
	*n = kept;
	return 0;
}

/*
 * No whole segment is stored. What a promotion or a salvage has left of it
 * is the last there is of the timeline, and recovery can use it, if it is
 * proved that nothing follows.
 */
static int
deliver_partial(const struct get *g, bool *proved, struct err *err)
{
	struct wal_stored *ws = NULL;
	char name[WAL_FILE_NAME_MAX];
	struct wal_file partial;
	size_t n = 0;
	int ret = -1;

	(void)snprintf(name, sizeof(name), "%s.partial", g->file.segment);
	if (g->file.type == WAL_FILE_SEGMENT) {
		if (wal_file_parse(name, &partial, err) != 0 ||
		    wal_store_find(g->params->repo, &g->cluster.inc, &partial,
			&ws, &n, err) != 0)
			return -1;
	}
	if (n == 0) {
		*proved = true;
		err_set(err, ERR_NOT_FOUND, "%s is not in the repository",
		    g->file.name);
	} else if (choose_partial(g, &partial, ws, &n, err) == 0) {
		ret = deliver(g, ws, n, err);
	}
	free(ws);
	return ret;
}

static int
get(const struct get *g, bool *proved, struct err *err)
{
	struct wal_stored *ws = NULL;
	size_t n = 0;
	int ret;

	if (wal_store_find(g->params->repo, &g->cluster.inc, &g->file, &ws,
	    &n, err) != 0)
		return -1;
	if (n > 0) {
		ret = deliver(g, ws, n, err);
		if (ret == 0 && g->file.type == WAL_FILE_SEGMENT)
			look_ahead(g);
	} else {
		ret = wal_absent_prove(g->params->repo, &g->cluster.inc,
		    &g->file, g->cluster.control.wal_segment_size, err);
		if (ret == 0)
			ret = deliver_partial(g, proved, err);
	}
	free(ws);
	return ret;
}

static int
check_identity(const struct wal_get_params *p, struct err *err)
{
	if (p->repository_id == NULL ||
	    strcasecmp(p->repository_id, p->repo->id_text) == 0)
		return 0;
	err_set(err, ERR_CONFIG, "%s is repository %s, expected is %s",
	    storage_url(p->repo->st), p->repo->id_text, p->repository_id);
	return err_hint(err, "is the right disk mounted there?");
}

int
wal_get(const struct wal_get_params *params, struct err *err)
{
	struct get g = { .params = params };
	bool proved = false;
	int ret = -1;

	if (wal_file_parse(params->name, &g.file, err) != 0) {
		err_set(err, ERR_USAGE, "'%s' is no name of a WAL file",
		    params->name);
		return err_hint(err, "restore_command = 'dapk-backup "
		    "archive-get %%f \"%%p\"'");
	}
	if (check_identity(params, err) != 0 ||
	    wal_cluster_find(&g.cluster, params->cluster, params->pgdata,
		params->dest, err) != 0)
		goto out;
	g.dest = wal_cluster_path(params->pgdata, params->dest);
	open_spool(&g);
	ret = get(&g, &proved, err);
out:
	/* "No such file" of anything else must not look like proof (T1). */
	if (ret != 0 && err->code == ERR_NOT_FOUND && !proved)
		err->code = ERR_IO;
	wal_spool_free(&g.spool);
	wal_cluster_free(&g.cluster);
	free(g.dest);
	return ret;
}
