/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/walsumfile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/text.h"
#include "pg/walparse.h"

#define MAGIC 0x652b137bu
#define CRC_SIZE 4
#define ENTRY_SIZE 24
#define CHUNK_BLOCKS 65536u
#define CHUNK_BITMAP 4096 /* so many numbers: they are a bitmap */
#define NAME_DIGITS 40
#define NAME_SUFFIX ".summary"
#define NO_LIMIT UINT32_MAX
#define FORK_MAX 3

bool
wal_sumfile_parse(const char *name, struct wal_sumfile *out)
{
	char part[17];
	uint64_t timeline;

	if (strlen(name) != NAME_DIGITS + sizeof(NAME_SUFFIX) - 1 ||
	    strcmp(name + NAME_DIGITS, NAME_SUFFIX) != 0)
		return false;
	memcpy(part, name, 8);
	part[8] = '\0';
	if (!text_hex_u64(part, 8, &timeline))
		return false;
	memcpy(part, name + 8, 16);
	part[16] = '\0';
	if (!text_hex_u64(part, 16, &out->start))
		return false;
	memcpy(part, name + 24, 16);
	if (!text_hex_u64(part, 16, &out->end))
		return false;
	out->timeline = (uint32_t)timeline;
	return out->timeline != 0 && out->start < out->end;
}

void
wal_sumfile_name(const struct wal_sumfile *f, char out[WAL_SUMFILE_NAME_MAX])
{
	(void)snprintf(out, WAL_SUMFILE_NAME_MAX, "%08" PRIX32 "%016" PRIX64
	    "%016" PRIX64 NAME_SUFFIX, f->timeline, f->start, f->end);
}

const struct wal_sumfile *
wal_sumfile_next(const struct wal_sumfile *list, size_t n,
    const struct history *path, pg_lsn from, pg_lsn *reached)
{
	const struct history_entry *on = history_at(path, from);
	const struct wal_sumfile *best = NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].timeline == on->timeline &&
		    list[i].start <= from && list[i].end > from &&
		    (best == NULL || list[i].end > best->end))
			best = &list[i];
	if (best != NULL)
		*reached = best->end < on->end ? best->end : on->end;
	return best;
}

/* One chunk: `usage` numbers of 16 bits. */
static bool
take_chunk(struct wal_cursor *c, unsigned usage, struct wal_change *change,
    uint32_t first, wal_change_fn fn, void *arg)
{
	const uint8_t *p = c->p;
	uint32_t i;

	if (!wal_skip(c, (uint64_t)usage * 2))
		return false;
	change->type = WAL_CHANGE_BLOCK;
	if (usage == CHUNK_BITMAP) {
		for (i = 0; i < CHUNK_BLOCKS; i++) {
			if ((p[i / 8] >> i % 8 & 1) == 0)
				continue;
			change->block = first + i;
			fn(arg, change);
		}
		return true;
	}
	for (i = 0; i < usage; i++) {
		change->block = first + get_le16(p + 2 * (size_t)i);
		fn(arg, change);
	}
	return true;
}

/* One fork of a relation, after its relation and fork were taken. */
static bool
take_fork(struct wal_cursor *c, struct wal_change *change, wal_change_fn fn,
    void *arg)
{
	uint32_t limit, n, i;
	const uint8_t *usages;
	unsigned usage;

	/* Of a whole database, node 0, nobody looks for another fork. */
	if (change->fork > FORK_MAX ||
	    (change->relation.node == 0 && change->fork != 0) ||
	    !wal_take_u32(c, &limit) ||
	    !wal_take_u32(c, &n) || n > UINT32_MAX / CHUNK_BLOCKS + 1)
		return false;
	usages = c->p;
	if (!wal_skip(c, (uint64_t)n * 2))
		return false;
	if (limit != NO_LIMIT) {
		change->type = change->relation.node == 0 ?
		    WAL_CHANGE_DATABASE : WAL_CHANGE_LIMIT;
		change->block = limit;
		fn(arg, change);
	}
	for (i = 0; i < n; i++) {
		usage = get_le16(usages + 2 * (size_t)i);
		if (usage > CHUNK_BITMAP || !take_chunk(c, usage, change,
			i * CHUNK_BLOCKS, fn, arg))
			return false;
	}
	return true;
}

int
wal_sumfile_decode(const uint8_t *data, size_t len, wal_change_fn fn,
    void *arg, struct err *err)
{
	static const uint8_t zeroes[ENTRY_SIZE];
	struct wal_cursor c = { data, len };
	struct wal_change change;
	uint32_t magic;
	bool ok = true;

	if (len < 4 + ENTRY_SIZE + CRC_SIZE ||
	    crc32c(data, len - CRC_SIZE) != get_le32(data + len - CRC_SIZE))
		return err_set(err, ERR_DAMAGED,
		    "WAL summary with a wrong checksum");
	c.left -= CRC_SIZE;
	if (!wal_take_u32(&c, &magic) || magic != MAGIC)
		return err_set(err, ERR_UNSUPPORTED,
		    "WAL summary of an unknown version");
	while (ok && c.left >= ENTRY_SIZE &&
	    memcmp(c.p, zeroes, ENTRY_SIZE) != 0) {
		memset(&change, 0, sizeof(change));
		ok = wal_take_u32(&c, &change.relation.tablespace) &&
		    wal_take_u32(&c, &change.relation.database) &&
		    wal_take_u32(&c, &change.relation.node) &&
		    wal_take_u32(&c, &change.fork) &&
		    take_fork(&c, &change, fn, arg);
	}
	if (!ok || c.left != ENTRY_SIZE || memcmp(c.p, zeroes, ENTRY_SIZE) != 0)
		return err_set(err, ERR_DAMAGED,
		    "WAL summary with impossible lengths");
	return 0;
}
