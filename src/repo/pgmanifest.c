/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/pgmanifest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "core/sha256.h"

#define PIECE ((size_t)64 << 10) /* collected before it is put */
#define LINE_MAX_BYTES ((size_t)64 << 10)
#define WITH_SYSTEM_ID 17 /* major that began version 2 */

struct pgmanifest {
	pgmanifest_put put;
	void *arg;
	struct sha256_state *sha;
	struct buf text;
	bool some; /* files were written */
};

static int
flush(struct pgmanifest *m, struct err *err)
{
	if (buf_check(&m->text, "a piece of " PGMANIFEST_NAME, err) != 0 ||
	    sha256_add(m->sha, m->text.data, m->text.len, err) != 0 ||
	    m->put(m->arg, m->text.data, m->text.len, err) != 0)
		return -1;
	buf_clear(&m->text);
	return 0;
}

int
pgmanifest_new(struct pgmanifest **out, int major, uint64_t system_id,
    pgmanifest_put put, void *arg, struct err *err)
{
	struct pgmanifest *m = xcalloc(1, sizeof(*m));

	m->put = put;
	m->arg = arg;
	buf_init(&m->text, PIECE + LINE_MAX_BYTES);
	if (sha256_new(&m->sha, err) != 0) {
		pgmanifest_free(m);
		return -1;
	}
	buf_printf(&m->text, "{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n",
	    major >= WITH_SYSTEM_ID ? 2 : 1);
	if (major >= WITH_SYSTEM_ID)
		buf_printf(&m->text, "\"System-Identifier\": %" PRIu64 ",\n",
		    system_id);
	buf_add_str(&m->text, "\"Files\": [");
	*out = m;
	return 0;
}

void
pgmanifest_free(struct pgmanifest *m)
{
	if (m == NULL)
		return;
	sha256_free(m->sha);
	buf_free(&m->text);
	free(m);
}

/*
 * "Path" must be valid UTF-8. Of the names that need not be, or that JSON
 * would escape, the bytes are given in hexadecimal, which every reader takes.
 */
static void
add_path(struct buf *b, const char *path)
{
	const uint8_t *p;

	for (p = (const uint8_t *)path; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\')
			break;
	if (*p == '\0') {
		buf_printf(b, "\"Path\": \"%s\", ", path);
		return;
	}
	buf_add_str(b, "\"Encoded-Path\": \"");
	for (p = (const uint8_t *)path; *p != '\0'; p++)
		buf_printf(b, "%02x", *p);
	buf_add_str(b, "\", ");
}

int
pgmanifest_file(struct pgmanifest *m, const char *path, uint64_t size,
    int64_t mtime, uint32_t crc, struct err *err)
{
	/* Rounded down, before 2000 too. */
	const int64_t whole = mtime / 1000000 - (mtime % 1000000 < 0);
	const time_t seconds = (time_t)(whole + TIME_UNIX_EPOCH_OFFSET);
	char when[64], hex[2 * sizeof(crc) + 1];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return err_set(err, ERR_DAMAGED,
		    "%s has a time that no calendar has", path);
	buf_add_str(&m->text, m->some ? ",\n{ " : "\n{ ");
	m->some = true;
	add_path(&m->text, path);
	/* The CRC's bytes as they lie in memory: so PostgreSQL writes them. */
	text_hex(&crc, sizeof(crc), hex);
	buf_printf(&m->text, "\"Size\": %" PRIu64 ", \"Last-Modified\": "
	    "\"%s GMT\", \"Checksum-Algorithm\": \"CRC32C\", "
	    "\"Checksum\": \"%s\" }", size, when, hex);
	return m->text.len < PIECE ? 0 : flush(m, err);
}

int
pgmanifest_finish(struct pgmanifest *m, uint32_t timeline, pg_lsn start,
    pg_lsn stop, struct err *err)
{
	char from[LSN_TEXT_MAX], to[LSN_TEXT_MAX], hex[2 * SHA256_SIZE + 1];
	uint8_t sum[SHA256_SIZE];

	buf_printf(&m->text, "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": %" PRIu32
	    ", \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }\n],\n", timeline,
	    lsn_format(start, from), lsn_format(stop, to));
	if (flush(m, err) != 0 || sha256_finish(m->sha, sum, err) != 0)
		return -1;
	/* The last line is not in the sum. */
	text_hex(sum, sizeof(sum), hex);
	buf_printf(&m->text, "\"Manifest-Checksum\": \"%s\"}\n", hex);
	return m->put(m->arg, m->text.data, m->text.len, err);
}

int
pgmanifest_to_buf(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_check(b, PGMANIFEST_NAME, err);
}
