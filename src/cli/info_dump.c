/* SPDX-License-Identifier: PostgreSQL */
/* Dumps as text: in the list, and one by itself with its largest tables. */
#include "config.h"

#include "cli/info_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"

#define ITEMS_SHOWN 20
#define SECOND INT64_C(1000000)

/* A name for people: what a terminal would obey is left out. */
static void
print_name(const char *name, FILE *out)
{
	for (; *name != '\0'; name++)
		(void)fputc((uint8_t)*name < 0x20 || *name == 0x7f ? '?' :
			*name, out);
}

/* "3 days" */
static void
print_age(int64_t us, FILE *out)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" },
		{ 1, "second" } };
	const size_t last = sizeof(units) / sizeof(units[0]) - 1;
	int64_t n;
	size_t i;

	for (i = 0; i < last; i++)
		if (us / SECOND / units[i].seconds >= 2)
			break;
	n = us / SECOND / units[i].seconds;
	(void)fprintf(out, "%" PRId64 " %s%s", n < 0 ? 0 : n, units[i].name,
	    n == 1 ? "" : "s");
}

static void
print_content(const struct commit *c, FILE *out)
{
	const struct commit_dump *d = &c->dump;
	char original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX];

	(void)fprintf(out, "      size     %s",
	    text_human_size(c->original_bytes, original));
	if (!d->globals)
		(void)fprintf(out, " in %" PRIu64 " table%s with %" PRIu64
		    " rows", d->tables, d->tables == 1 ? "" : "s", d->rows);
	if (d->large_objects > 0)
		(void)fprintf(out, " and %" PRIu64 " large object%s",
		    d->large_objects, d->large_objects == 1 ? "" : "s");
	(void)fprintf(out, ", stored %s\n",
	    text_human_size(c->stored_bytes, stored));
}

static void
print_options(const struct commit_dump *d, FILE *out)
{
	size_t i;

	if (d->n_options == 0)
		return;
	(void)fprintf(out, "      options ");
	for (i = 0; i < d->n_options; i++) {
		(void)fputc(' ', out);
		print_name(d->options[i], out);
	}
	(void)fputc('\n', out);
}

void
info_print_dump(const struct info_incarnation *inc,
    const struct info_backup *b, bool verbose, FILE *out)
{
	const struct commit *c = &b->commit;
	const struct commit_dump *d = &c->dump;
	char when[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX];

	(void)fprintf(out, "    %.*s\n", verbose ? FORMAT_LABEL_MAX :
	    info_short_label(inc, b->label), b->label);
	if (b->problem.code != ERR_NONE) {
		(void)fprintf(out, "      damaged  %s\n", b->problem.msg);
		return;
	}
	if (d->globals) {
		(void)fprintf(out, "      globals  roles and tablespaces");
	} else {
		(void)fprintf(out, "      database ");
		print_name(d->database, out);
	}
	(void)fprintf(out, ", by pg_dump%s %s\n", d->globals ? "all" : "",
	    d->pg_dump_version);
	(void)fprintf(out, "      snapshot %s (",
	    time_format_local(d->snapshot_time, when));
	print_age(time_now() - d->snapshot_time, out);
	(void)fprintf(out, " ago), LSN %s%s\n",
	    lsn_format(d->snapshot_lsn, lsn),
	    c->from_standby ? ", of a standby" : "");
	print_content(c, out);
	print_options(d, out);
	info_print_share(inc, &inc->dumps, b, verbose, out);
	info_print_state(b, out);
}

static int
by_size(const void *a, const void *b)
{
	const struct dump_item *x = *(const struct dump_item *const *)a,
			       *y = *(const struct dump_item *const *)b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->path, y->path);
}

const struct dump_item **
info_largest_items(const struct dumpset *set, size_t *n)
{
	const struct dump_item *items = dumpset_items(set, n), **list;
	size_t i;

	list = xcalloc(*n + 1, sizeof(*list));
	for (i = 0; i < *n; i++)
		list[i] = &items[i];
	if (*n > 0)
		qsort(list, *n, sizeof(*list), by_size);
	return list;
}

static void
print_item(const struct dump_item *item, FILE *out)
{
	char size[TEXT_SIZE_MAX];

	(void)fprintf(out, "      %10s %12" PRIu64 " %s  ",
	    text_human_size(item->size, size), item->rows,
	    item->type == DUMP_ITEM_LARGE_OBJECTS ? "objects" : "rows   ");
	if (item->type == DUMP_ITEM_TABLE) {
		print_name(item->schema, out);
		(void)fputc('.', out);
		print_name(item->name, out);
	} else
		print_name(item->path, out);
	(void)fputc('\n', out);
}

void
info_print_items(const struct dumpset *set, bool all, FILE *out)
{
	const struct dump_item **list;
	size_t n, i, shown = 0;

	list = info_largest_items(set, &n);
	(void)fprintf(out, "      largest:\n");
	for (i = 0; i < n && (all || shown < ITEMS_SHOWN); i++) {
		if (list[i]->type == DUMP_ITEM_ARCHIVE && !all)
			continue;
		print_item(list[i], out);
		shown++;
	}
	if (i < n)
		(void)fprintf(out, "      and %zu more (--verbose)\n",
		    n - i);
	free(list);
}
