/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/walname.h"

#include <stdio.h>
#include <string.h>

#define HISTORY_SUFFIX ".history"
#define PARTIAL_SUFFIX ".partial"
#define BACKUP_SUFFIX ".backup"

/* Exactly 8 upper-case digits. */
static bool
hex8(const char *s, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 8; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (uint32_t)(s[i] - '0');
		else if (s[i] >= 'A' && s[i] <= 'F')
			v = v << 4 | (uint32_t)(s[i] - 'A' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

static bool
parse(const char *name, struct wal_file *out)
{
	const char *rest = name + WAL_SEGMENT_NAME_LEN;
	size_t len = strlen(name);

	if (len >= WAL_FILE_NAME_MAX || len < 8 || !hex8(name, &out->timeline))
		return false;
	memcpy(out->name, name, len + 1);
	if (strcmp(name + 8, HISTORY_SUFFIX) == 0) {
		out->type = WAL_FILE_HISTORY;
		return true;
	}
	if (len < WAL_SEGMENT_NAME_LEN || !hex8(name + 8, &out->log) ||
	    !hex8(name + 16, &out->seg))
		return false;
	memcpy(out->segment, name, WAL_SEGMENT_NAME_LEN);
	if (*rest == '\0')
		out->type = WAL_FILE_SEGMENT;
	else if (strcmp(rest, PARTIAL_SUFFIX) == 0)
		out->type = WAL_FILE_PARTIAL;
	else if (*rest == '.' && hex8(rest + 1, &out->backup_offset) &&
	    strcmp(rest + 9, BACKUP_SUFFIX) == 0)
		out->type = WAL_FILE_BACKUP;
	else
		return false;
	return true;
}

int
wal_file_parse(const char *name, struct wal_file *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (!parse(name, out))
		return err_set(err, ERR_USAGE,
		    "\"%s\" is not the name of a WAL file", name);
	if (out->timeline == 0)
		return err_set(err, ERR_USAGE,
		    "\"%s\" is not the name of a WAL file: timeline 0", name);
	return 0;
}

bool
wal_segment_size_valid(uint64_t size)
{
	return size >= WAL_SEGMENT_SIZE_MIN && size <= WAL_SEGMENT_SIZE_MAX &&
	    (size & (size - 1)) == 0;
}

static uint64_t
segments_per_log(uint32_t segment_size)
{
	return (UINT64_C(1) << 32) / segment_size;
}

bool
wal_file_fits(const struct wal_file *f, uint32_t segment_size)
{
	return f->type == WAL_FILE_HISTORY ||
	    f->seg < segments_per_log(segment_size);
}

uint64_t
wal_segno(const struct wal_file *f, uint32_t segment_size)
{
	return f->log * segments_per_log(segment_size) + f->seg;
}

uint64_t
wal_segno_of_lsn(pg_lsn lsn, uint32_t segment_size)
{
	return lsn / segment_size;
}

void
wal_segment_name(uint32_t timeline, uint64_t segno, uint32_t segment_size,
    char out[WAL_SEGMENT_NAME_LEN + 1])
{
	uint64_t n = segments_per_log(segment_size);

	(void)snprintf(out, WAL_SEGMENT_NAME_LEN + 1, "%08X%08X%08X", timeline,
	    (uint32_t)(segno / n), (uint32_t)(segno % n));
}

pg_lsn
wal_segment_start(uint64_t segno, uint32_t segment_size)
{
	return segno * segment_size;
}

/* 1 to 8 digits; returns what follows them, or NULL. */
static const char *
hex_part(const char *s, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 8; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (uint32_t)(s[i] - '0');
		else if ((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'f')
			v = v << 4 | (uint32_t)((s[i] | 0x20) - 'a' + 10);
		else
			break;
	}
	*out = v;
	return i == 0 ? NULL : s + i;
}

bool
lsn_parse(const char *s, pg_lsn *out)
{
	uint32_t high, low;

	s = hex_part(s, &high);
	if (s == NULL || *s != '/')
		return false;
	s = hex_part(s + 1, &low);
	if (s == NULL || *s != '\0')
		return false;
	*out = (uint64_t)high << 32 | low;
	return true;
}

const char *
lsn_format(pg_lsn lsn, char out[LSN_TEXT_MAX])
{
	(void)snprintf(out, LSN_TEXT_MAX, "%X/%X", (uint32_t)(lsn >> 32),
	    (uint32_t)lsn);
	return out;
}
