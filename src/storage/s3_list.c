/* SPDX-License-Identifier: PostgreSQL */
/* Listing an S3 store, page by page; see s3.c. */
#include "config.h"

#include "storage/s3.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/s3_xml.h"

#define PAGE_BYTES_MAX ((size_t)16 << 20)
#define TOKEN_MAX 4096
#define NAMES_MAX ((size_t)4 << 20)

/* One page, read whole before anything of it is passed on. */
struct page {
	const char *full_prefix; /* the place's and the caller's */
	size_t skip; /* of the place's */
	struct buf names; /* one after another, each with its 0 */
	struct found {
		size_t name; /* in names */
		bool is_directory;
		uint64_t size;
		int64_t mtime;
	} *found;
	size_t n, room;
	bool truncated, is_listing;
	struct buf token;
	/* of the entry at hand */
	struct buf key;
	bool has_size, has_time;
	uint64_t size;
	int64_t mtime;
};

static void
page_init(struct page *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->names, NAMES_MAX);
	buf_init(&p->token, TOKEN_MAX);
	buf_init(&p->key, S3_XML_TEXT_MAX);
}

static void
page_clear(struct page *p)
{
	buf_clear(&p->names);
	buf_clear(&p->token);
	buf_clear(&p->key);
	p->n = 0;
	p->truncated = p->is_listing = p->has_size = p->has_time = false;
}

static void
page_free(struct page *p)
{
	buf_free(&p->names);
	buf_free(&p->token);
	buf_free(&p->key);
	free(p->found);
}

/* encoding-type=url: %XX, and '+' for a blank. */
static bool
decode_key(struct buf *out, const char *text)
{
	uint8_t byte;
	char two[3] = "";

	buf_clear(out);
	for (; *text != '\0'; text++) {
		byte = *text == '+' ? ' ' : (uint8_t)*text;
		if (*text == '%') {
			if (text[1] == '\0')
				return false;
			memcpy(two, text + 1, 2);
			if (!text_unhex(two, &byte, 1))
				return false;
			text += 2;
		}
		if (byte == 0)
			return false;
		buf_add_byte(out, byte);
	}
	return !out->overflow;
}

/* What somebody else put beside our objects is passed over. */
static void
add_entry(struct page *p, bool is_directory)
{
	const char *key = buf_str(&p->key);
	size_t len = p->key.len;
	struct found *f;
	char *name;
	bool valid;

	if (strncmp(key, p->full_prefix, strlen(p->full_prefix)) != 0)
		return;
	name = xstrdup(key + p->skip);
	len -= p->skip;
	if (is_directory && len > 0 && name[len - 1] == '/')
		name[len - 1] = '\0';
	valid = storage_key_valid(name);
	free(name);
	if (!valid)
		return;
	if (p->n == p->room) {
		p->room = p->room == 0 ? 64 : 2 * p->room;
		p->found = xreallocarray(p->found, p->room, sizeof(*p->found));
	}
	f = &p->found[p->n++];
	f->name = p->names.len;
	f->is_directory = is_directory;
	f->size = is_directory ? 0 : p->size;
	f->mtime = is_directory ? 0 : p->mtime;
	key += strlen(p->full_prefix);
	buf_add(&p->names, key, strlen(key) + 1);
}

static int
bad_page(const char *what, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "a listing with %s", what);
}

static int
object_ends(struct page *p, struct err *err)
{
	if (p->key.len == 0 || !p->has_size || !p->has_time)
		return bad_page("an object without name, size or time", err);
	add_entry(p, false);
	buf_clear(&p->key);
	p->has_size = p->has_time = false;
	return 0;
}

/* To whole seconds, as Last-Modified has them. */
static bool
read_time(const char *text, int64_t *out)
{
	struct err ignored = ERR_INIT;
	bool local;

	if (time_parse(text, out, &local, &ignored) != 0)
		return false;
	*out -= (*out % 1000000 + 1000000) % 1000000;
	return true;
}

static int
note(void *arg, const char *path, const char *text, struct err *err)
{
	static const char root[] = "/ListBucketResult";
	struct page *p = arg;

	if (strncmp(path, root, sizeof(root) - 1) != 0)
		return 0;
	path += sizeof(root) - 1;
	if (*path == '\0')
		p->is_listing = true;
	else if (strcmp(path, "/Contents") == 0)
		return object_ends(p, err);
	else if (strcmp(path, "/Contents/Key") == 0 ||
	    strcmp(path, "/CommonPrefixes/Prefix") == 0) {
		if (!decode_key(&p->key, text))
			return bad_page("a name that is not encoded", err);
		if (path[2] == 'o' && path[3] == 'm') {
			add_entry(p, true);
			buf_clear(&p->key);
		}
	} else if (strcmp(path, "/Contents/Size") == 0) {
		p->has_size = text_u64(text, UINT64_MAX, &p->size);
		if (!p->has_size)
			return bad_page("a size that is none", err);
	} else if (strcmp(path, "/Contents/LastModified") == 0) {
		p->has_time = read_time(text, &p->mtime);
		if (!p->has_time)
			return bad_page("a time that is none", err);
	} else if (strcmp(path, "/IsTruncated") == 0) {
		p->truncated = strcmp(text, "true") == 0;
		/* What is neither must not pass for the end. */
		if (!p->truncated && strcmp(text, "false") != 0)
			return bad_page("no word of whether there is more",
			    err);
	} else if (strcmp(path, "/NextContinuationToken") == 0)
		buf_add_str(&p->token, text);
	return 0;
}

static int
read_page(struct page *p, const struct buf *body, struct err *err)
{
	if (s3_xml_read(body->data, body->len, note, p, err) != 0)
		return -1;
	if (!p->is_listing)
		return bad_page("another root", err);
	if (p->truncated != (p->token.len > 0))
		return bad_page(p->truncated ? "more pages and no token" :
		    "a token and no more pages", err);
	if (buf_check(&p->names, "a listing's names", err) != 0)
		return -1;
	return buf_check(&p->token, "a listing's token", err);
}

/* The page behind `token`, "" being the first. */
static enum s3_verdict
try_page(struct s3 *s3, struct page *p, const char *token, bool delimiter,
    struct s3_call *c, struct err *err)
{
	struct sigv4_pair query[5] = { { "list-type", "2" },
		{ "encoding-type", "url" }, { "prefix", p->full_prefix } };
	enum s3_verdict verdict;
	struct buf body;

	c->n_query = 3;
	if (delimiter)
		query[c->n_query++] = (struct sigv4_pair){ "delimiter", "/" };
	if (token[0] != '\0')
		query[c->n_query++] = (struct sigv4_pair){
			"continuation-token", token };
	c->query = query;
	buf_init(&body, PAGE_BYTES_MAX);
	c->into_buf = &body;
	c->is_xml = true;
	page_clear(p);
	verdict = s3_try(s3, c, err);
	if (verdict == S3_FINE && read_page(p, &body, err) != 0) {
		if (err->code != ERR_CONFIG)
			err->code = ERR_STORAGE;
		(void)err_hint(err, "is the endpoint an S3 server?");
		verdict = S3_AGAIN;
	}
	c->query = NULL;
	c->into_buf = NULL;
	buf_free(&body);
	return verdict;
}

static int
deliver(const struct page *p, storage_list_fn fn, void *arg, struct err *err)
{
	struct storage_entry e;
	size_t i;

	for (i = 0; i < p->n; i++) {
		e.name = (const char *)p->names.data + p->found[i].name;
		e.is_directory = p->found[i].is_directory;
		e.size = p->found[i].size;
		e.mtime = p->found[i].mtime;
		if (fn(arg, &e, err) != 0)
			return -1;
	}
	return 0;
}

int
s3_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	char *full = xasprintf("%s%s", s3->shared->place.prefix, prefix);
	char *token = xstrdup("");
	enum s3_verdict verdict;
	struct s3_call c;
	struct retry r;
	struct page p;
	int ret = -1;

	page_init(&p);
	p.full_prefix = full;
	p.skip = strlen(s3->shared->place.prefix);
	s3_call_init(&c, "list", "GET", NULL);
	do {
		retry_begin(&r, s3->shared->timeout_ms);
		do
			verdict = try_page(s3, &p, token, delimiter, &c, err);
		while (s3_again(verdict, &c, &r, err));
		if (verdict != S3_FINE || deliver(&p, fn, arg, err) != 0)
			goto out;
		if (p.truncated && strcmp(token, buf_str(&p.token)) == 0) {
			err_set(err, ERR_STORAGE, "list: the server sends the "
			    "same page again and again");
			goto out;
		}
		free(token);
		token = xstrdup(buf_str(&p.token));
	} while (p.truncated);
	ret = 0;
out:
	s3_call_free(&c);
	page_free(&p);
	free(token);
	free(full);
	return ret;
}
