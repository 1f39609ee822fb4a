/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/gap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/state.h"

#define HOST_MAX 256
#define REASON_MAX 400 /* bytes of the message */
#define NOTES_MAX ((size_t)64 << 20)

void
gap_textset(const struct incarnation *inc, struct textset *set)
{
	memset(set, 0, sizeof(*set));
	set->kind = "gap";
	repo_key(inc, "gaps/", set->folder);
}

int
gap_put(struct repo *repo, const struct incarnation *inc, struct gap *gap,
    struct err *err)
{
	char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
	struct textset set;
	struct buf b;
	int rc;

	gap_textset(inc, &set);
	if (textset_id(gap->id, err) != 0)
		return -1;
	buf_init(&b, TEXTSET_BODY_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"first\": \"%s\",\n"
	    "\"last\": \"%s\",\n\"segments\": %" PRIu64 ",\n"
	    "\"from\": \"%s\",\n\"until\": \"%s\",\n\"host\": \"", gap->id,
	    gap->first, gap->last, gap->segments,
	    time_format(gap->from, from), time_format(gap->until, until));
	text_escape(&b, gap->host, strlen(gap->host));
	buf_add_str(&b, "\",\n\"reason\": \"");
	text_escape(&b, gap->reason, strlen(gap->reason));
	buf_add_str(&b, "\"\n}");
	rc = textset_put(repo, &set, gap->id, &b, err);
	buf_free(&b);
	return rc;
}

struct gaps {
	struct gap *list;
	size_t n;
};

static bool
is_segment(const char *name)
{
	struct err ignored = ERR_INIT;
	struct wal_file file;

	return wal_file_parse(name, &file, &ignored) == 0 &&
	    file.type == WAL_FILE_SEGMENT;
}

static struct gap *
add_gap(struct gaps *g)
{
	g->list = xreallocarray(g->list, g->n + 1, sizeof(*g->list));
	memset(&g->list[g->n], 0, sizeof(*g->list));
	return &g->list[g->n++];
}

static void
take(void *arg, const struct textset_item *item, struct json_reader *j)
{
	struct gap *g = add_gap(arg);

	memcpy(g->id, item->id, sizeof(g->id));
	json_copy_text(j, j->root, "first", g->first, sizeof(g->first));
	json_copy_text(j, j->root, "last", g->last, sizeof(g->last));
	if (!is_segment(g->first) || !is_segment(g->last) ||
	    strncmp(g->first, g->last, 8) != 0)
		json_note(j, "first");
	g->segments = json_get_u64(j, j->root, "segments", INT64_MAX);
	g->from = json_get_time(j, j->root, "from");
	g->until = json_get_time(j, j->root, "until");
	g->host = json_get_escaped(j, j->root, "host");
	g->reason = json_get_escaped(j, j->root, "reason");
}

static int
by_name(const void *a, const void *b)
{
	const struct gap *x = a, *y = b;
	int c = strcmp(x->first, y->first);

	return c != 0 ? c : strcmp(x->last, y->last);
}

int
gap_list(struct repo *repo, const struct incarnation *inc, struct gap **out,
    size_t *n, struct err *err)
{
	struct gaps gaps = { .list = NULL };
	struct textset set;

	*out = NULL;
	*n = 0;
	gap_textset(inc, &set);
	if (textset_read(repo, &set, take, &gaps, err) != 0) {
		gaps_free(gaps.list, gaps.n);
		return -1;
	}
	if (gaps.n > 0)
		qsort(gaps.list, gaps.n, sizeof(*gaps.list), by_name);
	*out = gaps.list;
	*n = gaps.n;
	return 0;
}

void
gaps_free(struct gap *gaps, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(gaps[i].host);
		free(gaps[i].reason);
	}
	free(gaps);
}

const struct gap *
gap_find(const struct gap *gaps, size_t n, const char *segment)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(segment, gaps[i].first) >= 0 &&
		    strcmp(segment, gaps[i].last) <= 0)
			return &gaps[i];
	return NULL;
}

int
gap_explain(struct repo *repo, const struct incarnation *inc,
    const char *segment, struct err *err)
{
	struct err ignored = ERR_INIT;
	char from[TIME_TEXT_MAX];
	const struct gap *g;
	struct gap *gaps;
	size_t n;

	if (gap_list(repo, inc, &gaps, &n, &ignored) != 0)
		return -1;
	g = gap_find(gaps, n, segment);
	if (g != NULL)
		err_wrap(err, "WAL from %s to %s was given up by "
		    "archive-queue-max at %s on %s, while archiving failed "
		    "(%s)", g->first, g->last,
		    time_format_local(g->from, from), g->host, g->reason);
	gaps_free(gaps, n);
	return -1;
}

/* STATE/gaps/CLUSTER-SYSTEM: a line for each segment, in the order of loss. */
static char *
note_path(const char *state_directory, const struct incarnation *inc)
{
	return xasprintf("%s/gaps/%s-%llu", state_directory, inc->cluster,
	    (unsigned long long)inc->system_id);
}

int
gap_note(const char *state_directory, const struct incarnation *inc,
    const char *segment, const struct err *why, struct err *err)
{
	char *folder = xasprintf("%s/gaps", state_directory);
	char *path = note_path(state_directory, inc);
	struct buf b;
	int fd = -1, rc;

	buf_init(&b, TEXTSET_BODY_MAX);
	buf_printf(&b, "%s %" PRId64 " ", segment, time_now());
	text_escape(&b, why->msg, strnlen(why->msg, REASON_MAX));
	buf_add_byte(&b, '\n');
	rc = state_make(folder, err);
	if (rc == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
		    O_NOFOLLOW, 0600);
		rc = fd >= 0 ? 0 : err_sys(err, errno, "open %s", path);
	}
	if (rc == 0 && io_write_full(fd, b.data, b.len, path, err) != 0)
		rc = -1;
	if (rc == 0 && (io_fsync(fd, path, err) != 0 ||
	    io_fsync_dir(folder, err) != 0))
		rc = -1;
	if (fd >= 0)
		(void)close(fd); /* synced */
	buf_free(&b);
	free(path);
	free(folder);
	return rc;
}

bool
gap_waits(const char *state_directory)
{
	char *folder = xasprintf("%s/gaps", state_directory);
	bool there = access(folder, F_OK) == 0;

	free(folder);
	return there;
}

/* A line that a crash cut is passed over: its segment was not given up. */
static bool
parse_line(char *line, char **segment, int64_t *at, char **reason)
{
	char *blank = strchr(line, ' '), *end;

	*segment = line;
	if (blank == NULL)
		return false;
	*blank++ = '\0';
	errno = 0;
	*at = strtoll(blank, &end, 10);
	if (errno != 0 || *end != ' ' || !is_segment(line))
		return false;
	*reason = end + 1;
	return true;
}

/* Does it come just after (or again)? */
static bool
continues(const struct gap *g, const char *segment, uint32_t segment_size)
{
	struct err ignored = ERR_INIT;
	struct wal_file a, b;

	return strncmp(g->last, segment, 8) == 0 &&
	    wal_file_parse(g->last, &a, &ignored) == 0 &&
	    wal_file_parse(segment, &b, &ignored) == 0 &&
	    wal_segno(&b, segment_size) - wal_segno(&a, segment_size) <= 1;
}

static void
read_notes(struct gaps *g, char *text, uint32_t segment_size)
{
	char host[HOST_MAX], *line, *segment, *reason, *rest = text;
	struct gap *last;
	struct buf b;
	int64_t at;

	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
		if (!parse_line(line, &segment, &at, &reason))
			continue;
		last = g->n == 0 ? NULL : &g->list[g->n - 1];
		if (last == NULL || !continues(last, segment, segment_size)) {
			last = add_gap(g);
			(void)snprintf(last->first, sizeof(last->first), "%s",
			    segment);
			last->from = at;
			last->host = xstrdup(host);
			buf_init(&b, ERR_MSG_MAX);
			if (!text_unescape(&b, reason))
				buf_clear(&b);
			last->reason = xstrdup(buf_str(&b));
			buf_free(&b);
		}
		last->segments += strcmp(last->last, segment) != 0;
		(void)snprintf(last->last, sizeof(last->last), "%s", segment);
		last->until = at;
	}
}

/* The folder too, unless there are notes of another server in it. */
static int
end_notes(const char *state_directory, const char *path, struct err *err)
{
	char *folder = xasprintf("%s/gaps", state_directory);
	int rc = io_unlink(path, err);

	if (rc == 0)
		(void)rmdir(folder);
	free(folder);
	return rc;
}

int
gap_flush(const char *state_directory, struct repo *repo,
    const struct incarnation *inc, uint32_t segment_size, struct err *err)
{
	char *path = note_path(state_directory, inc);
	struct gaps gaps = { .list = NULL };
	struct buf b;
	size_t i;
	int rc;

	buf_init(&b, NOTES_MAX);
	rc = io_read_file(path, &b, err);
	if (rc == 0 && b.len > 0)
		read_notes(&gaps, (char *)b.data, segment_size);
	for (i = 0; i < gaps.n && rc == 0; i++)
		rc = gap_put(repo, inc, &gaps.list[i], err);
	if (rc == 0)
		rc = end_notes(state_directory, path, err);
	else if (err->code == ERR_NOT_FOUND) {
		err_clear(err); /* nothing is noted */
		rc = 0;
	}
	gaps_free(gaps.list, gaps.n);
	buf_free(&b);
	free(path);
	return rc;
}
