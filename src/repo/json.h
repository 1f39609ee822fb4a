/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_JSON_H
#define REPO_JSON_H

/*
 * Reading members of a JSON object strictly, with jansson. A getter that
 * finds a member missing or of another type notes its name in the reader and
 * gives nothing, so that a decoder checks once, with json_check().
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"

struct json_reader {
	json_t *root; /* owned, by json_open() */
	char bad[64]; /* the first member that made no sense, or "" */
};

/* Parse an object; duplicate members are refused. ERR_DAMAGED. */
int json_open(struct json_reader *r, const char *text, size_t len,
    struct err *err) ERR_USE;
void json_close(struct json_reader *r);

/* ERR_DAMAGED naming the bad member, if any. */
int json_check(const struct json_reader *r, struct err *err) ERR_USE;
void json_note(struct json_reader *r, const char *member);

/* Of object o (root, or a list's item). */
uint64_t json_get_u64(struct json_reader *r, const json_t *o,
    const char *member, uint64_t max);
int64_t json_get_i64(struct json_reader *r, const json_t *o,
    const char *member);
bool json_get_bool(struct json_reader *r, const json_t *o,
    const char *member);

/* Valid as long as the reader is open; "" when it is bad. */
const char *json_get_text(struct json_reader *r, const json_t *o,
    const char *member);

/* The same, where null (or nothing) is "". */
const char *json_get_text_or_null(struct json_reader *r, const json_t *o,
    const char *member);

/* Text of at most size - 1 bytes, copied. */
void json_copy_text(struct json_reader *r, const json_t *o,
    const char *member, char *out, size_t size);

/* Escaped bytes without a 0, unescaped; the caller frees. Never NULL. */
char *json_get_escaped(struct json_reader *r, const json_t *o,
    const char *member);
pg_lsn json_get_lsn(struct json_reader *r, const json_t *o,
    const char *member);
int64_t json_get_time(struct json_reader *r, const json_t *o,
    const char *member);
void json_get_hex(struct json_reader *r, const json_t *o, const char *member,
    void *out, size_t len);

/* A list of at most max items; NULL (and noted) when it is none. */
const json_t *json_get_list(struct json_reader *r, const json_t *o,
    const char *member, size_t max);

/* ERR_UNSUPPORTED when the list "must_know" is there and not empty. */
int json_check_must_know(const struct json_reader *r,
    struct err *err) ERR_USE;

#endif
