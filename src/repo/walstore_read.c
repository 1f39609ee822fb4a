/* SPDX-License-Identifier: PostgreSQL */
/* Reading WAL objects back, with everything in them checked. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "repo/contenthash.h"
#include "repo/walstore.h"

/* A file being read: its parts come one after another. */
struct reading {
	struct repo *repo;
	const struct incarnation *inc;
	const struct wal_stored *ws;
	struct frame_codec *codec;
	wal_store_sink sink;
	void *arg;
	struct format_wal_tag tag; /* of part 0 */
	struct content_hash *hash; /* from part 0 on; NULL: no key */
	bool prove; /* without a key, look only whether its bytes hold */
	struct buf bytes; /* the part's object */
	struct buf plain;
	uint64_t position; /* within the file */
	struct wal_summary *summary; /* or NULL */
	wal_store_part part_sink; /* or NULL */
	void *part_arg;
};

static int read_summary(struct object_reader *r, struct wal_summary *out,
    struct err *err);

static bool
same_tag(const struct format_wal_tag *a, const struct format_wal_tag *b)
{
	return a->length == b->length && a->segment_size == b->segment_size &&
	    a->parts == b->parts && a->part_length == b->part_length &&
	    a->major == b->major && a->lsn == b->lsn &&
	    memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* Is the object the one its name says? */
static int
check_header(const struct object_reader *r, const struct wal_stored *ws,
    uint32_t part, struct err *err)
{
	const struct object_header *h = &r->header;

	if (!h->has_wal || strcmp(h->name, ws->file.name) != 0 ||
	    h->part != part || h->hash_algorithm != content_hash_algorithm(r->repo) ||
	    memcmp(h->wal.hash, ws->hash, WAL_HASH_SIZE) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s holds part %u of WAL file '%s', or another content",
		    r->key, h->part, h->name);
	return 0;
}

static int
read_pieces(struct reading *rd, struct object_reader *r, uint32_t part,
    struct err *err)
{
	const struct format_wal_tag *tag = &rd->tag;
	uint64_t end = (uint64_t)(part + 1) * tag->part_length;
	struct frame_header h;
	uint32_t i;

	if (end > tag->length)
		end = tag->length;
	for (i = 0; i < r->n; i++) {
		if (r->entries[i].type != FRAME_WAL)
			continue;
		if ((rd->prove ? object_reader_prove_frame :
			object_reader_frame)(r, rd->codec, i, &h, &rd->plain,
			err) != 0)
			return -1;
		if (h.position != rd->position || h.plain_len == 0 ||
		    h.plain_len > end - rd->position)
			return err_set(err, ERR_DAMAGED,
			    "%s: frame %u has %u bytes for position %llu, "
			    "but %llu is next of %llu", r->key, i,
			    h.plain_len, (unsigned long long)h.position,
			    (unsigned long long)rd->position,
			    (unsigned long long)end);
		rd->position += h.plain_len;
		if (rd->hash != NULL)
			content_hash_add(rd->hash, rd->plain.data,
			    rd->plain.len);
		if (rd->sink != NULL &&
		    rd->sink(rd->arg, rd->plain.data, rd->plain.len, err) != 0)
			return -1;
	}
	if (rd->position != end)
		return err_set(err, ERR_DAMAGED,
		    "%s ends at %llu of %llu bytes of content", r->key,
		    (unsigned long long)rd->position, (unsigned long long)end);
	return 0;
}

/* The listing has told the size of part 0: one request is enough. */
static int
get_part(struct reading *rd, const char *key, uint32_t part, struct err *err)
{
	size_t size = rd->ws->size > STORAGE_OBJECT_MAX ? 0 :
							  (size_t)rd->ws->size;
	uint8_t *p;

	buf_clear(&rd->bytes);
	if (part > 0 || size == 0)
		return storage_get_all(rd->repo->st, key, &rd->bytes, err);
	p = buf_reserve(&rd->bytes, size);
	if (p == NULL)
		return buf_check(&rd->bytes, key, err);
	if (storage_get(rd->repo->st, key, 0, size, p, err) != 0)
		return -1;
	rd->bytes.len = size;
	return 0;
}

/* What part 0 says of all, and the hash by its set's key. */
static int
begin(struct reading *rd, struct object_reader *r, struct err *err)
{
	rd->tag = r->header.wal;
	if (object_reader_unlock(r, err) == 0)
		return content_hash_new(&rd->hash, rd->repo,
		    r->header.data_key, err);
	if (!rd->prove || err->code != ERR_CONFIG)
		return -1;
	err_clear(err);
	rd->summary = NULL; /* nobody can read it */
	return 0;
}

static int
read_part(struct reading *rd, uint32_t part, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct object_reader r;
	int ret = -1;

	wal_store_key(rd->inc, &rd->ws->file, rd->ws->hash,
	    rd->ws->generation, part, key);
	if (get_part(rd, key, part, err) != 0) {
		/* A part that part 0 names and that is not there is damage. */
		if (part > 0 && err->code == ERR_NOT_FOUND)
			err->code = ERR_DAMAGED;
		return -1;
	}
	if (object_reader_open_bytes(&r, rd->repo, rd->bytes.data, rd->bytes.len, key,
		part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
		rd->inc->system_id, err) != 0)
		return -1;
	if (check_header(&r, rd->ws, part, err) != 0)
		goto out;
	if (part == 0 && begin(rd, &r, err) != 0)
		goto out;
	if (part > 0 && !same_tag(&rd->tag, &r.header.wal)) {
		err_set(err, ERR_DAMAGED, "%s is not a part of the same file",
		    key);
		goto out;
	}
	ret = read_pieces(rd, &r, part, err);
	if (ret == 0 && part == 0 && rd->summary != NULL)
		ret = read_summary(&r, rd->summary, err);
	if (ret == 0 && rd->part_sink != NULL)
		ret = rd->part_sink(rd->part_arg, part, &rd->bytes, err);
out:
	object_reader_close(&r);
	return ret;
}

/* All parts, and the hash of the whole. */
static int
read_file(struct reading *rd, struct err *err)
{
	uint8_t hash[WAL_HASH_SIZE];
	uint32_t part;
	int rc;

	buf_init(&rd->bytes, STORAGE_OBJECT_MAX);
	buf_init(&rd->plain, FORMAT_WAL_PIECE_MAX);
	rc = read_part(rd, 0, err);
	for (part = 1; rc == 0 && part < rd->tag.parts; part++)
		rc = read_part(rd, part, err);
	if (rd->hash != NULL && rc == 0)
		rc = content_hash_finish(rd->hash, hash, NULL, err);
	else
		content_hash_free(rd->hash);
	if (rc == 0 && rd->hash != NULL && memcmp(hash, rd->ws->hash, sizeof(hash)) != 0)
		rc = err_set(err, ERR_DAMAGED,
		    "WAL file %s: its content's hash is not the one of its "
		    "object's name", rd->ws->file.name);
	buf_free(&rd->bytes);
	buf_free(&rd->plain);
	return rc;
}

int
wal_store_read_parts(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_part part, void *arg, struct err *err)
{
	struct wal_summary checked;
	struct reading rd = { .repo = repo, .inc = inc, .ws = ws,
		.codec = codec, .summary = &checked, .part_sink = part,
		.part_arg = arg, .prove = true };

	return read_file(&rd, err);
}

int
wal_store_prove(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct err *err)
{
	struct wal_summary checked;
	struct reading rd = { .repo = repo, .inc = inc, .ws = ws,
		.codec = codec, .sink = sink, .arg = arg,
		.summary = &checked, .prove = true };

	return read_file(&rd, err);
}

int
wal_store_read(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct err *err)
{
	return wal_store_read_summary(repo, inc, ws, codec, sink, arg, NULL,
	    err);
}

int
wal_store_read_summary(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct wal_summary *summary,
    struct err *err)
{
	struct reading rd = { .repo = repo, .inc = inc, .ws = ws,
		.codec = codec, .sink = sink, .arg = arg,
		.summary = summary };

	return read_file(&rd, err);
}

static int
read_summary(struct object_reader *r, struct wal_summary *out,
    struct err *err)
{
	struct frame_codec *codec;
	struct frame_header h;
	struct buf plain;
	uint32_t i;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	for (i = r->n; i > 0 && r->entries[i - 1].type != FRAME_WAL_SUMMARY;
	    i--)
		;
	if (i == 0)
		return 0; /* .history and .backup files have none */
	codec = frame_codec_new(1);
	buf_init(&plain, FORMAT_FRAME_PLAIN_MAX);
	if (object_reader_frame(r, codec, i - 1, &h, &plain, err) != 0)
		goto out;
	ret = wal_summary_decode(plain.data, plain.len, out, err);
	if (ret != 0)
		err_wrap(err, "%s", r->key);
out:
	buf_free(&plain);
	frame_codec_free(codec);
	return ret;
}

int
wal_store_describe(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct format_wal_tag *tag,
    struct wal_summary *summary, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct object_reader r;
	int ret = -1;

	wal_store_key(inc, &ws->file, ws->hash, ws->generation, 0, key);
	if (object_reader_open(&r, repo, key, ws->size, OBJECT_WAL, inc->system_id, err) != 0)
		return -1;
	if (check_header(&r, ws, 0, err) != 0)
		goto out;
	*tag = r.header.wal;
	ret = summary == NULL ? 0 : read_summary(&r, summary, err);
	if (ret != 0 && err->code == ERR_CONFIG) {
		/* Without a key nobody knows what is in it. */
		err_clear(err);
		memset(summary, 0, sizeof(*summary));
		summary->sealed = true;
		ret = 0;
	}
out:
	object_reader_close(&r);
	return ret;
}

static int
add_to_buf(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_check(b, "the history file", err);
}

int
wal_store_history(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, struct history *out, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];
	struct frame_codec *codec;
	struct wal_stored ws;
	struct wal_file file;
	struct buf text;
	int ret = -1;

	(void)snprintf(name, sizeof(name), "%08X.history", timeline);
	if (wal_file_parse(name, &file, err) != 0)
		return -1;
	if (wal_store_pick(repo, inc, &file, &ws, err) != 0) {
		if (err->code != ERR_NOT_FOUND || timeline != 1)
			return -1;
		err_clear(err);
		history_single(1, out);
		return 0;
	}
	codec = frame_codec_new(1);
	buf_init(&text, HISTORY_FILE_MAX);
	if (wal_store_read(repo, inc, &ws, codec, add_to_buf, &text, err) == 0)
		ret = history_decode(timeline, buf_str(&text), text.len, out,
		    err);
	else if (err->code == ERR_NOT_FOUND)
		err->code = ERR_STORAGE; /* it was listed a moment ago */
	if (ret != 0)
		err_wrap(err, "%s", name);
	buf_free(&text);
	frame_codec_free(codec);
	return ret;
}

/* The size in the first description that holds: 0 when none does. */
static int
size_of_timeline(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, uint32_t *out, struct err *err)
{
	struct format_wal_tag tag;
	struct wal_stored *list;
	size_t i, n;
	int rc = 0;

	*out = 0;
	if (wal_store_segments(repo, inc, timeline, true, &list, &n, err) != 0)
		return -1;
	for (i = n; i > 0 && *out == 0; i--) {
		rc = wal_store_describe(repo, inc, &list[i - 1], &tag, NULL,
		    err);
		if (rc == 0)
			*out = tag.segment_size;
		else if (err->code != ERR_DAMAGED)
			break;
	}
	free(list);
	return rc;
}

int
wal_store_segment_size(struct repo *repo, const struct incarnation *inc,
    uint32_t *out, struct err *err)
{
	uint32_t *timelines;
	size_t i, n;
	int rc = 0;

	*out = 0;
	if (wal_store_timelines(repo, inc, &timelines, &n, err) != 0)
		return -1;
	for (i = n; i > 0 && *out == 0; i--) {
		rc = size_of_timeline(repo, inc, timelines[i - 1], out, err);
		if (rc != 0 && err->code != ERR_DAMAGED)
			break;
	}
	free(timelines);
	if (*out != 0) {
		err_clear(err);
		return 0;
	}
	if (rc != 0)
		return -1;
	return err_set(err, ERR_NOT_FOUND,
	    "cluster %s has no WAL in the repository", inc->cluster);
}
