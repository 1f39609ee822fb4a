/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/report_collect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/manifest.h"

#define DATABASES_MAX 50

static bool
can_be_read(const struct info_backup *b)
{
	return b->problem.code == ERR_NONE && b->usable;
}

/*
 * Is it the newest of its database? With --schema and the like it is not all,
 * but better than nothing.
 */
static bool
newest_dump(const struct info_set *set, size_t i)
{
	const struct commit *c = &set->list[i].commit;
	size_t k;

	if (!can_be_read(&set->list[i]) || c->dump.globals)
		return false;
	for (k = i + 1; k < set->n; k++)
		if (can_be_read(&set->list[k]) &&
		    !set->list[k].commit.dump.globals &&
		    strcmp(set->list[k].commit.dump.database,
			c->dump.database) == 0)
			return false;
	return true;
}

static void
add_dump(struct report_tables *out, const struct info_incarnation *inc,
    const struct info_backup *b, struct repo *repo)
{
	struct err ignored = ERR_INIT;
	struct dumpset *set = NULL;
	const struct dump_item *items;
	size_t n, i;

	if (dumpset_open(&set, repo, &inc->inc, b->label, &ignored) != 0) {
		log_warning("dump %s cannot be read: %s", b->label,
		    ignored.msg);
		return;
	}
	items = dumpset_items(set, &n);
	for (i = 0; i < n; i++) {
		const struct report_table table = {
			.database = b->commit.dump.database,
			.schema = items[i].schema,
			.name = items[i].name,
			.bytes = items[i].size,
			.rows = items[i].rows,
			.has_rows = true,
		};

		if (items[i].type == DUMP_ITEM_TABLE)
			report_tables_add(out, &table);
	}
	dumpset_free(set);
}

static size_t
by_dumps(struct report_tables *out, const struct info_incarnation *inc,
    struct repo *repo)
{
	int64_t oldest = 0;
	char when[TIME_TEXT_MAX];
	size_t i, n = 0;

	for (i = inc->dumps.n; i > 0 && n < DATABASES_MAX; i--) {
		if (!newest_dump(&inc->dumps, i - 1))
			continue;
		n++;
		oldest = inc->dumps.list[i - 1].commit.stop_time;
		add_dump(out, inc, &inc->dumps.list[i - 1], repo);
	}
	if (n > 0)
		out->source = xasprintf("Rows as COPY writes them, without "
		    "indexes, by the newest dump of %s%s (%s).", n == 1 ?
		    "the database" : "each database", n == 1 ? "" :
		    ", the oldest of these", time_format_local(oldest, when));
	return n;
}

/*
 * "base/DATABASE/RELATION", its further files with ".N": what belongs to one
 * comes together, since '.' is less than any digit. False: none of a table.
 */
static bool
relation(const char *path, char database[16], char name[16])
{
	char rest;

	return sscanf(path, "base/%15[0-9]/%15[0-9]%c", database, name,
		   &rest) == 2 ||
	    sscanf(path, "base/%15[0-9]/%15[0-9].%*[0-9]%c", database, name,
		&rest) == 2;
}

static void
add_file(struct report_tables *out, struct report_table *last,
    const struct manifest_entry *e)
{
	char database[16], name[16];

	if (e->type != MANIFEST_FILE || !relation(e->path, database, name))
		return;
	if (last->name != NULL && strcmp(last->name, name) == 0 &&
	    strcmp(last->database, database) == 0) {
		last->bytes += e->size;
		return;
	}
	if (last->name != NULL)
		report_tables_add(out, last);
	free(last->database);
	free(last->name);
	*last = (struct report_table){ .database = xstrdup(database),
		.name = xstrdup(name), .bytes = e->size };
}

static void
by_backup(struct report_tables *out, const struct info_incarnation *inc,
    struct repo *repo)
{
	const struct info_set *set = &inc->backups;
	struct err ignored = ERR_INIT;
	struct manifest_reader *r = NULL;
	struct report_table last = { 0 };
	struct manifest_entry e;
	const struct commit *c;
	char when[TIME_TEXT_MAX];
	size_t i = set->n;
	int rc;

	while (i > 0 && !can_be_read(&set->list[i - 1]))
		i--;
	if (i == 0)
		return;
	c = &set->list[i - 1].commit;
	rc = manifest_reader_open(&r, repo, &inc->inc, c->label, c->parts,
	    c->n_parts, &ignored);
	if (rc == 0)
		while ((rc = manifest_reader_next(r, &e, &ignored)) == 1)
			add_file(out, &last, &e);
	if (last.name != NULL)
		report_tables_add(out, &last);
	if (rc < 0)
		log_warning("the files of backup %s cannot be read: %s",
		    c->label, ignored.msg);
	out->source = xasprintf("Tables and indexes by the numbers of their "
	    "files (relfilenode) and their databases' (oid), by the newest "
	    "backup (%s); a dump would tell their names.",
	    time_format_local(c->stop_time, when));
	free(last.database);
	free(last.name);
	manifest_reader_close(r);
}

void
report_collect_tables(struct report_tables *out, const struct info *info,
    struct repo *repo)
{
	const struct info_incarnation *inc = NULL;
	int64_t newest = 0;
	size_t i, k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < info->n; i++) {
		const struct info_incarnation *one = &info->incarnations[i];

		for (k = 0; k < one->backups.n + one->dumps.n; k++) {
			const struct info_backup *b = k < one->backups.n ?
			    &one->backups.list[k] :
			    &one->dumps.list[k - one->backups.n];

			if (b->commit.stop_time <= newest)
				continue;
			newest = b->commit.stop_time;
			inc = one;
		}
	}
	if (inc != NULL && by_dumps(out, inc, repo) == 0)
		by_backup(out, inc, repo);
}
