/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "decoders.h"

#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "pg/archive.h"
#include "pg/control.h"
#include "pg/history.h"
#include "pg/pagefilter.h"
#include "pg/walblocks.h"
#include "pg/walevent.h"
#include "pg/walread.h"
#include "pg/walsumfile.h"
#include "repo/chunklist.h"
#include "repo/commit.h"
#include "repo/object.h"
#include "storage/s3_xml.h"

#define FRAME_HEADER_LEAST 72
#define OBJECT_HEADER_LEAST 72

/* A whole object: header, index, and every frame that the index names. */
static void
run_object(const uint8_t *data, size_t len)
{
	struct repo repo = { .st = NULL };
	struct object_reader r;
	struct frame_header h;
	struct err err = ERR_INIT;
	struct frame_codec *codec;
	struct buf out;
	uint32_t i;

	if (len < OBJECT_HEADER_LEAST || len > STORAGE_OBJECT_MAX)
		return;
	memcpy(repo.id, data + 24, sizeof(repo.id));
	if (object_reader_open_bytes(&r, &repo, data, len, "fuzz",
		data[14] >= OBJECT_PACK && data[14] <= OBJECT_WAL_PART ?
		(enum object_type)data[14] : OBJECT_PACK, 0, &err) != 0)
		return;
	codec = frame_codec_new(1);
	buf_init(&out, FORMAT_WAL_PIECE_MAX);
	for (i = 0; i < r.n; i++) {
		err_clear(&err);
		if (object_reader_frame(&r, codec, i, &h, &out, &err) == 0 &&
		    out.len != h.plain_len)
			abort();
	}
	buf_free(&out);
	frame_codec_free(codec);
	object_reader_close(&r);
}

/* CRCs of the object's header, its frames' headers and its index. */
static void
mend_object(uint8_t *data, size_t len)
{
	size_t at, follow;

	for (at = 0; at + 12 <= len; at++) {
		if (get_le32(data + at) != FORMAT_MAGIC)
			continue;
		follow = get_le32(data + at + 4);
		if (follow < 8 || follow > len - at - 8)
			continue;
		if (memcmp(data + at + 8, "DKIX", 4) == 0) {
			if (follow >= 16)
				put_le32(data + at + 8 + follow - 12,
				    crc32c(data + at + 8, follow - 12));
		} else if (memcmp(data + at + 8, "DK", 2) == 0)
			put_le32(data + at + 8 + follow - 4,
			    crc32c(data + at + 8, follow - 4));
	}
}

static void
run_frame(const uint8_t *data, size_t len)
{
	const struct object_key key = { 1, { 1 } };
	struct frame_codec *codec = frame_codec_new(1);
	uint8_t *plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	struct frame_header h;
	struct err err = ERR_INIT;

	(void)!frame_decode(codec, data, len, NULL, &h, plain,
	    FORMAT_FRAME_PLAIN_MAX, "fuzz", &err);
	err_clear(&err);
	(void)!frame_decode(codec, data, len, &key, &h, plain,
	    FORMAT_FRAME_PLAIN_MAX, "fuzz", &err);
	err_clear(&err);
	(void)!frame_prove(data, len, &h, "fuzz", &err);
	free(plain);
	frame_codec_free(codec);
}

static void
mend_frame(uint8_t *data, size_t len)
{
	size_t follow;

	if (len < FRAME_HEADER_LEAST)
		return;
	put_le32(data, FORMAT_MAGIC);
	memcpy(data + 8, "DKFR", 4);
	follow = get_le32(data + 4);
	if (follow < 64 || follow > len - 8) {
		follow = 64;
		put_le32(data + 4, 64);
		put_le32(data + 64, 0);
	}
	put_le32(data + 24, (uint32_t)(len - 8 - follow));
	put_le32(data + 8 + follow - 4, crc32c(data + 8, follow - 4));
}

static void
run_map(const uint8_t *data, size_t len)
{
	struct pack_id *packs = NULL;
	struct map_run *runs = NULL;
	struct err err = ERR_INIT;
	uint32_t n_packs, n_runs, i;

	if (map_decode(data, len, &packs, &n_packs, &runs, &n_runs,
		&err) != 0)
		return;
	for (i = 0; i < n_runs; i++)
		if (runs[i].pack != MAP_PACK_ZEROS && runs[i].pack >= n_packs)
			abort();
	free(packs);
	free(runs);
}

static void
run_chunk_list(const uint8_t *data, size_t len)
{
	struct dump_chunk *chunks = NULL;
	struct pack_id *packs = NULL;
	struct err err = ERR_INIT;
	uint32_t n_packs, n;

	if (chunk_list_decode(data, len, &packs, &n_packs, &chunks, &n,
		&err) != 0)
		return;
	free(packs);
	free(chunks);
}

static void
run_wal_summary(const uint8_t *data, size_t len)
{
	struct wal_summary sum;
	struct err err = ERR_INIT;

	(void)!wal_summary_decode(data, len, &sum, &err);
}

static void
run_text_object(const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	const char *json;
	size_t n;

	if (text_object_decode(data, len, "commit", &json, &n, &err) == 0 &&
	    (json < (const char *)data || json + n > (const char *)data + len))
		abort();
}

/* The JSON alone: what the first line's check sum guards. */
static void
run_commit(const uint8_t *data, size_t len)
{
	const uint8_t *line = memchr(data, '\n', len);
	struct err err = ERR_INIT;
	struct commit c;

	if (line != NULL && len > 12 && memcmp(data, "dapk-backup ", 12) == 0) {
		len -= (size_t)(line + 1 - data);
		data = line + 1;
	}
	if (commit_decode((const char *)data, len, &c, &err) == 0)
		commit_free(&c);
}

static void
run_history(const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	struct history h;

	if (history_decode(7, (const char *)data, len, &h, &err) != 0)
		return;
	if (h.n == 0 || h.entries[h.n - 1].timeline != h.timeline)
		abort();
	history_free(&h);
}

static void
ignore_change(void *arg, const struct wal_change *change)
{
	uint64_t *sum = arg;

	*sum += change->block + change->fork;
}

/* Pages of WAL: records that hold are given to the decoders of blocks. */
static void
run_wal_pages(const uint8_t *data, size_t len)
{
	struct walread *r = walread_new(1 << 20, len % 2 == 0 ? 0 : 8192);
	struct wal_event ev;
	const char *reason;
	const uint8_t *record;
	uint64_t sum = 0;
	size_t n;
	int major;

	walread_feed(r, 0, data, len);
	while (walread_next(r, &ev)) {
		record = walread_record(r, &n, &major);
		(void)wal_blocks_decode(record, n, major, ignore_change, &sum,
		    &reason);
	}
	walread_free(r);
}

static void
run_wal_record(const uint8_t *data, size_t len)
{
	const char *reason;
	struct wal_event ev;
	uint64_t sum = 0;
	int major;

	if (len < 25) /* what walread gives has a whole header */
		return;
	for (major = 13; major <= 18; major++) {
		(void)wal_blocks_decode(data, len, major, ignore_change, &sum,
		    &reason);
		wal_event_decode(data, len, major, &ev);
	}
}

static void
run_segment_header(const uint8_t *data, size_t len)
{
	struct wal_segment_header h;
	struct err err = ERR_INIT;

	(void)!wal_segment_header_decode(data, len, &h, &err);
}

static void
run_wal_sumfile(const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	uint64_t sum = 0;

	(void)!wal_sumfile_decode(data, len, ignore_change, &sum, &err);
}

/* The file's last four bytes are the CRC of the rest, its first four a magic. */
static void
mend_wal_sumfile(uint8_t *data, size_t len)
{
	if (len < 12)
		return;
	put_le32(data, 0x652b137b);
	put_le32(data + len - 4, crc32c(data, len - 4));
}

static void
run_control(const uint8_t *data, size_t len)
{
	struct control c;
	struct err err = ERR_INIT;

	(void)!control_decode(data, len, &c, &err);
}

static int
count_element(void *arg, const char *path, const char *text, struct err *err)
{
	size_t *n = arg;

	(void)err;
	*n += strlen(path) + strlen(text);
	return 0;
}

static void
run_s3_xml(const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	size_t n = 0;

	(void)!s3_xml_read(data, len, count_element, &n, &err);
}

static void
run_config(const uint8_t *data, size_t len)
{
	char *text = xstrndup((const char *)data, len);
	struct config_file f = { .path = NULL };
	struct err err = ERR_INIT;

	(void)!config_file_parse(&f, "fuzz.conf", text, &err);
	config_file_free(&f);
	free(text);
}

static void
run_page_filter(const uint8_t *data, size_t len)
{
	static const uint32_t blocks[4] = { 0, 1, 7, 1000000 };
	struct pagefilter *f = pagefilter_new();
	size_t count = len == 0 ? 1 : 1 + data[0] % 4;
	uint8_t *pages = xmalloc(count * 8192);

	(void)pagefilter_decode(f, data, len, pages, count, blocks);
	free(pages);
	pagefilter_free(f);
}

static void
run_archive(const uint8_t *data, size_t len)
{
	struct archive_head head;
	struct err err = ERR_INIT;

	if (archive_head_decode(data, len, &head, &err) == 0)
		archive_head_free(&head);
}

const struct fuzz_decoder fuzz_decoders[] = {
	{ "pack", run_object, mend_object, "pack", NULL },
	{ "gathered", run_object, mend_object, "gathered", NULL },
	{ "manifest", run_object, mend_object, "manifest", NULL },
	{ "wal", run_object, mend_object, "wal", NULL },
	{ "dump-pack", run_object, mend_object, "dump-pack", NULL },
	{ "frame", run_frame, mend_frame, NULL, NULL },
	{ "map", run_map, NULL, NULL, NULL },
	{ "chunk-list", run_chunk_list, NULL, NULL, NULL },
	{ "wal-summary", run_wal_summary, NULL, NULL, NULL },
	{ "text-object", run_text_object, NULL, "commit", NULL },
	{ "commit", run_commit, NULL, "commit", NULL },
	{ "dump-commit", run_commit, NULL, "dump-commit", NULL },
	{ "history", run_history, NULL, NULL,
	    "1\t0/3000000\tno recovery target specified\n"
	    "3\t1/A0000000\tbefore 2026-11-24 08:00:00+00\n\n" },
	{ "wal-pages", run_wal_pages, NULL, NULL, NULL },
	{ "wal-record", run_wal_record, NULL, NULL, NULL },
	{ "segment-header", run_segment_header, NULL, NULL, NULL },
	{ "wal-summary-file", run_wal_sumfile, mend_wal_sumfile, NULL, NULL },
	{ "pg-control", run_control, NULL, NULL, NULL },
	{ "s3-xml", run_s3_xml, NULL, NULL,
	    "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false"
	    "</IsTruncated><Contents><Key>a&amp;b</Key><Size>1</Size>"
	    "</Contents></ListBucketResult>" },
	{ "config", run_config, NULL, NULL,
	    "# a comment\n[global]\njobs = 2\n[repository local]\n"
	    "url = file:///srv/backup\nretain = 30d\n[cluster main]\n"
	    "pgdata = \"/var/lib/x\"\nrepositories = local\n" },
	{ "page-filter", run_page_filter, NULL, NULL, NULL },
	{ "archive", run_archive, NULL, NULL, NULL },
};
const size_t n_fuzz_decoders =
    sizeof(fuzz_decoders) / sizeof(fuzz_decoders[0]);
