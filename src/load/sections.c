/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/process.h"
#include "load/loadjob.h"

#define FIXED_ARGS 16
#define TEXT_MAX ((size_t)1 << 30)

/* PGOPTIONS of pg_restore: parallel query and JIT may help it. */
#define RESTORE_OPTIONS                                         \
	"-c search_path= -c statement_timeout=0 -c lock_timeout=0 " \
	"-c idle_in_transaction_session_timeout=0 "             \
	"-c client_min_messages=warning"

/* The first setting that pg_restore 17 makes and a server before has not. */
#define NEW_SETTING "SET transaction_timeout = 0;\n"
#define NEW_SETTING_MAJOR 17

struct args {
	char **list;
	size_t n;
};

static void
add(struct args *a, char *arg)
{
	a->list[a->n++] = arg;
}

static void
free_args(struct args *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		free(a->list[i]);
	free(a->list);
}

int
sections_open(struct loadjob *j, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	int major = j->server_version / 10000, dumped;

	dumped = atoi(j->head.dump_version == NULL ? "" :
	    j->head.dump_version);
	if (dumped > major)
		major = dumped; /* an older one cannot read the archive */
	if (pgtool_find(&j->restore, PGTOOL_RESTORE, j->params->bin_dir,
		major, err) != 0)
		return -1;
	j->dir = xasprintf("%s/dapk-backup-load-XXXXXX",
	    tmp != NULL && *tmp == '/' ? tmp : "/tmp");
	if (mkdtemp(j->dir) == NULL) {
		(void)err_sys(err, errno, "make %s", j->dir);
		free(j->dir);
		j->dir = NULL;
		return -1;
	}
	j->toc = xasprintf("%s/toc", j->dir);
	return 0;
}

void
sections_close(struct loadjob *j)
{
	struct err err = ERR_INIT;

	/* It has definitions, and with them perhaps passwords. */
	if (j->dir != NULL && io_remove_tree(j->dir, &err) != 0)
		log_err(LOG_WARNING, &err);
	free(j->dir);
	free(j->toc);
	pgtool_free(&j->restore);
}

static bool
begins(const char *text, const char *with)
{
	return text != NULL && strncmp(text, with, strlen(with)) == 0;
}

/*
 * pg_restore takes an entry of no section to be of the one before it. Here
 * each has its own: access rights come last, as when all is restored at
 * once, and what creates large objects with their content.
 */
static void
set_sections(struct archive_head *h)
{
	int32_t current = ARCHIVE_SECTION_PRE_DATA;
	size_t i;

	for (i = 0; i < h->n; i++) {
		struct archive_entry *e = &h->entries[i];

		if (strcmp(e->desc, "BLOB") == 0)
			e->section = ARCHIVE_SECTION_DATA;
		if (e->section != ARCHIVE_SECTION_NONE)
			current = e->section;
		else if (begins(e->tag, "DATABASE "))
			e->section = ARCHIVE_SECTION_PRE_DATA;
		else if (begins(e->desc, "ACL") ||
		    strcmp(e->desc, "DEFAULT ACL") == 0)
			e->section = ARCHIVE_SECTION_POST_DATA;
		else
			e->section = current;
	}
}

/* Is this the index or constraint that the INDEX ATTACH entry attaches? */
static bool
is_attached(const struct archive_entry *e, const struct archive_entry *attach)
{
	const size_t len = strlen(e->tag), n = strlen(attach->tag);

	if (strcmp(e->desc, "INDEX") != 0 && strcmp(e->desc, "CONSTRAINT") != 0)
		return false;
	/* A constraint's tag is "TABLE NAME". */
	return len >= n && strcmp(e->tag + len - n, attach->tag) == 0 &&
	    (len == n || e->tag[len - n - 1] == ' ');
}

/* Entries by their dump id. */
struct by_id {
	size_t *at; /* index + 1; 0: none */
	size_t max;
};

static void
by_id_make(const struct archive_head *h, struct by_id *out)
{
	size_t i;

	out->max = 0;
	for (i = 0; i < h->n; i++)
		if ((size_t)h->entries[i].dump_id > out->max)
			out->max = (size_t)h->entries[i].dump_id;
	out->at = xcalloc(out->max + 1, sizeof(*out->at));
	for (i = 0; i < h->n; i++)
		out->at[h->entries[i].dump_id] = i + 1;
}

/* The entry's index + 1; 0: there is none. */
static size_t
by_id_find(const struct by_id *ids, int32_t id)
{
	return id > 0 && (size_t)id <= ids->max ? ids->at[id] : 0;
}

static bool
is_attach(const struct archive_entry *e)
{
	return strcmp(e->desc, "INDEX ATTACH") == 0;
}

/* What an INDEX ATTACH entry attaches: its index + 1, or 0. */
static size_t
find_child(const struct archive_head *h, const struct by_id *ids,
    const struct archive_entry *attach)
{
	size_t k, at;

	for (k = 0; k < attach->n_dependencies; k++) {
		at = by_id_find(ids, attach->dependencies[k]);
		if (at > 0 && is_attached(&h->entries[at - 1], attach))
			return at;
	}
	return 0;
}

/*
 * Entries that cannot be dropped by themselves: indexes and constraints of
 * partitions, which go with the partitioned table's.
 */
static bool *
find_attached(const struct archive_head *h)
{
	bool *attached = xcalloc(h->n + 1, sizeof(*attached));
	struct by_id ids;
	size_t i, child;

	by_id_make(h, &ids);
	for (i = 0; i < h->n; i++) {
		child = is_attach(&h->entries[i]) ?
		    find_child(h, &ids, &h->entries[i]) : 0;
		if (child > 0)
			attached[child - 1] = true;
	}
	free(ids.at);
	return attached;
}

static void
depend_on(struct archive_entry *e, int32_t id, bool own)
{
	int32_t *list = xcalloc(e->n_dependencies + 1, sizeof(*list));

	memcpy(list, e->dependencies,
	    e->n_dependencies * sizeof(*list));
	list[e->n_dependencies++] = id;
	if (own)
		free(e->dependencies);
	e->dependencies = list;
}

/* INDEX ATTACH entries by the indexes above what they attach, as chains. */
struct below {
	size_t *first; /* of each entry: a link + 1 */
	struct link {
		size_t attach, next;
	} *links;
	size_t n;
};

static void
note_below(const struct archive_head *h, const struct by_id *ids, size_t i,
    struct below *b)
{
	const struct archive_entry *a = &h->entries[i], *e;
	const size_t child = find_child(h, ids, a);
	size_t k, at;

	for (k = 0; k < a->n_dependencies; k++) {
		at = by_id_find(ids, a->dependencies[k]);
		if (at == 0 || at == child)
			continue;
		e = &h->entries[at - 1];
		if (strcmp(e->desc, "INDEX") != 0 &&
		    strcmp(e->desc, "CONSTRAINT") != 0)
			continue;
		b->links[b->n] = (struct link){ i, b->first[at - 1] };
		b->first[at - 1] = ++b->n;
	}
}

/*
 * A partition's index that is partitioned itself is attached after its own
 * partitions' are. pg_dump does not say so, and where two sessions attach at
 * two levels at once neither sees that the upper one's index has become whole:
 * a foreign key to that table fails then ("no unique constraint matching").
 * own: which entries' lists were made here, and are the caller's to free.
 */
static void
order_attaches(struct archive_head *h, bool *own)
{
	struct below b = { .n = 0 };
	size_t i, at, child, n = 0;
	struct by_id ids;

	for (i = 0; i < h->n; i++)
		n += is_attach(&h->entries[i]) ?
		    h->entries[i].n_dependencies : 0;
	b.first = xcalloc(h->n + 1, sizeof(*b.first));
	b.links = xcalloc(n + 1, sizeof(*b.links));
	by_id_make(h, &ids);
	for (i = 0; i < h->n; i++)
		if (is_attach(&h->entries[i]))
			note_below(h, &ids, i, &b);
	for (i = 0; i < h->n; i++) {
		child = is_attach(&h->entries[i]) ?
		    find_child(h, &ids, &h->entries[i]) : 0;
		for (at = child == 0 ? 0 : b.first[child - 1]; at != 0;
		     at = b.links[at - 1].next) {
			const struct archive_entry *e = &h->entries[i];
			const int32_t id =
			    h->entries[b.links[at - 1].attach].dump_id;

			/* Named twice by pg_dump: the links follow each other. */
			if (e->dependencies[e->n_dependencies - 1] == id)
				continue;
			depend_on(&h->entries[i], id, own[i]);
			own[i] = true;
		}
	}
	free(b.first);
	free(b.links);
	free(ids.at);
}

/*
 * --clean drops what the run restores. Constraints and what else comes last
 * must be dropped first: here they are entries that make nothing.
 */
static void
drop_post_data(struct archive_head *h)
{
	bool *attached = find_attached(h);
	size_t i;

	for (i = 0; i < h->n; i++) {
		struct archive_entry *e = &h->entries[i];

		if (e->section != ARCHIVE_SECTION_POST_DATA || attached[i] ||
		    begins(e->desc, "ACL") || begins(e->desc, "DEFAULT ACL"))
			continue;
		e->section = ARCHIVE_SECTION_PRE_DATA;
		e->defn = "--\n"; /* without any it would be passed over */
		e->owner = "";
	}
	free(attached);
}

/* What pg_restore is to read, as a file. */
static int
write_toc(struct loadjob *j, int section, struct err *err)
{
	struct archive_head h = j->head;
	bool *own = xcalloc(h.n + 1, sizeof(*own));
	struct buf b;
	size_t i;
	int rc;

	h.entries = xcalloc(h.n + 1, sizeof(*h.entries));
	memcpy(h.entries, j->head.entries, h.n * sizeof(*h.entries));
	set_sections(&h);
	if (section == ARCHIVE_SECTION_PRE_DATA && j->params->clean)
		drop_post_data(&h);
	if (section == ARCHIVE_SECTION_POST_DATA)
		order_attaches(&h, own);
	for (i = 0; i < h.n && section == ARCHIVE_SECTION_DATA; i++)
		if (h.entries[i].had_dumper)
			h.entries[i].skip = true;
	buf_init(&b, ARCHIVE_HEAD_MAX);
	rc = archive_head_encode(&h, ARCHIVE_CUSTOM, ARCHIVE_NONE, &b, err);
	if (rc == 0)
		rc = io_write_file_durable(j->toc, b.data, b.len, 0600, err);
	buf_free(&b);
	for (i = 0; i < h.n; i++)
		if (own[i])
			free(h.entries[i].dependencies);
	free(own);
	free(h.entries);
	return rc;
}

/* Does anything but the settings belong to the section? */
static bool
is_empty(const struct loadjob *j, int section)
{
	struct archive_head h = j->head;
	bool empty = true;
	size_t i;

	h.entries = xcalloc(h.n + 1, sizeof(*h.entries));
	memcpy(h.entries, j->head.entries, h.n * sizeof(*h.entries));
	set_sections(&h);
	for (i = 0; i < h.n; i++)
		if (!h.entries[i].skip && !h.entries[i].had_dumper &&
		    h.entries[i].section == section)
			empty = false;
	free(h.entries);
	return empty;
}

static void
make_args(const struct loadjob *j, int section, bool to_text,
    const struct pgtool_connection *pc, struct args *a)
{
	static const char *const names[] = {
		[ARCHIVE_SECTION_PRE_DATA] = "pre-data",
		[ARCHIVE_SECTION_DATA] = "data",
		[ARCHIVE_SECTION_POST_DATA] = "post-data"
	};
	const struct load_params *p = j->params;
	size_t i;

	a->n = 0;
	a->list = xcalloc(p->n_options + FIXED_ARGS, sizeof(*a->list));
	add(a, xstrdup(j->restore.path));
	add(a, xstrdup("--no-password"));
	add(a, xstrdup("--exit-on-error"));
	add(a, xasprintf("--section=%s", names[section]));
	if (section == ARCHIVE_SECTION_PRE_DATA && p->create)
		add(a, xstrdup("--create"));
	/* Of the data section: large objects that are there. */
	if (section != ARCHIVE_SECTION_POST_DATA && p->clean) {
		add(a, xstrdup("--clean"));
		add(a, xstrdup("--if-exists"));
	}
	if (section == ARCHIVE_SECTION_POST_DATA && !to_text)
		add(a, xasprintf("--jobs=%u", p->jobs));
	if (p->role != NULL)
		add(a, xasprintf("--role=%s", p->role));
	for (i = 0; i < p->n_options; i++)
		add(a, p->options[i].value == NULL ?
		    xasprintf("--%s", p->options[i].name) :
		    xasprintf("--%s=%s", p->options[i].name,
			p->options[i].value));
	add(a, xstrdup(to_text ? "--file=-" : "-d"));
	if (!to_text)
		add(a, xstrdup(pc->dbname));
	add(a, xstrdup(j->toc));
}

static void
log_said(const char *name, const char *said)
{
	size_t n;

	for (; *said != '\0'; said += n + (said[n] == '\n')) {
		n = strcspn(said, "\n");
		if (n > 0)
			log_warning("%s: %.*s", name, (int)n, said);
	}
}

static int
run_restore(const struct loadjob *j, const struct args *a,
    const struct pgtool_connection *pc, struct err *err)
{
	const struct process_spec spec = { .argv =
		(const char *const *)a->list, .env = pc->env,
		.code = ERR_POSTGRES };
	struct process *p = NULL;
	int rc;

	(void)j;
	if (process_start(&p, &spec, err) != 0)
		return -1;
	rc = process_wait(p, err);
	if (rc == 0)
		log_said("pg_restore", process_said(p));
	process_free(p);
	return rc;
}

/* The settings at the beginning, and after a \connect, without the new one. */
static void
drop_new_setting(struct buf *text)
{
	const char *from = buf_str(text), *hit;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	while ((hit = strstr(from, "\nSET lock_timeout = 0;\n")) != NULL) {
		const char *next;

		hit = strchr(hit + 1, '\n') + 1;
		next = strchr(hit, '\n');
		if (next == NULL)
			break;
		next++; /* idle_in_transaction_session_timeout stands between */
		buf_add(&out, from, (size_t)(next - from));
		from = next;
		if (begins(from, NEW_SETTING))
			from += strlen(NEW_SETTING);
	}
	buf_add_str(&out, from);
	buf_free(text);
	*text = out;
}

/*
 * pg_restore is of a major whose settings the server does not know: its SQL
 * goes through psql, without the one that is new.
 */
static int
run_by_psql(const struct loadjob *j, const struct args *a,
    const struct pgtool_connection *pc, struct err *err)
{
	const struct process_spec make = { .argv =
		(const char *const *)a->list, .code = ERR_POSTGRES };
	struct pgtool psql = { .path = NULL };
	struct process *p = NULL;
	struct buf text;
	int rc;

	buf_init(&text, TEXT_MAX);
	/* One that knows what pg_restore writes for it. */
	rc = pgtool_find(&psql, PGTOOL_PSQL, j->params->bin_dir,
	    j->restore.version_num / 10000, err);
	if (rc == 0)
		rc = process_run(&make, &text, err);
	if (rc == 0) {
		const char *argv[] = { psql.path, "-X", "-q",
			"--no-password", "-v", "ON_ERROR_STOP=1", "-d",
			pc->dbname, NULL };
		const struct process_spec run = { .argv = argv,
			.env = pc->env, .in = PROCESS_PIPE,
			.code = ERR_POSTGRES };

		drop_new_setting(&text);
		rc = process_start(&p, &run, err);
	}
	if (rc == 0)
		rc = process_write(p, text.data, text.len, err);
	if (rc == 0)
		rc = process_wait(p, err);
	process_free(p);
	buf_free(&text);
	pgtool_free(&psql);
	return rc;
}

int
sections_run(struct loadjob *j, struct pg_conn *conn, int section,
    struct err *err)
{
	const bool by_psql = j->restore.version_num >=
	    NEW_SETTING_MAJOR * 10000 &&
	    j->server_version < NEW_SETTING_MAJOR * 10000;
	struct pgtool_connection pc = { .env = NULL };
	struct args a = { .list = NULL };
	int rc;

	if (is_empty(j, section))
		return 0;
	if (write_toc(j, section, err) != 0)
		return -1;
	rc = pgtool_connect(&pc, conn, NULL, err);
	if (rc == 0) {
		pgtool_set(&pc, "PGOPTIONS", RESTORE_OPTIONS);
		make_args(j, section, by_psql, &pc, &a);
		rc = by_psql ? run_by_psql(j, &a, &pc, err) :
		    run_restore(j, &a, &pc, err);
	}
	free_args(&a);
	pgtool_connection_free(&pc);
	(void)unlink(j->toc); /* its directory goes at the end in any case */
	return rc;
}
