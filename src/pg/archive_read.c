/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/archive_private.h"

/* Results of reading a part: what there is may just not be enough yet. */
enum got { GOT = 0, MORE, BAD };

/* Strings and arrays of a head, freed together. */
#define BLOCK_BYTES ((size_t)64 << 10)

struct block {
	struct block *next;
	size_t used;
	size_t size;
	_Alignas(8) char data[];
};

/* A position in bytes that may end in the middle of something. */
struct scan {
	const uint8_t *data;
	size_t len;
	size_t pos;
	struct archive_head *head;
	struct err *err;
};

enum stage { AT_HEADER, AT_COUNT, AT_ENTRIES, AT_END };

struct archive_reader {
	struct buf raw;
	struct archive_head head;
	enum stage stage;
	size_t pos;	/* what is before it has been decoded */
	size_t n_wanted;
	size_t cap;
};

static void *
keep(struct archive_head *h, size_t size)
{
	struct block *b = h->memory;
	void *p;

	size = (size + 7) & ~(size_t)7;
	if (b == NULL || b->size - b->used < size) {
		size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;

		b = xmalloc(sizeof(*b) + room);
		b->next = h->memory;
		b->used = 0;
		b->size = room;
		h->memory = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

static enum got
bad(struct scan *s, const char *what)
{
	(void)err_set(s->err, ERR_DAMAGED,
	    "pg_dump's archive: %s at byte %zu", what, s->pos);
	return BAD;
}

static enum got
take(struct scan *s, size_t n, const uint8_t **out)
{
	if (s->len - s->pos < n)
		return MORE;
	*out = s->data + s->pos;
	s->pos += n;
	return GOT;
}

static enum got
take_byte(struct scan *s, uint8_t *out)
{
	const uint8_t *p;
	enum got g = take(s, 1, &p);

	if (g == GOT)
		*out = *p;
	return g;
}

static enum got
take_int(struct scan *s, int32_t *out)
{
	const uint8_t *p;
	enum got g = take(s, ARCHIVE_INT_BYTES, &p);
	uint32_t v;

	if (g != GOT)
		return g;
	v = get_le32(p + 1);
	if (p[0] > 1 || v > INT32_MAX) {
		s->pos -= ARCHIVE_INT_BYTES;
		return bad(s, "a number that cannot be");
	}
	*out = p[0] == 1 ? -(int32_t)v : (int32_t)v;
	return GOT;
}

/* A string's bytes in place; *out NULL for the NULL that archives know. */
static enum got
take_bytes(struct scan *s, const uint8_t **out, size_t *len)
{
	int32_t n;
	enum got g = take_int(s, &n);

	*out = NULL;
	*len = 0;
	if (g != GOT || n == -1)
		return g;
	if (n < 0 || (size_t)n > ARCHIVE_HEAD_MAX)
		return bad(s, "a string of impossible length");
	g = take(s, (size_t)n, out);
	if (g != GOT)
		return g;
	*len = (size_t)n;
	if (memchr(*out, 0, *len) != NULL)
		return bad(s, "a string with a NUL byte");
	return GOT;
}

static enum got
take_string(struct scan *s, const char **out)
{
	const uint8_t *p;
	size_t len;
	enum got g = take_bytes(s, &p, &len);
	char *copy;

	*out = NULL;
	if (g != GOT || p == NULL)
		return g;
	copy = keep(s->head, len + 1);
	memcpy(copy, p, len);
	copy[len] = '\0';
	*out = copy;
	return GOT;
}

/* A number written as text: OIDs and dump ids of dependencies. */
static enum got
text_number(struct scan *s, const uint8_t *p, size_t len, uint32_t max,
    uint32_t *out)
{
	char text[16];
	uint64_t v;

	if (p == NULL || len >= sizeof(text))
		return bad(s, "a number in text that cannot be");
	memcpy(text, p, len);
	text[len] = '\0';
	if (!text_u64(text, max, &v))
		return bad(s, "a number in text that cannot be");
	*out = (uint32_t)v;
	return GOT;
}

static enum got
take_oid(struct scan *s, uint32_t *out)
{
	const uint8_t *p;
	size_t len;
	enum got g = take_bytes(s, &p, &len);

	return g != GOT ? g : text_number(s, p, len, UINT32_MAX, out);
}

/* ------------------------------------------------------------- header */

/*
 * The header of a version that is not known: if its beginning is still as it
 * was, it says which pg_dump wrote it.
 */
static enum got
refuse_version(struct scan *s, unsigned major, unsigned minor)
{
	char by[80] = "";
	const char *texts[3] = { NULL, NULL, NULL };
	struct err ignored = ERR_INIT;
	struct err *err = s->err;
	int32_t v;
	size_t i;
	bool fine = true;

	if (minor > 16 && major == 1) {
		s->err = &ignored;
		s->pos += 4; /* sizes, format, compression */
		for (i = 0; fine && i < 7; i++)
			fine = take_int(s, &v) == GOT;
		for (i = 0; fine && i < 3; i++)
			fine = take_string(s, &texts[i]) == GOT;
		s->err = err;
		if (fine && texts[2] != NULL && texts[2][0] >= '0' &&
		    texts[2][0] <= '9')
			(void)snprintf(by, sizeof(by), " of pg_dump %.*s",
			    (int)strcspn(texts[2], " "), texts[2]);
	}
	if (major == 1 && minor < 14) {
		(void)err_set(err, ERR_UNSUPPORTED,
		    "archive version %u.%u is of a pg_dump older than 12",
		    major, minor);
		(void)err_hint(err, "use the pg_dump of the server's version");
		return BAD;
	}
	(void)err_set(err, ERR_UNSUPPORTED, "archive version %u.%u%s is not "
	    "known yet: this program knows 1.14 to 1.16 (pg_dump 13 to 18)",
	    major, minor, by);
	(void)err_hint(err, "install pg_dump 18 or a newer dapk-backup");
	return BAD;
}

static enum got
read_compression(struct scan *s, struct archive_head *h)
{
	uint8_t c;
	enum got g;

	if (h->version < ARCHIVE_HAS_ALGORITHM) {
		g = take_int(s, &h->level);
		h->compression = h->level == 0 ? ARCHIVE_NONE : ARCHIVE_GZIP;
		return g;
	}
	g = take_byte(s, &c);
	if (g != GOT)
		return g;
	if (c > ARCHIVE_ZSTD)
		return bad(s, "an unknown compression");
	h->compression = c;
	return GOT;
}

static enum got
read_origin(struct scan *s, struct archive_head *h)
{
	const char **texts[] = { &h->dbname, &h->server_version,
		&h->dump_version };
	enum got g;
	size_t i;

	for (i = 0; i < 7; i++) {
		g = take_int(s, &h->time[i]);
		if (g != GOT)
			return g;
	}
	for (i = 0; i < 3; i++) {
		g = take_string(s, texts[i]);
		if (g != GOT)
			return g;
	}
	return GOT;
}

/* A version that is refused is refused when its header should be there. */
#define HEADER_ENOUGH 4096

static enum got
read_header(struct scan *s, struct archive_head *h, bool last)
{
	const uint8_t *p;
	enum got g = take(s, ARCHIVE_MAGIC_BYTES, &p);

	if (g != GOT)
		return g;
	if (memcmp(p, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES) != 0) {
		s->pos = 0;
		return bad(s, "no custom-format archive");
	}
	g = take(s, 3, &p);
	if (g != GOT)
		return g;
	h->version = ARCHIVE_VERSION((unsigned)p[0], (unsigned)p[1]);
	h->revision = p[2];
	if (h->version < ARCHIVE_VERSION_MIN ||
	    h->version > ARCHIVE_VERSION_MAX) {
		if (s->len < HEADER_ENOUGH && !last)
			return MORE;
		return refuse_version(s, p[0], p[1]);
	}
	g = take(s, 3, &p);
	if (g != GOT)
		return g;
	if (p[0] != ARCHIVE_INT_SIZE || (p[1] != 4 && p[1] != 8))
		return bad(s, "sizes of numbers that no pg_dump writes");
	h->off_size = p[1];
	h->format = p[2];
	if (h->format != ARCHIVE_CUSTOM && h->format != ARCHIVE_TAR)
		return bad(s, "an unknown format");
	g = read_compression(s, h);
	return g != GOT ? g : read_origin(s, h);
}

/* ------------------------------------------------------------ entries */

static enum got
read_dependencies(struct scan *s, struct archive_entry *e)
{
	size_t start = s->pos, n = 0, len;
	const uint8_t *p;
	uint32_t id;
	enum got g;

	do {
		g = take_bytes(s, &p, &len);
		if (g != GOT)
			return g;
		n++;
	} while (p != NULL && n <= ARCHIVE_DEPENDENCIES_MAX);
	if (p != NULL)
		return bad(s, "too many dependencies");
	e->n_dependencies = n - 1;
	if (n == 1)
		return GOT;
	e->dependencies = keep(s->head, (n - 1) * sizeof(int32_t));
	s->pos = start;
	for (n = 0; n < e->n_dependencies; n++) {
		g = take_bytes(s, &p, &len);
		if (g == GOT)
			g = text_number(s, p, len, INT32_MAX, &id);
		if (g != GOT)
			return g;
		e->dependencies[n] = (int32_t)id;
	}
	return take_bytes(s, &p, &len);
}

static enum got
read_extra(struct scan *s, struct archive_entry *e)
{
	const uint8_t *p;
	enum got g;

	if (s->head->format != ARCHIVE_CUSTOM) {
		g = take_string(s, &e->filename);
		if (g == GOT && e->filename != NULL && e->filename[0] == '\0')
			e->filename = NULL;
		return g;
	}
	g = take(s, (size_t)1 + s->head->off_size, &p);
	if (g != GOT)
		return g;
	if (p[0] < ARCHIVE_POS_NOT_SET || p[0] > ARCHIVE_NO_DATA)
		return bad(s, "an unknown state of an entry's data");
	e->data_state = p[0];
	e->offset = s->head->off_size == 8 ? get_le64(p + 1) : get_le32(p + 1);
	return GOT;
}

static enum got
read_numbers(struct scan *s, struct archive_entry *e)
{
	int32_t dumper;
	enum got g = take_int(s, &e->dump_id);

	if (g == GOT && e->dump_id <= 0)
		return bad(s, "an entry's id that cannot be");
	if (g == GOT)
		g = take_int(s, &dumper);
	if (g != GOT)
		return g;
	e->had_dumper = dumper != 0;
	g = take_oid(s, &e->tableoid);
	return g != GOT ? g : take_oid(s, &e->oid);
}

static enum got
read_texts(struct scan *s, struct archive_entry *e)
{
	const char **texts[] = { &e->tag, &e->desc, NULL, &e->defn,
		&e->drop_stmt, &e->copy_stmt, &e->namespace, &e->tablespace,
		&e->tableam };
	enum got g = GOT;
	size_t i;

	for (i = 0; g == GOT && i < sizeof(texts) / sizeof(texts[0]); i++)
		g = texts[i] == NULL ? take_int(s, &e->section) :
				       take_string(s, texts[i]);
	if (g == GOT && s->head->version >= ARCHIVE_HAS_RELKIND)
		g = take_int(s, &e->relkind);
	if (g != GOT)
		return g;
	if (e->desc == NULL || e->tag == NULL)
		return bad(s, "an entry without a name");
	if (e->section < ARCHIVE_SECTION_NONE ||
	    e->section > ARCHIVE_SECTION_POST_DATA)
		return bad(s, "an unknown section");
	return GOT;
}

static enum got
read_entry(struct scan *s, struct archive_entry *e)
{
	const uint8_t *p;
	size_t len;
	enum got g;

	memset(e, 0, sizeof(*e));
	g = read_numbers(s, e);
	if (g == GOT)
		g = read_texts(s, e);
	if (g == GOT)
		g = take_string(s, &e->owner);
	if (g == GOT)
		g = take_bytes(s, &p, &len); /* with OIDs: "false" */
	if (g != GOT)
		return g;
	if (p == NULL || len != 5 || memcmp(p, "false", 5) != 0)
		return bad(s, "a table WITH OIDS");
	g = read_dependencies(s, e);
	return g != GOT ? g : read_extra(s, e);
}

/*
 * Is the next entry whole? Looked at before anything of it is kept, so that
 * an entry that comes in many pieces leaves nothing behind.
 */
static enum got
look_at_entry(struct scan *s)
{
	size_t start = s->pos, i, len;
	bool custom = s->head->format == ARCHIVE_CUSTOM;
	bool relkind = s->head->version >= ARCHIVE_HAS_RELKIND;
	const uint8_t *p = NULL;
	int32_t v;
	enum got g = GOT;

	/* i s: id, dumper; 2 OIDs, tag, desc; section; 6 texts; owner, OIDs */
	for (i = 0; g == GOT && i < 2; i++)
		g = take_int(s, &v);
	for (i = 0; g == GOT && i < 4; i++)
		g = take_bytes(s, &p, &len);
	if (g == GOT)
		g = take_int(s, &v);
	for (i = 0; g == GOT && i < 6; i++)
		g = take_bytes(s, &p, &len);
	if (g == GOT && relkind)
		g = take_int(s, &v);
	for (i = 0; g == GOT && i < 2; i++)
		g = take_bytes(s, &p, &len);
	do {
		if (g == GOT)
			g = take_bytes(s, &p, &len);
	} while (g == GOT && p != NULL);
	if (g == GOT)
		g = custom ? take(s, (size_t)1 + s->head->off_size, &p) :
			     take_bytes(s, &p, &len);
	s->pos = start;
	return g;
}

/* ------------------------------------------------------------- reader */

static enum got
read_count(struct archive_reader *r, struct scan *s)
{
	int32_t n;
	enum got g = take_int(s, &n);

	if (g != GOT)
		return g;
	if (n < 0 || n > ARCHIVE_ENTRIES_MAX)
		return bad(s, "an impossible number of entries");
	r->n_wanted = (size_t)n;
	return GOT;
}

static enum got
read_next_entry(struct archive_reader *r, struct scan *s)
{
	enum got g = look_at_entry(s);

	if (g != GOT)
		return g;
	if (r->head.n == r->cap) {
		r->cap = r->cap == 0 ? 256 : 2 * r->cap;
		r->head.entries = xreallocarray(r->head.entries, r->cap,
		    sizeof(r->head.entries[0]));
	}
	g = read_entry(s, &r->head.entries[r->head.n]);
	if (g == MORE) /* looked at, and then it was not there */
		return bad(s, "an entry that contradicts itself");
	if (g == GOT)
		r->head.n++;
	return g;
}

static enum got
step(struct archive_reader *r, struct scan *s, bool last)
{
	enum got g = GOT;

	if (r->stage == AT_HEADER) {
		g = read_header(s, &r->head, last);
		if (g == GOT)
			r->stage = AT_COUNT;
	} else if (r->stage == AT_COUNT) {
		g = read_count(r, s);
		if (g == GOT)
			r->stage = AT_ENTRIES;
	} else if (r->head.n < r->n_wanted) {
		g = read_next_entry(r, s);
	} else {
		r->stage = AT_END;
		r->head.bytes = s->pos;
	}
	return g;
}

static int
advance(struct archive_reader *r, bool last, struct err *err)
{
	struct scan s = { .data = r->raw.data, .len = r->raw.len,
		.head = &r->head, .err = err };
	enum got g = GOT;

	while (g == GOT && r->stage != AT_END) {
		s.pos = r->pos;
		g = step(r, &s, last);
		if (g == GOT)
			r->pos = s.pos;
	}
	return g == BAD ? -1 : 0;
}

void
archive_reader_new(struct archive_reader **out)
{
	struct archive_reader *r = xcalloc(1, sizeof(*r));

	buf_init(&r->raw, ARCHIVE_HEAD_MAX);
	*out = r;
}

void
archive_reader_free(struct archive_reader *r)
{
	if (r == NULL)
		return;
	buf_free(&r->raw);
	archive_head_free(&r->head);
	free(r);
}

int
archive_reader_feed(struct archive_reader *r, const void *data, size_t len,
    bool *complete, struct err *err)
{
	*complete = r->stage == AT_END;
	if (*complete || len == 0)
		return 0;
	buf_add(&r->raw, data, len);
	if (buf_check(&r->raw, "pg_dump's table of contents", err) != 0)
		return -1;
	if (advance(r, false, err) != 0)
		return -1;
	*complete = r->stage == AT_END;
	return 0;
}

int
archive_reader_early_end(const struct archive_reader *r, struct err *err)
{
	struct scan s = { .data = r->raw.data, .len = r->raw.len,
		.err = err };
	struct archive_head scratch = { 0 };

	if (r->stage == AT_HEADER && r->raw.len > 0) {
		s.head = &scratch;
		if (read_header(&s, &scratch, true) == BAD) {
			archive_head_free(&scratch);
			return -1;
		}
		archive_head_free(&scratch);
	}
	return err_set(err, ERR_DAMAGED, "pg_dump's archive ends after %zu "
	    "bytes, in its table of contents (%zu of %zu entries)",
	    r->raw.len, r->head.n, r->n_wanted);
}

struct archive_head *
archive_reader_head(struct archive_reader *r)
{
	return r->stage == AT_END ? &r->head : NULL;
}

void
archive_reader_raw(const struct archive_reader *r, const void **data,
    size_t *len)
{
	*data = r->raw.data;
	*len = r->stage == AT_END ? r->head.bytes : 0;
}

int
archive_head_decode(const void *data, size_t len, struct archive_head *out,
    struct err *err)
{
	struct archive_reader *r;
	bool complete = false;
	int rc;

	memset(out, 0, sizeof(*out));
	archive_reader_new(&r);
	rc = archive_reader_feed(r, data, len, &complete, err);
	if (rc == 0 && !complete)
		rc = archive_reader_early_end(r, err);
	if (rc == 0) {
		*out = r->head;
		memset(&r->head, 0, sizeof(r->head));
	}
	archive_reader_free(r);
	return rc;
}

void
archive_head_free(struct archive_head *h)
{
	struct block *b = h->memory, *next;

	for (; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(h->entries);
	memset(h, 0, sizeof(*h));
}

/* ------------------------------------------------------------ questions */

struct archive_entry *
archive_head_find(const struct archive_head *h, int32_t dump_id)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->entries[i].dump_id == dump_id)
			return &h->entries[i];
	return NULL;
}

static const char *
defn_of(const struct archive_head *h, const char *desc)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (strcmp(h->entries[i].desc, desc) == 0)
			return h->entries[i].defn;
	return NULL;
}

/* SET client_encoding = 'UTF8'; */
void
archive_head_encoding(const struct archive_head *h,
    char out[ARCHIVE_ENCODING_MAX])
{
	const char *defn = defn_of(h, "ENCODING");
	const char *from = defn == NULL ? NULL : strchr(defn, '\'');
	size_t len = from == NULL ? 0 : strcspn(from + 1, "'");

	if (len >= ARCHIVE_ENCODING_MAX)
		len = 0;
	if (len > 0)
		memcpy(out, from + 1, len);
	out[len] = '\0';
}

bool
archive_head_std_strings(const struct archive_head *h)
{
	const char *defn = defn_of(h, "STDSTRINGS");

	return defn == NULL || strstr(defn, "'off'") == NULL;
}

bool
archive_entry_is_table_data(const struct archive_entry *e)
{
	return strcmp(e->desc, "TABLE DATA") == 0;
}

bool
archive_entry_is_large_objects(const struct archive_entry *e)
{
	return strcmp(e->desc, "BLOBS") == 0;
}
