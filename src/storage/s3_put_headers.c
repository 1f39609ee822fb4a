/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_put_headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/crc32c.h"
#include "core/md5.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"

#define LOCK_MODE "COMPLIANCE"
#define DAY_US (INT64_C(86400) * 1000000)

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

void
s3_put_rules_init(struct s3_put_rules *rules,
    const struct storage_settings *set)
{
	rules->server_side_encryption = copy(set->server_side_encryption);
	rules->kms_key_id = copy(set->kms_key_id);
	rules->storage_class = copy(set->storage_class);
	rules->object_lock_days = set->object_lock_days;
}

void
s3_put_rules_free(struct s3_put_rules *rules)
{
	free(rules->server_side_encryption);
	free(rules->kms_key_id);
	free(rules->storage_class);
}

static bool
header_valid(const char *s)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f)
			return false;
	return i > 0 && i <= 2048;
}

static bool
one_of(const char *s, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(s, list[i]) == 0)
			return true;
	return false;
}

#define ONE_OF(s, list) one_of(s, list, sizeof(list) / sizeof((list)[0]))

int
s3_put_rules_check(const struct s3_put_rules *rules, struct err *err)
{
	static const char *const methods[] = { "AES256", "aws:kms",
		"aws:kms:dsse" };
	/* What is in these cannot be read before hours have passed. */
	static const char *const frozen[] = { "GLACIER", "DEEP_ARCHIVE" };
	const char *method = rules->server_side_encryption;

	if (method != NULL && !ONE_OF(method, methods)) {
		err_set(err, ERR_CONFIG, "server-side-encryption = %s is not "
		    "known", method);
		return err_hint(err, "write AES256 or aws:kms");
	}
	if (rules->kms_key_id != NULL &&
	    (method == NULL || strncmp(method, "aws:kms", 7) != 0)) {
		err_set(err, ERR_CONFIG, "kms-key-id is set, and "
		    "server-side-encryption is not aws:kms");
		return err_hint(err, "add server-side-encryption = aws:kms");
	}
	if (rules->kms_key_id != NULL && !header_valid(rules->kms_key_id))
		return err_set(err, ERR_CONFIG, "kms-key-id has a blank or "
		    "another character that no key's id has");
	if (rules->storage_class == NULL)
		return 0;
	if (ONE_OF(rules->storage_class, frozen)) {
		err_set(err, ERR_CONFIG, "storage-class = %s: what is stored "
		    "so must be thawed for hours before it can be read, and "
		    "each backup and restore reads", rules->storage_class);
		return err_hint(err, "use STANDARD, STANDARD_IA, "
		    "INTELLIGENT_TIERING or GLACIER_IR");
	}
	if (!header_valid(rules->storage_class))
		return err_set(err, ERR_CONFIG, "storage-class has a blank or "
		    "another character that no class has");
	return 0;
}

/* The folder of an object within an incarnation, or NULL. */
static const char *
within_incarnation(const char *key)
{
	int parts = 3; /* clusters/NAME/MAJOR-SYSTEMID/ */

	if (strncmp(key, "clusters/", 9) != 0)
		return NULL;
	for (; parts > 0; parts--) {
		key = strchr(key, '/');
		if (key == NULL)
			return NULL;
		key++;
	}
	return key;
}

bool
s3_put_lasts(const char *key)
{
	static const char damaged[] = ".damaged";
	const char *name = within_incarnation(key);
	const size_t len = strlen(key), n = sizeof(damaged) - 1;

	if (name == NULL)
		return strcmp(key, "dapk-repository") == 0 ||
		    strcmp(key, "README.recovery") == 0 ||
		    strncmp(key, "keys/", 5) == 0;
	if (len > n && strcmp(key + len - n, damaged) == 0)
		return false;
	return strncmp(name, "wal/", 4) == 0 ||
	    strncmp(name, "backups/", 8) == 0 ||
	    strncmp(name, "dumps/", 6) == 0;
}

static void
add(struct s3_put_headers *out, const char *name, const char *value)
{
	out->pairs[out->n++] = (struct sigv4_pair){ name, value };
}

/*
 * Locked puts must carry a digest. Content-MD5 is what every server knows; a
 * machine without MD5 (FIPS) sends the checksum that Amazon takes as well.
 */
static int
add_digest(const void *body, size_t len, struct s3_put_headers *out,
    struct err *err)
{
	uint8_t hash[MD5_SIZE];
	uint32_t crc;

	if (md5(body, len, hash, err) == 0) {
		text_base64(hash, sizeof(hash), out->digest);
		add(out, "content-md5", out->digest);
		return 0;
	}
	if (err->code != ERR_UNSUPPORTED)
		return -1;
	err_clear(err);
	crc = __builtin_bswap32(crc32c(body, len));
	memcpy(hash, &crc, sizeof(crc));
	text_base64(hash, sizeof(crc), out->digest);
	add(out, "x-amz-checksum-crc32c", out->digest);
	return 0;
}

int64_t
s3_put_lock_until(const struct s3_put_rules *rules, int64_t now)
{
	return rules->object_lock_days == 0 ? 0 :
	    now + rules->object_lock_days * DAY_US;
}

static int
add_lock(const struct s3_put_rules *rules, const void *body, size_t len,
    int64_t now, struct s3_put_headers *out, struct err *err)
{
	const int64_t until = s3_put_lock_until(rules, now);
	time_t seconds = (time_t)(until / 1000000 + TIME_UNIX_EPOCH_OFFSET);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out->until,
	    sizeof(out->until), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return err_set(err, ERR_BUG, "the lock's end is no time");
	add(out, "x-amz-object-lock-mode", LOCK_MODE);
	add(out, "x-amz-object-lock-retain-until-date", out->until);
	return add_digest(body, len, out, err);
}

int
s3_put_headers(const struct s3_put_rules *rules, const char *key,
    const void *body, size_t len, int64_t now, struct s3_put_headers *out,
    struct err *err)
{
	const bool lasts = s3_put_lasts(key);

	out->n = 0;
	if (rules->server_side_encryption != NULL)
		add(out, "x-amz-server-side-encryption",
		    rules->server_side_encryption);
	if (rules->kms_key_id != NULL)
		add(out, "x-amz-server-side-encryption-aws-kms-key-id",
		    rules->kms_key_id);
	if (rules->storage_class != NULL && lasts)
		add(out, "x-amz-storage-class", rules->storage_class);
	if (rules->object_lock_days == 0 || !lasts)
		return 0;
	return add_lock(rules, body, len, now, out, err);
}
