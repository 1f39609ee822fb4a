/* SPDX-License-Identifier: PostgreSQL */
/* Object and frame headers (FORMAT.md sections 4.1 and 4.2). */
#include "config.h"

#include "repo/format.h"

#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "repo/cursor.h"

#define PREFIX 8 /* magic and length of the skippable frame */
#define OBJECT_FIXED 68
#define OBJECT_GENERATION 48
#define FRAME_FIXED 68
#define WAL_TAG_SIZE 56

enum tag {
	TAG_NAME = 1,
	TAG_PACK = 2,
	TAG_WAL = 3,
	TAG_DATA_KEY = 4,
	TAG_MAC = 6,
	TAG_MUST_KNOW = 0x8000
};

static void
add_tag(struct buf *b, enum tag tag, uint32_t len)
{
	buf_add_le16(b, (uint16_t)tag);
	buf_add_le16(b, 0);
	buf_add_le32(b, len);
}

static void
add_wal_tag(struct buf *b, const struct format_wal_tag *w)
{
	add_tag(b, TAG_WAL, WAL_TAG_SIZE);
	buf_add_le64(b, w->length);
	buf_add_le32(b, w->segment_size);
	buf_add_le32(b, w->parts);
	buf_add_le32(b, w->part_length);
	buf_add_le32(b, w->major);
	buf_add(b, w->hash, sizeof(w->hash));
	buf_add_le64(b, w->lsn);
	buf_add_le64(b, (uint64_t)w->archived);
}

void
object_header_encode(const struct object_header *h, struct buf *out)
{
	size_t start = out->len;
	uint32_t tags;

	buf_add_le32(out, FORMAT_MAGIC);
	buf_add_le32(out, 0); /* set below */
	buf_add(out, "DKOB", 4);
	buf_add_le16(out, FORMAT_VERSION);
	buf_add_le16(out, (uint16_t)h->type);
	buf_add_le32(out, 0); /* must-know features */
	buf_add_le32(out, 0); /* may-ignore features */
	buf_add(out, h->repository_id, sizeof(h->repository_id));
	buf_add_le64(out, h->system_id);
	buf_add_le32(out, h->generation);
	buf_add_le32(out, h->part);
	buf_add_byte(out, h->hash_algorithm);
	buf_add_byte(out, h->cipher);
	buf_add_le16(out, 0);
	buf_add_le32(out, h->key_id);
	buf_add_le32(out, 0); /* set below */
	if (h->name[0] != '\0') {
		add_tag(out, TAG_NAME, (uint32_t)strlen(h->name));
		buf_add_str(out, h->name);
	}
	if (h->has_pack) {
		add_tag(out, TAG_PACK, 8);
		buf_add_le32(out, h->attempt);
		buf_add_le32(out, h->number);
	}
	if (h->has_wal)
		add_wal_tag(out, &h->wal);
	if (h->has_data_key) {
		add_tag(out, TAG_DATA_KEY, FORMAT_SEALED_KEY);
		buf_add(out, h->data_key, FORMAT_SEALED_KEY);
	}
	if (h->has_mac) {
		add_tag(out, TAG_MAC, FORMAT_MAC);
		buf_add(out, h->mac, FORMAT_MAC);
	}
	if (out->overflow)
		return;
	tags = (uint32_t)(out->len - start) - OBJECT_FIXED;
	put_le32(out->data + start + 4, 64 + tags);
	put_le32(out->data + start + 64, tags);
	buf_add_le32(out, crc32c(out->data + start + PREFIX,
	    OBJECT_FIXED - PREFIX + tags));
}

int
object_header_for_mac(uint8_t *data, size_t len, struct err *err)
{
	const size_t tag = 8 + FORMAT_MAC;
	uint8_t *end = data + len - 4; /* the CRC */

	if (len < OBJECT_FIXED + tag + 4 || get_le16(end - tag) != TAG_MAC ||
	    get_le32(end - tag + 4) != FORMAT_MAC)
		return err_set(err, ERR_DAMAGED,
		    "the object header does not end in its mac");
	memset(data + OBJECT_GENERATION, 0, 4);
	memset(end - FORMAT_MAC, 0, FORMAT_MAC);
	memset(end, 0, 4);
	return 0;
}

/*
 * What all versions have in common: a skippable frame with our magic whose
 * last four bytes are the CRC of what is before. So an unknown version is
 * told from damage. *size is the whole header's.
 */
static int
check_frame(const uint8_t *data, size_t len, const char *magic, size_t least,
    size_t most, const char *what, size_t *size, struct err *err)
{
	uint32_t follow;

	if (len < least || get_le32(data) != FORMAT_MAGIC ||
	    memcmp(data + PREFIX, magic, 4) != 0)
		return err_set(err, ERR_DAMAGED, "no %s stands here", what);
	follow = get_le32(data + 4);
	if (follow < least - PREFIX || follow > most - PREFIX ||
	    follow > len - PREFIX)
		return err_set(err, ERR_DAMAGED,
		    "the %s's length %u is impossible", what, follow);
	*size = PREFIX + follow;
	if (crc32c(data + PREFIX, follow - 4) != get_le32(data + *size - 4))
		return err_set(err, ERR_DAMAGED, "the %s's CRC is wrong", what);
	return 0;
}

static int
decode_name(struct cursor *c, struct object_header *out, struct err *err)
{
	size_t i;

	if (c->left >= sizeof(out->name))
		goto bad;
	for (i = 0; i < c->left; i++) {
		if (c->p[i] <= 0x20 || c->p[i] >= 0x7f)
			goto bad;
		out->name[i] = (char)c->p[i];
	}
	out->name[i] = '\0';
	return 0;
bad:
	return err_set(err, ERR_DAMAGED, "the object header's name is invalid");
}

static int
decode_wal_tag(struct cursor *c, struct format_wal_tag *w, struct err *err)
{
	const uint8_t *hash;
	uint64_t parts;

	w->length = cursor_le64(c);
	w->segment_size = cursor_le32(c);
	w->parts = cursor_le32(c);
	w->part_length = cursor_le32(c);
	w->major = cursor_le32(c);
	hash = cursor_bytes(c, sizeof(w->hash));
	w->lsn = cursor_le64(c);
	w->archived = (int64_t)cursor_le64(c);
	if (c->bad || c->left != 0)
		return err_set(err, ERR_DAMAGED,
		    "the WAL file's description has a wrong length");
	memcpy(w->hash, hash, sizeof(w->hash));
	if (w->part_length == 0 || w->length > WAL_SEGMENT_SIZE_MAX ||
	    (w->segment_size != 0 && !wal_segment_size_valid(w->segment_size)))
		goto bad;
	parts = (w->length + w->part_length - 1) / w->part_length;
	if (w->parts != (parts == 0 ? 1 : parts))
		goto bad;
	return 0;
bad:
	return err_set(err, ERR_DAMAGED,
	    "the WAL file's description makes no sense: %llu bytes in %u "
	    "parts of %u, segment size %u", (unsigned long long)w->length,
	    w->parts, w->part_length, w->segment_size);
}

static int
decode_fixed(struct cursor *c, uint8_t *out, size_t len, struct err *err)
{
	const uint8_t *p = cursor_bytes(c, len);

	if (c->bad || c->left != 0)
		return err_set(err, ERR_DAMAGED,
		    "a key in the object header has a wrong length");
	memcpy(out, p, len);
	return 0;
}

static int
decode_tag(uint16_t tag, struct cursor *c, struct object_header *out,
    struct err *err)
{
	switch (tag) {
	case TAG_NAME:
		return decode_name(c, out, err);
	case TAG_PACK:
		out->has_pack = true;
		out->attempt = cursor_le32(c);
		out->number = cursor_le32(c);
		if (c->bad || c->left != 0)
			return err_set(err, ERR_DAMAGED,
			    "the pack's number has a wrong length");
		return 0;
	case TAG_WAL:
		out->has_wal = true;
		return decode_wal_tag(c, &out->wal, err);
	case TAG_DATA_KEY:
		out->has_data_key = true;
		return decode_fixed(c, out->data_key, FORMAT_SEALED_KEY, err);
	case TAG_MAC:
		out->has_mac = true;
		return decode_fixed(c, out->mac, FORMAT_MAC, err);
	default:
		if (tag < TAG_MUST_KNOW)
			return 0;
		err_set(err, ERR_UNSUPPORTED,
		    "the object has must-know tag 0x%04x, which this program "
		    "does not know", tag);
		return err_hint(err, "use a newer dapk-backup");
	}
}

static int
decode_tags(struct cursor *c, struct object_header *out, struct err *err)
{
	struct cursor content;
	int last = -1;
	uint16_t tag;

	while (c->left > 0) {
		tag = cursor_le16(c);
		(void)cursor_le16(c);
		content.bad = false;
		content.left = cursor_le32(c);
		content.p = cursor_bytes(c, content.left);
		if (c->bad || tag <= last)
			return err_set(err, ERR_DAMAGED,
			    "the object header's tags make no sense");
		last = tag;
		if (decode_tag(tag, &content, out, err) != 0)
			return -1;
	}
	return 0;
}

static int
check_object(const struct object_header *h, uint16_t version, uint16_t type,
    uint32_t must_know, struct err *err)
{
	if (version != FORMAT_VERSION)
		err_set(err, ERR_UNSUPPORTED,
		    "the object has format version %u, this program knows %d",
		    version, FORMAT_VERSION);
	else if (must_know != 0)
		err_set(err, ERR_UNSUPPORTED,
		    "the object has must-know features 0x%x, which this "
		    "program does not know", must_know);
	else if (type < OBJECT_PACK || type > OBJECT_WAL_PART)
		err_set(err, ERR_UNSUPPORTED,
		    "the object has type %u, which this program does not know",
		    type);
	else if (h->cipher > 1)
		err_set(err, ERR_UNSUPPORTED,
		    "the object has cipher %u, which this program does not "
		    "know", h->cipher);
	else
		return 0;
	return err_hint(err, "use a newer dapk-backup");
}

int
object_header_decode(const uint8_t *data, size_t len,
    struct object_header *out, size_t *used, struct err *err)
{
	struct cursor c;
	uint16_t version, type;
	uint32_t must_know, tags;
	const uint8_t *id;

	memset(out, 0, sizeof(*out));
	if (check_frame(data, len, "DKOB", OBJECT_FIXED + 4,
		FORMAT_OBJECT_HEADER_MAX, "object header", used, err) != 0)
		return -1;
	c = (struct cursor){ data + 12, *used - 12 - 4, false };
	version = cursor_le16(&c);
	type = cursor_le16(&c);
	must_know = cursor_le32(&c);
	(void)cursor_le32(&c); /* may-ignore features */
	id = cursor_bytes(&c, sizeof(out->repository_id));
	memcpy(out->repository_id, id, sizeof(out->repository_id));
	out->system_id = cursor_le64(&c);
	out->generation = cursor_le32(&c);
	out->part = cursor_le32(&c);
	out->hash_algorithm = cursor_u8(&c);
	out->cipher = cursor_u8(&c);
	(void)cursor_le16(&c);
	out->key_id = cursor_le32(&c);
	tags = cursor_le32(&c);
	out->type = (enum object_type)type;
	if (check_object(out, version, type, must_know, err) != 0)
		return -1;
	if (tags != c.left)
		return err_set(err, ERR_DAMAGED,
		    "the object header's lengths contradict each other");
	return decode_tags(&c, out, err);
}

size_t
frame_header_size(const struct frame_header *h)
{
	return FORMAT_FRAME_HEADER_FIXED +
	    (h->cipher == 0 ? h->path_len + h->blocks_len : 0);
}

void
frame_header_write(const struct frame_header *h, uint8_t *p)
{
	size_t tail = frame_header_size(h) - FORMAT_FRAME_HEADER_FIXED;

	memset(p, 0, FRAME_FIXED);
	put_le32(p, FORMAT_MAGIC);
	put_le32(p + 4, (uint32_t)(64 + tail));
	memcpy(p + 8, "DKFR", 4);
	p[12] = (uint8_t)h->type;
	p[13] = h->filter;
	p[14] = h->compression;
	p[15] = h->cipher;
	put_le32(p + 16, h->number);
	put_le32(p + 20, h->plain_len);
	put_le32(p + 24, h->payload_len);
	put_le32(p + 28, h->block_size);
	put_le64(p + 32, h->position);
	put_le64(p + 40, h->hash);
	memcpy(p + 48, h->nonce, FORMAT_NONCE);
	put_le32(p + 60, h->key_id);
	if (tail > 0) {
		put_le16(p + 64, (uint16_t)h->path_len);
		put_le16(p + 66, (uint16_t)h->blocks_len);
		if (h->path_len > 0)
			memcpy(p + FRAME_FIXED, h->path, h->path_len);
		if (h->blocks_len > 0)
			memcpy(p + FRAME_FIXED + h->path_len, h->blocks,
			    h->blocks_len);
	}
	put_le32(p + FRAME_FIXED + tail,
	    crc32c(p + PREFIX, FRAME_FIXED - PREFIX + tail));
}

void
frame_header_encode(const struct frame_header *h, struct buf *out)
{
	size_t size = frame_header_size(h);
	uint8_t *p = buf_reserve(out, size);

	if (p == NULL)
		return;
	frame_header_write(h, p);
	out->len += size;
	out->data[out->len] = 0;
}

int
frame_header_check_where(const struct frame_header *h, struct err *err)
{
	size_t n;

	if ((h->type != FRAME_FILE && h->type != FRAME_DUMP &&
		h->path_len != 0) ||
	    (h->path_len > 0 && memchr(h->path, 0, h->path_len) != NULL))
		return err_set(err, ERR_DAMAGED, "the frame's path is invalid");
	if (h->blocks_len > 0)
		return frame_blocks_decode(h, NULL, FORMAT_FRAME_PLAIN_MAX, &n,
		    err);
	return 0;
}

static int
check_frame_header(const struct frame_header *h, struct err *err)
{
	size_t max = h->type == FRAME_WAL ? FORMAT_WAL_PIECE_MAX :
					    FORMAT_FRAME_PLAIN_MAX;

	if (h->type < FRAME_FILE || h->type > FRAME_CHUNK_LIST ||
	    h->filter != 0 || h->compression != 1 || h->cipher > 1) {
		err_set(err, ERR_UNSUPPORTED,
		    "the frame has type %u, filter %u, compression %u, cipher "
		    "%u, which this program does not know", (unsigned)h->type,
		    h->filter, h->compression, h->cipher);
		return err_hint(err, "use a newer dapk-backup");
	}
	if (h->plain_len > max)
		return err_set(err, ERR_DAMAGED,
		    "the frame claims %u bytes of content", h->plain_len);
	if (h->cipher != 0 && h->path_len + h->blocks_len != 0)
		return err_set(err, ERR_DAMAGED,
		    "an encrypted frame says in clear where it belongs");
	return frame_header_check_where(h, err);
}

int
frame_header_decode(const uint8_t *data, size_t len,
    struct frame_header *out, size_t *used, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (check_frame(data, len, "DKFR", FORMAT_FRAME_HEADER_FIXED,
		FORMAT_FRAME_HEADER_MAX, "frame header", used, err) != 0)
		return -1;
	out->type = (enum frame_type)data[12];
	out->filter = data[13];
	out->compression = data[14];
	out->cipher = data[15];
	out->number = get_le32(data + 16);
	out->plain_len = get_le32(data + 20);
	out->payload_len = get_le32(data + 24);
	out->block_size = get_le32(data + 28);
	out->position = get_le64(data + 32);
	out->hash = get_le64(data + 40);
	memcpy(out->nonce, data + 48, FORMAT_NONCE);
	out->key_id = get_le32(data + 60);
	out->path_len = get_le16(data + 64);
	out->path = (const char *)data + FRAME_FIXED;
	out->blocks_len = get_le16(data + 66);
	if (out->path_len > FORMAT_PATH_MAX ||
	    out->path_len + out->blocks_len !=
		*used - FORMAT_FRAME_HEADER_FIXED)
		return err_set(err, ERR_DAMAGED,
		    "the frame header's lengths contradict each other");
	out->blocks = data + FRAME_FIXED + out->path_len;
	return check_frame_header(out, err);
}
