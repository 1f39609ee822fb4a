/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/process.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/storage.h"

/* Whoever stops a command waits for its end: systemd for 90 seconds. */
#define CANCELLED_LIMIT_MS 30000u
#define KILL_AFTER_MS 5000u
#define TEXT_MAX ((size_t)16 << 10)
#define LINE_MAX_SHOWN 1000

/* What is not UTF-8 is escaped as in the repository's own objects. */
static json_t *
text(const char *s)
{
	struct buf b;
	json_t *v;

	if (s == NULL)
		return json_null();
	v = json_string(s);
	if (v != NULL)
		return v;
	buf_init(&b, TEXT_MAX);
	text_escape(&b, s, strlen(s));
	v = json_string(buf_str(&b));
	buf_free(&b);
	return v;
}

static void
set(json_t *o, const char *member, json_t *value)
{
	(void)json_object_set_new(o, member, value); /* fails without memory */
}

static void
set_time(json_t *o, const char *member, int64_t t)
{
	char at[TIME_TEXT_MAX];

	set(o, member, t == 0 ? json_null() : json_string(time_format(t, at)));
}

static void
set_number(json_t *o, const char *member, uint64_t n)
{
	set(o, member, json_integer((json_int_t)n));
}

static void
add_backup(json_t *o, const struct commit *c)
{
	char lsn[LSN_TEXT_MAX];

	set(o, "method", text(c->method));
	set(o, "from_standby", json_boolean(c->from_standby));
	set(o, "start_lsn", json_string(lsn_format(c->start_lsn, lsn)));
	set(o, "stop_lsn", json_string(lsn_format(c->stop_lsn, lsn)));
	set_number(o, "timeline", c->timeline);
	set(o, "wal_first", json_string(c->wal_first));
	set(o, "wal_last", json_string(c->wal_last));
	set_number(o, "damaged_pages", c->damaged_count);
}

static void
add_dump(json_t *o, const struct commit *c)
{
	set(o, "database", c->dump.globals ? json_null() :
	    text(c->dump.database));
	set(o, "globals", json_boolean(c->dump.globals));
	set_number(o, "tables", c->dump.tables);
	set_number(o, "rows", c->dump.rows);
}

void
hook_stored(struct hook *h, const struct commit *c)
{
	json_t *o = json_object();

	set(o, "kind", json_string(repo_kind_name(c->kind)));
	set(o, "label", c->label[0] == '\0' ? json_null() :
	    json_string(c->label));
	set(o, "parent", c->parent[0] == '\0' ? json_null() :
	    json_string(c->parent));
	set_time(o, "start_time", c->start_time);
	set_time(o, "stop_time", c->stop_time);
	set_number(o, "files", c->files);
	set_number(o, "original_bytes", c->original_bytes);
	set_number(o, "stored_bytes", c->stored_bytes);
	if (c->kind == REPO_DUMP)
		add_dump(o, c);
	else
		add_backup(o, c);
	h->damaged |= c->damaged_count > 0;
	(void)json_array_append_new(h->results, o);
}

void
hook_init(struct hook *h, const struct config *cfg, const char *command,
    unsigned bit, bool off)
{
	memset(h, 0, sizeof(*h));
	h->cfg = cfg;
	h->command = command;
	h->bit = bit;
	h->off = off;
	h->started = time_now();
	h->results = json_array();
}

/* code: the command's exit code, or -1 when it has not begun. */
static char *
describe(const struct hook *h, const char *event, int code,
    const struct err *err)
{
	const struct config_repository *r = &h->cfg->repo;
	json_t *o = json_object();
	const bool failed = err != NULL && err->code != ERR_NONE;
	char *out;

	set(o, "event", json_string(event));
	set(o, "command", json_string(h->command));
	set(o, "cluster", text(h->cfg->cluster));
	set(o, "repository", text(r->name));
	set_time(o, "started", h->started);
	set_time(o, "ended", code < 0 ? 0 : time_now());
	set(o, "verdict", code < 0 ? json_null() : json_string(failed ?
	    "failed" : h->damaged ? "damaged" : "ok"));
	set(o, "exit_code", code < 0 ? json_null() : json_integer(code));
	set(o, "error", failed ? text(err->msg) : json_null());
	set(o, "hint", failed && err->hint[0] != '\0' ? text(err->hint) :
	    json_null());
	set(o, "results", json_incref(h->results));
	out = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return out;
}

/* Its standard input: it may read it or not. */
static int
make_input(int *fd, const char *json, struct err *err)
{
	*fd = memfd_create("hook", MFD_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, errno, "make a memory file");
	if (io_write_full(*fd, json, strlen(json), "a memory file", err) != 0 ||
	    io_write_full(*fd, "\n", 1, "a memory file", err) != 0)
		return -1;
	if (lseek(*fd, 0, SEEK_SET) != 0)
		return err_sys(err, errno, "rewind a memory file");
	return 0;
}

static void
log_output(const char *name, const char *said)
{
	char line[LINE_MAX_SHOWN];
	size_t i, n;

	while (*said != '\0') {
		n = strcspn(said, "\n");
		for (i = 0; i < n && i + 1 < sizeof(line); i++)
			line[i] = (unsigned char)said[i] < ' ' &&
			    said[i] != '\t' ? '?' : said[i];
		line[i] = '\0';
		if (i > 0)
			log_info("%s: %s", name, line);
		said += n + (said[n] == '\n');
	}
}

static int
run_hook(const char *name, const char *command, const char *json,
    uint64_t limit_ms, struct err *err)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	struct process_spec spec = { .argv = argv, .in = PROCESS_FD,
		.out = PROCESS_SAID, .name = name, .code = ERR_REFUSED,
		.kill_after_ms = KILL_AFTER_MS, .limit_ms = limit_ms,
		.group = true, .deaf = cancel_requested() };
	struct process *p = NULL;
	int fd = -1, rc;

	rc = make_input(&fd, json, err);
	if (rc == 0) {
		spec.in_fd = fd;
		rc = process_start(&p, &spec, err);
	}
	if (rc == 0) {
		rc = process_wait(p, err);
		log_output(name, process_said(p));
	}
	process_free(p);
	if (fd >= 0)
		(void)close(fd); /* memory */
	return rc;
}

int
hook_before(struct hook *h, struct err *err)
{
	char *json;
	int rc;

	h->begun = true;
	if (h->off || h->cfg->hook_before == NULL)
		return 0;
	json = describe(h, "before", -1, NULL);
	rc = run_hook("hook-before", h->cfg->hook_before, json,
	    h->cfg->hook_timeout_ms, err);
	free(json);
	if (rc != 0 && err->code != ERR_CANCELLED) {
		err_wrap(err, "nothing was begun");
		err_hint(err, "hook-before decides by its exit status whether "
		    "the %s begins", h->command);
	}
	return rc;
}

/* Afterwards nothing can be changed any more: what fails is only told. */
static void
run_after(const struct hook *h, const char *event, const char *name,
    const char *command, int code, const struct err *err)
{
	uint64_t limit_ms = h->cfg->hook_timeout_ms;
	struct err failed = ERR_INIT;
	char *json;

	if (cancel_requested() && limit_ms > CANCELLED_LIMIT_MS)
		limit_ms = CANCELLED_LIMIT_MS;
	json = describe(h, event, code, err);
	if (run_hook(name, command, json, limit_ms, &failed) != 0)
		log_warning("%s%s", failed.msg, err == NULL ?
		    "; what was stored stays" : "");
	free(json);
}

int
hook_end(struct hook *h, int code, const struct err *err)
{
	const bool failed = code < 0;

	if (!h->off && failed && h->cfg->hook_failure != NULL &&
	    (h->begun || err->code != ERR_USAGE))
		run_after(h, "failure", "hook-failure", h->cfg->hook_failure,
		    cli_exit_code(h->bit, err, false), err);
	else if (!h->off && !failed && h->cfg->hook_after != NULL)
		run_after(h, "after", "hook-after", h->cfg->hook_after, code,
		    NULL);
	json_decref(h->results);
	h->results = NULL;
	return code;
}
