/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cancel.h"
#include "core/time.h"
#include "export/job.h"
#include "repo/walstore.h"

#define HISTORY_MAX ((size_t)16 << 20)
#define WAL_MODE 0600

static int
segment_data(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	return tarfile_data(arg, data, len, err);
}

static int
history_data(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	return fileread_to_buf(arg, data, len, err);
}

static int
pick(const struct job *j, const char *name, struct wal_stored *ws,
    struct err *err)
{
	struct wal_file file;

	if (wal_file_parse(name, &file, err) != 0)
		return -1;
	return wal_store_pick(j->params->repo, &j->commit->inc, &file, ws,
	    err);
}

/* That it was archived is marked, or the copy would do it again. */
static int
mark_done(struct job *j, const char *name, int64_t mtime, struct err *err)
{
	char path[WAL_FILE_NAME_MAX + 64];

	(void)snprintf(path, sizeof(path), "pg_wal/archive_status/%s.done",
	    name);
	if (path_guard_own(&j->guard, path, err) != 0)
		return -1;
	return tarfile_content(j->out.base, &(struct tarfile_about){
	    .path = path, .mode = WAL_MODE, .mtime = mtime }, "", err);
}

static int
add_segment(struct job *j, const char *name, struct frame_codec *codec,
    struct err *err)
{
	char path[WAL_FILE_NAME_MAX + 32];
	struct wal_stored ws;
	struct tarfile_about about = { .path = path, .mode = WAL_MODE,
		.size = j->commit->wal_segment_size,
		.mtime = j->commit->stop_time };

	(void)snprintf(path, sizeof(path), "pg_wal/%s", name);
	if (pick(j, name, &ws, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_DAMAGED;
		return err_wrap(err, "WAL segment %s, without which the "
		    "backup is not consistent", name);
	}
	if (path_guard_own(&j->guard, path, err) != 0 ||
	    tarfile_begin(j->out.base, &about, err) != 0 ||
	    wal_store_read(j->params->repo, &j->commit->inc, &ws, codec,
		segment_data, j->out.base, err) != 0 ||
	    tarfile_end(j->out.base, err) != 0)
		return err_wrap(err, "WAL segment %s", name);
	return mark_done(j, name, about.mtime, err);
}

/* Timeline 1 has none, nor may one that was taken over from elsewhere. */
static int
add_history(struct job *j, struct frame_codec *codec, struct err *err)
{
	char name[WAL_FILE_NAME_MAX], path[WAL_FILE_NAME_MAX + 32];
	struct tarfile_about about = { .path = path, .mode = WAL_MODE,
		.mtime = j->commit->stop_time };
	struct wal_stored ws;
	struct buf b;
	int ret;

	(void)snprintf(name, sizeof(name), "%08X.history",
	    (unsigned)j->commit->timeline);
	(void)snprintf(path, sizeof(path), "pg_wal/%s", name);
	if (pick(j, name, &ws, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	buf_init(&b, HISTORY_MAX);
	ret = wal_store_read(j->params->repo, &j->commit->inc, &ws, codec,
	    history_data, &b, err);
	about.size = b.len;
	if (ret == 0)
		ret = path_guard_own(&j->guard, path, err);
	if (ret == 0)
		ret = tarfile_content(j->out.base, &about, b.data, err);
	if (ret == 0)
		ret = mark_done(j, name, about.mtime, err);
	buf_free(&b);
	return ret;
}

int
job_add_wal(struct job *j, struct err *err)
{
	const struct commit *c = j->commit;
	struct frame_codec *codec;
	struct wal_file first, last;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t n, end;
	int ret;

	if (wal_file_parse(c->wal_first, &first, err) != 0 ||
	    wal_file_parse(c->wal_last, &last, err) != 0)
		return -1;
	codec = frame_codec_new(1);
	ret = c->timeline == 1 ? 0 : add_history(j, codec, err);
	end = wal_segno(&last, c->wal_segment_size);
	for (n = wal_segno(&first, c->wal_segment_size); n <= end && ret == 0;
	    n++) {
		wal_segment_name(first.timeline, n, c->wal_segment_size, name);
		ret = cancel_check(err);
		if (ret == 0)
			ret = add_segment(j, name, codec, err);
	}
	frame_codec_free(codec);
	return ret;
}
