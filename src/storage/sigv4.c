/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "core/text.h"
#include "core/time.h"

#define TEXT_MAX ((size_t)64 << 10)
#define ALGORITHM "AWS4-HMAC-SHA256"
#define SECRET_MAX 1024
#define DATE_LEN 8 /* "20130524" */

void
sigv4_text_init(struct sigv4_text *text)
{
	buf_init(&text->canonical, TEXT_MAX);
	buf_init(&text->to_sign, TEXT_MAX);
	buf_init(&text->authorization, TEXT_MAX);
}

void
sigv4_text_free(struct sigv4_text *text)
{
	buf_free(&text->canonical);
	buf_free(&text->to_sign);
	buf_free(&text->authorization);
}

void
sigv4_time(int64_t t, char out[SIGV4_TIME_MAX])
{
	time_t seconds = (time_t)(t / 1000000 + TIME_UNIX_EPOCH_OFFSET);
	struct tm tm;

	(void)gmtime_r(&seconds, &tm); /* fails beyond the year 2^31 only */
	(void)strftime(out, SIGV4_TIME_MAX, "%Y%m%dT%H%M%SZ", &tm);
}

void
sigv4_encode(struct buf *out, const char *text, bool path)
{
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++)
		if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
		    (*p >= '0' && *p <= '9') || strchr("-_.~", *p) != NULL ||
		    (path && *p == '/'))
			buf_add_byte(out, *p);
		else
			buf_printf(out, "%%%02X", *p);
}

/* By name, then by value; it is the encoded texts that are in order. */
static int
compare_pairs(const void *a, const void *b)
{
	const struct sigv4_pair *const *x = a, *const *y = b;
	struct buf encoded[4];
	int order;
	size_t i;

	for (i = 0; i < 4; i++)
		buf_init(&encoded[i], TEXT_MAX);
	sigv4_encode(&encoded[0], (*x)->name, false);
	sigv4_encode(&encoded[1], (*y)->name, false);
	sigv4_encode(&encoded[2], (*x)->value, false);
	sigv4_encode(&encoded[3], (*y)->value, false);
	order = strcmp(buf_str(&encoded[0]), buf_str(&encoded[1]));
	if (order == 0)
		order = strcmp(buf_str(&encoded[2]), buf_str(&encoded[3]));
	for (i = 0; i < 4; i++)
		buf_free(&encoded[i]);
	return order;
}

void
sigv4_query(struct buf *out, const struct sigv4_pair *query, size_t n)
{
	const struct sigv4_pair *sorted[SIGV4_PAIRS_MAX];
	size_t i;

	for (i = 0; i < n && i < SIGV4_PAIRS_MAX; i++)
		sorted[i] = &query[i];
	n = i;
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), compare_pairs);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_add_byte(out, '&');
		sigv4_encode(out, sorted[i]->name, false);
		buf_add_byte(out, '=');
		sigv4_encode(out, sorted[i]->value, false);
	}
}

/* By name; those of one name stay in their order. */
static int
compare_headers(const void *a, const void *b)
{
	const struct sigv4_pair *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	return order != 0 ? order : (*x > *y) - (*x < *y);
}

/* Without blanks around it, and one blank for several. */
static void
add_trimmed(struct buf *out, const char *value)
{
	bool blank = false, begun = false;

	for (; *value != '\0'; value++) {
		if (*value == ' ' || *value == '\t') {
			blank = begun;
			continue;
		}
		if (blank)
			buf_add_byte(out, ' ');
		buf_add_byte(out, (uint8_t)*value);
		blank = false;
		begun = true;
	}
}

/* Both "name:value\n..." and "name;name". */
static void
add_headers(const struct sigv4_request *r, struct buf *out,
    struct buf *signed_names)
{
	const struct sigv4_pair *sorted[SIGV4_PAIRS_MAX];
	size_t i, n;

	for (n = 0; n < r->n_headers; n++)
		sorted[n] = &r->headers[n];
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), compare_headers);
	for (i = 0; i < n; i++) {
		if (i > 0 && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
			buf_add_byte(out, ',');
		else {
			if (i > 0) {
				buf_add_byte(out, '\n');
				buf_add_byte(signed_names, ';');
			}
			buf_printf(out, "%s:", sorted[i]->name);
			buf_add_str(signed_names, sorted[i]->name);
		}
		add_trimmed(out, sorted[i]->value);
	}
	if (n > 0)
		buf_add_byte(out, '\n');
}

/* The key that signs all of a day's requests to a service of a region. */
static int
signing_key(const struct sigv4_request *r, uint8_t key[SHA256_SIZE],
    struct err *err)
{
	struct buf secret;
	int ret = -1;

	buf_init(&secret, SECRET_MAX);
	(void)buf_reserve(&secret, SECRET_MAX); /* never moved while it grows */
	buf_printf(&secret, "AWS4%s", r->secret);
	if (buf_check(&secret, "the secret access key", err) == 0 &&
	    sha256_hmac(secret.data, secret.len, r->time, DATE_LEN, key,
		err) == 0 &&
	    sha256_hmac(key, SHA256_SIZE, r->region, strlen(r->region), key,
		err) == 0 &&
	    sha256_hmac(key, SHA256_SIZE, r->service, strlen(r->service), key,
		err) == 0 &&
	    sha256_hmac(key, SHA256_SIZE, "aws4_request", 12, key, err) == 0)
		ret = 0;
	explicit_bzero(secret.data, secret.cap);
	buf_free(&secret);
	return ret;
}

static int
add_hash(struct buf *out, const struct buf *of, struct err *err)
{
	uint8_t hash[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	if (sha256(of->data, of->len, hash, err) != 0)
		return -1;
	text_hex(hash, sizeof(hash), hex);
	buf_add_str(out, hex);
	return 0;
}

static int
sign(const struct sigv4_request *r, struct sigv4_text *text,
    const char *signed_names, struct err *err)
{
	uint8_t key[SHA256_SIZE], signature[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1], scope[256];
	int n;

	n = snprintf(scope, sizeof(scope), "%.*s/%s/%s/aws4_request", DATE_LEN,
	    r->time, r->region, r->service);
	if (n < 0 || (size_t)n >= sizeof(scope))
		return err_set(err, ERR_CONFIG,
		    "the region's name is too long: %.64s...", r->region);
	buf_printf(&text->to_sign, ALGORITHM "\n%s\n%s\n", r->time, scope);
	if (add_hash(&text->to_sign, &text->canonical, err) != 0 ||
	    signing_key(r, key, err) != 0)
		return -1;
	n = sha256_hmac(key, sizeof(key), text->to_sign.data,
	    text->to_sign.len, signature, err);
	explicit_bzero(key, sizeof(key));
	if (n != 0)
		return -1;
	text_hex(signature, sizeof(signature), hex);
	buf_printf(&text->authorization, ALGORITHM " Credential=%s/%s, "
	    "SignedHeaders=%s, Signature=%s", r->key_id, scope, signed_names,
	    hex);
	return 0;
}

int
sigv4_sign(const struct sigv4_request *r, struct sigv4_text *text,
    struct err *err)
{
	struct buf names;
	int ret = -1;

	if (r->n_query > SIGV4_PAIRS_MAX || r->n_headers > SIGV4_PAIRS_MAX)
		return err_set(err, ERR_BUG, "a request of %zu headers",
		    r->n_headers);
	buf_init(&names, TEXT_MAX);
	buf_printf(&text->canonical, "%s\n", r->method);
	sigv4_encode(&text->canonical, r->path, true);
	buf_add_byte(&text->canonical, '\n');
	sigv4_query(&text->canonical, r->query, r->n_query);
	buf_add_byte(&text->canonical, '\n');
	add_headers(r, &text->canonical, &names);
	buf_printf(&text->canonical, "\n%s\n%s", buf_str(&names),
	    r->payload_hash);
	if (buf_check(&text->canonical, "a request's headers", err) == 0 &&
	    sign(r, text, buf_str(&names), err) == 0 &&
	    buf_check(&text->authorization, "a signature", err) == 0)
		ret = 0;
	buf_free(&names);
	return ret;
}
