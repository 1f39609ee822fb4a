/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "export/dump.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/cancel.h"
#include "core/io.h"
#include "core/mem.h"
#include "export/dumpjob.h"
#include "export/outfile.h"

#define GATHER_BYTES ((size_t)256 << 10)
#define ZSTD_MAGIC 0xFD2FB528u
#define ZSTD_FROM ARCHIVE_VERSION(1, 15)

int
dumpjob_count(const struct dumpjob *j, size_t len, struct err *err)
{
	atomic_fetch_add(&j->params->progress->done_bytes, len);
	if (j->params->tick != NULL)
		j->params->tick(j->params->tick_arg);
	return cancel_check(err);
}

bool
dumpjob_usable_frame(const void *payload, size_t len)
{
	return len > 4 && get_le32(payload) == ZSTD_MAGIC;
}

int
dumpjob_major(const struct dumpjob *j)
{
	return atoi(j->head.dump_version == NULL ? "" : j->head.dump_version);
}

/* -------------------------------------------------------------- output */

struct gather {
	int fd;
	const char *name;
	struct buf waiting;
};

static int
flush(struct gather *g, struct err *err)
{
	const size_t len = g->waiting.len;

	g->waiting.len = 0;
	return len == 0 ? 0 :
	    io_write_full(g->fd, g->waiting.data, len, g->name, err);
}

static int
gather(void *arg, const void *data, size_t len, struct err *err)
{
	struct gather *g = arg;

	if (g->waiting.len + len > GATHER_BYTES && flush(g, err) != 0)
		return -1;
	if (len > GATHER_BYTES) /* nothing waits: it is its turn */
		return io_write_full(g->fd, data, len, g->name, err);
	buf_add(&g->waiting, data, len);
	return buf_check(&g->waiting, "what is to be written", err);
}

/* Standard output that is a file from its beginning, and not appended to. */
static bool
can_go_back(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && (flags & O_APPEND) == 0 && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
}

static int
put_globals(struct dumpjob *j, archive_sink sink, void *arg, struct err *err)
{
	const struct dump_item *item = dumpset_find(j->set, "globals");
	struct dump_chunk *chunks = NULL;
	size_t n;
	int ret;

	if (item == NULL)
		return err_set(err, ERR_DAMAGED, "the dump has no globals");
	if (dumpread_chunks(j->reader, item, &chunks, &n, err) != 0)
		return -1;
	ret = dumpread_stream(j->reader, item, chunks, 0, n, sink, arg, err);
	free(chunks);
	return ret == 0 ? dumpjob_count(j, (size_t)item->size, err) : -1;
}

static int
put_stream(struct dumpjob *j, int fd, const char *name, struct err *err)
{
	const bool back = can_go_back(fd);
	struct gather g = { .fd = fd, .name = name };
	struct buf head;
	int ret;

	buf_init(&g.waiting, GATHER_BYTES);
	buf_init(&head, ARCHIVE_HEAD_MAX);
	if (dumpset_commit(j->set)->dump.globals)
		ret = put_globals(j, gather, &g, err);
	else if (j->params->format == EXPORT_TAR)
		ret = dumpjob_tar(j, gather, &g, err);
	else
		ret = dumpjob_custom(j, j->compression, gather, &g,
		    back ? &head : NULL, err);
	if (ret == 0)
		ret = flush(&g, err);
	if (ret == 0 && head.len > 0)
		ret = io_pwrite_full(fd, head.data, head.len, 0, name, err);
	buf_free(&head);
	buf_free(&g.waiting);
	return ret;
}

/* Plain SQL may go to the screen. */
static int
refuse_terminal(const struct dumpjob *j, struct err *err)
{
	const struct export_dump_params *p = j->params;

	if (p->output != NULL || p->format == EXPORT_PLAIN || !isatty(p->fd))
		return 0;
	(void)err_set(err, ERR_USAGE, "standard output is a terminal: an "
	    "archive is not for the screen");
	return err_hint(err, "send it on: --output - | pg_restore -d "
	    "DATABASE");
}

static int
put_file(struct dumpjob *j, int fd, const char *name, struct err *err)
{
	if (j->params->format == EXPORT_PLAIN &&
	    !dumpset_commit(j->set)->dump.globals)
		return dumpjob_plain(j, fd, err);
	return put_stream(j, fd, name, err);
}

static int
write_out(struct dumpjob *j, struct err *err)
{
	const struct export_dump_params *p = j->params;
	struct outfile file = { .fd = -1 };
	int ret;

	if (p->format == EXPORT_DIRECTORY)
		return dumpjob_directory(j, err);
	if (refuse_terminal(j, err) != 0)
		return -1;
	if (p->output == NULL)
		return put_file(j, p->fd, "standard output", err);
	if (outfile_create(&file, p->output, err) != 0)
		return -1;
	ret = put_file(j, file.fd, file.path, err);
	if (ret == 0)
		ret = outfile_close(&file, err);
	if (ret == 0)
		ret = outfile_publish(&file, err);
	if (ret == 0)
		ret = io_fsync_parent(file.path, err);
	outfile_free(&file);
	return ret;
}

/* ----------------------------------------------------------------- run */

static int
choose_compression(struct dumpjob *j, struct err *err)
{
	const struct export_dump_params *p = j->params;
	const bool whole = p->format == EXPORT_CUSTOM ||
	    p->format == EXPORT_DIRECTORY;

	j->compression = ARCHIVE_NONE;
	if (p->compression_given)
		j->compression = p->compression;
	else if (whole)
		j->compression = j->head.version >= ZSTD_FROM ? ARCHIVE_ZSTD :
								ARCHIVE_GZIP;
	j->frames = j->compression == ARCHIVE_ZSTD &&
	    p->level == ARCHIVE_LEVEL_DEFAULT;
	if (j->compression == ARCHIVE_NONE || whole)
		return archive_compression_check(&j->head, j->compression,
		    err);
	(void)err_set(err, ERR_USAGE, "%s is not compressed by itself",
	    p->format == EXPORT_TAR ? "pg_dump's tar format" : "plain SQL");
	return err_hint(err, "leave --compress out and send standard output "
	    "through gzip or zstd: --output - | gzip");
}

static int
check_globals(const struct export_dump_params *p, struct err *err)
{
	if (p->format == EXPORT_PLAIN && (!p->compression_given ||
	    p->compression == ARCHIVE_NONE))
		return 0;
	(void)err_set(err, ERR_USAGE, "%s is a dump of roles and tablespaces: "
	    "it is plain SQL only", p->label);
	return err_hint(err, "--format plain, without --compress");
}

static int
run(struct dumpjob *j, struct err *err)
{
	const struct export_dump_params *p = j->params;

	if (dumpset_check_packs(j->set, p->repo, err) != 0 ||
	    dumpread_new(&j->reader, j->set, p->repo, err) != 0)
		return -1;
	atomic_store(&p->progress->total_bytes,
	    dumpset_commit(j->set)->original_bytes);
	if (dumpset_commit(j->set)->dump.globals)
		return check_globals(p, err) != 0 ? -1 : write_out(j, err);
	if (dumpparts_head(j->set, j->reader, &j->head, err) != 0 ||
	    choose_compression(j, err) != 0 ||
	    dumpparts_find(&j->parts, j->set, &j->head, err) != 0)
		return -1;
	return write_out(j, err);
}

int
export_dump(const struct export_dump_params *params, struct err *err)
{
	struct export_dump_params chosen = *params;
	struct dumpjob j = { .params = &chosen };
	int ret = dumpset_open(&j.set, params->repo, params->inc,
	    params->label, err);

	if (ret == 0 && chosen.format == EXPORT_AUTO)
		chosen.format = dumpset_commit(j.set)->dump.globals ?
		    EXPORT_PLAIN : EXPORT_CUSTOM;
	if (ret == 0)
		ret = run(&j, err);
	dumpread_free(j.reader);
	dumpset_free(j.set);
	archive_head_free(&j.head);
	dumpparts_free(&j.parts);
	if (ret != 0 && err->code == ERR_DAMAGED)
		(void)err_hint(err, "dapk-backup verify tells which dumps are "
		    "whole");
	return ret == 0 ? 0 : err_wrap(err, "export of dump %s",
	    params->label);
}
