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
#include "core/time.h"
#include "repo/object.h"
#include "repo/repo.h"
#include "repo/walstore.h"

#define OBJECT_MAX ((size_t)64 << 10)

static struct err err;

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

static void
encode(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t size,
    uint8_t hash[WAL_HASH_SIZE], struct frame_codec *codec,
    struct object_writer *w)
{
	struct object_header h = { .type = OBJECT_WAL, .has_wal = true,
		.system_id = inc->system_id, .hash_algorithm = 1 };
	struct frame_header fh = { .type = FRAME_WAL_SUMMARY };
	pg_lsn start = wal_segment_start(wal_segno(file, size), size);
	struct wal_summary sum;
	struct buf plain;
	size_t i;

	for (i = 0; i < WAL_HASH_SIZE / 8; i++)
		put_le64(hash + 8 * i, (start + i) *
		    UINT64_C(0x9e3779b97f4a7c15));
	memcpy(h.repository_id, repo->id, sizeof(h.repository_id));
	(void)snprintf(h.name, sizeof(h.name), "%s", file->name);
	h.wal.length = size;
	h.wal.segment_size = size;
	h.wal.parts = 1;
	h.wal.part_length = WAL_PART_LENGTH;
	h.wal.major = (uint32_t)inc->major;
	memcpy(h.wal.hash, hash, WAL_HASH_SIZE);
	h.wal.lsn = start;
	h.wal.archived = time_now();
	object_writer_reset(w, &h);
	summarise(start, size, time_now(), &sum);
	buf_init(&plain, OBJECT_MAX);
	wal_summary_encode(&sum, &plain);
	must(object_writer_add(w, codec, &fh, plain.data, plain.len, &err));
	must(object_writer_finish(w, &err));
	buf_free(&plain);
}

static void
write_file(const char *url, const char *key, const struct buf *b)
{
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
	must(io_write_full(fd, b->data, b->len, path, &err));
	(void)close(fd);
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
	must_text(false, given);
}

int
main(int argc, char **argv)
{
	struct storage_settings settings = { .url = argc > 1 ? argv[1] : "",
		.access_key_id = getenv("S3_ACCESS_KEY"),
		.secret_access_key = getenv("S3_SECRET_KEY") };
	struct frame_codec *codec = frame_codec_new(1);
	const bool local = strncmp(settings.url, "file://", 7) == 0;
	struct object_header none = { .type = OBJECT_WAL };
	struct object_writer w;
	struct incarnation *list;
	struct wal_file file;
	struct repo *repo;
	uint8_t hash[WAL_HASH_SIZE];
	char key[STORAGE_KEY_MAX], name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t segno, count, i;
	uint32_t size;
	size_t n;

	must_text(argc >= 6, "walmany URL CLUSTER SEGMENT COUNT SIZE");
	for (i = 6; i < (uint64_t)argc; i++)
		set(&settings, argv[i]);
	must(wal_file_parse(argv[3], &file, &err));
	count = strtoull(argv[4], NULL, 10);
	size = (uint32_t)strtoul(argv[5], NULL, 10);
	must(repo_open(&repo, &settings, &err));
	must(repo_incarnations(repo, argv[2], &list, &n, &err));
	must_text(n == 1, "not one incarnation of that cluster");
	object_writer_init(&w, OBJECT_MAX, &none);
	segno = wal_segno(&file, size);
	for (i = 0; i < count; i++) {
		wal_segment_name(file.timeline, segno + i, size, name);
		must(wal_file_parse(name, &file, &err));
		encode(repo, &list[0], &file, size, hash, codec, &w);
		wal_store_key(&list[0], &file, hash, 0, 0, key);
		if (local)
			write_file(settings.url, key, &w.bytes);
		else
			must(storage_put(repo->st, key, w.bytes.data,
			    w.bytes.len, &err));
	}
	object_writer_free(&w);
	frame_codec_free(codec);
	free(list);
	repo_close(repo);
	return 0;
}
