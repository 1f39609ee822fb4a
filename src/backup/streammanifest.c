/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/streammanifest.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "repo/json.h"

#define LINE_MAX_BYTES ((size_t)64 << 10)

struct streammanifest {
	struct buf line;
	struct linestore *files;
	bool seen; /* the server sent something */
	bool whole; /* up to its last line */
};

struct streammanifest *
streammanifest_new(void)
{
	struct streammanifest *m = xcalloc(1, sizeof(*m));

	buf_init(&m->line, LINE_MAX_BYTES);
	m->files = linestore_new();
	return m;
}

void
streammanifest_free(struct streammanifest *m)
{
	if (m == NULL)
		return;
	buf_free(&m->line);
	linestore_free(m->files);
	free(m);
}

/* The bytes of 2 n hexadecimal digits, whatever follows them. */
static bool
take_hex(const char *digits, uint8_t *out, size_t n)
{
	char one[3] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (digits[2 * i] == '\0')
			return false;
		memcpy(one, digits + 2 * i, 2);
		if (!text_unhex(one, out + i, 1))
			return false;
	}
	return true;
}

/* What stands behind `"key": `, or NULL. */
static const char *
find_key(const char *line, const char *key)
{
	const char *p = strstr(line, key);

	return p == NULL ? NULL : p + strlen(key);
}

/* The text of a JSON string from behind its opening quote. */
static bool
take_string(const char *p, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *which;
	uint64_t code;
	char digits[5];

	buf_clear(out);
	for (; *p != '"'; p++) {
		if (*p == '\0')
			return false;
		if (*p != '\\') {
			buf_add_byte(out, (uint8_t)*p);
			continue;
		}
		p++;
		which = *p == '\0' ? NULL : strchr(from, *p);
		if (which != NULL) {
			buf_add_byte(out, (uint8_t)to[which - from]);
			continue;
		}
		if (*p != 'u' || strlen(p) < 5)
			return false;
		memcpy(digits, p + 1, 4);
		digits[4] = '\0';
		/* Only control characters are written so. */
		if (!text_hex_u64(digits, 4, &code) || code > 0x7f)
			return false;
		buf_add_byte(out, (uint8_t)code);
		p += 4;
	}
	return true;
}

static bool
take_path(const char *line, struct buf *out)
{
	const char *p = find_key(line, "{ \"Path\": \"");
	size_t n, i;
	uint8_t byte;

	if (p != NULL)
		return take_string(p, out);
	p = find_key(line, "{ \"Encoded-Path\": \"");
	if (p == NULL)
		return false;
	n = strcspn(p, "\"");
	buf_clear(out);
	for (i = 0; i + 2 <= n; i += 2) {
		if (!take_hex(p + i, &byte, 1))
			return false;
		buf_add_byte(out, byte);
	}
	return n % 2 == 0 && n > 0;
}

static bool
take_file(struct streammanifest *m, const char *line)
{
	struct manifest_entry e;
	const char *size = find_key(line, "\"Size\": ");
	const char *sum = find_key(line, "\"Checksum\": \"");
	struct buf path;
	char *end;
	bool ok;

	memset(&e, 0, sizeof(e));
	buf_init(&path, FORMAT_PATH_MAX);
	ok = size != NULL && sum != NULL && strlen(sum) > 8 &&
	    take_path(line, &path) && path.len > 0;
	if (ok) {
		e.type = MANIFEST_FILE;
		e.path = buf_str(&path);
		e.size = strtoull(size, &end, 10);
		/* The CRC's bytes as they lie in the server's memory. */
		ok = end != size && take_hex(sum, (uint8_t *)&e.crc, sizeof(e.crc));
	}
	if (ok)
		linestore_add(m->files, &e);
	buf_free(&path);
	return ok;
}

static int
take_line(struct streammanifest *m, struct err *err)
{
	const char *line = buf_str(&m->line);

	if (find_key(line, "\"Manifest-Checksum\": ") != NULL)
		m->whole = true;
	if ((strncmp(line, "{ \"Path\"", 8) == 0 ||
	    strncmp(line, "{ \"Encoded-Path\"", 16) == 0) &&
	    !take_file(m, line))
		return err_set(err, ERR_POSTGRES, "a line of the server's "
		    "backup_manifest cannot be read: %.200s", line);
	buf_clear(&m->line);
	return 0;
}

int
streammanifest_add(void *arg, const void *data, size_t len, struct err *err)
{
	struct streammanifest *m = arg;
	const char *p = data, *end = p + len, *nl;

	m->seen = true;
	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		buf_add(&m->line, p, (size_t)((nl == NULL ? end : nl) - p));
		if (nl == NULL)
			return buf_check(&m->line, "backup_manifest", err);
		if (buf_check(&m->line, "backup_manifest", err) != 0 ||
		    take_line(m, err) != 0)
			return -1;
	}
	return 0;
}

int
streammanifest_check(struct streammanifest *m, struct linestore *stored,
    struct linestore *sent, struct err *err)
{
	struct manifest_entry want, have;
	size_t i, n = linestore_count(m->files);
	bool same;

	if (!m->seen)
		return 0;
	if (m->line.len > 0 && take_line(m, err) != 0)
		return -1;
	if (!m->whole || n == 0)
		return err_set(err, ERR_POSTGRES, "the server's "
		    "backup_manifest is not whole");
	for (i = 0; i < n; i++) {
		linestore_get(m->files, i, &want);
		same = (linestore_find(stored, want.path, &have) ||
		    linestore_find(sent, want.path, &have)) &&
		    have.type == MANIFEST_FILE && have.size == want.size &&
		    have.crc == want.crc;
		if (!same)
			return err_set(err, ERR_POSTGRES, "%s did not arrive "
			    "as the server sent it, says its "
			    "backup_manifest", want.path);
	}
	return 0;
}
