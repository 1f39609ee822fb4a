/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "load/retext.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pg/quote.h"

/* A parenthesis, or the statement. */
struct level {
	bool query;  /* a SELECT, UPDATE or DELETE began in it */
	bool from;   /* and its FROM list is where we are */
	bool tables; /* opened where a table could stand: FROM (a JOIN b) */
};

struct work {
	const struct retext *r;
	struct sql_tokens t;
	struct level *levels; /* [depth] is the innermost */
	size_t depth;
	bool search_path; /* within SET search_path TO */
	size_t columns_from; /* token from which a.b may be a column */
};

void
retext_tokens(const char *sql, bool std_strings, struct sql_tokens *out)
{
	struct sqllex lex = { .p = sql, .std_strings = std_strings };
	struct sql_token token;

	memset(out, 0, sizeof(*out));
	while (sqllex_next(&lex, &token)) {
		if (token.kind == SQL_SPACE)
			continue;
		if ((out->n & (out->n - 1)) == 0)
			out->list = xreallocarray(out->list,
			    out->n == 0 ? 1 : out->n * 2,
			    sizeof(*out->list));
		out->list[out->n++] = token;
	}
}

void
retext_tokens_free(struct sql_tokens *t)
{
	free(t->list);
	memset(t, 0, sizeof(*t));
}

static bool
is_one_of(const struct sql_token *t, const char *const *words)
{
	for (; *words != NULL; words++)
		if (sqllex_is_word(t, *words))
			return true;
	return false;
}

/* Token i - back; an empty one before the beginning. */
static const struct sql_token *
before(const struct work *w, size_t i, size_t back)
{
	static const struct sql_token none = { SQL_CHAR, "", 0 };

	return i >= back ? &w->t.list[i - back] : &none;
}

static const struct sql_token *
after(const struct work *w, size_t i, size_t ahead)
{
	static const struct sql_token none = { SQL_CHAR, "", 0 };

	return i + ahead < w->t.n ? &w->t.list[i + ahead] : &none;
}

/* OPERATOR(schema.+), or CREATE OPERATOR schema.+ */
static bool
operator_follows(const struct work *w, size_t i)
{
	return sqllex_is_word(before(w, i, 1), "operator") ||
	    (sqllex_is_char(before(w, i, 1), '(') &&
		sqllex_is_word(before(w, i, 2), "operator"));
}

static bool
names_known(const struct work *w, size_t i)
{
	const struct sql_token *t = after(w, i, 2);
	struct buf b;
	bool is;

	if (!sqllex_is_char(after(w, i, 1), '.'))
		return false;
	buf_init(&b, t->len + 1);
	if (t->kind == SQL_NAME)
		sqllex_value(t, true, &b);
	else if (t->kind == SQL_OPERATOR && operator_follows(w, i))
		buf_add(&b, t->start, t->len);
	is = b.len > 0 && w->r->known(w->r->arg, buf_str(&b));
	buf_free(&b);
	return is;
}

/*
 * From where on a.b may be a column of a table that is called as the schema:
 * when a query has such a table or alias.
 */
static size_t
find_columns(const struct work *w)
{
	static const char *const begins[] = { "select", "atomic", "do", NULL };
	size_t i, begin = SIZE_MAX;
	bool alias = false;

	for (i = 0; i < w->t.n; i++) {
		const struct sql_token *t = &w->t.list[i];

		if (begin == SIZE_MAX && is_one_of(t, begins))
			begin = i;
		if (!sqllex_is_name(t, w->r->from))
			continue;
		if (sqllex_is_char(before(w, i, 1), '.') ||
		    (!sqllex_is_char(after(w, i, 1), '.') &&
			!sqllex_is_word(before(w, i, 1), "schema")))
			alias = true;
	}
	return alias ? begin : SIZE_MAX;
}

/* Can a table stand at i, a parenthesis around tables as well? */
static bool
table_place(const struct work *w, size_t i)
{
	static const char *const words[] = { "join", "into", "only", "table",
		"update", "references", "using", NULL };
	const struct sql_token *prev = before(w, i, 1);
	const struct level *level = &w->levels[w->depth];

	if (sqllex_is_char(prev, '('))
		return level->tables;
	if (sqllex_is_char(prev, ',') || sqllex_is_word(prev, "from"))
		return level->from;
	return is_one_of(prev, words);
}

/* Is the qualified name at i an object rather than a table's column? */
static bool
object_place(const struct work *w, size_t i)
{
	/* After these an expression begins. */
	static const char *const words[] = { "select", "distinct", "where",
		"and", "or", "not", "by", "when", "then", "else", "case", "in",
		"like", "ilike", "similar", "is", "between", "symmetric",
		"having", "returning", "set", "all", "any", "some", "limit",
		"offset", "escape", "array", "row", "on", "from", "as", NULL };
	const struct sql_token *prev = before(w, i, 1);

	if (table_place(w, i) || sqllex_is_char(after(w, i, 3), '('))
		return true;
	if (prev->kind == SQL_OPERATOR)
		return prev->len == 2 && memcmp(prev->start, "::", 2) == 0;
	if (prev->kind == SQL_NAME)
		return !is_one_of(prev, words); /* "name type", COLLATE ... */
	return operator_follows(w, i);
}

static void
follow_word(struct work *w, size_t i)
{
	static const char *const queries[] = { "select", "update", "delete",
		NULL };
	static const char *const ends[] = { "where", "group", "having",
		"order", "window", "limit", "offset", "fetch", "union",
		"intersect", "except", "returning", "set", "values", "for",
		NULL };
	struct level *level = &w->levels[w->depth];
	const struct sql_token *t = &w->t.list[i];

	if (is_one_of(t, queries)) {
		level->query = true;
		level->from = false;
	} else if (sqllex_is_word(t, "from")) {
		/* extract(year FROM x) has no query, IS DISTINCT FROM none */
		level->from = level->query &&
		    !sqllex_is_word(before(w, i, 1), "distinct");
	} else if (is_one_of(t, ends)) {
		level->from = false;
	}
}

/* Keep track of where we are, with token i. */
static void
follow(struct work *w, size_t i)
{
	static const struct level fresh = { false, false, false };
	const struct sql_token *t = &w->t.list[i];
	bool tables;

	if (sqllex_is_char(t, '(')) {
		tables = table_place(w, i);
		w->levels[++w->depth] = fresh;
		w->levels[w->depth].tables = tables;
	} else if (sqllex_is_char(t, ')')) {
		if (w->depth > 0)
			w->depth--;
	} else if (sqllex_is_char(t, ';')) {
		w->levels[w->depth] = fresh;
	} else if (t->kind == SQL_NAME) {
		follow_word(w, i);
	}
	if (sqllex_is_word(before(w, i, 1), "search_path") &&
	    sqllex_is_word(before(w, i, 2), "set"))
		w->search_path = true; /* with TO or = */
	else if (w->search_path && !sqllex_is_char(t, ',') &&
	    !sqllex_is_char(before(w, i, 1), ',') &&
	    !sqllex_is_word(before(w, i, 2), "search_path"))
		w->search_path = false;
}

/* A whole element of the list that SET search_path has. */
static bool
in_search_path(const struct work *w, size_t i)
{
	return w->search_path && (sqllex_is_char(before(w, i, 1), ',') ||
	    sqllex_is_word(before(w, i, 2), "search_path"));
}

static bool
is_schema_name(const struct work *w, size_t i)
{
	if (!sqllex_is_name(&w->t.list[i], w->r->from) ||
	    sqllex_is_char(before(w, i, 1), '.'))
		return false;
	if (names_known(w, i))
		return i < w->columns_from || object_place(w, i);
	if (sqllex_is_char(after(w, i, 1), '.'))
		return false;
	return (sqllex_is_word(before(w, i, 1), "schema") &&
		   !w->r->extension) ||
	    in_search_path(w, i);
}

/* 'shop.seq'::regclass, nextval('shop.seq'): a string that is a name. */
static bool
string_is_object(const struct work *w, size_t i)
{
	static const char *const types[] = { "regclass", "regproc",
		"regprocedure", "regtype", "regoper", "regoperator",
		"regcollation", "regconfig", "regdictionary", NULL };
	static const char *const functions[] = { "nextval", "setval",
		"currval", "pg_get_serial_sequence", NULL };
	const struct sql_token *t = after(w, i, 1);

	if (t->kind == SQL_OPERATOR && t->len == 2 && t->start[0] == ':') {
		t = after(w, i, 2);
		if (sqllex_is_word(t, "pg_catalog"))
			t = after(w, i, 4);
		return is_one_of(t, types);
	}
	return sqllex_is_char(before(w, i, 1), '(') &&
	    is_one_of(before(w, i, 2), functions);
}

/* The string at i with what it names rewritten, or false: it stays. */
static bool
rewrite_string(const struct work *w, size_t i, struct buf *out)
{
	struct buf value, now;
	bool changed = false;

	buf_init(&value, w->t.list[i].len + 1);
	buf_init(&now, out->max);
	sqllex_value(&w->t.list[i], w->r->std_strings, &value);
	if (in_search_path(w, i)) {
		changed = strcmp(buf_str(&value), w->r->from) == 0;
		if (changed)
			buf_add_str(&now, w->r->to);
	} else if (string_is_object(w, i)) {
		changed = retext_rewrite(w->r, buf_str(&value), &now);
	}
	if (changed)
		pg_quote_literal(out, buf_str(&now));
	buf_free(&now);
	buf_free(&value);
	return changed;
}

bool
retext_rewrite(const struct retext *r, const char *sql, struct buf *out)
{
	struct work w = { .r = r };
	const char *copied = sql;
	bool changed = false;
	size_t i;

	retext_tokens(sql, r->std_strings, &w.t);
	w.levels = xcalloc(w.t.n + 1, sizeof(*w.levels));
	w.columns_from = find_columns(&w);
	for (i = 0; i < w.t.n; i++) {
		const struct sql_token *t = &w.t.list[i];
		const bool name = t->kind == SQL_NAME && is_schema_name(&w, i);
		struct buf text;

		buf_init(&text, out->max);
		if (name)
			pg_quote_name(&text, r->to);
		if (name || (t->kind == SQL_STRING &&
			rewrite_string(&w, i, &text))) {
			buf_add(out, copied, (size_t)(t->start - copied));
			buf_add(out, text.data, text.len);
			copied = t->start + t->len;
			changed = true;
		}
		buf_free(&text);
		follow(&w, i);
	}
	buf_add_str(out, copied);
	free(w.levels);
	retext_tokens_free(&w.t);
	return changed;
}
