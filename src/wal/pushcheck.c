/* SPDX-License-Identifier: PostgreSQL */
/*
 * What is stored under a file's name: is it whole, and when it is another
 * content, how does it differ?
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/object.h"
#include "wal/pushfile.h"

#define STEP ((size_t)1 << 20)
#define HEADER_SIZE 40
#define SWITCH_SIZE 24
#define TEXT_MAX 400
#define HASH_TEXT (2 * WAL_HASH_SIZE + 1)

static bool
header_agrees(const struct object_header *h, const struct wal_stored *ws,
    uint32_t part, uint64_t length)
{
	return h->has_wal && strcmp(h->name, ws->file.name) == 0 &&
	    h->generation == ws->generation && h->part == part &&
	    h->wal.length == length &&
	    memcmp(h->wal.hash, ws->hash, WAL_HASH_SIZE) == 0;
}

/* Every frame of an object, decoded and compared with its checksums. */
static int
check_frames(struct object_reader *r, struct err *err)
{
	struct frame_codec *codec = frame_codec_new(1);
	struct frame_header h;
	struct buf plain;
	uint32_t i;
	int ret = 0;

	buf_init(&plain, FORMAT_FRAME_PLAIN_MAX);
	for (i = 0; i < r->n && ret == 0; i++)
		ret = object_reader_prove_frame(r, codec, i, &h, &plain, err);
	buf_free(&plain);
	frame_codec_free(codec);
	return ret;
}

/* Damage is an answer; anything else that failed is an error. */
static int
is_damage(struct err *err)
{
	if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

int
wal_push_part_sound(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, uint32_t part, uint64_t length,
    uint64_t *size, bool *sound, struct err *err)
{
	uint64_t wanted, have = 0, start = (uint64_t)part * WAL_PART_LENGTH;
	struct object_reader r;
	char key[STORAGE_KEY_MAX];
	uint32_t i;
	int ret = 0;

	*sound = false;
	wal_store_key(inc, &ws->file, ws->hash, ws->generation, part, key);
	if (object_reader_open(&r, repo, key, 0,
	    part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
	    inc->system_id, err) != 0)
		return is_damage(err);
	for (i = 0; i < r.n; i++)
		if (r.entries[i].type == FRAME_WAL)
			have += r.entries[i].plain_len;
	wanted = length - start < WAL_PART_LENGTH ? length - start :
						    WAL_PART_LENGTH;
	*size = r.size;
	if (header_agrees(&r.header, ws, part, length) && have == wanted) {
		*sound = check_frames(&r, err) == 0;
		ret = *sound ? 0 : is_damage(err);
	}
	object_reader_close(&r);
	return ret;
}

int
wal_push_sound(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, uint64_t length, bool *sound,
    struct err *err)
{
	struct frame_codec *codec = frame_codec_new(1);
	struct format_wal_tag tag;
	int ret = 0;

	err_clear(err);
	*sound = wal_store_describe(repo, inc, ws, &tag, NULL, err) == 0 &&
	    tag.length == length &&
	    wal_store_prove(repo, inc, ws, codec, NULL, NULL, err) == 0;
	if (!*sound && err->code != ERR_NONE)
		ret = is_damage(err);
	frame_codec_free(codec);
	return ret;
}

int
wal_push_summary(int fd, uint64_t size, const char *path, pg_lsn start,
    uint32_t segment_size, struct wal_summary *out, struct err *err)
{
	struct wal_summariser *s = wal_summariser_new(start, segment_size);
	uint8_t *bytes = xmalloc(STEP);
	uint64_t off;
	size_t len;
	int ret = 0;

	for (off = 0; off < size && ret == 0; off += len) {
		len = size - off < STEP ? (size_t)(size - off) : STEP;
		ret = io_pread_full(fd, bytes, len, off, path, err);
		if (ret == 0)
			wal_summariser_feed(s, bytes, len);
	}
	wal_summariser_finish(s, out);
	free(bytes);
	return ret;
}

/*
 * Where the file's records end for good: behind a switch record, which the
 * summary counts as reaching to the segment's end. 0: there is none.
 */
static int
find_switch(int fd, uint64_t size, const char *path, pg_lsn start,
    uint32_t segment_size, pg_lsn *out, struct err *err)
{
	struct walread *r = walread_new(segment_size, 0);
	uint8_t *bytes = xmalloc(STEP);
	struct wal_event ev;
	uint64_t off;
	size_t len;
	int ret = 0;

	*out = 0;
	for (off = 0; off < size && ret == 0 && *out == 0; off += len) {
		len = size - off < STEP ? (size_t)(size - off) : STEP;
		ret = io_pread_full(fd, bytes, len, off, path, err);
		if (ret != 0)
			break;
		walread_feed(r, start + off, bytes, len);
		while (*out == 0 && walread_next(r, &ev))
			if (ev.type == WAL_EVENT_SWITCH)
				*out = ev.lsn + SWITCH_SIZE;
	}
	walread_free(r);
	free(bytes);
	return ret;
}

/* The stored content beside the file's. */
struct comparison {
	int fd;
	const char *path;
	uint64_t size;
	uint64_t off;	/* compared so far */
	uint64_t first; /* first difference, UINT64_MAX: none yet */
	uint8_t head[HEADER_SIZE];
	size_t head_len;
	uint8_t *bytes;
	size_t room;
};

static int
compare(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct comparison *c = arg;
	size_t got = 0, i, n;

	if (c->head_len < HEADER_SIZE) {
		n = HEADER_SIZE - c->head_len;
		if (n > len)
			n = len;
		memcpy(c->head + c->head_len, data, n);
		c->head_len += n;
	}
	if (c->first == UINT64_MAX) {
		if (len > c->room) {
			c->bytes = xreallocarray(c->bytes, len, 1);
			c->room = len;
		}
		if (io_pread_upto(c->fd, c->bytes, len, c->off, &got, c->path,
		    err) != 0)
			return -1;
		for (i = 0; i < got && c->bytes[i] == data[i]; i++)
			;
		if (i < len)
			c->first = c->off + i;
	}
	c->off += len;
	return 0;
}

int
wal_push_same_content(const struct wal_push_file *f, int fd, uint64_t size,
    const struct wal_stored *stored, bool *same, struct err *err)
{
	struct comparison c = { .fd = fd, .path = f->path, .size = size,
		.first = UINT64_MAX };
	struct frame_codec *codec = frame_codec_new(1);
	int ret;

	ret = wal_store_read(f->repo, f->inc, stored, codec, compare, &c, err);
	*same = ret == 0 && c.first == UINT64_MAX && c.off == size;
	frame_codec_free(codec);
	free(c.bytes);
	return ret;
}

/* One side of the conflict, for people. */
static void
describe(char out[TEXT_MAX], uint64_t size, const uint8_t *head,
    const struct wal_summary *s, pg_lsn start)
{
	struct wal_segment_header h;
	struct err err = ERR_INIT;
	char from[LSN_TEXT_MAX], to[LSN_TEXT_MAX];
	int n;

	n = snprintf(out, TEXT_MAX, "%llu bytes", (unsigned long long)size);
	if (head == NULL ||
	    wal_segment_header_decode(head, HEADER_SIZE, &h, &err) != 0)
		return;
	n += snprintf(out + n, TEXT_MAX - (size_t)n,
	    ", system %llu, timeline %u", (unsigned long long)h.system_id,
	    h.timeline);
	if (s != NULL && s->parsed && s->end != 0)
		(void)snprintf(out + n, TEXT_MAX - (size_t)n,
		    ", WAL %s to %s", lsn_format(start, from),
		    lsn_format(s->end, to));
}

/* Is the difference in WAL that recovery would read, on both sides? */
static const char *
usual_cause(const struct wal_file *file, pg_lsn at, pg_lsn switched,
    const struct wal_summary *ours, const struct wal_summary *theirs)
{
	if (file->type == WAL_FILE_HISTORY)
		return "Usual cause: two servers were promoted to this "
		       "timeline, each from the same backup or primary.";
	if (file->type == WAL_FILE_BACKUP)
		return "Usual cause: a copy of this server archives here too.";
	if (ours->parsed && theirs->parsed && ours->end != 0 &&
	    ours->end == theirs->end &&
	    (at >= ours->end || (switched != 0 && at >= switched)))
		return "The records are equal, only the unused rest differs. "
		       "Usual cause: a standby with archive_mode = always "
		       "archives the primary's WAL a second time.";
	return "Usual causes: a restored or cloned copy of this cluster "
	       "archives into the repository of its source; or a standby "
	       "that was promoted without a new timeline.";
}

static void
set_conflict(const struct wal_push_file *f, const struct comparison *c,
    const struct wal_stored *stored, const struct format_wal_tag *tag,
    const char *sides[2], const char *cause, struct err *err)
{
	char hash[HASH_TEXT], when[TIME_TEXT_MAX], where[160] = "";
	char lsn[LSN_TEXT_MAX];
	pg_lsn start = tag->lsn;

	text_hex(stored->hash, WAL_HASH_SIZE, hash);
	if (c->first == UINT64_MAX)
		(void)snprintf(where, sizeof(where),
		    "; equal as far as the stored one goes");
	else if (f->name.type == WAL_FILE_SEGMENT ||
	    f->name.type == WAL_FILE_PARTIAL)
		(void)snprintf(where, sizeof(where),
		    "; the first difference is at offset %llu (%s)",
		    (unsigned long long)c->first,
		    lsn_format(start + c->first, lsn));
	else
		(void)snprintf(where, sizeof(where),
		    "; the first difference is at offset %llu",
		    (unsigned long long)c->first);
	err_set(err, ERR_EXISTS,
	    "%s is stored already with another content. Stored (hash %.8s, "
	    "archived %s): %s. This file: %s%s. %s",
	    f->name.name, hash, time_format(tag->archived, when), sides[0],
	    sides[1], where, cause);
}

int
wal_push_conflict(const struct wal_push_file *f, int fd, uint64_t size,
    const struct wal_stored *stored, struct err *err)
{
	struct comparison c = { .fd = fd, .path = f->path, .size = size,
		.first = UINT64_MAX };
	struct wal_summary ours = { .parsed = false };
	struct wal_summary theirs = { .parsed = false };
	struct frame_codec *codec = frame_codec_new(1);
	struct format_wal_tag tag;
	char text[2][TEXT_MAX];
	const char *sides[2] = { text[0], text[1] };
	uint8_t head[HEADER_SIZE];
	bool is_wal = f->name.type == WAL_FILE_SEGMENT ||
	    f->name.type == WAL_FILE_PARTIAL;
	pg_lsn switched = 0;
	size_t got = 0;

	if (wal_store_describe(f->repo, f->inc, stored, &tag,
	    is_wal ? &theirs : NULL, err) != 0 ||
	    wal_store_read(f->repo, f->inc, stored, codec, compare, &c,
	    err) != 0 ||
	    (is_wal && wal_push_summary(fd, size, f->path, tag.lsn,
	    f->segment_size, &ours, err) != 0) ||
	    (is_wal && find_switch(fd, size, f->path, tag.lsn,
	    f->segment_size, &switched, err) != 0) ||
	    io_pread_upto(fd, head, sizeof(head), 0, &got, f->path,
	    err) != 0) {
		err_wrap(err, "%s is stored already with another content, "
		    "which could not be compared", f->name.name);
		err->code = ERR_EXISTS;
		goto out;
	}
	if (c.first == UINT64_MAX && c.off < size)
		c.first = c.off;
	describe(text[0], tag.length, is_wal ? c.head : NULL, &theirs,
	    tag.lsn);
	describe(text[1], size, is_wal && got == sizeof(head) ? head : NULL,
	    &ours, tag.lsn);
	set_conflict(f, &c, stored, &tag, sides,
	    usual_cause(&f->name, c.first == UINT64_MAX ? 0 :
			tag.lsn + c.first, switched, &ours, &theirs), err);
out:
	err_hint(err,
	    "find who else archives here: on the copy type ALTER SYSTEM SET "
	    "archive_mode = off and restart it, or give it a name of its own "
	    "(--cluster); dapk-backup info shows what is stored");
	frame_codec_free(codec);
	free(c.bytes);
	return -1;
}
