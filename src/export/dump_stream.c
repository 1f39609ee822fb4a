/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/time.h"
#include "export/dumpjob.h"
#include "pg/archive_custom.h"
#include "pg/archive_dir.h"
#include "pg/archive_tar.h"
#include "repo/dumplobs.h"

/* --------------------------------------------------------------- custom */

struct custom {
	struct dumpjob *job;
	struct archive_custom *out;
	struct dumplobs lobs;
};

static int
take_rows(void *arg, const void *data, size_t len, struct err *err)
{
	struct custom *c = arg;

	if (archive_custom_data(c->out, data, len, err) != 0)
		return -1;
	return dumpjob_count(c->job, len, err);
}

static int
begin_object(void *arg, uint32_t oid, uint64_t size, struct err *err)
{
	struct custom *c = arg;

	return archive_custom_object(c->out, oid, err);
}

static int
take_object(void *arg, const void *data, size_t len, struct err *err)
{
	struct custom *c = arg;

	return archive_custom_data(c->out, data, len, err);
}

static int
end_object(void *arg, struct err *err)
{
	struct custom *c = arg;

	return archive_custom_end_object(c->out, err);
}

static int
take_objects(void *arg, const void *data, size_t len, struct err *err)
{
	struct custom *c = arg;

	if (dumplobs_feed(&c->lobs, data, len, err) != 0)
		return -1;
	return dumpjob_count(c->job, len, err);
}

/* As they are stored, without being compressed again. */
static int
copy_frames(struct custom *c, const struct dump_item *item,
    const struct dump_chunk *chunks, size_t n, struct err *err)
{
	const void *plain, *payload;
	size_t len, i;
	int ret = 0;

	for (i = 0; ret == 0 && i < n; i++) {
		ret = dumpread_chunk(c->job->reader, item, &chunks[i], &plain,
		    &payload, &len, err);
		if (ret == 0 && dumpjob_usable_frame(payload, len))
			ret = archive_custom_frame(c->out, payload, len, err);
		else if (ret == 0)
			ret = archive_custom_data(c->out, plain,
			    chunks[i].bytes, err);
		if (ret == 0)
			ret = dumpjob_count(c->job, chunks[i].bytes, err);
	}
	return ret;
}

static int
custom_item(struct custom *c, const struct dump_part *part,
    const struct dump_item *item, bool frames, struct err *err)
{
	const bool lobs = archive_entry_is_large_objects(part->entry);
	struct dump_chunk *chunks = NULL;
	size_t n;
	int ret;

	if (dumpread_chunks(c->job->reader, item, &chunks, &n, err) != 0)
		return -1;
	if (frames && !lobs)
		ret = copy_frames(c, item, chunks, n, err);
	else
		ret = dumpread_stream(c->job->reader, item, chunks, 0, n,
		    lobs ? take_objects : take_rows, c, err);
	if (ret == 0 && lobs)
		ret = dumplobs_finish(&c->lobs, err);
	free(chunks);
	return ret;
}

int
dumpjob_custom(struct dumpjob *j, enum archive_compression compression,
    archive_sink sink, void *arg, struct buf *final_head, struct err *err)
{
	struct custom c = { .job = j, .lobs = { .begin = begin_object,
		.data = take_object, .end = end_object, .arg = &c } };
	size_t i, k;
	int ret = archive_custom_new(&c.out, &j->head, compression,
	    j->params->level, sink, arg, err);

	for (i = 0; ret == 0 && i < j->parts.n; i++) {
		ret = archive_custom_begin(c.out, j->parts.list[i].entry, err);
		c.lobs.last_oid = 0;
		for (k = 0; ret == 0 && k < j->parts.list[i].n; k++)
			ret = custom_item(&c, &j->parts.list[i],
			    j->parts.list[i].items[k], j->frames && compression ==
			    ARCHIVE_ZSTD, err);
		if (ret == 0)
			ret = archive_custom_end(c.out, err);
	}
	if (ret == 0 && final_head != NULL)
		ret = archive_custom_head(c.out, final_head, err);
	archive_custom_free(c.out);
	return ret;
}

/* ------------------------------------------------------------------ tar */

struct tar {
	struct dumpjob *job;
	struct archive_tar *out;
	struct dumplobs lobs;
	struct buf list; /* of the entry's large objects */
};

#define MICRO 1000000
#define LIST_MAX ((size_t)1 << 30)

static int
tar_rows(void *arg, const void *data, size_t len, struct err *err)
{
	struct tar *t = arg;

	if (archive_tar_data(t->out, data, len, err) != 0)
		return -1;
	return dumpjob_count(t->job, len, err);
}

static int
tar_begin_object(void *arg, uint32_t oid, uint64_t size, struct err *err)
{
	struct tar *t = arg;
	char name[ARCHIVE_NAME_MAX], line[ARCHIVE_LINE_MAX];

	archive_object_line(oid, line);
	buf_add_str(&t->list, line);
	archive_object_name(oid, name);
	return archive_tar_begin(t->out, name, size, err);
}

static int
tar_object(void *arg, const void *data, size_t len, struct err *err)
{
	struct tar *t = arg;

	return archive_tar_data(t->out, data, len, err);
}

static int
tar_end_object(void *arg, struct err *err)
{
	struct tar *t = arg;

	return archive_tar_end(t->out, err);
}

static int
tar_objects(void *arg, const void *data, size_t len, struct err *err)
{
	struct tar *t = arg;

	if (dumplobs_feed(&t->lobs, data, len, err) != 0)
		return -1;
	return dumpjob_count(t->job, len, err);
}

static int
tar_stream(struct tar *t, const struct dump_item *item, dumpread_sink sink,
    struct err *err)
{
	struct dump_chunk *chunks = NULL;
	size_t n;
	int ret;

	if (dumpread_chunks(t->job->reader, item, &chunks, &n, err) != 0)
		return -1;
	ret = dumpread_stream(t->job->reader, item, chunks, 0, n, sink, t,
	    err);
	free(chunks);
	return ret;
}

static int
tar_table(struct tar *t, const struct dump_part *part, struct err *err)
{
	const size_t end = strlen(ARCHIVE_ROWS_END);
	const struct dump_item *item = part->items[0];
	char name[ARCHIVE_NAME_MAX];

	(void)archive_data_name(&t->job->head, part->entry, ARCHIVE_TAR, name);
	if (archive_tar_begin(t->out, name, item->size + end, err) != 0 ||
	    tar_stream(t, item, tar_rows, err) != 0 ||
	    archive_tar_data(t->out, ARCHIVE_ROWS_END, end, err) != 0)
		return -1;
	return archive_tar_end(t->out, err);
}

/* The objects stand before their list: pg_restore reads up to that. */
static int
tar_large_objects(struct tar *t, const struct dump_part *part,
    struct err *err)
{
	char name[ARCHIVE_NAME_MAX];
	size_t k;

	buf_clear(&t->list);
	t->lobs.last_oid = 0;
	for (k = 0; k < part->n; k++)
		if (tar_stream(t, part->items[k], tar_objects, err) != 0 ||
		    dumplobs_finish(&t->lobs, err) != 0)
			return -1;
	archive_list_name(&t->job->head, part->entry, name);
	if (buf_check(&t->list, "the list of large objects", err) != 0 ||
	    archive_tar_begin(t->out, name, t->list.len, err) != 0 ||
	    archive_tar_data(t->out, t->list.data, t->list.len, err) != 0)
		return -1;
	return archive_tar_end(t->out, err);
}

static int
tar_script(struct tar *t, struct err *err)
{
	struct buf b;
	int ret;

	buf_init(&b, LIST_MAX);
	ret = dumpjob_script(t->job, &b, err);
	if (ret == 0 && b.len > 0 &&
	    (archive_tar_begin(t->out, "restore.sql", b.len, err) != 0 ||
		archive_tar_data(t->out, b.data, b.len, err) != 0 ||
		archive_tar_end(t->out, err) != 0))
		ret = -1;
	buf_free(&b);
	return ret;
}

int
dumpjob_tar(struct dumpjob *j, archive_sink sink, void *arg, struct err *err)
{
	const struct commit *commit = dumpset_commit(j->set);
	struct tar t = { .job = j, .lobs = { .begin = tar_begin_object,
		.data = tar_object, .end = tar_end_object, .arg = &t } };
	size_t i;
	int ret;

	buf_init(&t.list, LIST_MAX);
	ret = archive_tar_new(&t.out, &j->head, commit->start_time / MICRO +
	    TIME_UNIX_EPOCH_OFFSET, sink, arg, err);
	for (i = 0; ret == 0 && i < j->parts.n; i++)
		ret = archive_entry_is_large_objects(j->parts.list[i].entry) ?
		    tar_large_objects(&t, &j->parts.list[i], err) :
		    tar_table(&t, &j->parts.list[i], err);
	if (ret == 0)
		ret = tar_script(&t, err);
	if (ret == 0)
		ret = archive_tar_finish(t.out, err);
	archive_tar_free(t.out);
	buf_free(&t.list);
	return ret;
}
