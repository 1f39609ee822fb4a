/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_ANSWER_H
#define STORAGE_S3_ANSWER_H

/*
 * What an S3 server says when something is wrong, and what to think of it.
 * Pure and thread safe. Source: "Error Responses" of the Amazon S3 API
 * Reference, and what other servers were seen to answer.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct s3_failure {
	int status;
	char code[64]; /* "NoSuchKey"; "": no error document came */
	char message[400]; /* the server's words, printable */
	char request_id[100];
	char region[64]; /* where the bucket is, if it says so */
	char endpoint[256];
	char location[256]; /* where a redirect leads: of the headers */
};

enum s3_kind {
	S3_KIND_AGAIN,	   /* may go better later */
	S3_KIND_NO_KEY,	   /* there is no such object */
	S3_KIND_TAKEN,	   /* a condition of the request does not hold */
	S3_KIND_RANGE,	   /* the object is shorter */
	S3_KIND_UNKNOWN,   /* the server does not have that */
	S3_KIND_UNCLEAR,   /* 404, of the key or of the bucket */
	S3_KIND_NO_BUCKET,
	S3_KIND_DENIED,
	S3_KIND_KEYS,	   /* the keys are wrong */
	S3_KIND_EXPIRED,   /* the session is over */
	S3_KIND_CLOCK,	   /* ours or theirs is wrong */
	S3_KIND_REGION,	   /* the bucket is elsewhere */
	S3_KIND_FULL,	   /* quota, disk */
	S3_KIND_FROZEN,	   /* in a storage class that must be thawed */
	S3_KIND_REFUSED	   /* anything else */
};

/*
 * From the body of an answer; a body that is no error document leaves the
 * texts empty. True when it was one.
 */
bool s3_failure_read(struct s3_failure *f, int status, const void *body,
    size_t len);

/* Cut to what there is room for, and nothing that a terminal would obey. */
void s3_failure_text(char *out, size_t size, const char *text);

enum s3_kind s3_failure_kind(const struct s3_failure *f);

/*
 * Fill err: code, the server's own words, and a hint that names bucket and
 * source, where the keys come from. Returns -1.
 */
int s3_failure_tell(const struct s3_failure *f, const char *bucket,
    const char *source, struct err *err);

#endif
