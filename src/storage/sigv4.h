/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_SIGV4_H
#define STORAGE_SIGV4_H

/*
 * AWS Signature Version 4 in the Authorization header, as a pure function.
 * Source: "Authenticating Requests: Using the Authorization Header (AWS
 * Signature Version 4)" of the Amazon S3 API Reference, and the suite of
 * examples that Amazon published for it (tests/unit/test_sigv4.c).
 *
 *	struct sigv4_text text;
 *	sigv4_text_init(&text);
 *	sigv4_sign(&request, &text, err);	buf_str(&text.authorization)
 *	sigv4_text_free(&text);
 *
 * Thread safe.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define SIGV4_TIME_MAX 17 /* "20130524T000000Z" and the 0 */

/* Of a query, both not encoded; or a header, its name in small letters. */
struct sigv4_pair {
	const char *name;
	const char *value;
};

#define SIGV4_PAIRS_MAX 32 /* in a query; headers likewise */

struct sigv4_request {
	const char *method;
	const char *path; /* not encoded, begins with '/' */
	const struct sigv4_pair *query; /* in any order */
	size_t n_query;
	const struct sigv4_pair *headers; /* all to be signed, in any order */
	size_t n_headers;
	const char *payload_hash; /* as x-amz-content-sha256 has it */
	const char *time; /* as x-amz-date has it: sigv4_time() */
	const char *region;
	const char *service;
	const char *key_id;
	const char *secret;
};

struct sigv4_text {
	struct buf canonical; /* request */
	struct buf to_sign;
	struct buf authorization; /* the header's value */
};

void sigv4_text_init(struct sigv4_text *text);
void sigv4_text_free(struct sigv4_text *text);

/* Fills a fresh text. ERR_CONFIG without libcrypto; ERR_BUG: too long. */
int sigv4_sign(const struct sigv4_request *request, struct sigv4_text *text,
    struct err *err) ERR_USE;

/* "20130524T000000Z" of microseconds since 2000 (core/time.h). */
void sigv4_time(int64_t t, char out[SIGV4_TIME_MAX]);

/*
 * Every byte but A-Z a-z 0-9 - _ . ~ as %XX, of a path '/' too stays as it
 * is. What is sent must be written so, or servers compute another signature.
 */
void sigv4_encode(struct buf *out, const char *text, bool path);

/* name=value&..., encoded and in the order that is signed. */
void sigv4_query(struct buf *out, const struct sigv4_pair *query, size_t n);

#endif
