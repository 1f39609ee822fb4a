/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/copystmt.h"

#include <string.h>

#define BEGINS "COPY "
#define ENDS "FROM stdin;\n"

/* Past a name, quoted or not, and what follows a dot; NULL: none. */
static const char *
skip_name(const char *s)
{
	for (;;) {
		if (*s == '"') {
			for (s++; *s != '\0' && (*s != '"' || s[1] == '"');
			    s++)
				s += *s == '"';
			if (*s != '"')
				return NULL;
			s++;
		} else {
			s += strcspn(s, " .\"");
		}
		if (*s != '.')
			return *s == ' ' ? s : NULL;
		s++;
	}
}

int
copystmt_columns(const char *statement, const char **columns, size_t *len,
    struct err *err)
{
	const char *s, *end;
	size_t n = strlen(statement);

	*columns = "";
	*len = 0;
	if (strncmp(statement, BEGINS, strlen(BEGINS)) != 0 ||
	    n < strlen(BEGINS) + strlen(ENDS) ||
	    strcmp(statement + n - strlen(ENDS), ENDS) != 0)
		goto unknown;
	s = skip_name(statement + strlen(BEGINS));
	end = statement + n - strlen(ENDS);
	if (s == NULL || s >= end)
		goto unknown;
	while (s < end && *s == ' ')
		s++;
	while (end > s && end[-1] == ' ')
		end--;
	if (s == end)
		return 0;
	if (*s != '(' || end[-1] != ')')
		goto unknown;
	*columns = s + 1;
	*len = (size_t)(end - s - 2);
	return 0;
unknown:
	return err_set(err, ERR_DAMAGED, "pg_dump's COPY statement is of a "
	    "form that is not known: %.200s", statement);
}

static void
add_source(const struct copystmt *c, struct buf *out)
{
	/* pg_dump has no ONLY where an extension says which rows. */
	buf_printf(out, " FROM %s%s", c->ranged ? "ONLY " : "", c->table);
	if (c->condition != NULL)
		buf_printf(out, " %s", c->condition);
	if (!c->ranged)
		return;
	buf_printf(out, " WHERE ctid OPERATOR(pg_catalog.>=) "
	    "'(%llu,0)'::pg_catalog.tid", (unsigned long long)c->first_block);
	if (c->end_block != 0)
		buf_printf(out, " AND ctid OPERATOR(pg_catalog.<) "
		    "'(%llu,0)'::pg_catalog.tid",
		    (unsigned long long)c->end_block);
}

void
copystmt_make(const struct copystmt *c, struct buf *out)
{
	if (c->foreign || c->condition != NULL || c->ranged) {
		buf_add_str(out, "COPY (SELECT ");
		buf_add(out, c->columns, c->columns_len);
		add_source(c, out);
		buf_add_str(out, ") TO STDOUT");
		return;
	}
	buf_printf(out, "COPY %s", c->table);
	if (c->columns_len > 0) {
		buf_add_str(out, " (");
		buf_add(out, c->columns, c->columns_len);
		buf_add_byte(out, ')');
	}
	buf_add_str(out, " TO STDOUT");
}

void
copystmt_select(const struct copystmt *c, const char *list, struct buf *out)
{
	buf_printf(out, "SELECT %s", list);
	if (c->foreign || c->condition != NULL || c->ranged) {
		add_source(c, out);
		return;
	}
	buf_printf(out, " FROM ONLY %s", c->table);
}
