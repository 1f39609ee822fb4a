/* SPDX-License-Identifier: PostgreSQL */
/* Text objects, labels and WAL summaries (FORMAT.md sections 2, 3, 8.1). */
#include "config.h"

#include "repo/format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/crc32c.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/cursor.h"

#define FIRST_LINE_MAX 160
#define PROGRAM "dapk-backup"
#define SUMMARY_VERSION 1

enum { SUMMARY_PARSED = 1, SUMMARY_ENDED = 2 };

void
text_object_encode(const char *kind, const char *json, size_t len,
    struct buf *out)
{
	uint32_t crc = crc32c_more(crc32c(json, len), "\n", 1);

	buf_printf(out, PROGRAM " %s %d crc32c=%08x length=%zu\n", kind,
	    FORMAT_VERSION, crc, len + 1);
	buf_add(out, json, len);
	buf_add_byte(out, '\n');
}

/* The first line, taken apart. */
struct first_line {
	char kind[32];
	unsigned version;
	unsigned crc;
	unsigned long long length;
	size_t size; /* with its line feed */
};

/* False when it is not exactly what an encoder writes. */
static bool
parse_first_line(const uint8_t *data, size_t len, struct first_line *out)
{
	char line[FIRST_LINE_MAX], again[FIRST_LINE_MAX];
	const uint8_t *end;
	int n = 0;

	end = memchr(data, '\n', len < FIRST_LINE_MAX ? len : FIRST_LINE_MAX);
	if (end == NULL || memchr(data, 0, (size_t)(end - data)) != NULL)
		return false;
	out->size = (size_t)(end - data) + 1;
	memcpy(line, data, out->size - 1);
	line[out->size - 1] = '\0';
	if (sscanf(line, PROGRAM " %31[a-z] %9u crc32c=%8x length=%18llu%n",
		out->kind, &out->version, &out->crc, &out->length, &n) != 4)
		return false;
	(void)snprintf(again, sizeof(again),
	    PROGRAM " %s %u crc32c=%08x length=%llu", out->kind, out->version,
	    out->crc, out->length);
	return strcmp(line, again) == 0;
}

/*
 * Has a later version written this? Then its CRC counts from the beginning
 * of the first line to its version, and what follows the line. So a digit
 * that was damaged is not taken for a version.
 */
static bool
is_newer(const uint8_t *data, size_t len, const struct first_line *line)
{
	char head[FIRST_LINE_MAX];
	uint32_t crc;
	int n;

	n = snprintf(head, sizeof(head), PROGRAM " %s %u", line->kind,
	    line->version);
	crc = crc32c(head, (size_t)n);
	return line->version > FORMAT_VERSION &&
	    crc32c_more(crc, data + line->size, len - line->size) == line->crc;
}

int
text_object_decode(const uint8_t *data, size_t len, const char *kind,
    const char **json, size_t *json_len, struct err *err)
{
	struct first_line line;

	if (len == 0 || !parse_first_line(data, len, &line))
		return err_set(err, ERR_DAMAGED,
		    "the first line is not a dapk-backup object's");
	if (line.length != len - line.size || line.length == 0)
		return err_set(err, ERR_DAMAGED,
		    "%zu bytes follow the first line, which says %llu",
		    len - line.size, line.length);
	if (is_newer(data, len, &line)) {
		err_set(err, ERR_UNSUPPORTED,
		    "the object has format version %u, this program knows %d",
		    line.version, FORMAT_VERSION);
		return err_hint(err, "use a newer dapk-backup");
	}
	if (line.version != FORMAT_VERSION)
		return err_set(err, ERR_DAMAGED,
		    "the first line says version %u, its CRC does not",
		    line.version);
	if (crc32c(data + line.size, len - line.size) != line.crc ||
	    data[len - 1] != '\n')
		return err_set(err, ERR_DAMAGED, "the CRC is wrong");
	if (strcmp(line.kind, kind) != 0)
		return err_set(err, ERR_DAMAGED,
		    "the object is of kind '%s' instead of '%s'", line.kind,
		    kind);
	*json = (const char *)data + line.size;
	*json_len = len - line.size - 1;
	return 0;
}

void
label_make(int64_t time, uint64_t random, char out[FORMAT_LABEL_MAX])
{
	char text[TIME_TEXT_MAX];

	/* "2026-11-22 13:31:07.123456+00" */
	(void)time_format(time, text);
	(void)snprintf(out, FORMAT_LABEL_MAX,
	    "%.4s%.2s%.2sT%.2s%.2s%.2sZ-%016llx", text, text + 5, text + 8,
	    text + 11, text + 14, text + 17, (unsigned long long)random);
}

bool
label_valid(const char *label)
{
	static const char shape[] = "ddddddddTddddddZ-xxxxxxxxxxxxxxxx";
	size_t i;

	for (i = 0; shape[i] != '\0'; i++) {
		char c = label[i];
		bool digit = c >= '0' && c <= '9';

		if (shape[i] == 'd' ? !digit : shape[i] == 'x' ?
			    !digit && !(c >= 'a' && c <= 'f') :
			    c != shape[i])
			return false;
	}
	return label[i] == '\0';
}

bool
label_time(const char *label, int64_t *out)
{
	struct err err = ERR_INIT;
	char text[TIME_TEXT_MAX];
	bool local;

	if (!label_valid(label))
		return false;
	(void)snprintf(text, sizeof(text),
	    "%.4s-%.2s-%.2s %.2s:%.2s:%.2s+00", label, label + 4, label + 6,
	    label + 9, label + 11, label + 13);
	return time_parse(text, out, &local, &err) == 0;
}

void
wal_summary_encode(const struct wal_summary *s, struct buf *out)
{
	uint32_t i, kept = s->n_restore_points;
	size_t len;

	if (kept > WAL_SUMMARY_RESTORE_POINTS_MAX)
		kept = WAL_SUMMARY_RESTORE_POINTS_MAX;
	buf_add_le32(out, SUMMARY_VERSION);
	buf_add_le32(out, (s->parsed ? SUMMARY_PARSED : 0u) |
	    (s->ended ? SUMMARY_ENDED : 0u));
	buf_add_le64(out, s->first_record);
	buf_add_le64(out, s->end);
	buf_add_le64(out, s->unfinished);
	buf_add_le64(out, s->records);
	buf_add_le64(out, s->commits);
	buf_add_le64(out, (uint64_t)s->first_commit_time);
	buf_add_le64(out, (uint64_t)s->last_commit_time);
	buf_add_le64(out, (uint64_t)s->min_commit_time);
	buf_add_le64(out, (uint64_t)s->max_commit_time);
	buf_add_le32(out, s->min_xid);
	buf_add_le32(out, s->max_xid);
	buf_add_le64(out, (uint64_t)s->max_time);
	buf_add_le64(out, s->max_time_lsn);
	buf_add_le32(out, s->n_restore_points);
	buf_add_le32(out, kept);
	for (i = 0; i < kept; i++) {
		len = strnlen(s->points[i].name, sizeof(s->points[i].name) - 1);
		buf_add_le64(out, s->points[i].lsn);
		buf_add_le64(out, s->points[i].end);
		buf_add_le64(out, (uint64_t)s->points[i].time);
		buf_add_byte(out, (uint8_t)len);
		buf_add(out, s->points[i].name, len);
	}
}

static void
decode_restore_point(struct cursor *c, struct wal_restore_point *out)
{
	const uint8_t *name;
	size_t len;

	out->lsn = cursor_le64(c);
	out->end = cursor_le64(c);
	out->time = (int64_t)cursor_le64(c);
	len = cursor_u8(c);
	name = cursor_bytes(c, len);
	if (name == NULL || len >= sizeof(out->name) ||
	    memchr(name, 0, len) != NULL)
		c->bad = true;
	else
		memcpy(out->name, name, len);
}

int
wal_summary_decode(const uint8_t *data, size_t len, struct wal_summary *out,
    struct err *err)
{
	struct cursor c = { data, len, false };
	uint32_t version, flags, i, kept;

	memset(out, 0, sizeof(*out));
	version = cursor_le32(&c);
	if (!c.bad && version != SUMMARY_VERSION)
		return err_set(err, ERR_UNSUPPORTED,
		    "the WAL summary has version %u, this program knows %d",
		    version, SUMMARY_VERSION);
	flags = cursor_le32(&c);
	out->parsed = (flags & SUMMARY_PARSED) != 0;
	out->ended = (flags & SUMMARY_ENDED) != 0;
	out->first_record = cursor_le64(&c);
	out->end = cursor_le64(&c);
	out->unfinished = cursor_le64(&c);
	out->records = cursor_le64(&c);
	out->commits = cursor_le64(&c);
	out->first_commit_time = (int64_t)cursor_le64(&c);
	out->last_commit_time = (int64_t)cursor_le64(&c);
	out->min_commit_time = (int64_t)cursor_le64(&c);
	out->max_commit_time = (int64_t)cursor_le64(&c);
	out->min_xid = cursor_le32(&c);
	out->max_xid = cursor_le32(&c);
	out->max_time = (int64_t)cursor_le64(&c);
	out->max_time_lsn = cursor_le64(&c);
	out->n_restore_points = cursor_le32(&c);
	kept = cursor_le32(&c);
	if (kept > WAL_SUMMARY_RESTORE_POINTS_MAX ||
	    kept > out->n_restore_points)
		c.bad = true;
	for (i = 0; i < kept && !c.bad; i++)
		decode_restore_point(&c, &out->points[i]);
	if (c.bad || c.left != 0)
		return err_set(err, ERR_DAMAGED, "the WAL summary makes no sense");
	return 0;
}
