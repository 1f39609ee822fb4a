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
decode(const char *text, uint8_t key[CRYPT_KEY], struct err *err)
{
	char digits[KEY_DIGITS + 1], check[CHECK_DIGITS + 1];
	char own[CHECK_DIGITS + 1];
	const char *p = text;
	int rc = 0;

	if (strncmp(p, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0)
		return err_set(err, ERR_CONFIG, "its first line is not '"
		    FIRST_LINE "'");
	p = take_digits(p + sizeof(FIRST_LINE) - 1, digits, KEY_DIGITS);
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
		rc = decode(buf_str(&b), key, err);
		if (rc != 0)
			(void)err_wrap(err, "key file %s", path);
	}
	secret_buf_free(&b);
	return rc;
}

static int
encode(struct buf *b, const uint8_t key[CRYPT_KEY], struct err *err)
{
	char digits[KEY_DIGITS + 1], check[CHECK_DIGITS + 1];
	size_t i;

	if (compute_check(key, check, err) != 0)
		return -1;
	text_hex(key, CRYPT_KEY, digits);
	buf_add_str(b, FIRST_LINE "\n");
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
write_new(const char *path, const struct buf *b, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600), rc;

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
	rc = encode(&b, key, err);
	if (rc == 0)
		rc = write_new(path, &b, err);
	if (rc == 0)
		rc = keyfile_read(path, back, err);
	if (rc == 0 && !crypt_equal(key, back, CRYPT_KEY))
		rc = err_set(err, ERR_IO, "%s does not read back as it was "
		    "written", path);
	explicit_bzero(back, sizeof(back));
	secret_buf_free(&b);
	return rc;
}
