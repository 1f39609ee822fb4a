/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "load/loadjob.h"

enum choice { OPEN, KEEP, SKIP };

/* What a selection is about. */
static const char *const relations[] = { "TABLE", "FOREIGN TABLE", "VIEW",
	"MATERIALIZED VIEW", "SEQUENCE", NULL };

/* What goes with the objects that it depends on. */
static const char *const dependents[] = { "TABLE DATA", "TABLE ATTACH",
	"CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "INDEX",
	"INDEX ATTACH", "DEFAULT", "TRIGGER", "RULE", "POLICY",
	"ROW SECURITY", "COMMENT", "ACL", "SECURITY LABEL", "SEQUENCE",
	"SEQUENCE SET", "SEQUENCE OWNED BY", "STATISTICS",
	"STATISTICS DATA", "MATERIALIZED VIEW DATA", "PUBLICATION TABLE",
	"PUBLICATION TABLES IN SCHEMA",
	NULL };

/* Without these it cannot be made. */
static const char *const needed[] = { "TABLE", "FOREIGN TABLE", "VIEW",
	"MATERIALIZED VIEW", "SEQUENCE", "CONSTRAINT", "INDEX",
	"PUBLICATION",
	NULL };

static const char *const always[] = { "ENCODING", "STDSTRINGS", "SEARCHPATH",
	"DATABASE", "DATABASE PROPERTIES", NULL };

struct choosing {
	struct archive_head *head;
	const struct load_selection *s;
	enum choice *of;      /* by entry */
	size_t *by_dump_id;   /* index of the entry + 1 */
	size_t max_dump_id;
	bool *used[4];	      /* has this pattern matched? */
};

static bool
is_one_of(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

/* * and ? as in a shell. */
static bool
matches(const char *pattern, const char *name)
{
	for (; *pattern != '\0'; pattern++, name++) {
		if (*pattern == '*') {
			for (;; name++) {
				if (matches(pattern + 1, name))
					return true;
				if (*name == '\0')
					return false;
			}
		}
		if (*name == '\0' || (*pattern != '?' && *pattern != *name))
			return false;
	}
	return *name == '\0';
}

/* "schema.table" or "table". */
static bool
matches_table(const char *pattern, const struct archive_entry *e)
{
	char *whole = xasprintf("%s.%s", e->namespace == NULL ? "" :
	    e->namespace, e->tag);
	const bool is = matches(pattern, e->tag) || matches(pattern, whole);

	free(whole);
	return is;
}

static bool
matches_schema(const char *pattern, const struct archive_entry *e)
{
	if (strcmp(e->desc, "SCHEMA") == 0)
		return matches(pattern, e->tag);
	return e->namespace != NULL && matches(pattern, e->namespace);
}

static bool
any(const char **list, bool *used, const struct archive_entry *e,
    bool (*match)(const char *, const struct archive_entry *))
{
	bool is = false;
	size_t i;

	for (i = 0; list != NULL && list[i] != NULL; i++)
		if (match(list[i], e))
			is = used[i] = true;
	return is;
}

/* What the patterns say of the entry by itself. */
static enum choice
by_name(struct choosing *c, const struct archive_entry *e)
{
	const struct load_selection *s = c->s;
	const bool relation = is_one_of(e->desc, relations);
	const bool dependent = is_one_of(e->desc, dependents);
	bool in_schema;

	if (is_one_of(e->desc, always))
		return KEEP;
	if (any(s->exclude_schemas, c->used[3], e, matches_schema) ||
	    (relation && any(s->exclude_tables, c->used[1], e,
		matches_table)))
		return SKIP;
	in_schema = any(s->schemas, c->used[2], e, matches_schema);
	if (s->schemas != NULL && !in_schema)
		return dependent && e->namespace == NULL ? OPEN : SKIP;
	if (s->tables != NULL) {
		if (relation && any(s->tables, c->used[0], e, matches_table))
			return KEEP;
		return dependent ? OPEN : SKIP;
	}
	return dependent ? OPEN : KEEP; /* a table's sequence goes with it */
}

/* What the objects say that an open one belongs to. */
static enum choice
by_dependencies(const struct choosing *c, const struct archive_entry *e)
{
	enum choice found = OPEN;
	size_t i, k;

	for (i = 0; i < e->n_dependencies; i++) {
		if (e->dependencies[i] <= 0 ||
		    (size_t)e->dependencies[i] > c->max_dump_id)
			continue;
		k = c->by_dump_id[e->dependencies[i]];
		if (k == 0)
			continue;
		/* A schema that is not loaded may be there: it is only
		 * what is said of it that goes with it. */
		if (c->of[k - 1] == SKIP &&
		    (strcmp(c->head->entries[k - 1].desc, "SCHEMA") == 0 ?
		    e->namespace == NULL :
		    is_one_of(c->head->entries[k - 1].desc, needed)))
			return SKIP;
		if (c->of[k - 1] == KEEP)
			found = KEEP;
	}
	return found;
}

static void
resolve(struct choosing *c)
{
	const bool selected = c->s->tables != NULL || c->s->schemas != NULL;
	bool changed = true;
	size_t i;

	while (changed) {
		changed = false;
		for (i = 0; i < c->head->n; i++) {
			if (c->of[i] != OPEN)
				continue;
			c->of[i] = by_dependencies(c, &c->head->entries[i]);
			changed = changed || c->of[i] != OPEN;
		}
	}
	for (i = 0; i < c->head->n; i++)
		if (c->of[i] == OPEN)
			c->of[i] = selected ? SKIP : KEEP;
}

static int
check_used(const struct choosing *c, struct err *err)
{
	const char **const lists[] = { c->s->tables, c->s->exclude_tables,
		c->s->schemas, c->s->exclude_schemas };
	size_t k, i;

	for (k = 0; k < 4; k++)
		for (i = 0; lists[k] != NULL && lists[k][i] != NULL; i++)
			if (!c->used[k][i])
				return err_set(err, ERR_NOT_FOUND, "the dump "
				    "has no %s \"%s\"", k < 2 ? "table" :
				    "schema", lists[k][i]);
	return 0;
}

static bool *
flags_of(const char **list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return xcalloc(n + 1, sizeof(bool));
}

int
choose_entries(struct archive_head *head, const struct load_selection *s,
    struct err *err)
{
	struct choosing c = { .head = head, .s = s };
	size_t i;
	int rc;

	c.used[0] = flags_of(s->tables);
	c.used[1] = flags_of(s->exclude_tables);
	c.used[2] = flags_of(s->schemas);
	c.used[3] = flags_of(s->exclude_schemas);
	for (i = 0; i < head->n; i++)
		if ((size_t)head->entries[i].dump_id > c.max_dump_id)
			c.max_dump_id = (size_t)head->entries[i].dump_id;
	c.by_dump_id = xcalloc(c.max_dump_id + 1, sizeof(*c.by_dump_id));
	c.of = xcalloc(head->n + 1, sizeof(*c.of));
	for (i = 0; i < head->n; i++) {
		c.by_dump_id[head->entries[i].dump_id] = i + 1;
		c.of[i] = by_name(&c, &head->entries[i]);
	}
	resolve(&c);
	for (i = 0; i < head->n; i++)
		head->entries[i].skip = c.of[i] == SKIP;
	rc = check_used(&c, err);
	for (i = 0; i < 4; i++)
		free(c.used[i]);
	free(c.by_dump_id);
	free(c.of);
	return rc;
}
