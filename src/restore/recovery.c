/* SPDX-License-Identifier: PostgreSQL */
/*
 * The block is complete in itself: what a target needs is set, and every
 * other recovery setting is put back to its default first, since a leftover
 * in postgresql.conf (an old target, a delay, an archive_cleanup_command)
 * would change where recovery ends. The order matters: PostgreSQL refuses a
 * second target, but takes an empty one before the real one.
 */
#include "config.h"

#include "restore/recovery.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/time.h"

#define AUTO_CONF "postgresql.auto.conf"

/* Removed wherever they stand in postgresql.auto.conf. */
static const char *const recovery_names[] = {
	"restore_command",
	"archive_cleanup_command",
	"recovery_end_command",
	"recovery_target",
	"recovery_target_action",
	"recovery_target_inclusive",
	"recovery_target_lsn",
	"recovery_target_name",
	"recovery_target_time",
	"recovery_target_timeline",
	"recovery_target_xid",
	"recovery_min_apply_delay",
	"primary_conninfo",
	"primary_slot_name",
	"promote_trigger_file",
};

/* The name that a line sets: its length, 0 for comments and the like. */
static size_t
setting_name(const char *line, const char *end, const char **name)
{
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	*name = line;
	while (line < end && (isalnum((unsigned char)*line) || *line == '_' ||
	    *line == '.'))
		line++;
	return (size_t)(line - *name);
}

static bool
name_is(const char *name, size_t len, const char *what)
{
	return len == strlen(what) && strncasecmp(name, what, len) == 0;
}

/* archive_mode = off, in any of its spellings. */
static bool
is_archive_off(const char *name, size_t len, const char *end)
{
	const char *v = name + len;
	size_t n = 0;

	if (!name_is(name, len, "archive_mode"))
		return false;
	while (v < end && strchr(" \t='", *v) != NULL)
		v++;
	while (v + n < end && isalnum((unsigned char)v[n]))
		n++;
	return name_is(v, n, "off") || name_is(v, n, "false") ||
	    name_is(v, n, "no") || name_is(v, n, "0");
}

static bool
is_recovery_line(const char *line, const char *end, bool strip_archive_off)
{
	const char *name;
	const size_t len = setting_name(line, end, &name);
	size_t i;

	if (len == 0)
		return false;
	for (i = 0; i < sizeof(recovery_names) / sizeof(recovery_names[0]);
	    i++)
		if (name_is(name, len, recovery_names[i]))
			return true;
	return strip_archive_off && is_archive_off(name, len, end);
}

static bool
starts_with(const char *p, const char *end, const char *what)
{
	return (size_t)(end - p) >= strlen(what) &&
	    memcmp(p, what, strlen(what)) == 0;
}

void
recovery_strip(const char *old, size_t len, bool strip_archive_off,
    struct buf *out)
{
	const char *p = old, *const end = old + len;
	const char *nl;
	bool ours = false;

	for (; p < end; p = nl) {
		nl = memchr(p, '\n', (size_t)(end - p));
		nl = nl == NULL ? end : nl + 1;
		if (starts_with(p, nl, RECOVERY_BEGIN))
			ours = true;
		if (!ours && !is_recovery_line(p, nl, strip_archive_off))
			buf_add(out, p, (size_t)(nl - p));
		if (starts_with(p, nl, RECOVERY_END))
			ours = false;
	}
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_add_byte(out, '\n');
}

/* guc-file.l: ' is doubled, \ begins an escape, a line end cannot stand. */
void
recovery_setting(struct buf *out, const char *name, const char *value)
{
	const char *p;

	buf_printf(out, "%s = '", name);
	for (p = value; *p != '\0'; p++)
		if (*p == '\'')
			buf_add_str(out, "''");
		else if (*p == '\\')
			buf_add_str(out, "\\\\");
		else if (*p == '\n')
			buf_add_str(out, "\\n");
		else if (*p == '\r')
			buf_add_str(out, "\\r");
		else
			buf_add_byte(out, (uint8_t)*p);
	buf_add_str(out, "'\n");
}

/* One word for the shell; PostgreSQL replaces %f, %p, %r first. */
static void
command_word(struct buf *out, const char *word)
{
	const char *p;

	buf_add_byte(out, '\'');
	for (p = word; *p != '\0'; p++)
		if (*p == '\'')
			buf_add_str(out, "'\\''");
		else if (*p == '%')
			buf_add_str(out, "%%");
		else
			buf_add_byte(out, (uint8_t)*p);
	buf_add_byte(out, '\'');
}

static void
command_option(struct buf *out, const char *option, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	buf_printf(out, " %s ", option);
	command_word(out, value);
}

/* The server runs in its data directory: a file's name must be absolute. */
static const char *
absolute_credentials(const char *credentials, char out[PATH_MAX + 8])
{
	static const char file[] = "file:";
	char real[PATH_MAX];

	if (credentials == NULL ||
	    strncmp(credentials, file, sizeof(file) - 1) != 0 ||
	    realpath(credentials + sizeof(file) - 1, real) == NULL)
		return credentials;
	(void)snprintf(out, PATH_MAX + 8, "%s%s", file, real);
	return out;
}

/* What opening the storage for reading takes beside its URL; no secrets. */
static void
storage_options(const struct config_repository *from, struct buf *out)
{
	char credentials[PATH_MAX + 8];
	static const char *const styles[] = { NULL, "yes", "no" };

	if (from->timeout_ms != 0 &&
	    from->timeout_ms != STORAGE_TIMEOUT_DEFAULT_MS)
		buf_printf(out, " --storage-timeout %llums",
		    (unsigned long long)from->timeout_ms);
	command_option(out, "--ca-file", from->ca_file);
	command_option(out, "--endpoint", from->endpoint);
	command_option(out, "--region", from->region);
	command_option(out, "--path-style", styles[from->path_style]);
	command_option(out, "--credentials",
	    absolute_credentials(from->credentials, credentials));
	command_option(out, "--key-file", from->key_file);
	command_option(out, "--key-passphrase-file",
	    from->key_passphrase_file);
	command_option(out, "--password-file", from->password_file);
	command_option(out, "--known-hosts", from->known_hosts);
	command_option(out, "--encryption-key-file", from->encryption_key_file);
	command_option(out, "--encryption-passphrase-file",
	    from->encryption_passphrase_file);
	if (from->host_key == HOST_KEY_ACCEPT_NEW)
		buf_add_str(out, " --host-key accept-new");
}

/*
 * The one repository that was chosen, so that recovery asks no other. Where
 * it is a section of a file, its name is enough, and keys that stand there
 * are found; what was given beside the file goes into the command.
 */
void
recovery_command(const struct restore_plan *plan, struct buf *out)
{
	const struct config_repository *from = plan->params.from;
	const struct config *c = plan->config;
	const bool named = from != NULL && from->name != NULL &&
	    c->config_file != NULL;

	command_word(out, plan->params.program);
	buf_add_str(out, " archive-get");
	command_option(out, "--config", c->config_file);
	if (named)
		command_option(out, "--repository", from->name);
	else
		command_option(out, "--repository-url",
		    storage_url(plan->params.repo->st));
	if (from != NULL && (!named || c->repository_given))
		storage_options(from, out);
	command_option(out, "--repository-id", plan->params.repo->id_text);
	command_option(out, "--cluster", plan->inc.cluster);
	command_option(out, "--state-directory", c->state_directory);
	buf_add_str(out, " %f \"%p\"");
}

/*
 * The timeline is the one that the proof was made on, as a number, so that
 * recovery cannot wander onto one that appears meanwhile. Where it is the
 * backup's own, "current" says the same and needs no history file, which
 * timeline 1 and a cluster imported on a later one do not have.
 */
static void
add_timeline(const struct restore_plan *plan, struct buf *out)
{
	const uint32_t timeline = plan_recovery_timeline(plan);
	char number[PLAN_TIMELINE_MAX];

	if (plan->config->standby && strcmp(plan->timeline, "latest") == 0) {
		recovery_setting(out, "recovery_target_timeline", "latest");
		return;
	}
	(void)snprintf(number, sizeof(number), "%u", (unsigned)timeline);
	recovery_setting(out, "recovery_target_timeline",
	    timeline == plan->backup.timeline ? "current" : number);
}

static void
add_resets(const struct restore_plan *plan, struct buf *out)
{
	static const char *const unset[] = {
		"archive_cleanup_command", "recovery_end_command",
		"recovery_target", "recovery_target_name",
		"recovery_target_time", "recovery_target_xid",
		"recovery_target_lsn"
	};
	size_t i;

	for (i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
		recovery_setting(out, unset[i], "");
	if (!plan->config->standby)
		recovery_setting(out, "recovery_min_apply_delay", "0");
}

static void
add_target(const struct restore_plan *plan, struct buf *out)
{
	static const char *const actions[] = { "promote", "pause", "shutdown" };
	char text[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX], xid[16];
	bool inclusive = plan->want.inclusive;

	switch (plan->target) {
	case TARGET_TIME:
		if (plan->found.use_lsn)
			break;
		recovery_setting(out, "recovery_target_time",
		    time_format(plan->want.time, text));
		break;
	case TARGET_XID:
		(void)snprintf(xid, sizeof(xid), "%u",
		    (unsigned)plan->want.xid);
		recovery_setting(out, "recovery_target_xid", xid);
		break;
	case TARGET_LSN:
		if (plan->found.use_lsn)
			break;
		recovery_setting(out, "recovery_target_lsn",
		    lsn_format(plan->want.lsn, lsn));
		break;
	case TARGET_NAME:
		recovery_setting(out, "recovery_target_name", plan->want.name);
		break;
	case TARGET_IMMEDIATE:
		recovery_setting(out, "recovery_target", "immediate");
		break;
	case TARGET_DEFAULT:
	case TARGET_LATEST:
		return;
	}
	if (plan->found.use_lsn) { /* the last record, with it */
		inclusive = true;
		recovery_setting(out, "recovery_target_lsn",
		    lsn_format(plan->found.event.lsn, lsn));
	}
	recovery_setting(out, "recovery_target_inclusive",
	    inclusive ? "on" : "off");
	recovery_setting(out, "recovery_target_action",
	    actions[plan->config->action]);
	if (plan->config->action == ACTION_PAUSE) /* else it would shut down */
		recovery_setting(out, "hot_standby", "on");
}

void
recovery_block(const struct restore_plan *plan, struct buf *out)
{
	const struct config *c = plan->config;
	struct buf command;

	buf_init(&command, RECOVERY_CONF_MAX);
	recovery_command(plan, &command);
	buf_add_str(out, RECOVERY_BEGIN);
	recovery_setting(out, "restore_command", buf_str(&command));
	add_resets(plan, out);
	add_timeline(plan, out);
	add_target(plan, out);
	/*
	 * Reading ahead asks for segments after the target's, and one of them
	 * may be lost, damaged or in conflict: an error that ends recovery
	 * (T1) before a target that is there.
	 */
	if (plan_has_target(plan) && plan->inc.major >= 15) {
		buf_add_str(out, "# Reading ahead would ask for WAL after the "
		    "target, where a damaged or\n# missing segment ends "
		    "recovery; to be removed with the target.\n");
		recovery_setting(out, "recovery_prefetch", "off");
	}
	if (c->standby) {
		recovery_setting(out, "hot_standby", "on");
		if (c->primary_conninfo != NULL)
			recovery_setting(out, "primary_conninfo",
			    c->primary_conninfo);
	}
	/*
	 * Not into the source's archive, whose names it would use (T102). A
	 * standby does not archive, and has to once it has been promoted.
	 */
	if (!c->keep_archiving && !c->standby)
		recovery_setting(out, "archive_mode", "off");
	buf_add_str(out, RECOVERY_END);
	buf_free(&command);
}

static int
write_at(const struct restore_plan *plan, int dir, const char *name,
    const struct buf *content, mode_t mode, struct err *err)
{
	int fd, rc;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(err, errno, "create %s/%s", plan->dir, name);
	rc = io_write_full(fd, content->data, content->len, name, err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s/%s", plan->dir, name);
	return rc;
}

static int
read_auto_conf(const struct restore_plan *plan, int dir, struct buf *out,
    mode_t *mode, struct err *err)
{
	struct stat st;
	int fd, rc;

	*mode = 0600;
	fd = openat(dir, AUTO_CONF, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* T97: it may be missing, or empty */
		return 0;
	if (fd < 0)
		return err_sys(err, errno, "open %s/" AUTO_CONF, plan->dir);
	if (fstat(fd, &st) == 0)
		*mode = st.st_mode & 0777;
	rc = io_read_fd(fd, AUTO_CONF, out, err);
	(void)close(fd); /* only read from */
	/* Zeros instead of what was lost (--allow-damage) stop any server. */
	if (rc == 0 && memchr(buf_str(out), '\0', out->len) != NULL) {
		log_warning("the content of " AUTO_CONF " is lost: it has the "
		    "settings of the recovery only");
		buf_clear(out);
	}
	return rc;
}

int
recovery_write(const struct restore_plan *plan, int dir, struct err *err)
{
	struct buf old, text, empty;
	mode_t mode;
	int ret = -1;

	buf_init(&old, RECOVERY_CONF_MAX);
	buf_init(&text, 2 * RECOVERY_CONF_MAX);
	buf_init(&empty, 1);
	if (read_auto_conf(plan, dir, &old, &mode, err) != 0)
		goto out;
	recovery_strip(buf_str(&old), old.len, plan->config->keep_archiving,
	    &text);
	recovery_block(plan, &text);
	if (buf_check(&text, AUTO_CONF, err) != 0 ||
	    write_at(plan, dir, AUTO_CONF, &text, mode, err) != 0 ||
	    write_at(plan, dir, plan->config->standby ? "standby.signal" :
							"recovery.signal",
		&empty, mode, err) != 0)
		goto out;
	ret = 0;
out:
	buf_free(&old);
	buf_free(&text);
	return ret;
}
