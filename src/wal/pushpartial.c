/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushpartial.h"

#include <stdlib.h>
#include <string.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/hash.h"
#include "repo/object.h"

#define STEP ((size_t)1 << 20)

struct ours {
	const struct wal_push_file *f;
	int fd;
	pg_lsn start;
	bool parsed;
	uint64_t len; /* of its records */
	struct frame_codec *codec;
};

static int
file_prefix_hash(const struct ours *o, uint64_t len,
    uint8_t out[WAL_HASH_SIZE], struct err *err)
{
	struct hash_128_stream *h = hash_128_stream_new();
	uint8_t *bytes = xmalloc(STEP);
	uint64_t off;
	size_t step;
	int ret = 0;

	for (off = 0; off < len && ret == 0; off += step) {
		step = len - off < STEP ? (size_t)(len - off) : STEP;
		ret = io_pread_full(o->fd, bytes, step, off, o->f->path, err);
		if (ret == 0)
			hash_128_stream_add(h, bytes, step);
	}
	hash_128_stream_finish(h, out);
	free(bytes);
	return ret;
}

static int
judge_one(const struct ours *o, const struct wal_stored *ws,
    enum wal_partial_verdict *out, struct err *err)
{
	uint8_t mine[WAL_HASH_SIZE], theirs[WAL_HASH_SIZE];
	struct format_wal_tag tag;
	struct wal_summary sum;
	uint64_t len, stored_len;

	*out = WAL_PARTIAL_DIVERGES;
	if (wal_store_describe(o->f->repo, o->f->inc, ws, &tag, &sum,
	    err) != 0)
		return -1;
	/* What the server encrypts cannot be compared. */
	if (!o->parsed || !sum.parsed)
		return 0;
	stored_len = wal_store_records_length(&sum, o->start);
	len = stored_len < o->len ? stored_len : o->len;
	if (wal_store_prefix_hash(o->f->repo, o->f->inc, ws, o->codec, len,
	    theirs, err) != 0 ||
	    file_prefix_hash(o, len, mine, err) != 0)
		return -1;
	if (memcmp(mine, theirs, sizeof(mine)) != 0)
		return 0;
	/* Without a whole record nobody can tell which one has more. */
	*out = o->len > stored_len || stored_len == 0 ? WAL_PARTIAL_BESIDE :
							WAL_PARTIAL_COVERED;
	return 0;
}

static int
judge_all(const struct ours *o, const uint8_t hash[WAL_HASH_SIZE],
    const struct wal_stored *ws, size_t n,
    struct wal_partial_judgement *out, struct err *err)
{
	enum wal_partial_verdict verdict;
	size_t i;

	for (i = 0; i < n && out->verdict != WAL_PARTIAL_COVERED; i++) {
		if (memcmp(ws[i].hash, hash, WAL_HASH_SIZE) == 0)
			continue;
		if (judge_one(o, &ws[i], &verdict, err) != 0) {
			if (err->code != ERR_DAMAGED)
				return -1;
			log_warning("another %s is stored damaged: %s",
			    ws[i].file.name, err->msg);
			err_clear(err);
		} else if (verdict != WAL_PARTIAL_BESIDE) {
			out->verdict = verdict;
			out->which = &ws[i];
		}
	}
	return 0;
}

int
wal_push_partial_judge(const struct wal_push_file *f, int fd, uint64_t size,
    const uint8_t hash[WAL_HASH_SIZE], const struct wal_stored *ws, size_t n,
    struct wal_partial_judgement *out, struct err *err)
{
	struct ours o = { .f = f, .fd = fd };
	struct wal_summary sum;
	int ret;

	memset(out, 0, sizeof(*out));
	o.start = wal_segment_start(wal_segno(&f->name, f->segment_size),
	    f->segment_size);
	if (wal_push_summary(fd, size, f->path, o.start, f->segment_size,
	    &sum, err) != 0)
		return -1;
	o.parsed = sum.parsed;
	o.len = wal_store_records_length(&sum, o.start);
	o.codec = frame_codec_new(1);
	ret = judge_all(&o, hash, ws, n, out, err);
	frame_codec_free(o.codec);
	return ret;
}
