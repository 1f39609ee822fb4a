/* SPDX-License-Identifier: PostgreSQL */
/*
 * Writing the data directory, in an order that a crash at any moment leaves
 * harmless: a marker first, directories and files, recovery settings, a sync
 * of every file system involved, and pg_control last. Without it PostgreSQL
 * does not start. It is written with a checkpoint location that cannot exist,
 * so that a start without backup_label fails too instead of corrupting
 * (TRAPS T90, T91).
 *
 * tablespace_map is not written: its only effect is that recovery makes the
 * links in pg_tblspc again, from paths that were the source's. They are made
 * (and synced) here instead, mapped; that is what pg_basebackup's plain format
 * does on all of 13 to 18.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/control.h"
#include "restore/command.h"
#include "restore/copyback.h"
#include "restore/delta.h"
#include "restore/dirmanifest.h"
#include "restore/plan.h"
#include "restore/recovery.h"
#include "restore/tree.h"

#define LABEL_FILE_MAX ((size_t)1 << 20)

struct apply {
	struct restore_plan *plan;
	struct tree tree;
	struct copyback *copy;
	struct dirmanifest *listing;
	struct manifest_reader *reader;
	uint8_t control[CONTROL_FILE_SIZE];
	bool have_control, have_label;
	uint32_t control_mode;
	struct pathset set; /* delta */
	struct damage *damage; /* --allow-damage */
};

/* Names that restore writes itself, or that must not come back (T44, T45). */
static bool
is_reserved(const char *path)
{
	static const char *const names[] = { "backup_label", "tablespace_map",
		"recovery.signal", "standby.signal", "postmaster.pid",
		"postmaster.opts", "backup_manifest", PLAN_MARKER,
		DAMAGE_LIST };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(path, names[i]) == 0)
			return true;
	return false;
}

static int
apply_file(struct apply *a, const struct manifest_entry *e, struct err *err)
{
	if (tree_check(&a->tree, e->path, err) != 0)
		return -1;
	if (strcmp(e->path, CONTROL_PATH) == 0)
		return err_set(err, ERR_DAMAGED,
		    "the manifest lists pg_control as an ordinary file");
	if (is_reserved(e->path)) {
		log_warning("%s is left out: it belongs to a running or "
			    "recovering server", e->path);
		return 0;
	}
	if (dirmanifest_add(a->listing, e, err) != 0)
		return -1;
	return copyback_file(a->copy, a->reader, e, err);
}

static void
remember(char **slot, const struct restore_plan *plan, const char *path)
{
	free(*slot);
	*slot = xasprintf("%s/%s", plan->dir, path);
}

static int
apply_config(struct apply *a, const struct manifest_entry *e, struct err *err)
{
	struct restore_plan *plan = a->plan;
	const char *setting = e->setting == NULL ? "" : e->setting;

	if (strncmp(e->path, PLAN_CONFIG_DIR "/", strlen(PLAN_CONFIG_DIR "/")) !=
	    0)
		return err_set(err, ERR_DAMAGED,
		    "the configuration file %s is said to lie outside "
		    PLAN_CONFIG_DIR, e->path);
	if (tree_check(&a->tree, e->path, err) != 0 ||
	    tree_parents(&a->tree, e->path, err) != 0)
		return -1;
	if (strcmp(setting, "config_file") == 0)
		remember(&plan->saved.config_file, plan, e->path);
	else if (strcmp(setting, "hba_file") == 0)
		remember(&plan->saved.hba_file, plan, e->path);
	else if (strcmp(setting, "ident_file") == 0)
		remember(&plan->saved.ident_file, plan, e->path);
	if (dirmanifest_add(a->listing, e, err) != 0)
		return -1;
	return copyback_file(a->copy, a->reader, e, err);
}

static int
apply_control(struct apply *a, const struct manifest_entry *e,
    struct err *err)
{
	struct restore_plan *plan = a->plan;
	struct buf b;
	int ret = -1;

	buf_init(&b, CONTROL_FILE_SIZE);
	/* It is written last; what is wrong with it is told first. */
	if (tree_check(&a->tree, CONTROL_PATH, err) != 0 ||
	    copyback_read(a->copy, a->reader, e, &b, err) != 0)
		goto out;
	if (b.len != CONTROL_FILE_SIZE) {
		err_set(err, ERR_DAMAGED, "pg_control of backup %s has %zu "
		    "bytes", plan->backup.label, b.len);
		goto out;
	}
	if (control_decode(b.data, b.len, &plan->control, err) != 0)
		goto out;
	if (plan->control.system_id != plan->inc.system_id) {
		err_set(err, ERR_DAMAGED,
		    "pg_control of backup %s is of another system",
		    plan->backup.label);
		goto out;
	}
	memcpy(a->control, b.data, CONTROL_FILE_SIZE);
	a->control_mode = e->mode;
	a->have_control = true;
	if (control_poison(a->control, err) == 0)
		ret = dirmanifest_add_data(a->listing, CONTROL_PATH,
		    a->control, CONTROL_FILE_SIZE, err);
out:
	buf_free(&b);
	return ret;
}

static void
apply_setting(struct restore_plan *plan, const struct manifest_entry *e)
{
	struct plan_settings *s = &plan->settings;
	const struct {
		const char *name;
		char **value;
	} known[] = {
		{ "archive_mode", &s->archive_mode },
		{ "max_connections", &s->max_connections },
		{ "max_worker_processes", &s->max_worker_processes },
		{ "max_wal_senders", &s->max_wal_senders },
		{ "max_prepared_transactions",
		    &s->max_prepared_transactions },
		{ "max_locks_per_transaction",
		    &s->max_locks_per_transaction },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, e->path) == 0) {
			free(*known[i].value);
			*known[i].value = xstrndup(e->data, e->data_len);
		}
}

static int
apply_label(struct apply *a, const struct manifest_entry *e, struct err *err)
{
	if (e->data_len == 0 || e->data_len > LABEL_FILE_MAX)
		return err_set(err, ERR_DAMAGED, "backup_label of backup %s "
		    "has %zu bytes", a->plan->backup.label, e->data_len);
	a->have_label = true;
	if (dirmanifest_add_data(a->listing, "backup_label", e->data,
		e->data_len, err) != 0)
		return -1;
	return tree_write(&a->tree, "backup_label", e->data, e->data_len, 0600,
	    err);
}

static int
apply_entry(struct apply *a, const struct manifest_entry *e, struct err *err)
{
	switch (e->type) {
	case MANIFEST_HEAD:
		if (e->block_size != a->plan->backup.block_size)
			return err_set(err, ERR_DAMAGED, "the manifest and "
			    "the commit state different block sizes");
		return 0;
	case MANIFEST_DIR:
		return tree_dir(&a->tree, e->path, e->mode, err);
	case MANIFEST_LINK:
		return tree_link(&a->tree, e->path, e->target, err);
	case MANIFEST_FILE:
		return apply_file(a, e, err);
	case MANIFEST_CONFIG:
		return apply_config(a, e, err);
	case MANIFEST_CONTROL:
		return apply_control(a, e, err);
	case MANIFEST_BACKUP_LABEL:
		return apply_label(a, e, err);
	case MANIFEST_SETTING:
		apply_setting(a->plan, e);
		return 0;
	case MANIFEST_TABLESPACE:
	case MANIFEST_TABLESPACE_MAP:
	case MANIFEST_END:
		return 0;
	case MANIFEST_DATA: /* of dumps only */
		break;
	}
	return err_set(err, ERR_BUG, "manifest entry of type %d", e->type);
}

static int
copy_all(struct apply *a, struct err *err)
{
	const struct commit *c = &a->plan->backup;
	struct manifest_entry e;
	int rc;

	if (manifest_reader_open(&a->reader, a->plan->params.repo,
		&a->plan->inc, c->label, c->parts, c->n_parts, err) != 0)
		return -1;
	while ((rc = manifest_reader_next(a->reader, &e, err)) == 1)
		if (apply_entry(a, &e, err) != 0)
			return -1;
	if (rc != 0)
		return -1;
	if (!a->have_control || !a->have_label)
		return err_set(err, ERR_DAMAGED,
		    "the manifest of backup %s has no %s", c->label,
		    a->have_control ? "backup_label" : "pg_control");
	return copyback_finish(a->copy, err);
}

static int
write_control(struct apply *a, struct err *err)
{
	if (tree_write_durable(&a->tree, CONTROL_PATH, a->control,
		CONTROL_FILE_SIZE, a->control_mode, err) != 0)
		return -1;
	return tree_unmark(&a->tree, err);
}

static void
find_inside(char **slot, const struct restore_plan *plan, const char *name)
{
	char *usual = xasprintf("%s/%s", plan->dir, name);
	char *kept = xasprintf("%s/" PLAN_CONFIG_DIR "/%s", plan->dir, name);

	if (*slot == NULL && access(usual, F_OK) != 0 &&
	    access(kept, F_OK) == 0) {
		*slot = kept;
		kept = NULL;
	}
	free(kept);
	free(usual);
}

/*
 * A server that restore had set up ran on the files that it left in its data
 * directory: in its backup they are files as others are.
 */
static void
find_saved_inside(struct restore_plan *plan)
{
	find_inside(&plan->saved.config_file, plan, "postgresql.conf");
	find_inside(&plan->saved.hba_file, plan, "pg_hba.conf");
	find_inside(&plan->saved.ident_file, plan, "pg_ident.conf");
}

/*
 * An include directory of Debian's layout that is empty has no file to come
 * with, and a server does not start without it.
 */
static int
make_include_dirs(struct apply *a, struct err *err)
{
	struct buf b;
	const char *p, *q, *line;
	char *path;
	int ret = 0;

	if (a->plan->saved.config_file == NULL)
		return 0;
	buf_init(&b, RECOVERY_CONF_MAX);
	ret = io_read_file(a->plan->saved.config_file, &b, err);
	for (line = buf_str(&b); ret == 0 && *line != '\0';
	    line = *p == '\0' ? p : p + 1) {
		p = line + strcspn(line, "\n");
		q = line + strspn(line, " \t");
		if (strncmp(q, "include_dir", 11) != 0)
			continue;
		q += 11;
		q += strspn(q, " \t='");
		if (*q == '/')
			log_warning("the saved postgresql.conf includes a "
			    "directory by its absolute name: %.*s",
			    (int)(p - q), q);
		if (*q == '/' || strcspn(q, "'# \t\n") == 0)
			continue;
		path = xasprintf(PLAN_CONFIG_DIR "/%.*s/",
		    (int)strcspn(q, "'# \t\n"), q);
		/* One that leads elsewhere is the server's to complain of. */
		if (strstr(path, "..") == NULL)
			ret = tree_parents(&a->tree, path, err);
		free(path);
	}
	buf_free(&b);
	return ret;
}

static void
say_how_to_go_on(const struct restore_plan *plan)
{
	const char *mode = plan->settings.archive_mode;

	if (plan->saved.config_file != NULL)
		log_info("the configuration lay outside the data directory "
			 "and was restored beside it, into %s/" PLAN_CONFIG_DIR,
		    plan->dir);
	if (plan->config->standby && !plan->config->keep_archiving &&
	    mode != NULL && strcmp(mode, "always") == 0)
		log_warning("archive_mode was always: this standby archives "
			    "too, to where its archive_command says; set it "
			    "to on in %s/postgresql.auto.conf unless that is "
			    "meant", plan->dir);
	if (plan->config->standby && plan->config->primary_conninfo == NULL)
		log_info("no --primary-conninfo was given: the standby takes "
			 "its WAL from the repository only");
}

static int
begin_copying(struct apply *a, struct err *err)
{
	struct restore_plan *plan = a->plan;

	if (plan->config->allow_damage && damage_new(&a->damage, a->tree.fd,
		plan->dir, err) != 0)
		return -1;
	return copyback_new(&a->copy,
	    &(struct copyback_params){ .repo = plan->params.repo,
		.inc = &plan->inc, .backup = &plan->backup,
		.dir = a->tree.fd, .dir_name = plan->dir,
		.jobs = plan->config->jobs == 0 ? 1 : plan->config->jobs,
		.delta = plan->delta, .damage = a->damage,
		.progress = plan->params.progress, .tick = plan->params.tick,
		.tick_arg = plan->params.tick_arg }, err);
}

/* What was done, for who asked for it. */
static int
note_result(struct apply *a, struct err *err)
{
	const struct copyback_counts *c = copyback_counts(a->copy);
	struct restore_result *r = &a->plan->result;

	r->equal_bytes = atomic_load(&c->equal_bytes);
	r->written_bytes = atomic_load(&c->written_bytes);
	r->equal_files = atomic_load(&c->equal_files);
	r->changed_files = atomic_load(&c->changed_files);
	r->new_files = atomic_load(&c->new_files);
	a->plan->kept_wal_dir = xasprintf("%s/" PLAN_KEPT_WAL, a->plan->dir);
	r->kept_wal_dir = a->plan->kept_wal_dir;
	if (a->damage == NULL)
		return 0;
	r->damage_lines = damage_lines(a->damage);
	r->lost_blocks = damage_blocks(a->damage);
	a->plan->damage_list = xasprintf("%s/" DAMAGE_LIST, a->plan->dir);
	r->damage_list = a->plan->damage_list;
	return damage_finish(a->damage, err);
}

static int
apply_steps(struct apply *a, struct err *err)
{
	if (a->plan->delta && pathset_read(&a->set, a->plan, err) != 0)
		return -1;
	if (tree_begin(&a->tree, err) != 0)
		return -1;
	a->plan->touched = true;
	if (a->plan->delta &&
	    delta_clear(a->plan, &a->set, a->tree.fd, err) != 0)
		return -1;
	pathset_free(&a->set);
	if (begin_copying(a, err) != 0)
		return -1;
	if (dirmanifest_new(&a->listing, a->plan, a->tree.fd, err) != 0 ||
	    copy_all(a, err) != 0)
		return -1;
	find_saved_inside(a->plan);
	if (command_find_settings(a->plan, err) != 0)
		return -1;
	if (note_result(a, err) != 0 || make_include_dirs(a, err) != 0 ||
	    recovery_write(a->plan, a->tree.fd, err) != 0 ||
	    dirmanifest_finish(a->listing, err) != 0 ||
	    cancel_check(err) != 0)
		return -1;
	log_debug("copied; waiting for the disk");
	if (tree_sync(&a->tree, err) != 0)
		return -1;
	return write_control(a, err);
}

int
restore_apply(struct restore_plan *plan, struct err *err)
{
	struct apply a = { .plan = plan };
	const mode_t mask = umask(0); /* modes are the manifest's */
	int ret;

	atomic_store(&plan->params.progress->total_bytes,
	    plan->backup.original_bytes);
	tree_init(&a.tree, plan);
	ret = apply_steps(&a, err);
	copyback_free(a.copy);
	dirmanifest_free(a.listing);
	manifest_reader_close(a.reader);
	tree_free(&a.tree);
	damage_free(a.damage);
	pathset_free(&a.set);
	(void)umask(mask);
	if (ret != 0) {
		err_wrap(err, "restore of backup %s", plan->backup.label);
		if (!plan->touched)
			return -1;
		return err_hint(err, "%s cannot be started; restore --delta "
				     "goes on with it, the next restore "
				     "without it says how to clear it",
		    plan->dir);
	}
	say_how_to_go_on(plan);
	return 0;
}
