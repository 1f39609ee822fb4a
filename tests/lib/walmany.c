/* SPDX-License-Identifier: PostgreSQL */
/*
 * For integration tests: many stored WAL segments, without a server that
 * writes them. Each has header, summary and index as archive-push makes them,
 * so that what reads names and summaries sees an archive; the content itself
 * is left out, so nothing can be restored from it.
 *
 *	walmany URL CLUSTER SEGMENT COUNT SEGMENT-SIZE [SETTING=VALUE...]
 *
 * makes COUNT segments, SEGMENT the first of them. Settings: endpoint,
 * region, ca-file, key-file, known-hosts; S3's keys are in S3_ACCESS_KEY and
 * S3_SECRET_KEY. In a directory files are written without a sync, else
 * objects are put.
 *
 * system=ID: an incarnation (of PostgreSQL 15) that need not be there yet.
 * days=N: what is made became so over the last N days, not just now.
 * backups=N: and N backups over the same time, each the parent of the next,
 * with ten packs of its own and twenty of the two before. Their packs are a few
 * bytes that only have the right name and size; their manifests are no text,
 * but what the commits say, and the segment that each needs has content,
 * zeros: what is read before something is removed is all that is whole.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/hash.h"
#include "repo/manifest_names.h"
#include "repo/object.h"
#include "repo/repo.h"
#include "repo/walstore.h"

#define OBJECT_MAX ((size_t)4 << 20)
#define DAY_US (INT64_C(86400) * 1000000)
#define OWN_PACKS 10
#define PACKS 30 /* that a backup refers to */
#define PACK_BYTES 100
#define MAJOR 15

static struct err err;

static struct {
	struct storage_settings storage;
	uint64_t system_id, days, backups;
	struct repo *repo;
	struct incarnation inc;
	uint32_t segment_size;
	uint8_t zeros_hash[WAL_HASH_SIZE]; /* of a segment of them */
	int64_t now;
} g;

static void
must(int rc)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "%s (%s)\n", err.msg, err.hint);
	exit(1);
}

static void
must_text(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "%s\n", what);
	exit(1);
}

/* One commit at the segment's beginning, and records up to its end. */
static void
summarise(pg_lsn start, uint32_t segment_size, int64_t time,
    struct wal_summary *s)
{
	memset(s, 0, sizeof(*s));
	s->parsed = true;
	s->first_record = start + 40;
	s->end = start + segment_size;
	s->records = 100;
	s->commits = 1;
	s->first_commit_time = s->last_commit_time = time;
	s->min_commit_time = s->max_commit_time = time;
	s->min_xid = s->max_xid = (uint32_t)(start / segment_size);
	s->max_time = time;
	s->max_time_lsn = s->first_record;
}

/* Zeros, which have one hash whatever segment they are the content of. */
static void
add_content(struct object_writer *w, struct frame_codec *codec)
{
	static uint8_t zeros[FORMAT_FRAME_PLAIN_MAX];
	struct frame_header fh = { .type = FRAME_WAL };
	uint32_t left = g.segment_size;

	while (left > 0) {
		fh.position = g.segment_size - left;
		must(object_writer_add(w, codec, &fh, zeros, sizeof(zeros),
		    &err));
		left -= (uint32_t)sizeof(zeros);
	}
}

static void
encode(const struct wal_file *file, int64_t time, bool content,
    uint8_t hash[WAL_HASH_SIZE], struct frame_codec *codec,
    struct object_writer *w)
{
	const uint32_t size = g.segment_size;
	struct object_header h = { .type = OBJECT_WAL, .has_wal = true,
		.system_id = g.inc.system_id, .hash_algorithm = 1 };
	struct frame_header fh = { .type = FRAME_WAL_SUMMARY };
	pg_lsn start = wal_segment_start(wal_segno(file, size), size);
	struct wal_summary sum;
	struct buf plain;
	size_t i;

	for (i = 0; i < WAL_HASH_SIZE / 8; i++)
		put_le64(hash + 8 * i, (start + i) *
		    UINT64_C(0x9e3779b97f4a7c15));
	if (content)
		memcpy(hash, g.zeros_hash, WAL_HASH_SIZE);
	memcpy(h.repository_id, g.repo->id, sizeof(h.repository_id));
	(void)snprintf(h.name, sizeof(h.name), "%s", file->name);
	h.wal.length = size;
	h.wal.segment_size = size;
	h.wal.parts = 1;
	h.wal.part_length = WAL_PART_LENGTH;
	h.wal.major = (uint32_t)g.inc.major;
	memcpy(h.wal.hash, hash, WAL_HASH_SIZE);
	h.wal.lsn = start;
	h.wal.archived = time;
	object_writer_reset(w, &h);
	if (content)
		add_content(w, codec);
	summarise(start, size, time, &sum);
	buf_init(&plain, OBJECT_MAX);
	wal_summary_encode(&sum, &plain);
	must(object_writer_add(w, codec, &fh, plain.data, plain.len, &err));
	must(object_writer_finish(w, &err));
	buf_free(&plain);
}

/* Does a backup begin in the i-th of so many segments? */
static bool
is_needed(uint64_t i, uint64_t count)
{
	const uint64_t k = g.backups == 0 ? 0 :
	    (i * g.backups + count - 1) / count;

	return k < g.backups && k * count / g.backups == i;
}

/* The i-th of n things became so at this time. */
static int64_t
time_of(uint64_t i, uint64_t n)
{
	return g.now - (int64_t)((double)g.days * DAY_US *
	    (double)(n - i) / (double)n);
}

static void
write_file(const char *url, const char *key, const void *data, size_t len,
    int64_t time)
{
	const int64_t unix_us = time + INT64_C(946684800) * 1000000;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = unix_us / 1000000,
		.tv_nsec = unix_us % 1000000 * 1000 } };
	char path[4096], *slash;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", url + strlen("file://"),
	    key);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		slash = strrchr(path, '/');
		*slash = '\0';
		must(io_mkdir_p(path, 0700, &err));
		*slash = '/';
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	}
	must_text(fd >= 0, path);
	must(io_write_full(fd, data, len, path, &err));
	if (g.days > 0)
		must_text(futimens(fd, times) == 0, path);
	(void)close(fd);
}

static void
put(const char *key, const void *data, size_t len, int64_t time)
{
	if (storage_is_local(g.storage.url))
		write_file(g.storage.url, key, data, len, time);
	else
		must(storage_put(g.repo->st, key, data, len, &err));
}

static void
put_segments(const struct wal_file *first, uint64_t count)
{
	struct frame_codec *codec = frame_codec_new(1);
	struct object_header none = { .type = OBJECT_WAL };
	const uint64_t segno = wal_segno(first, g.segment_size);
	struct object_writer w;
	struct wal_file file;
	uint8_t hash[WAL_HASH_SIZE];
	char key[STORAGE_KEY_MAX], name[WAL_SEGMENT_NAME_LEN + 1];
	int64_t time;
	uint64_t i;

	object_writer_init(&w, OBJECT_MAX, &none);
	for (i = 0; i < count; i++) {
		wal_segment_name(first->timeline, segno + i, g.segment_size,
		    name);
		must(wal_file_parse(name, &file, &err));
		time = time_of(i + 1, count);
		encode(&file, time, is_needed(i, count), hash, codec, &w);
		wal_store_key(&g.inc, &file, hash, 0, 0, key);
		put(key, w.bytes.data, w.bytes.len, time);
	}
	object_writer_free(&w);
	frame_codec_free(codec);
}

static void
refer(struct commit_pack *p, const char *label, uint32_t number)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->id.label, label, FORMAT_LABEL_MAX);
	p->id.attempt = 1;
	p->id.number = number;
	p->size = PACK_BYTES;
	p->plain = 16 << 20;
	p->live = 12 << 20;
}

/* An object that is as its commit says. Its text says nothing. */
static void
put_manifest(const struct commit *c, struct manifest_part *part)
{
	struct object_header h = { .type = OBJECT_MANIFEST,
		.system_id = c->inc.system_id };
	struct frame_header fh = { .type = FRAME_MANIFEST };
	struct frame_codec *codec = frame_codec_new(1);
	struct object_writer w;
	char key[STORAGE_KEY_MAX];

	memcpy(h.repository_id, g.repo->id, sizeof(h.repository_id));
	(void)snprintf(h.name, sizeof(h.name), "%s", c->label);
	object_writer_init(&w, OBJECT_MAX, &h);
	must(object_writer_add(&w, codec, &fh, "\n", 1, &err));
	must(object_writer_finish(&w, &err));
	part->size = w.bytes.len;
	must(sha256(w.bytes.data, w.bytes.len, part->sha256, &err));
	manifest_part_key(&c->inc, REPO_BACKUP, c->label, 0, key);
	put(key, w.bytes.data, w.bytes.len, c->stop_time);
	object_writer_free(&w);
	frame_codec_free(codec);
}

/* What it stored itself, but for the commit. */
static void
put_packs(struct commit *c)
{
	static const char data[PACK_BYTES];
	char key[STORAGE_KEY_MAX];
	size_t i;

	for (i = 0; i < c->n_packs; i++)
		if (strcmp(c->packs[i].id.label, c->label) == 0) {
			repo_pack_key(&c->inc, &c->packs[i].id, key);
			put(key, data, sizeof(data), c->stop_time);
		}
}

/* As repo_put_text() has it. */
static void
put_commit(struct commit *c)
{
	char key[STORAGE_KEY_MAX];
	struct buf json, b;

	buf_init(&json, FORMAT_TEXT_MAX);
	buf_init(&b, STORAGE_OBJECT_MAX);
	commit_encode(c, g.repo, &json);
	text_object_encode("commit", buf_str(&json), json.len, &b);
	commit_key(&c->inc, REPO_BACKUP, c->label, key);
	put(key, b.data, b.len, c->stop_time);
	buf_free(&json);
	buf_free(&b);
}

/* A backup at this time, from one segment of the archive into the next. */
static void
put_backup(uint64_t i, int64_t time, uint64_t segno,
    char labels[3][FORMAT_LABEL_MAX])
{
	struct manifest_part part = { .size = 0 };
	struct commit_pack packs[PACKS];
	struct commit c = { .kind = REPO_BACKUP, .inc = g.inc,
		.catalog_version = 202209061, .attempt = 1, .timeline = 1,
		.read_all = true, .block_size = 8192,
		.relation_segment_blocks = 131072, .data_checksums = true,
		.files = 1000, .original_bytes = UINT64_C(4) << 30,
		.stored_bytes = (OWN_PACKS + 1) * PACK_BYTES,
		.parts = &part, .n_parts = 1, .packs = packs };
	size_t k;

	memmove(labels[0], labels[1], 2 * FORMAT_LABEL_MAX);
	label_make(time, i * UINT64_C(0x9e3779b97f4a7c15), labels[2]);
	c.method = xstrdup("local");
	c.program = xstrdup("dapk-backup");
	c.host = xstrdup("host");
	memcpy(c.label, labels[2], FORMAT_LABEL_MAX);
	memcpy(c.parent, labels[1], FORMAT_LABEL_MAX);
	(void)snprintf(c.source, sizeof(c.source), "%032x", 1);
	c.wal_segment_size = g.segment_size;
	c.start_time = c.full_read = time;
	c.stop_time = time + 60 * INT64_C(1000000);
	c.start_lsn = wal_segment_start(segno, g.segment_size) + 40;
	c.stop_lsn = c.start_lsn + 1000;
	wal_segment_name(1, segno, g.segment_size, c.wal_first);
	memcpy(c.wal_last, c.wal_first, sizeof(c.wal_last));
	for (k = 0; k < PACKS; k++)
		if (labels[k / OWN_PACKS][0] != '\0')
			refer(&packs[c.n_packs++], labels[k / OWN_PACKS],
			    (uint32_t)(k % OWN_PACKS));
	put_packs(&c);
	put_manifest(&c, &part);
	put_commit(&c);
	free(c.method);
	free(c.program);
	free(c.host);
}

static void
put_backups(const struct wal_file *first, uint64_t count)
{
	const uint64_t segno = wal_segno(first, g.segment_size);
	char labels[3][FORMAT_LABEL_MAX] = { "", "", "" };
	uint64_t i;

	for (i = 0; i < g.backups; i++)
		put_backup(i, time_of(i, g.backups),
		    segno + i * count / g.backups, labels);
}

static bool
set_number(const char *given, const char *name, uint64_t *to)
{
	if (strncmp(given, name, strlen(name)) != 0)
		return false;
	*to = strtoull(given + strlen(name), NULL, 10);
	return true;
}

static void
set(struct storage_settings *s, const char *given)
{
	static const char *const names[] = { "endpoint=", "region=",
		"ca-file=", "key-file=", "known-hosts=" };
	const char **to[] = { &s->endpoint, &s->region, &s->ca_file,
		&s->key_file, &s->known_hosts };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(given, names[i], strlen(names[i])) == 0) {
			*to[i] = given + strlen(names[i]);
			return;
		}
	must_text(set_number(given, "system=", &g.system_id) ||
	    set_number(given, "days=", &g.days) ||
	    set_number(given, "backups=", &g.backups), given);
}

/* The cluster's only one, or the one that was named. */
static void
find_incarnation(const char *cluster)
{
	struct incarnation *list;
	size_t n;

	if (g.system_id != 0) {
		(void)snprintf(g.inc.cluster, sizeof(g.inc.cluster), "%s",
		    cluster);
		g.inc.major = MAJOR;
		g.inc.system_id = g.system_id;
		return;
	}
	must(repo_incarnations(g.repo, cluster, &list, &n, &err));
	must_text(n == 1, "not one incarnation of that cluster");
	g.inc = list[0];
	free(list);
}

int
main(int argc, char **argv)
{
	struct wal_file file;
	uint64_t count;
	uint8_t *zeros;
	int i;

	must_text(argc >= 6, "walmany URL CLUSTER SEGMENT COUNT SIZE");
	g.storage.url = argv[1];
	g.storage.access_key_id = getenv("S3_ACCESS_KEY");
	g.storage.secret_access_key = getenv("S3_SECRET_KEY");
	for (i = 6; i < argc; i++)
		set(&g.storage, argv[i]);
	g.now = time_now();
	must(wal_file_parse(argv[3], &file, &err));
	count = strtoull(argv[4], NULL, 10);
	g.segment_size = (uint32_t)strtoul(argv[5], NULL, 10);
	zeros = xcalloc(1, g.segment_size);
	hash_128(zeros, g.segment_size, g.zeros_hash);
	free(zeros);
	must(repo_open(&g.repo, &g.storage, &err));
	find_incarnation(argv[2]);
	put_segments(&file, count);
	put_backups(&file, count);
	repo_close(g.repo);
	return 0;
}
