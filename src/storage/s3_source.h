/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_SOURCE_H
#define STORAGE_S3_SOURCE_H

/*
 * The places where keys for S3 may come from, each a function that looks once
 * and fills a session. Sources and their variables are those of the AWS tools
 * ("AWS SDKs and Tools Reference Guide", Standardized credential providers).
 * Only s3_credentials.c and the tests include this. Thread safe, as long as
 * nobody changes the environment.
 *
 * ERR_NOT_FOUND: the source is not set up here (message: why), so that `auto`
 * goes on to the next one. ERR_CONFIG: it is, wrongly. ERR_STORAGE: it did
 * not answer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "storage/s3_credentials.h"

#define S3_SESSION_FOREVER INT64_MAX

struct s3_session {
	struct s3_keys keys;
	int64_t lifetime; /* microseconds from now on; may be over already */
};

struct s3_source_context {
	const char *ca_file; /* NULL: the system's */
	const char *region;  /* whose STS is asked; NULL: the profile's, else
				us-east-1 */
	/*
	 * How long a service is asked again that does not answer; 0: once,
	 * with little patience, since it may well not be there.
	 */
	uint64_t patience_ms;
};

int s3_source_env(struct s3_session *out, struct err *err) ERR_USE;

/* The section [default] of a file in the form of ~/.aws/credentials. */
int s3_source_file(const char *path, struct s3_session *out,
    struct err *err) ERR_USE;

/*
 * ~/.aws/credentials and ~/.aws/config, or where AWS_SHARED_CREDENTIALS_FILE
 * and AWS_CONFIG_FILE point. name NULL: AWS_PROFILE, else "default".
 */
int s3_source_profile(const struct s3_source_context *c, const char *name,
    struct s3_session *out, struct err *err) ERR_USE;

/* The region that the profile names, or NULL. */
char *s3_source_profile_region(const char *name);

int s3_source_web_identity(const struct s3_source_context *c,
    struct s3_session *out, struct err *err) ERR_USE;
int s3_source_container(const struct s3_source_context *c,
    struct s3_session *out, struct err *err) ERR_USE;
int s3_source_imds(const struct s3_source_context *c, struct s3_session *out,
    struct err *err) ERR_USE;

/* Below: what sources share. */

/* A copy of a variable, without white space around it; NULL: none or "". */
char *s3_source_getenv(const char *name);

/*
 * Keys have printable characters only: what else gets into a file (a line
 * end of Windows, a byte order mark) would break a header. Trims in place;
 * what is NULL stays so. `where` for the message.
 */
int s3_source_check_keys(struct s3_keys *keys, const char *where,
    struct err *err) ERR_USE;

/* The role, session name (may be NULL) and token file are given. */
int s3_source_assume_web_identity(const struct s3_source_context *c,
    const char *role, const char *session_name, const char *token_file,
    struct s3_session *out, struct err *err) ERR_USE;

/*
 * Keys in the JSON that instance metadata and container services send. now:
 * the service's clock, from which Expiration counts. Pure.
 */
int s3_source_parse_json(const void *data, size_t len, int64_t now,
    struct s3_session *out, struct err *err) ERR_USE;

/* May keys be asked for at this address without TLS? Pure. */
bool s3_source_container_host_allowed(const char *url);

void s3_session_free(struct s3_session *s); /* fine on a zeroed one */

#endif
