/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_CONTRACT_STORES_H
#define TESTS_CONTRACT_STORES_H

/*
 * Real servers, as the environment tells of them: tests/integration/80-* start
 * them (tests/lib/stores.sh) and run these programs. In `make check` there are
 * none.
 *
 *	DAPK_TEST_S3_URL	s3://bucket/prefix
 *	DAPK_TEST_S3_ENDPOINT, _KEY, _SECRET, _PATH_STYLE (yes, no)
 *	DAPK_TEST_CA		file, for https
 *	DAPK_TEST_SFTP_URL	sftp://user@host:port/folder
 *	DAPK_TEST_SFTP_KEY, _KNOWN_HOSTS, _PASSPHRASE, _PASSWORD	files
 *	DAPK_TEST_TIMEOUT_MS
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage.h"

/* NULL when it is not set, or to nothing. */
static inline const char *
stores_var(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

/* The settings but for the URL, which is the result: NULL when not told of. */
static inline const char *
stores_env(const char *scheme, struct storage_settings *set)
{
	const char *style = stores_var("DAPK_TEST_S3_PATH_STYLE");
	const char *ms = stores_var("DAPK_TEST_TIMEOUT_MS");

	*set = (struct storage_settings){
		.timeout_ms = ms == NULL ? 0 : strtoull(ms, NULL, 10),
		.endpoint = stores_var("DAPK_TEST_S3_ENDPOINT"),
		.region = "us-east-1",
		.path_style = style == NULL	 ? STORAGE_PATH_AUTO
		    : strcmp(style, "yes") == 0 ? STORAGE_PATH_YES
						 : STORAGE_PATH_NO,
		.access_key_id = stores_var("DAPK_TEST_S3_KEY"),
		.secret_access_key = stores_var("DAPK_TEST_S3_SECRET"),
		.ca_file = stores_var("DAPK_TEST_CA"),
		.key_file = stores_var("DAPK_TEST_SFTP_KEY"),
		.key_passphrase_file = stores_var("DAPK_TEST_SFTP_PASSPHRASE"),
		.password_file = stores_var("DAPK_TEST_SFTP_PASSWORD"),
		.known_hosts = stores_var("DAPK_TEST_SFTP_KNOWN_HOSTS"),
	};
	return stores_var(strcmp(scheme, "s3") == 0 ? "DAPK_TEST_S3_URL"
						: "DAPK_TEST_SFTP_URL");
}

#endif
