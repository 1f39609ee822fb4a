/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "report/report_private.h"

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

static void
table_free(struct report_table *t)
{
	free(t->database);
	free(t->schema);
	free(t->name);
}

void
report_tables_add(struct report_tables *t, const struct report_table *table)
{
	size_t i = t->n;

	t->all++;
	t->bytes += table->bytes;
	while (i > 0 && t->list[i - 1].bytes < table->bytes)
		i--;
	if (i == REPORT_TABLES_MAX)
		return;
	if (t->n == REPORT_TABLES_MAX)
		table_free(&t->list[--t->n]);
	memmove(&t->list[i + 1], &t->list[i], (t->n - i) *
	    sizeof(t->list[0]));
	t->n++;
	t->list[i] = *table;
	t->list[i].database = copy(table->database);
	t->list[i].schema = copy(table->schema);
	t->list[i].name = copy(table->name);
}

void
report_tables_free(struct report_tables *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		table_free(&t->list[i]);
	free(t->source);
	memset(t, 0, sizeof(*t));
}

static void
largest_row(FILE *f, const struct report_tables *t, size_t i)
{
	const struct report_table *one = &t->list[i];
	const double share = t->list[0].bytes == 0 ? 0 :
	    100.0 * (double)one->bytes / (double)t->list[0].bytes;

	(void)fputs("<tr><td>", f);
	html_text(f, one->database);
	(void)fputs("</td><th scope=row>", f);
	html_text(f, one->schema);
	if (one->schema != NULL)
		(void)fputc('.', f);
	html_text(f, one->name);
	(void)fputs("</th><td class=num>", f);
	html_size(f, one->bytes);
	(void)fprintf(f, "</td><td class=share><svg height=12 aria-hidden=true>"
	    "<rect class=full width=\"%.2f%%\" height=12></rect></svg></td>"
	    "<td class=num>", share);
	if (one->has_rows)
		html_count(f, one->rows);
	(void)fputs("</td></tr>\n", f);
}

void
report_largest(FILE *f, const struct report_tables *t)
{
	size_t i;

	(void)fputs("<section><h2>Largest tables</h2>\n<p class=note>", f);
	html_text(f, t == NULL || t->source == NULL ?
	    "Not known: there is no dump or backup that can be read." :
	    t->source);
	(void)fputs("</p>\n", f);
	if (t != NULL && t->n > 0) {
		(void)fputs("<div class=scroll><table><thead><tr><th>Database"
		    "<th>Table<th class=num>Size<th><th class=num>Rows</tr>"
		    "</thead><tbody>\n", f);
		for (i = 0; i < t->n; i++)
			largest_row(f, t, i);
		(void)fputs("</tbody></table></div>\n", f);
		if (t->all > t->n) {
			(void)fputs("<p class=note>", f);
			html_count(f, t->all);
			(void)fputs(" in all, ", f);
			html_size(f, t->bytes);
			(void)fputs("</p>\n", f);
		}
	}
	(void)fputs("</section>\n", f);
}

static void
setting_rows(FILE *f, const struct report *r, bool changed)
{
	const char *section = NULL;
	const struct report_setting *s;
	size_t i;

	(void)fputs("<div class=scroll><table class=settings><tbody>\n", f);
	for (i = 0; i < r->n_settings; i++) {
		s = &r->settings[i];
		if (s->changed != changed)
			continue;
		if (section == NULL || strcmp(section, s->section) != 0) {
			(void)fputs("<tr><th colspan=2 class=section>[", f);
			html_text(f, s->section);
			(void)fputs("]</th></tr>\n", f);
		}
		section = s->section;
		(void)fputs("<tr><th scope=row>", f);
		html_text(f, s->key);
		(void)fputs("</th><td>", f);
		html_text(f, s->value);
		(void)fputs("</td></tr>\n", f);
	}
	(void)fputs("</tbody></table></div>\n", f);
}

void
report_settings(FILE *f, const struct report *r)
{
	(void)fputs("<section><h2>Settings in force</h2>\n", f);
	setting_rows(f, r, true);
	(void)fputs("<details><summary>and the defaults</summary>\n", f);
	setting_rows(f, r, false);
	(void)fputs("</details></section>\n", f);
}
