/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FIXTURE_WAL_H
#define TESTS_FIXTURE_WAL_H

/*
 * WAL as PostgreSQL 15 writes it, made up record by record, a data directory
 * that owns it, and a repository in a temporary directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/mem.h"
#include "pg/control.h"
#include "repo/walstore.h"
#include "wal/get.h"
#include "wal/push.h"
#include "fixture_err.h"

/* err.msg has this in it. */
#define SAYS(text)                                                            \
	do {                                                                  \
		if (strstr(err.msg, text) == NULL)                            \
			fail_msg("'%s' is not in: %s", text, err.msg);        \
	} while (0)

#define MB ((uint32_t)1 << 20)
#define SYSTEM UINT64_C(7312345678901234567)
#define WAL_PAGE 8192u
#define WAL_MAGIC_15 0xd110
#define RM_XLOG 0
#define RM_XACT 1
#define RM_HEAP 10

/* Segments first .. first+n-1 of one timeline, next to each other. */
struct made_wal {
	uint8_t *bytes;
	uint32_t segment_size, timeline;
	uint64_t first, n, system_id;
	uint64_t off; /* where the next byte goes */
	uint64_t prev;
};

static inline uint64_t
made_start(const struct made_wal *w)
{
	return w->first * w->segment_size;
}

static inline uint64_t
made_lsn(const struct made_wal *w)
{
	return made_start(w) + w->off;
}

/* At a page's start: its header; rest: bytes of a record to go on with. */
static inline void
made_page(struct made_wal *w, uint32_t rest)
{
	uint8_t *p = w->bytes + w->off;
	bool is_long = w->off % w->segment_size == 0;

	if (w->off % WAL_PAGE != 0)
		return;
	put_le16(p, WAL_MAGIC_15);
	put_le16(p + 2, (uint16_t)((rest > 0 ? 1 : 0) | (is_long ? 2 : 0)));
	put_le32(p + 4, w->timeline);
	put_le64(p + 8, made_lsn(w));
	put_le32(p + 16, rest);
	if (is_long) {
		put_le64(p + 24, w->system_id);
		put_le32(p + 32, w->segment_size);
		put_le32(p + 36, WAL_PAGE);
	}
	w->off += is_long ? 40 : 24;
}

static inline struct made_wal
made_new(uint32_t segment_size, uint32_t timeline, uint64_t first, uint64_t n)
{
	struct made_wal w = { .segment_size = segment_size,
		.timeline = timeline, .first = first, .n = n,
		.system_id = SYSTEM };

	w.bytes = xcalloc(n, segment_size);
	made_page(&w, 0);
	return w;
}

static inline void
made_free(struct made_wal *w)
{
	free(w->bytes);
}

/*
 * Append a record of which body is all behind its header; its LSN. What does
 * not fit in the last segment is cut.
 */
static inline uint64_t
made_raw(struct made_wal *w, uint8_t rmgr, uint8_t info, uint32_t xid,
    const void *body, uint32_t len)
{
	uint32_t total = 24 + len, done = 0, step, room;
	uint8_t *rec = xcalloc(1, total);
	uint64_t lsn;

	put_le32(rec, total);
	put_le32(rec + 4, xid);
	put_le64(rec + 8, w->prev);
	rec[16] = info;
	rec[17] = rmgr;
	if (len > 0)
		memcpy(rec + 24, body, len);
	put_le32(rec + 20, crc32c_more(crc32c(rec + 24, total - 24), rec, 20));
	w->off = (w->off + 7) & ~UINT64_C(7);
	if (w->off < w->n * w->segment_size)
		made_page(w, 0);
	lsn = made_lsn(w);
	while (done < total && w->off < w->n * w->segment_size) {
		made_page(w, total - done);
		room = WAL_PAGE - (uint32_t)(w->off % WAL_PAGE);
		step = total - done < room ? total - done : room;
		memcpy(w->bytes + w->off, rec + done, step);
		done += step;
		w->off += step;
	}
	w->prev = lsn;
	free(rec);
	return lsn;
}

/* The same with nothing but main data. */
static inline uint64_t
made_record(struct made_wal *w, uint8_t rmgr, uint8_t info, uint32_t xid,
    const void *data, uint32_t len)
{
	uint32_t head = len == 0 ? 0 : len < 256 ? 2 : 5;
	uint8_t *body = xcalloc(1, (size_t)head + len + 1);
	uint64_t lsn;

	if (head == 2) {
		body[0] = 255;
		body[1] = (uint8_t)len;
	} else if (head == 5) {
		body[0] = 254;
		put_le32(body + 1, len);
	}
	if (len > 0)
		memcpy(body + head, data, len);
	lsn = made_raw(w, rmgr, info, xid, body, head + len);
	free(body);
	return lsn;
}

/* A heap record that refers to one block, with so much data for it. */
static inline uint64_t
made_block(struct made_wal *w, uint32_t node, uint8_t fork, uint32_t block,
    uint16_t data_len)
{
	uint8_t *body = xcalloc(1, 20 + (size_t)data_len);
	uint64_t lsn;

	body[1] = (uint8_t)(fork | (data_len > 0 ? 0x20 : 0));
	put_le16(body + 2, data_len);
	put_le32(body + 4, 1663);
	put_le32(body + 8, 5);
	put_le32(body + 12, node);
	put_le32(body + 16, block);
	lsn = made_raw(w, RM_HEAP, 0, 3, body, 20 + (uint32_t)data_len);
	free(body);
	return lsn;
}

static inline uint64_t
made_commit(struct made_wal *w, uint32_t xid, int64_t time)
{
	uint8_t data[8];

	put_le64(data, (uint64_t)time);
	return made_record(w, RM_XACT, 0x00, xid, data, sizeof(data));
}

static inline uint64_t
made_abort(struct made_wal *w, uint32_t xid, int64_t time)
{
	uint8_t data[8];

	put_le64(data, (uint64_t)time);
	return made_record(w, RM_XACT, 0x20, xid, data, sizeof(data));
}

static inline uint64_t
made_point(struct made_wal *w, const char *name, int64_t time)
{
	uint8_t data[72] = { 0 };

	put_le64(data, (uint64_t)time);
	(void)snprintf((char *)data + 8, 64, "%s", name);
	return made_record(w, RM_XLOG, 0x70, 0, data, sizeof(data));
}

static inline uint64_t
made_switch(struct made_wal *w)
{
	uint64_t lsn = made_record(w, RM_XLOG, 0x40, 0, NULL, 0);

	w->off = (w->off + w->segment_size - 1) / w->segment_size *
	    w->segment_size;
	return lsn;
}

/* Other records up to about this offset in the whole. */
static inline void
made_fill(struct made_wal *w, uint64_t until)
{
	uint8_t data[1000];
	uint32_t seed = (uint32_t)w->off + 7;
	size_t i;

	while (w->off + 1100 < until) {
		for (i = 0; i < sizeof(data); i++) {
			seed = seed * 1664525u + 1013904223u;
			data[i] = (uint8_t)(i % 3 ? i : seed >> 24);
		}
		(void)made_record(w, RM_HEAP, 0, 3, data, sizeof(data));
	}
}

struct place {
	char dir[64];
	char pgdata[96];
	char state[96];
	struct repo *repo;
	struct incarnation inc;
	uint32_t segment_size;
};

static inline void
place_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	OK(io_write_full(fd, data, len, path, &err));
	(void)close(fd);
}

static inline void
place_control(const struct place *p, uint32_t segment_size)
{
	uint8_t c[CONTROL_FILE_SIZE] = { 0 };
	char path[128];

	put_le64(c, SYSTEM);
	put_le32(c + 8, 1300);
	put_le32(c + 12, 202209061);
	put_le32(c + 16, CONTROL_IN_PRODUCTION);
	put_le32(c + 48, 1);
	put_le32(c + 204, 8);
	put_le64(c + 208, UINT64_C(0x4132d68700000000));
	put_le32(c + 216, 8192);
	put_le32(c + 220, 131072);
	put_le32(c + 224, 8192);
	put_le32(c + 228, segment_size);
	put_le32(c + 288, crc32c(c, 288));
	(void)snprintf(path, sizeof(path), "%s/global/pg_control", p->pgdata);
	place_write(path, c, sizeof(c));
}

static inline int
place_setup_size(void **state, uint32_t segment_size)
{
	struct place *p = xcalloc(1, sizeof(*p));
	char path[160];
	bool created;

	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/dapk-wal-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->pgdata, sizeof(p->pgdata), "%s/data", p->dir);
	(void)snprintf(p->state, sizeof(p->state), "%s/state", p->dir);
	assert_int_equal(mkdir(p->pgdata, 0700), 0);
	assert_int_equal(mkdir(p->state, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/global", p->pgdata);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/pg_wal", p->pgdata);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/PG_VERSION", p->pgdata);
	place_write(path, "15\n", 3);
	p->segment_size = segment_size;
	place_control(p, segment_size);
	(void)snprintf(path, sizeof(path), "file://%s/repo", p->dir);
	OK(repo_init(&p->repo, &(struct storage_settings){ .url = path }, NULL, &created, &err));
	(void)snprintf(p->inc.cluster, sizeof(p->inc.cluster), "main");
	p->inc.major = 15;
	p->inc.system_id = SYSTEM;
	*state = p;
	return 0;
}

static inline int
place_setup(void **state)
{
	return place_setup_size(state, MB);
}

static inline int
place_setup_16(void **state)
{
	return place_setup_size(state, 16 * MB);
}

static inline int
place_teardown(void **state)
{
	struct place *p = *state;

	repo_close(p->repo);
	OK(io_remove_tree(p->dir, &err));
	free(p);
	return 0;
}

static inline void
place_wal_path(const struct place *p, const char *name, char out[192])
{
	(void)snprintf(out, 192, "%s/pg_wal/%s", p->pgdata, name);
}

/* Put a segment of made WAL into pg_wal under its name. */
static inline void
place_segment(const struct place *p, const struct made_wal *w, uint64_t segno,
    char name[WAL_SEGMENT_NAME_LEN + 1])
{
	char path[192];

	wal_segment_name(w->timeline, segno, w->segment_size, name);
	place_wal_path(p, name, path);
	place_write(path, w->bytes + (segno - w->first) * w->segment_size,
	    w->segment_size);
}

static inline int
place_try_push(const struct place *p, const char *name,
    struct wal_push_result *out)
{
	char path[192];
	struct wal_push_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .compress_level = 1, .jobs = 2,
		.header_check = true };

	(void)snprintf(path, sizeof(path), "pg_wal/%s", name);
	params.path = path;
	return wal_push(&params, out, &err);
}

static inline void
place_push(const struct place *p, const char *name)
{
	struct wal_push_result r;

	OK(place_try_push(p, name, &r));
}

static inline void
place_push_text(const struct place *p, const char *name, const char *text)
{
	char path[192];

	place_wal_path(p, name, path);
	place_write(path, text, strlen(text));
	place_push(p, name);
}

/* Segments from..to of timeline, made up, each with one commit. */
static inline void
place_push_range(const struct place *p, uint32_t timeline, uint64_t from,
    uint64_t to)
{
	struct made_wal w =
	    made_new(p->segment_size, timeline, from, to - from + 1);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t i;

	for (i = 0; i <= to - from; i++) {
		(void)made_commit(&w, (uint32_t)(100 + from + i), 1000);
		made_fill(&w, (i + 1) * p->segment_size);
	}
	made_fill(&w, (to - from + 1) * p->segment_size);
	(void)made_record(&w, RM_HEAP, 0, 3, w.bytes, 2000);
	for (i = from; i <= to; i++) {
		place_segment(p, &w, i, name);
		place_push(p, name);
	}
	made_free(&w);
}

/* The keys of a name's objects; the count. */
struct keys {
	char key[8][STORAGE_KEY_MAX];
	size_t n;
	const char *prefix;
};

static inline int
keys_note(void *arg, const struct storage_entry *e, struct err *unused)
{
	struct keys *k = arg;

	(void)unused;
	assert_true(k->n < 8);
	(void)snprintf(k->key[k->n++], STORAGE_KEY_MAX, "%s%s", k->prefix,
	    e->name);
	return 0;
}

static inline void
place_keys(const struct place *p, const char *segment, struct keys *out)
{
	char tail[96], prefix[STORAGE_KEY_MAX];

	memset(out, 0, sizeof(*out));
	(void)snprintf(tail, sizeof(tail), "wal/%.8s/%.8s/%s", segment,
	    segment + 8, segment);
	repo_key(&p->inc, tail, prefix);
	out->prefix = prefix;
	OK(storage_list(p->repo->st, prefix, true, keys_note, out, &err));
}

static inline void
place_key_path(const struct place *p, const char *key, char out[700])
{
	(void)snprintf(out, 700, "%s/repo/%s", p->dir, key);
}

static inline void
flip_byte(const struct place *p, const char *key, off_t at)
{
	char path[700];
	uint8_t byte;
	int fd;

	place_key_path(p, key, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

#endif
