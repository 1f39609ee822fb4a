/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "load/reschema.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "load/retext.h"
#include "pg/quote.h"

#define TEXT_MAX ((size_t)1 << 30)

struct strings {
	char **list;
	size_t n;
};

struct reschema {
	char *from, *to;
	struct strings names;  /* objects in `from`, sorted */
	struct strings owned;  /* what the head's entries point to now */
	struct strings bodies; /* tags */
	bool std_strings;
};

static void
add_string(struct strings *s, char *text)
{
	if ((s->n & (s->n - 1)) == 0)
		s->list = xreallocarray(s->list, s->n == 0 ? 1 : s->n * 2,
		    sizeof(*s->list));
	s->list[s->n++] = text;
}

static void
free_strings(struct strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->list[i]);
	free(s->list);
}

static int
compare_strings(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static bool
known(const void *arg, const char *name)
{
	const struct reschema *r = arg;

	return r->names.n > 0 && bsearch(&name, r->names.list, r->names.n,
	    sizeof(*r->names.list), compare_strings) != NULL;
}

static void
add_name(struct reschema *r, const struct sql_token *t)
{
	struct buf b;

	buf_init(&b, t->len + 1);
	if (t->kind == SQL_OPERATOR)
		buf_add(&b, t->start, t->len);
	else
		sqllex_value(t, true, &b);
	add_string(&r->names, xstrdup(buf_str(&b)));
	buf_free(&b);
}

/* t[i] is the schema of a qualified name? */
static bool
qualifies(const struct reschema *r, const struct sql_tokens *t, size_t i)
{
	return i + 2 < t->n && sqllex_is_name(&t->list[i], r->from) &&
	    sqllex_is_char(&t->list[i + 1], '.') &&
	    (t->list[i + 2].kind == SQL_NAME ||
		t->list[i + 2].kind == SQL_OPERATOR);
}

/*
 * What an entry makes: the first qualified name of it, the names of an
 * index and a constraint, which have the table's schema unsaid, and what is
 * made beside it.
 */
static void
collect_entry(struct reschema *r, const char *defn)
{
	struct sql_tokens t;
	bool first = true;
	size_t i;

	retext_tokens(defn, r->std_strings, &t);
	if (t.n == 0 || (!sqllex_is_word(&t.list[0], "create") &&
		!sqllex_is_word(&t.list[0], "alter"))) {
		retext_tokens_free(&t);
		return;
	}
	for (i = 1; i < t.n; i++) {
		const struct sql_token *prev = &t.list[i - 1];

		if (qualifies(r, &t, i) && (first ||
			sqllex_is_word(prev, "name") ||
			(i > 1 && sqllex_is_word(&t.list[i - 2],
			    "multirange_type_name")))) {
			add_name(r, &t.list[i + 2]);
			first = false;
		}
		if (t.list[i].kind == SQL_NAME && first &&
		    sqllex_is_word(prev, "index") &&
		    !(i + 1 < t.n && sqllex_is_char(&t.list[i + 1], '.')))
			add_name(r, &t.list[i]);
		if (t.list[i].kind == SQL_NAME && i > 1 &&
		    sqllex_is_word(prev, "constraint") &&
		    sqllex_is_word(&t.list[i - 2], "add"))
			add_name(r, &t.list[i]);
	}
	retext_tokens_free(&t);
}

int
reschema_new(struct reschema **out, const struct archive_head *head,
    const char *from, const char *to, struct err *err)
{
	struct reschema *r = xcalloc(1, sizeof(*r));
	size_t i, here = 0;

	r->from = xstrdup(from);
	r->to = xstrdup(to);
	r->std_strings = archive_head_std_strings(head);
	for (i = 0; i < head->n; i++) {
		const struct archive_entry *e = &head->entries[i];

		if (e->skip || e->namespace == NULL ||
		    strcmp(e->namespace, from) != 0)
			continue;
		here++;
		if (e->defn != NULL)
			collect_entry(r, e->defn);
	}
	if (r->names.n > 0)
		qsort(r->names.list, r->names.n, sizeof(*r->names.list),
		    compare_strings);
	if (here == 0) {
		reschema_free(r);
		return err_set(err, ERR_NOT_FOUND, "nothing that is to be "
		    "loaded is in schema \"%s\"", from);
	}
	*out = r;
	return 0;
}

void
reschema_free(struct reschema *r)
{
	if (r == NULL)
		return;
	free_strings(&r->names);
	free_strings(&r->owned);
	free_strings(&r->bodies);
	free(r->from);
	free(r->to);
	free(r);
}

bool
reschema_text(const struct reschema *r, const char *sql, bool extension,
    struct buf *out)
{
	const struct retext rule = { .from = r->from, .to = r->to,
		.known = known, .arg = r, .std_strings = r->std_strings,
		.extension = extension };

	return retext_rewrite(&rule, sql, out);
}

static const char *
own(struct reschema *r, char *text)
{
	add_string(&r->owned, text);
	return text;
}

static int
apply_text(struct reschema *r, const char **text, bool extension,
    struct err *err)
{
	struct buf b;
	int rc = 0;

	/* Most texts of other schemas do not have the name at all. */
	if (*text == NULL || (strpbrk(r->from, "\"'\\") == NULL &&
		strcasestr(*text, r->from) == NULL))
		return 0;
	buf_init(&b, TEXT_MAX);
	if (reschema_text(r, *text, extension, &b))
		rc = buf_check(&b, "a statement", err);
	if (rc == 0 && b.len > 0 && strcmp(buf_str(&b), *text) != 0)
		*text = own(r, xstrdup(buf_str(&b)));
	buf_free(&b);
	return rc;
}

/* "SCHEMA shop" of comments and access rights, quoted or not. */
static bool
is_schema_tag(const struct reschema *r, const char *tag)
{
	struct buf quoted;
	bool is;

	if (strncmp(tag, "SCHEMA ", 7) != 0)
		return false;
	buf_init(&quoted, TEXT_MAX);
	pg_quote_name(&quoted, r->from);
	is = strcmp(tag + 7, r->from) == 0 ||
	    strcmp(tag + 7, buf_str(&quoted)) == 0;
	buf_free(&quoted);
	return is;
}

static void
apply_names(struct reschema *r, struct archive_entry *e)
{
	if (e->namespace != NULL && strcmp(e->namespace, r->from) == 0)
		e->namespace = own(r, xstrdup(r->to));
	if (strcmp(e->desc, "SCHEMA") == 0 && strcmp(e->tag, r->from) == 0)
		e->tag = own(r, xstrdup(r->to));
	else if (is_schema_tag(r, e->tag))
		e->tag = own(r, xasprintf("SCHEMA %s", r->to));
}

/* Is the name in it as a word? */
static bool
has_word(const struct sql_token *t, const char *word)
{
	const size_t len = strlen(word);
	const char *p = t->start, *end = t->start + t->len;

	for (; (p = memmem(p, (size_t)(end - p), word, len)) != NULL; p++) {
		if ((p == t->start || !sqllex_in_name(p[-1])) &&
		    (p + len == end || !sqllex_in_name(p[len])))
			return true;
	}
	return false;
}

static void
note_body(struct reschema *r, const struct archive_entry *e)
{
	struct sql_tokens t;
	size_t i;

	if (e->defn == NULL || (strcmp(e->desc, "FUNCTION") != 0 &&
		strcmp(e->desc, "PROCEDURE") != 0))
		return;
	retext_tokens(e->defn, r->std_strings, &t);
	for (i = 1; i < t.n; i++)
		if ((t.list[i].kind == SQL_DOLLAR ||
			t.list[i].kind == SQL_STRING) &&
		    sqllex_is_word(&t.list[i - 1], "as") &&
		    has_word(&t.list[i], r->from))
			break;
	if (i < t.n)
		add_string(&r->bodies, xstrdup(e->tag));
	retext_tokens_free(&t);
}

int
reschema_apply(struct reschema *r, struct archive_head *head, struct err *err)
{
	size_t i;

	for (i = 0; i < head->n; i++) {
		struct archive_entry *e = &head->entries[i];
		const bool extension = strcmp(e->desc, "EXTENSION") == 0;

		if (e->skip)
			continue;
		if (apply_text(r, &e->defn, extension, err) != 0 ||
		    apply_text(r, &e->drop_stmt, extension, err) != 0 ||
		    apply_text(r, &e->copy_stmt, extension, err) != 0)
			return err_wrap(err, "%s %s", e->desc, e->tag);
		note_body(r, e);
		apply_names(r, e);
	}
	return 0;
}

const char *const *
reschema_bodies(const struct reschema *r, size_t *n)
{
	*n = r->bodies.n;
	return (const char *const *)r->bodies.list;
}
