/* SPDX-License-Identifier: PostgreSQL */
/*
 * restore.sql of a tar archive: the SQL of all of it, in which the rows are
 * read from the files beside. pg_restore itself never looks at it. It writes
 * this text too: from an archive whose rows are marks, which are replaced.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/process.h"
#include "export/dumpjob.h"
#include "export/outfile.h"
#include "pg/archive_custom.h"
#include "pg/archive_dir.h"
#include "pg/pgtools.h"

#define SCRIPT_MAX ((size_t)1 << 30)
#define PIECE ((size_t)64 << 10)
#define MARK_MAX 64
#define FROM_ROWS " FROM stdin;\n"
#define NOTE                                                                  \
	"--\n-- Replace $$PATH$$ by the directory that this archive was "    \
	"unpacked into.\n--\n\n"

static void
make_mark(char out[MARK_MAX], const struct archive_entry *e)
{
	(void)snprintf(out, MARK_MAX, "rows of entry %d\n", (int)e->dump_id);
}

static int
to_file(void *arg, const void *data, size_t len, struct err *err)
{
	const int *fd = arg;

	return io_write_full(*fd, data, len, "a temporary file", err);
}

/* An archive of marks. */
static int
write_marks(struct dumpjob *j, int fd, struct err *err)
{
	struct archive_custom *c = NULL;
	char mark[MARK_MAX];
	size_t i;
	int ret = archive_custom_new(&c, &j->head, ARCHIVE_NONE,
	    ARCHIVE_LEVEL_DEFAULT, to_file, &fd, err);

	for (i = 0; ret == 0 && i < j->parts.n; i++) {
		struct archive_entry *e = j->parts.list[i].entry;

		ret = archive_custom_begin(c, e, err);
		make_mark(mark, e);
		if (ret == 0 && !archive_entry_is_large_objects(e))
			ret = archive_custom_data(c, mark, strlen(mark), err);
		if (ret == 0)
			ret = archive_custom_end(c, err);
	}
	archive_custom_free(c);
	return ret;
}

static int
run_restore(const char *program, int fd, struct buf *out, struct err *err)
{
	const char *const argv[] = { program, "--file=-", "--clean",
		"--create", NULL };
	const struct process_spec spec = { .argv = argv, .in = PROCESS_FD,
		.in_fd = fd, .out = PROCESS_PIPE, .name = "pg_restore",
		.code = ERR_POSTGRES };
	struct process *p = NULL;
	uint8_t *piece;
	size_t got = 1;
	int ret;

	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_set(err, ERR_IO, "rewind a temporary file");
	if (process_start(&p, &spec, err) != 0)
		return -1;
	piece = xmalloc(PIECE);
	for (ret = 0; ret == 0 && got > 0;) {
		ret = process_read(p, piece, PIECE, &got, err);
		if (ret == 0)
			buf_add(out, piece, got);
	}
	if (ret == 0)
		ret = process_wait(p, err);
	if (ret == 0)
		ret = buf_check(out, "what pg_restore wrote", err);
	free(piece);
	process_free(p);
	return ret;
}

/* COPY ... FROM stdin, the mark and the end of the rows become one line. */
static void
put_paths(const struct dumpjob *j, const struct buf *text, struct buf *out)
{
	const char *at = buf_str(text), *found;
	char mark[MARK_MAX], wanted[2 * MARK_MAX];
	size_t i;

	buf_add_str(out, NOTE);
	for (i = 0; i < j->parts.n; i++) {
		make_mark(mark, j->parts.list[i].entry);
		(void)snprintf(wanted, sizeof(wanted), "%s%s%s", FROM_ROWS,
		    mark, ARCHIVE_ROWS_END);
		found = strstr(at, wanted);
		if (found == NULL)
			continue;
		buf_add(out, at, (size_t)(found - at));
		buf_printf(out, " FROM '$$PATH$$/%d.dat';\n\n",
		    (int)j->parts.list[i].entry->dump_id);
		at = found + strlen(wanted);
	}
	buf_add_str(out, at);
}

static int
make_script(struct dumpjob *j, struct buf *out, struct err *err)
{
	struct pgtool tool = { 0 };
	struct buf text;
	int fd = -1, ret = -1;

	buf_init(&text, SCRIPT_MAX);
	if (pgtool_find(&tool, PGTOOL_RESTORE, j->params->bin_dir,
	    dumpjob_major(j), err) == 0 &&
	    outfile_nameless(&fd, err) == 0 &&
	    write_marks(j, fd, err) == 0 &&
	    run_restore(tool.path, fd, &text, err) == 0) {
		put_paths(j, &text, out);
		ret = buf_check(out, "restore.sql", err);
	}
	if (fd >= 0)
		(void)close(fd); /* it has no name any more */
	pgtool_free(&tool);
	buf_free(&text);
	return ret;
}

int
dumpjob_script(struct dumpjob *j, struct buf *out, struct err *err)
{
	if (make_script(j, out, err) == 0)
		return 0;
	if (err->code == ERR_CANCELLED)
		return -1;
	log_warning("the archive has no restore.sql, which pg_restore does "
		    "not need: %s", err->msg);
	err_clear(err);
	buf_clear(out);
	return 0;
}
