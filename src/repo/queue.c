/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/json.h"
#include "repo/state.h"

#define ITEM_MAX 128
#define NOTE_MAX ((size_t)64 << 10)
#define NOTE_FILE "note"
#define BOOT_TEXT 64

struct queue {
	char *dir;   /* of the note and the lock */
	char *items; /* below it */
};

int
queue_open(struct queue **out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc, const char *name,
    struct err *err)
{
	struct queue *q = xcalloc(1, sizeof(*q));

	if (state_folder(state_directory, "queue", repo, inc, name, &q->dir,
	    err) != 0) {
		free(q);
		return -1;
	}
	q->items = xasprintf("%s/items", q->dir);
	if (state_make(q->items, err) != 0) {
		queue_close(q);
		return -1;
	}
	*out = q;
	return 0;
}

bool
queue_open_existing(struct queue **out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc, const char *name)
{
	struct queue *q = xcalloc(1, sizeof(*q));

	q->dir = xasprintf("%s/queue/%s-%llu/%s", state_directory,
	    repo->id_text, (unsigned long long)inc->system_id, name);
	q->items = xasprintf("%s/items", q->dir);
	if (access(q->items, R_OK | X_OK) != 0) {
		queue_close(q);
		return false;
	}
	*out = q;
	return true;
}

void
queue_close(struct queue *q)
{
	if (q == NULL)
		return;
	free(q->dir);
	free(q->items);
	free(q);
}

/* Names come from PostgreSQL and from labels; a path must not be made. */
static bool
item_valid(const char *item)
{
	size_t len = strlen(item);

	return len > 0 && len < ITEM_MAX && item[0] != '.' &&
	    strchr(item, '/') == NULL;
}

/* Without it nobody knows that both were compared lately. */
static void
forget_note(const struct queue *q)
{
	char *path = xasprintf("%s/" NOTE_FILE, q->dir);

	(void)unlink(path); /* or there is none */
	free(path);
}

int
queue_add(struct queue *q, const char *item, struct err *err)
{
	char *path;
	int fd;

	if (!item_valid(item))
		return err_set(err, ERR_BUG, "'%s' is no item of a queue",
		    item);
	path = xasprintf("%s/%s", q->items, item);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err_sys(err, errno, "create %s", path);
		forget_note(q); /* the next comparison is due at once */
	} else
		(void)close(fd); /* nothing was written */
	free(path);
	return fd < 0 ? -1 : 0;
}

void
queue_done(struct queue *q, const char *item)
{
	char *path = xasprintf("%s/%s", q->items, item);

	(void)unlink(path); /* or another has done it */
	free(path);
}

/* Calls fn for each item; it owns the name when it keeps it. */
static int
each_item(const struct queue *q,
    void (*fn)(void *arg, const char *name, int64_t since), void *arg,
    struct err *err)
{
	DIR *d = opendir(q->items);
	struct dirent *e;
	struct stat st;

	if (d == NULL)
		return err_sys(err, errno, "open %s", q->items);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) != 0)
			continue; /* just taken away */
		fn(arg, e->d_name, time_from_unix(st.st_mtim.tv_sec) +
		    st.st_mtim.tv_nsec / 1000);
	}
	(void)closedir(d); /* only read from */
	return 0;
}

struct list {
	struct queue_item *items;
	size_t n, room;
};

static void
keep(void *arg, const char *name, int64_t since)
{
	struct list *list = arg;

	if (list->n == list->room) {
		list->room = list->room * 2 + 64;
		list->items = xreallocarray(list->items, list->room,
		    sizeof(*list->items));
	}
	list->items[list->n].name = xstrdup(name);
	list->items[list->n++].since = since;
}

static int
by_name(const void *a, const void *b)
{
	const struct queue_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
queue_list(const struct queue *q, struct queue_item **out, size_t *n,
    struct err *err)
{
	struct list list = { .items = NULL };

	if (each_item(q, keep, &list, err) != 0)
		return -1;
	if (list.n > 0)
		qsort(list.items, list.n, sizeof(*list.items), by_name);
	*out = list.items;
	*n = list.n;
	return 0;
}

void
queue_items_free(struct queue_item *items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(items[i].name);
	free(items);
}

struct lag {
	uint64_t items;
	int64_t oldest;
};

static void
count(void *arg, const char *name, int64_t since)
{
	struct lag *lag = arg;

	(void)name;
	if (lag->items++ == 0 || since < lag->oldest)
		lag->oldest = since;
}

int
queue_lag(const struct queue *q, uint64_t *items, int64_t *oldest,
    struct err *err)
{
	struct lag lag = { 0, 0 };

	if (each_item(q, count, &lag, err) != 0)
		return -1;
	*items = lag.items;
	*oldest = lag.oldest;
	return 0;
}

static void
note_set(void *arg, const char *name, int64_t since)
{
	bool *has = arg;

	(void)since;
	if (strncmp(name, "backup-", 7) == 0 || strncmp(name, "dump-", 5) == 0)
		*has = true;
}

bool
queue_has_set(const struct queue *q)
{
	struct err ignored = ERR_INIT;
	bool has = false;

	/* What cannot be read may have one. */
	return each_item(q, note_set, &has, &ignored) != 0 || has;
}

int
queue_lock(const struct queue *q)
{
	return state_lock(q->dir);
}

static void
decode_note(struct json_reader *r, struct queue_note *note)
{
	note->last_success = json_get_i64(r, r->root, "last_success");
	note->last_compared = json_get_i64(r, r->root, "last_compared");
	note->last_failure = json_get_i64(r, r->root, "last_failure");
	note->next_try = json_get_i64(r, r->root, "next_try");
	note->failures = (unsigned)json_get_u64(r, r->root, "failures",
	    UINT32_MAX);
	json_copy_text(r, r->root, "error", note->error,
	    sizeof(note->error));
}

/*
 * Items are not synced: a crash of the machine may lose some. So a comparison
 * counts in the boot only in which it was made.
 */
static void
boot_id(char out[BOOT_TEXT])
{
	struct err ignored = ERR_INIT;
	char *id = NULL;

	out[0] = '\0';
	if (state_boot_id(&id, &ignored) == 0)
		(void)snprintf(out, BOOT_TEXT, "%s", id);
	free(id);
}

void
queue_note_read(const struct queue *q, struct queue_note *note)
{
	char *path = xasprintf("%s/" NOTE_FILE, q->dir);
	char boot[BOOT_TEXT], of[BOOT_TEXT] = "";
	struct err ignored = ERR_INIT;
	struct json_reader r;
	struct buf b;

	memset(note, 0, sizeof(*note));
	boot_id(boot);
	buf_init(&b, NOTE_MAX);
	if (io_read_file(path, &b, &ignored) == 0 &&
	    json_open(&r, buf_str(&b), b.len, &ignored) == 0) {
		decode_note(&r, note);
		json_copy_text(&r, r.root, "boot", of, sizeof(of));
		if (json_check(&r, &ignored) != 0)
			memset(note, 0, sizeof(*note));
		else if (boot[0] == '\0' || strcmp(of, boot) != 0)
			note->last_compared = 0;
		json_close(&r);
	}
	buf_free(&b);
	free(path);
}

/* The reader sees the old note or the new one; it need not survive a crash. */
void
queue_note_write(struct queue *q, const struct queue_note *note)
{
	char *path = xasprintf("%s/" NOTE_FILE, q->dir), *text = NULL;
	struct err ignored = ERR_INIT; /* the old note stays */
	struct state_file f;
	char boot[BOOT_TEXT];
	json_t *j;

	boot_id(boot);
	j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:s,s:s}", "last_success",
	    (json_int_t)note->last_success, "last_compared",
	    (json_int_t)note->last_compared, "last_failure",
	    (json_int_t)note->last_failure, "next_try",
	    (json_int_t)note->next_try, "failures",
	    (json_int_t)note->failures, "error", note->error, "boot", boot);

	/* An error with bytes that are no UTF-8 has no note. */
	if (j != NULL)
		text = json_dumps(j, 0);
	json_decref(j);
	if (text == NULL || state_file_begin(&f, path, &ignored) != 0 ||
	    state_file_end(&f, state_file_add(&f, text, strlen(text),
	    &ignored), &ignored) != 0)
		err_clear(&ignored);
	free(text);
	free(path);
}
