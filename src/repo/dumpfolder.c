/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/dumpfolder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "pg/archive_dir.h"
#include "repo/dumplobs.h"

/* An entry of the table of contents that has data. */
struct part {
	const struct archive_entry *entry;
	pthread_mutex_t lock;

	/* a table's */
	struct archive_file *file;
	uint32_t ranges; /* 0: not begun */
	uint32_t next;	 /* whose turn it is; its writer alone may write */
	bool *waiting;	 /* complete, in a file of its own */
	bool closed;

	/* large objects' */
	uint32_t *oids;
	size_t n_oids, cap_oids;
};

struct dump_folder {
	struct archive_dir *dir;
	enum archive_compression compression;
	int level;
	struct part *parts; /* ascending by dump id */
	size_t n;
};

struct folder_writer {
	struct dump_folder *folder;
	struct archive_pack *pack;
	struct part *part; /* between begin and end */
	uint32_t range;
	bool direct; /* into the table's file */
	int fd;	     /* else here, -1: nothing yet */
	char *name;

	struct dumplobs lobs;
	struct archive_file *object;
};

/* ---------------------------------------------------------- the folder */

int
dump_folder_new(struct dump_folder **out, const char *path,
    enum archive_compression compression, int level, struct err *err)
{
	struct dump_folder *f = xcalloc(1, sizeof(*f));

	*out = NULL;
	f->compression = compression;
	f->level = level;
	if (archive_dir_new(&f->dir, path, compression, level, err) != 0) {
		dump_folder_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

static int
by_dump_id(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->entry->dump_id > y->entry->dump_id) -
	    (x->entry->dump_id < y->entry->dump_id);
}

int
dump_folder_head(struct dump_folder *f, const struct archive_head *head,
    struct err *err)
{
	size_t i;

	if (archive_dir_head(f->dir, head, err) != 0)
		return -1;
	f->parts = xcalloc(head->n + 1, sizeof(*f->parts));
	for (i = 0; i < head->n; i++) {
		if (!head->entries[i].had_dumper)
			continue;
		f->parts[f->n].entry = &head->entries[i];
		(void)pthread_mutex_init(&f->parts[f->n++].lock, NULL);
	}
	qsort(f->parts, f->n, sizeof(*f->parts), by_dump_id);
	return 0;
}

static struct part *
find_part(const struct dump_folder *f, int32_t dump_id)
{
	const struct archive_entry entry = { .dump_id = dump_id };
	const struct part key = { .entry = &entry };

	return bsearch(&key, f->parts, f->n, sizeof(*f->parts), by_dump_id);
}

static int
by_oid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int
write_list(struct dump_folder *f, struct part *p, struct err *err)
{
	struct archive_file *list;
	size_t i;

	if (p->n_oids > 0)
		qsort(p->oids, p->n_oids, sizeof(*p->oids), by_oid);
	if (archive_file_open_list(&list, f->dir, p->entry, err) != 0)
		return -1;
	for (i = 0; i < p->n_oids; i++)
		if (archive_file_list(list, p->oids[i], err) != 0) {
			archive_file_free(list);
			return -1;
		}
	return archive_file_close(list, err);
}

int
dump_folder_finish(struct dump_folder *f, struct err *err)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct part *p = &f->parts[i];

		if (archive_entry_is_large_objects(p->entry)) {
			if (write_list(f, p, err) != 0)
				return -1;
		} else if (!p->closed) {
			return err_set(err, ERR_BUG, "%s %s has no data",
			    p->entry->desc, p->entry->tag);
		}
	}
	return archive_dir_finish(f->dir, err);
}

void
dump_folder_free(struct dump_folder *f)
{
	size_t i;

	if (f == NULL)
		return;
	for (i = 0; i < f->n; i++) {
		archive_file_free(f->parts[i].file);
		free(f->parts[i].waiting);
		free(f->parts[i].oids);
		(void)pthread_mutex_destroy(&f->parts[i].lock);
	}
	free(f->parts);
	archive_dir_free(f->dir);
	free(f);
}

/* ------------------------------------------------------ a table's ranges */

static char *
range_name(const struct dump_folder *f, const struct part *p, uint32_t range)
{
	return xasprintf("%s/range-%d-%u", archive_dir_temp(f->dir),
	    (int)p->entry->dump_id, (unsigned)range);
}

/* Its turn has come: what stood in a file of its own goes where it belongs. */
static int
append_range(const struct dump_folder *f, struct part *p, uint32_t range,
    struct err *err)
{
	char *name = range_name(f, p, range);
	int fd = open(name, O_RDONLY | O_CLOEXEC), ret;
	off_t len;

	if (fd < 0) {
		ret = err_sys(err, errno, "open %s", name);
		free(name);
		return ret;
	}
	len = lseek(fd, 0, SEEK_END);
	ret = len < 0 ? err_sys(err, errno, "size of %s", name) :
			archive_file_append(p->file, fd, (uint64_t)len, err);
	(void)close(fd); /* only read */
	if (ret == 0)
		ret = io_unlink(name, err);
	free(name);
	return ret;
}

/* With the lock: ranges that wait for their turn, and the end. */
static int
move_on(const struct dump_folder *f, struct part *p, struct err *err)
{
	int ret;

	while (p->next < p->ranges && p->waiting[p->next]) {
		if (append_range(f, p, p->next, err) != 0)
			return -1;
		p->next++;
	}
	if (p->next < p->ranges)
		return 0;
	ret = archive_file_close(p->file, err);
	p->file = NULL;
	p->closed = true;
	return ret;
}

static int
begin_range(struct folder_writer *w, struct part *p,
    const struct folder_item *item, struct err *err)
{
	int ret = 0;

	(void)pthread_mutex_lock(&p->lock);
	if (p->ranges == 0) {
		p->ranges = item->ranges;
		p->waiting = xcalloc(item->ranges, sizeof(*p->waiting));
		ret = archive_file_open(&p->file, w->folder->dir, p->entry,
		    err);
	}
	w->direct = p->next == item->range;
	(void)pthread_mutex_unlock(&p->lock);
	w->range = item->range;
	return ret;
}

static int
drop_own_file(struct folder_writer *w, struct err *err)
{
	int ret = 0;

	if (w->fd >= 0 && close(w->fd) != 0)
		ret = err_sys(err, errno, "close %s", w->name);
	w->fd = -1;
	free(w->name);
	w->name = NULL;
	return ret;
}

/* Is it our turn by now? Then what we have goes ahead of what comes. */
static int
look_at_turn(struct folder_writer *w, struct err *err)
{
	struct part *p = w->part;

	(void)pthread_mutex_lock(&p->lock);
	w->direct = p->next == w->range;
	(void)pthread_mutex_unlock(&p->lock);
	if (!w->direct || w->fd < 0)
		return 0;
	if (drop_own_file(w, err) != 0)
		return -1;
	return append_range(w->folder, p, w->range, err);
}

/* Compressed bytes. */
static int
put_range(void *arg, const void *data, size_t len, struct err *err)
{
	struct folder_writer *w = arg;

	if (!w->direct && look_at_turn(w, err) != 0)
		return -1;
	if (w->direct)
		return archive_file_packed(w->part->file, data, len, err);
	if (w->fd < 0) {
		w->name = range_name(w->folder, w->part, w->range);
		w->fd = open(w->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
		if (w->fd < 0)
			return err_sys(err, errno, "create %s", w->name);
	}
	return io_write_full(w->fd, data, len, w->name, err);
}

static int
end_range(struct folder_writer *w, struct err *err)
{
	struct part *p = w->part;
	bool own;
	int ret;

	if (archive_pack_begun(w->pack) &&
	    archive_pack_end(w->pack, put_range, w, err) != 0)
		return -1;
	if (!w->direct && w->fd < 0 && put_range(w, "", 0, err) != 0)
		return -1; /* no row: it takes its turn all the same */
	own = w->fd >= 0;
	if (drop_own_file(w, err) != 0)
		return -1;
	(void)pthread_mutex_lock(&p->lock);
	if (own)
		p->waiting[w->range] = true;
	else
		p->next++;
	ret = move_on(w->folder, p, err);
	(void)pthread_mutex_unlock(&p->lock);
	return ret;
}

/* -------------------------------------------------------- large objects */

static int
begin_object(void *arg, uint32_t oid, uint64_t size, struct err *err)
{
	struct folder_writer *w = arg;
	struct part *p = w->part;

	(void)pthread_mutex_lock(&p->lock);
	if (p->n_oids == p->cap_oids) {
		p->cap_oids = p->cap_oids == 0 ? 64 : 2 * p->cap_oids;
		p->oids = xreallocarray(p->oids, p->cap_oids,
		    sizeof(*p->oids));
	}
	p->oids[p->n_oids++] = oid;
	(void)pthread_mutex_unlock(&p->lock);
	return archive_file_open_object(&w->object, w->folder->dir, oid, err);
}

static int
put_object(void *arg, const void *data, size_t len, struct err *err)
{
	struct folder_writer *w = arg;

	return archive_file_write(w->object, data, len, err);
}

static int
end_object(void *arg, struct err *err)
{
	struct folder_writer *w = arg;
	struct archive_file *object = w->object;

	w->object = NULL;
	return archive_file_close(object, err);
}

/* ------------------------------------------------------------- a writer */

int
folder_writer_new(struct folder_writer **out, struct dump_folder *f,
    struct err *err)
{
	struct folder_writer *w = xcalloc(1, sizeof(*w));

	w->folder = f;
	w->fd = -1;
	if (archive_pack_new(&w->pack, f->compression, f->level,
	    ARCHIVE_PACK_FILE, err) != 0) {
		free(w);
		*out = NULL;
		return -1;
	}
	*out = w;
	return 0;
}

void
folder_writer_free(struct folder_writer *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		(void)close(w->fd); /* it goes with the folder */
	free(w->name);
	archive_file_free(w->object);
	archive_pack_free(w->pack);
	free(w);
}

int
folder_item_begin(struct folder_writer *w, const struct folder_item *item,
    struct err *err)
{
	w->part = find_part(w->folder, item->dump_id);
	if (w->part == NULL || item->range >= item->ranges)
		return err_set(err, ERR_BUG, "entry %d has no data",
		    (int)item->dump_id);
	if (!archive_entry_is_large_objects(w->part->entry))
		return begin_range(w, w->part, item, err);
	w->lobs = (struct dumplobs){ .begin = begin_object,
		.data = put_object, .end = end_object, .arg = w };
	return 0;
}

int
folder_item_write(struct folder_writer *w, const void *data, size_t len,
    struct err *err)
{
	if (archive_entry_is_large_objects(w->part->entry))
		return dumplobs_feed(&w->lobs, data, len, err);
	return archive_pack_write(w->pack, data, len, put_range, w, err);
}

int
folder_item_packed(struct folder_writer *w, const void *data, size_t len,
    struct err *err)
{
	if (archive_pack_begun(w->pack) &&
	    archive_pack_end(w->pack, put_range, w, err) != 0)
		return -1;
	return put_range(w, data, len, err);
}

int
folder_item_end(struct folder_writer *w, struct err *err)
{
	if (archive_entry_is_large_objects(w->part->entry))
		return dumplobs_finish(&w->lobs, err);
	return end_range(w, err);
}
