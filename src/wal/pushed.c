/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/hash.h"
#include "repo/state.h"

#define STEP ((size_t)256 << 10)
#define RECORD_MAX ((size_t)1024)
#define RECORD_VERSION "2"
#define HASH_TEXT (2 * WAL_HASH_SIZE + 1)

struct record {
	char boot[64];
	int64_t since_boot, wall; /* when it was written, by two clocks */
	uint64_t length;
	uint32_t generation;
	char content[HASH_TEXT];
	char key[STORAGE_KEY_MAX];
};

int
wal_pushed_open(struct wal_pushed *out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc, struct err *err)
{
	struct wal_pushed p = { NULL, NULL };

	if (state_boot_id(&p.boot, err) == 0 &&
	    state_folder(state_directory, "pushed", repo, inc,
		repo->place_text, &p.dir, err) == 0) {
		*out = p;
		return 0;
	}
	wal_pushed_free(&p);
	return -1;
}

void
wal_pushed_free(struct wal_pushed *p)
{
	free(p->dir);
	free(p->boot);
	p->dir = p->boot = NULL;
}

/* "2 BOOT SINCE-BOOT WALL LENGTH GENERATION CONTENT KEY\n", all of it or nothing. */
static bool
decode(const char *text, struct record *out)
{
	char version[8], end[2];

	_Static_assert(STORAGE_KEY_MAX == 512, "the width below");
	return strlen(text) < RECORD_MAX && sscanf(text,
	    "%7s %63s %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu32
	    " %32s %511s%1[\n]", version, out->boot, &out->since_boot, &out->wall,
	    &out->length, &out->generation, out->content, out->key, end) == 9 &&
	    strcmp(version, RECORD_VERSION) == 0;
}

static bool
recent(int64_t now, int64_t then)
{
	return now >= then && now - then <= WAL_PUSHED_MAX_US;
}

static bool
read_record(const struct wal_pushed *p, const char *name, struct record *out)
{
	char *path = xasprintf("%s/%s", p->dir, name);
	struct err ignored = ERR_INIT;
	struct buf b;
	bool ok;

	buf_init(&b, RECORD_MAX);
	ok = io_read_file(path, &b, &ignored) == 0 &&
	    decode(buf_str(&b), out) && strcmp(out->boot, p->boot) == 0 &&
	    recent(time_boottime(), out->since_boot) &&
	    recent(time_now(), out->wall);
	buf_free(&b);
	free(path);
	return ok;
}

bool
wal_pushed_has(const struct wal_pushed *p, const char *name)
{
	struct record r;

	return read_record(p, name, &r);
}

void
wal_pushed_add(const struct wal_pushed *p, const struct incarnation *inc,
    const struct wal_stored *ws, const uint8_t content[WAL_HASH_SIZE],
    uint64_t length)
{
	char *path = xasprintf("%s/%s", p->dir, ws->file.name);
	struct err ignored = ERR_INIT;
	char key[STORAGE_KEY_MAX], hex[HASH_TEXT];
	char *text;
	int fd;

	wal_store_key(inc, &ws->file, ws->hash, ws->generation, 0, key);
	text_hex(content, WAL_HASH_SIZE, hex);
	text = xasprintf(RECORD_VERSION " %s %" PRId64 " %" PRId64 " %" PRIu64
	    " %" PRIu32 " %s %s\n", p->boot, time_boottime(), time_now(), length,
	    ws->generation, hex, key);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd >= 0) {
		/* What is cut short does not decode. */
		(void)!io_write_full(fd, text, strlen(text), path, &ignored);
		(void)close(fd);
	}
	free(text);
	free(path);
}

/* A key without the hash in it: all of what it is but the content. */
static void
cut_hash(char key[STORAGE_KEY_MAX], const struct wal_file *file)
{
	char *name = strrchr(key, '/');
	size_t len = strlen(file->name) + 1;

	if (name != NULL && strlen(name + 1) > len)
		name[1 + len] = '\0';
}

bool
wal_pushed_take(const struct wal_pushed *p, const struct incarnation *inc,
    const struct wal_file *file, const uint8_t content[WAL_HASH_SIZE],
    uint64_t length)
{
	char *path = xasprintf("%s/%s", p->dir, file->name);
	char key[STORAGE_KEY_MAX], hex[HASH_TEXT];
	struct record r;
	bool ok;

	text_hex(content, WAL_HASH_SIZE, hex);
	ok = read_record(p, file->name, &r) && r.length == length &&
	    strcmp(r.content, hex) == 0;
	if (ok) {
		wal_store_key(inc, file, content, r.generation, 0, key);
		cut_hash(key, file);
		cut_hash(r.key, file);
		ok = strcmp(key, r.key) == 0;
	}
	(void)unlink(path); /* or another has taken it */
	free(path);
	return ok;
}

void
wal_pushed_sweep(const struct wal_pushed *p)
{
	DIR *d = opendir(p->dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && !wal_pushed_has(p, e->d_name))
			(void)unlinkat(dirfd(d), e->d_name, 0); /* or later */
	(void)closedir(d); /* only read from */
}

static int
hash_file(const char *path, uint8_t hash[WAL_HASH_SIZE], uint64_t *length,
    struct err *err)
{
	struct hash_128_stream *h = hash_128_stream_new();
	uint8_t *bytes = xmalloc(STEP);
	size_t got = STEP;
	int ret = -1, fd;

	*length = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		err_sys(err, errno, "open %s", path);
	else
		ret = 0;
	while (ret == 0 && got == STEP) {
		ret = io_pread_upto(fd, bytes, STEP, *length, &got, path,
		    err);
		if (ret == 0) {
			hash_128_stream_add(h, bytes, got);
			*length += got;
		}
	}
	hash_128_stream_finish(h, hash);
	if (fd >= 0)
		(void)close(fd); /* only read from */
	free(bytes);
	return ret;
}

bool
wal_pushed_answers(const struct wal_push_file *f, const struct repo *known,
    const char *state_directory)
{
	struct wal_pushed p = { NULL, NULL };
	uint8_t hash[WAL_HASH_SIZE];
	struct err ignored = ERR_INIT;
	uint64_t length;
	bool ok;

	ok = wal_pushed_open(&p, state_directory, known, f->inc,
		 &ignored) == 0 &&
	    wal_pushed_has(&p, f->name.name) &&
	    hash_file(f->path, hash, &length, &ignored) == 0 &&
	    wal_pushed_take(&p, f->inc, &f->name, hash, length);
	wal_pushed_free(&p);
	return ok;
}
