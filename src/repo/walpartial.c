/* SPDX-License-Identifier: PostgreSQL */
/*
 * A .partial file is what a server had of a segment when it was promoted or
 * died. A salvaged one and a promoted standby's have the same records as far
 * as both go, and then what the files were used for before: so their contents
 * differ, and none is wrong. What counts are the records.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "repo/hash.h"
#include "repo/walstore.h"

#define HASH_TEXT (2 * WAL_HASH_SIZE + 1)

struct prefix {
	struct hash_128_stream *hash;
	uint64_t left; /* bytes that still count */
};

static int
add_prefix(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct prefix *p = arg;

	(void)err;
	if (len > p->left)
		len = (size_t)p->left;
	hash_128_stream_add(p->hash, data, len);
	p->left -= len;
	return 0;
}

int
wal_store_prefix_hash(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec, uint64_t len,
    uint8_t out[WAL_HASH_SIZE], struct err *err)
{
	struct prefix p = { .hash = hash_128_stream_new(), .left = len };
	int ret;

	ret = wal_store_read(repo, inc, ws, codec, add_prefix, &p, err);
	hash_128_stream_finish(p.hash, out);
	return ret;
}

uint64_t
wal_store_records_length(const struct wal_summary *summary, pg_lsn start)
{
	return summary->end > start ? summary->end - start : 0;
}

/* One of several contents. */
struct content {
	struct wal_stored ws; /* a generation that holds */
	bool parsed;
	uint64_t len; /* of its records */
	uint8_t hash[WAL_HASH_SIZE]; /* of these */
};

struct choice {
	struct repo *repo;
	const struct incarnation *inc;
	pg_lsn start;
	struct frame_codec *codec;
};

static int
load(const struct choice *ch, const struct wal_stored *ws,
    struct content *out, struct err *err)
{
	struct format_wal_tag tag;
	struct wal_summary sum;

	if (wal_store_describe(ch->repo, ch->inc, ws, &tag, &sum, err) != 0)
		return -1;
	out->ws = *ws;
	out->parsed = sum.parsed;
	out->len = wal_store_records_length(&sum, ch->start);
	return wal_store_prefix_hash(ch->repo, ch->inc, ws, ch->codec,
	    out->len, out->hash, err);
}

/* The contents of a list that is sorted by hash; each one's best object. */
static int
load_all(const struct choice *ch, const struct wal_stored *list, size_t n,
    struct content *out, size_t *n_out, struct err *err)
{
	struct err first;
	size_t i, next;

	*n_out = 0;
	for (i = 0; i < n; i = next) {
		bool holds = false;

		err_clear(&first);
		for (next = i; next < n && memcmp(list[next].hash,
		    list[i].hash, WAL_HASH_SIZE) == 0; next++) {
			if (holds)
				continue;
			err_clear(err);
			holds = load(ch, &list[next], &out[*n_out], err) == 0;
			if (!holds && err->code != ERR_DAMAGED)
				return -1;
			if (!holds && next == i)
				first = *err;
		}
		if (!holds) {
			*err = first;
			return -1;
		}
		++*n_out;
	}
	err_clear(err);
	return 0;
}

static int
refuse(const struct content *a, const struct content *b, struct err *err)
{
	char one[HASH_TEXT], other[HASH_TEXT];

	text_hex(a->ws.hash, WAL_HASH_SIZE, one);
	text_hex(b->ws.hash, WAL_HASH_SIZE, other);
	err_set(err, ERR_REFUSED, "WAL file %s is stored with two contents, "
	    "%s and %s, whose records differ: two servers archived to this "
	    "cluster's name", a->ws.file.name, one, other);
	return err_hint(err, "find out which server's it is, and move the "
	    "other object away");
}

/* Are the records of one the beginning of those of the longest? */
static int
check_beginning(const struct choice *ch, const struct content *longest,
    const struct content *c, struct err *err)
{
	uint8_t hash[WAL_HASH_SIZE];

	/* Without a whole record nobody can tell which one has more. */
	if (!longest->parsed || !c->parsed || longest->len == 0)
		return refuse(longest, c, err);
	if (wal_store_prefix_hash(ch->repo, ch->inc, &longest->ws, ch->codec,
	    c->len, hash, err) != 0)
		return -1;
	if (memcmp(hash, c->hash, sizeof(hash)) != 0)
		return refuse(longest, c, err);
	return 0;
}

static int
choose(const struct choice *ch, const struct wal_stored *list, size_t n,
    struct wal_stored *out, struct err *err)
{
	struct content *c = xcalloc(n, sizeof(*c));
	const struct content *longest = c;
	size_t i, kinds = 0;
	int ret;

	ret = load_all(ch, list, n, c, &kinds, err);
	for (i = 1; ret == 0 && i < kinds; i++)
		if (c[i].len > longest->len)
			longest = &c[i];
	for (i = 0; ret == 0 && i < kinds; i++)
		if (&c[i] != longest)
			ret = check_beginning(ch, longest, &c[i], err);
	if (ret == 0)
		*out = longest->ws;
	free(c);
	return ret;
}

int
wal_store_pick_partial(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size,
    struct wal_stored *out, struct err *err)
{
	struct choice ch = { .repo = repo, .inc = inc,
		.start = wal_segment_start(wal_segno(file, segment_size),
		    segment_size) };
	struct wal_stored *list;
	size_t n;
	int ret = 0;

	if (wal_store_find(repo, inc, file, &list, &n, err) != 0)
		return -1;
	if (n == 0)
		ret = err_set(err, ERR_NOT_FOUND,
		    "WAL file %s is not in the repository", file->name);
	else if (memcmp(list[0].hash, list[n - 1].hash, WAL_HASH_SIZE) == 0)
		*out = list[0]; /* sorted: one content */
	else {
		ch.codec = frame_codec_new(1);
		ret = choose(&ch, list, n, out, err);
		frame_codec_free(ch.codec);
	}
	free(list);
	return ret;
}
