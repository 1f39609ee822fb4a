/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/secret.h"
#include "core/sha256.h"
#include "core/text.h"

#define FIRST_LINE "dapk-backup key 1"
#define PUBLIC_LINE "dapk-backup public key 1"
#define CHECK "check"
#define CHECK_DIGITS 8
#define KEY_DIGITS ((size_t)2 * CRYPT_KEY)
#define TEXT_MAX 256

static int
compute_check(const uint8_t key[CRYPT_KEY], char out[CHECK_DIGITS + 1],
    struct err *err)
{
	uint8_t sum[SHA256_SIZE];

	if (sha256(key, CRYPT_KEY, sum, err) != 0)
		return -1;
	text_hex(sum, CHECK_DIGITS / 2, out);
	return 0;
}

/* The next n digits, whatever white space is among them. */
static const char *
take_digits(const char *p, char *out, size_t n)
{
	size_t i = 0;

	while (i < n && *p != '\0') {
		if (strchr(" \t\r\n", *p) == NULL)
			out[i++] = *p;
		p++;
	}
	out[i] = '\0';
	return p + strspn(p, " \t\r\n");
}

static int
decode(const char *text, const char *first, uint8_t key[CRYPT_KEY],
    struct err *err)
{
	char digits[KEY_DIGITS + 1], check[CHECK_DIGITS + 1];
	char own[CHECK_DIGITS + 1];
	const char *p = text;
	int rc = 0;

	if (strncmp(p, first, strlen(first)) != 0)
		return err_set(err, ERR_CONFIG, "its first line is not '%s'",
		    first);
	p = take_digits(p + strlen(first), digits, KEY_DIGITS);
	if (!text_unhex(digits, key, CRYPT_KEY) ||
	    strncmp(p, CHECK, sizeof(CHECK) - 1) != 0)
		rc = err_set(err, ERR_CONFIG, "it has not %zu hexadecimal "
		    "digits and their check", KEY_DIGITS);
	if (rc == 0) {
		p = take_digits(p + sizeof(CHECK) - 1, check, CHECK_DIGITS);
		rc = compute_check(key, own, err);
	}
	if (rc == 0 && (strcmp(check, own) != 0 || *p != '\0')) {
		(void)err_set(err, ERR_CONFIG, "its digits and their check do "
		    "not agree: one was mistyped or damaged");
		rc = err_hint(err, "compare it with another copy of the key");
	}
	explicit_bzero(digits, sizeof(digits));
	if (rc != 0)
		explicit_bzero(key, CRYPT_KEY);
	return rc;
}

bool
keyfile_is(const char *path)
{
	char first[sizeof(FIRST_LINE) - 1];
	struct err ignored = ERR_INIT;
	size_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (io_pread_upto(fd, first, sizeof(first), 0, &got, path,
		&ignored) != 0)
		got = 0;
	(void)close(fd); /* only read */
	return got == sizeof(first) && memcmp(first, FIRST_LINE, got) == 0;
}

int
keyfile_read(const char *path, uint8_t key[CRYPT_KEY], struct err *err)
{
	struct buf b;
	int rc = secret_read_file(path, SECRET_PRIVATE, &b, err);

	if (rc == 0) {
		rc = decode(buf_str(&b), FIRST_LINE, key, err);
		if (rc != 0)
			(void)err_wrap(err, "key file %s", path);
	}
	secret_buf_free(&b);
	return rc;
}

int
keyfile_read_public(const char *path, uint8_t public_half[CRYPT_KEY],
    struct err *err)
{
	struct buf b;
	int rc = secret_read_file(path, SECRET_ANY, &b, err);

	if (rc == 0) {
		rc = decode(buf_str(&b), PUBLIC_LINE, public_half, err);
		if (rc != 0 && strncmp(buf_str(&b), FIRST_LINE,
			sizeof(FIRST_LINE) - 1) == 0)
			(void)err_hint(err, "it is the key itself: what "
			    "'dapk-backup keys generate' wrote beside it, "
			    "with .pub at its end, is meant");
		if (rc != 0)
			(void)err_wrap(err, "public key file %s", path);
	}
	secret_buf_free(&b);
	return rc;
}

static int
encode(struct buf *b, const char *first, const uint8_t key[CRYPT_KEY],
    struct err *err)
{
	char digits[KEY_DIGITS + 1], check[CHECK_DIGITS + 1];
	size_t i;

	if (compute_check(key, check, err) != 0)
		return -1;
	text_hex(key, CRYPT_KEY, digits);
	buf_printf(b, "%s\n", first);
	for (i = 0; i < KEY_DIGITS; i += 8) {
		buf_add(b, digits + i, 8);
		buf_add_byte(b, i % 32 == 24 ? '\n' : ' ');
	}
	buf_add_str(b, CHECK " ");
	buf_add_str(b, check);
	buf_add_byte(b, '\n');
	explicit_bzero(digits, sizeof(digits));
	return buf_check(b, "the key file", err);
}

/* By O_EXCL: a key that is there already is the only one of its kind. */
static int
write_new(const char *path, mode_t mode, const struct buf *b,
    struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, mode), rc;

	if (fd < 0)
		return err_sys(err, errno, "create %s", path);
	rc = io_write_full(fd, b->data, b->len, path, err);
	if (rc == 0)
		rc = io_fsync(fd, path, err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s", path);
	if (rc == 0)
		rc = io_fsync_parent(path, err);
	if (rc != 0)
		(void)unlink(path); /* half a key is none; why stands in err */
	return rc;
}

int
keyfile_write(const char *path, const uint8_t key[CRYPT_KEY],
    struct err *err)
{
	uint8_t back[CRYPT_KEY];
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	(void)buf_reserve(&b, TEXT_MAX - 1); /* not moved while it grows */
	rc = encode(&b, FIRST_LINE, key, err);
	if (rc == 0)
		rc = write_new(path, 0600, &b, err);
	if (rc == 0)
		rc = keyfile_read(path, back, err);
	if (rc == 0 && !crypt_equal(key, back, CRYPT_KEY))
		rc = err_set(err, ERR_IO, "%s does not read back as it was "
		    "written", path);
	explicit_bzero(back, sizeof(back));
	secret_buf_free(&b);
	return rc;
}

int
keyfile_write_public(const char *path, const uint8_t public_half[CRYPT_KEY],
    struct err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	rc = encode(&b, PUBLIC_LINE, public_half, err);
	if (rc == 0)
		rc = write_new(path, 0644, &b, err);
	buf_free(&b);
	return rc;
}

#define SHEET_LINES 4
#define SHEET_BYTES (CRYPT_KEY / SHEET_LINES)
#define SHEET_CHECK 4 /* digits */

/* The line's number counts too: two that changed places are found. */
static int
sheet_check(unsigned line, const uint8_t *bytes, char out[SHEET_CHECK + 1],
    struct err *err)
{
	uint8_t text[1 + SHEET_BYTES], sum[SHA256_SIZE];
	int rc;

	text[0] = (uint8_t)line;
	memcpy(text + 1, bytes, SHEET_BYTES);
	rc = sha256(text, sizeof(text), sum, err);
	if (rc == 0)
		text_hex(sum, SHEET_CHECK / 2, out);
	explicit_bzero(text, sizeof(text));
	return rc;
}

int
keyfile_to_sheet(const uint8_t key[CRYPT_KEY], struct buf *out,
    struct err *err)
{
	char digits[2 * SHEET_BYTES + 1], check[SHEET_CHECK + 1];
	unsigned i, k;

	for (i = 0; i < SHEET_LINES; i++) {
		if (sheet_check(i + 1, key + (size_t)i * SHEET_BYTES, check,
			err) != 0)
			return -1;
		text_hex(key + (size_t)i * SHEET_BYTES, SHEET_BYTES, digits);
		buf_printf(out, "    %u:", i + 1);
		for (k = 0; k < 2 * SHEET_BYTES; k += 4)
			buf_printf(out, " %.4s", digits + k);
		buf_printf(out, "   check %s\n", check);
	}
	explicit_bzero(digits, sizeof(digits));
	return buf_check(out, "the sheet", err);
}

/* The next n digits of a line, whatever white space is among them. */
static const char *
line_digits(const char *p, char *out, size_t n)
{
	size_t i = 0;

	for (; i < n && *p != '\0' && *p != '\n'; p++)
		if (strchr(" \t\r", *p) == NULL)
			out[i++] = *p >= 'A' && *p <= 'F' ?
			    (char)(*p - 'A' + 'a') : *p;
	out[i] = '\0';
	return p + strspn(p, " \t\r");
}

/* "N: xxxx xxxx xxxx xxxx check yyyy", of the line that p points to. */
static int
sheet_line(const char *p, unsigned line, uint8_t *bytes, struct err *err)
{
	char digits[2 * SHEET_BYTES + 1], check[SHEET_CHECK + 1];
	char own[SHEET_CHECK + 1];
	int rc = 0;

	p = line_digits(p, digits, 2 * SHEET_BYTES);
	if (!text_unhex(digits, bytes, SHEET_BYTES) ||
	    strncmp(p, CHECK, sizeof(CHECK) - 1) != 0)
		rc = err_set(err, ERR_CONFIG, "line %u of the key has not "
		    "%zu digits (0-9, a-f) and 'check' with %d more", line,
		    (size_t)2 * SHEET_BYTES, SHEET_CHECK);
	if (rc == 0) {
		p = line_digits(p + sizeof(CHECK) - 1, check, SHEET_CHECK);
		rc = sheet_check(line, bytes, own, err);
	}
	if (rc == 0 && (strcmp(check, own) != 0 ||
	    (*p != '\n' && *p != '\0')))
		rc = err_set(err, ERR_CONFIG, "line %u of the key: its digits "
		    "and their check do not agree, one was mistyped", line);
	explicit_bzero(digits, sizeof(digits));
	return rc;
}

int
keyfile_from_sheet(const char *text, uint8_t key[CRYPT_KEY], struct err *err)
{
	unsigned seen = 0, line;
	const char *p = text;
	int rc = 0;

	while (rc == 0 && *p != '\0') {
		p += strspn(p, " \t");
		line = p[0] >= '1' && p[0] <= '0' + SHEET_LINES &&
		    p[1] == ':' ? (unsigned)(p[0] - '0') : 0;
		if (line > 0) {
			rc = sheet_line(p + 2, line, key + (size_t)(line - 1) *
			    SHEET_BYTES, err);
			seen |= 1u << line;
		}
		p += strcspn(p, "\n");
		p += strspn(p, "\n");
	}
	for (line = 1; line <= SHEET_LINES && rc == 0; line++)
		if ((seen & 1u << line) == 0)
			rc = err_set(err, ERR_CONFIG, "line %u of the key is "
			    "missing: it begins with '%u:'", line, line);
	if (rc != 0)
		explicit_bzero(key, CRYPT_KEY);
	return rc;
}
