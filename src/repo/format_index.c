/* SPDX-License-Identifier: PostgreSQL */
/* Indexes and maps (FORMAT.md sections 4.3 and 5). */
#include "config.h"

#include "repo/format.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/cursor.h"
#include "repo/format_packs.h"

#define INDEX_FIXED 32 /* all but the entries */
#define MAP_VERSION 1

void
index_encode(const struct index_entry *entries, uint32_t n, uint32_t offset,
    struct buf *out)
{
	size_t size = INDEX_FIXED + (size_t)n * FORMAT_INDEX_ENTRY_SIZE;
	uint8_t *start = buf_reserve(out, size);
	uint8_t *p = start;
	uint32_t i;

	if (start == NULL)
		return;
	put_le32(p, FORMAT_MAGIC);
	put_le32(p + 4, (uint32_t)size - 8);
	memcpy(p + 8, "DKIX", 4);
	put_le32(p + 12, n);
	p += 16;
	for (i = 0; i < n; i++, p += FORMAT_INDEX_ENTRY_SIZE) {
		put_le32(p, entries[i].offset);
		put_le32(p + 4, entries[i].length);
		put_le32(p + 8, entries[i].plain_len);
		put_le32(p + 12, entries[i].type);
	}
	put_le32(p, offset);
	put_le32(p + 4, crc32c(start + 8, (size_t)(p + 4 - start) - 8));
	memcpy(p + 8, "DKINDEX1", 8);
	out->len += size;
	out->data[out->len] = 0;
}

int
index_find(const uint8_t tail[FORMAT_INDEX_TAIL], uint64_t object_size,
    uint32_t *offset, struct err *err)
{
	*offset = get_le32(tail);
	if (memcmp(tail + 8, "DKINDEX1", 8) != 0)
		return err_set(err, ERR_DAMAGED,
		    "no index stands at the object's end: it was cut short, "
		    "or is something else");
	if (object_size < INDEX_FIXED || *offset > object_size - INDEX_FIXED ||
	    (object_size - INDEX_FIXED - *offset) % FORMAT_INDEX_ENTRY_SIZE !=
		0)
		return err_set(err, ERR_DAMAGED,
		    "the index's position %u is impossible in %llu bytes",
		    *offset, (unsigned long long)object_size);
	return 0;
}

static int
check_entries(const struct index_entry *e, uint32_t n, uint32_t offset,
    struct err *err)
{
	uint32_t i;
	uint64_t next;

	for (i = 0; i < n; i++) {
		next = i + 1 < n ? e[i + 1].offset : offset;
		if (e[i].length < FORMAT_FRAME_HEADER_FIXED ||
		    e[i].plain_len > FORMAT_WAL_PIECE_MAX ||
		    (uint64_t)e[i].offset + e[i].length != next)
			return err_set(err, ERR_DAMAGED,
			    "entry %u of the index makes no sense: %u bytes "
			    "at %u, the next at %llu", i, e[i].length,
			    e[i].offset, (unsigned long long)next);
	}
	return 0;
}

int
index_decode(const uint8_t *data, size_t len, uint32_t offset,
    struct index_entry **entries, uint32_t *n, struct err *err)
{
	struct index_entry *e;
	const uint8_t *p;
	uint32_t i, count;

	*entries = NULL;
	*n = 0;
	if (len < INDEX_FIXED || get_le32(data) != FORMAT_MAGIC ||
	    memcmp(data + 8, "DKIX", 4) != 0 ||
	    memcmp(data + len - 8, "DKINDEX1", 8) != 0)
		return err_set(err, ERR_DAMAGED, "no index stands here");
	count = get_le32(data + 12);
	if ((uint64_t)count * FORMAT_INDEX_ENTRY_SIZE + INDEX_FIXED != len ||
	    get_le32(data + 4) != len - 8)
		return err_set(err, ERR_DAMAGED,
		    "the index's length does not fit %u entries", count);
	if (crc32c(data + 8, len - 8 - 12) != get_le32(data + len - 12))
		return err_set(err, ERR_DAMAGED, "the index's CRC is wrong");
	if (get_le32(data + len - FORMAT_INDEX_TAIL) != offset)
		return err_set(err, ERR_DAMAGED,
		    "the index belongs at another position");
	e = xcalloc(count, sizeof(*e));
	p = data + 16;
	for (i = 0; i < count; i++, p += FORMAT_INDEX_ENTRY_SIZE) {
		e[i].offset = get_le32(p);
		e[i].length = get_le32(p + 4);
		e[i].plain_len = get_le32(p + 8);
		e[i].type = p[12];
	}
	if (check_entries(e, count, offset, err) != 0) {
		free(e);
		return -1;
	}
	*entries = e;
	*n = count;
	return 0;
}

void
pack_list_encode(const struct pack_id *packs, uint32_t n, struct buf *out)
{
	uint32_t i;

	buf_add_le32(out, n);
	for (i = 0; i < n; i++) {
		buf_add_byte(out, (uint8_t)strlen(packs[i].label));
		buf_add_str(out, packs[i].label);
		buf_add_le32(out, packs[i].attempt);
		buf_add_le32(out, packs[i].number);
	}
}

void
map_encode(const struct pack_id *packs, uint32_t n_packs,
    const struct map_run *runs, uint32_t n_runs, struct buf *out)
{
	uint32_t i;

	buf_add_le32(out, MAP_VERSION);
	pack_list_encode(packs, n_packs, out);
	buf_add_le32(out, n_runs);
	for (i = 0; i < n_runs; i++) {
		buf_add_leb128(out, runs[i].blocks);
		buf_add_leb128(out, runs[i].pack == MAP_PACK_ZEROS ? n_packs :
								 runs[i].pack);
		buf_add_leb128(out, runs[i].frame);
		buf_add_leb128(out, runs[i].block);
	}
}

struct pack_id *
pack_list_decode(struct cursor *c, uint32_t *count)
{
	uint32_t i, n = cursor_le32(c);
	struct pack_id *packs;
	const uint8_t *label;
	size_t len;

	*count = n;
	/* The count is held against the bytes that are there. */
	if (c->bad || n > c->left / PACK_LIST_ITEM_MIN) {
		c->bad = true;
		return NULL;
	}
	packs = xcalloc((size_t)n + 1, sizeof(*packs));
	for (i = 0; i < n && !c->bad; i++) {
		len = cursor_u8(c);
		label = cursor_bytes(c, len);
		packs[i].attempt = cursor_le32(c);
		packs[i].number = cursor_le32(c);
		if (label == NULL || len >= sizeof(packs[i].label)) {
			c->bad = true;
			break;
		}
		memcpy(packs[i].label, label, len);
		if (!label_valid(packs[i].label))
			c->bad = true;
	}
	return packs;
}

static struct map_run *
decode_runs(struct cursor *c, uint32_t n, uint32_t n_packs)
{
	struct map_run *runs = xcalloc(n, sizeof(*runs));
	uint32_t i;

	for (i = 0; i < n && !c->bad; i++) {
		runs[i].blocks = cursor_leb128(c, UINT64_MAX);
		runs[i].pack = (uint32_t)cursor_leb128(c, n_packs);
		runs[i].frame = (uint32_t)cursor_leb128(c, UINT32_MAX);
		runs[i].block = (uint32_t)cursor_leb128(c, UINT32_MAX);
		if (runs[i].pack == n_packs)
			runs[i].pack = MAP_PACK_ZEROS;
		/* A run lies in one frame; a hole may be as long as it is. */
		else if (runs[i].blocks > FORMAT_FRAME_PLAIN_MAX ||
		    runs[i].block >= FORMAT_FRAME_PLAIN_MAX)
			c->bad = true;
		if (runs[i].blocks == 0)
			c->bad = true;
	}
	return runs;
}

int
map_decode(const uint8_t *data, size_t len, struct pack_id **packs,
    uint32_t *n_packs, struct map_run **runs, uint32_t *n_runs,
    struct err *err)
{
	struct cursor c = { data, len, false };
	uint32_t version = cursor_le32(&c);

	*packs = NULL;
	*runs = NULL;
	*n_runs = 0;
	*n_packs = 0;
	if (!c.bad && version != MAP_VERSION)
		return err_set(err, ERR_UNSUPPORTED,
		    "the map has version %u, this program knows %d", version,
		    MAP_VERSION);
	*packs = pack_list_decode(&c, n_packs);
	*n_runs = cursor_le32(&c);
	if (!c.bad && *packs != NULL && *n_runs <= c.left / 4)
		*runs = decode_runs(&c, *n_runs, *n_packs);
	if (!c.bad && *runs != NULL && c.left == 0)
		return 0;
	free(*packs);
	free(*runs);
	*packs = NULL;
	*runs = NULL;
	return err_set(err, ERR_DAMAGED, "the map makes no sense");
}
