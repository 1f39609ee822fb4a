/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "export/export.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "export/job.h"
#include "pg/control.h"

#define CONFIG_DIR "dapk-backup-config"
#define WAL_DIR "pg_wal"
#define PIECE ((size_t)256 << 10)
#define OWN_MODE 0600
#define DIR_MODE 0700

static int
put_manifest(void *arg, const void *data, size_t len, struct err *err)
{
	const struct output *o = arg;

	return io_write_full(o->manifest_fd, data, len, PGMANIFEST_NAME, err);
}

struct sink {
	struct job *job;
	struct tarfile *tar;
};

static int
take_data(void *arg, const void *data, size_t len, struct err *err)
{
	struct sink *s = arg;
	const struct export_params *p = s->job->params;

	atomic_fetch_add(&p->progress->done_bytes, len);
	if (p->tick != NULL)
		p->tick(p->tick_arg);
	return tarfile_data(s->tar, data, len, err);
}

static int
add_file(struct job *j, const struct manifest_entry *e, struct err *err)
{
	struct sink sink = { .job = j };
	struct tarfile_about about = { .size = e->size, .mode = e->mode,
		.mtime = e->mtime };

	if (path_guard_check(&j->guard, e->path, err) != 0 ||
	    output_route(&j->out, e->path, &sink.tar, &about.path, err) != 0)
		return -1;
	if (about.path == NULL)
		return err_set(err, ERR_DAMAGED, "the manifest lists %s as a "
		    "file", e->path);
	if (tarfile_begin(sink.tar, &about, err) != 0 ||
	    fileread_stream(j->files, j->reader, e, take_data, &sink,
		err) != 0 ||
	    tarfile_end(sink.tar, err) != 0)
		return -1;
	if (strncmp(e->path, WAL_DIR "/", strlen(WAL_DIR "/")) == 0)
		return 0; /* as pg_basebackup's manifest */
	return pgmanifest_file(j->listing, e->path, e->size, e->mtime, e->crc,
	    err);
}

static int
add_config(struct job *j, const struct manifest_entry *e, struct err *err)
{
	if (strncmp(e->path, CONFIG_DIR "/", strlen(CONFIG_DIR "/")) != 0)
		return err_set(err, ERR_DAMAGED,
		    "the configuration file %s is said to lie outside "
		    CONFIG_DIR, e->path);
	if (!j->have_config &&
	    (path_guard_own(&j->guard, CONFIG_DIR, err) != 0 ||
		tarfile_dir(j->out.base, CONFIG_DIR, DIR_MODE,
		    j->commit->start_time, err) != 0))
		return -1;
	if (!j->have_config)
		log_info("the configuration lay outside the data directory; "
			 "it is in " CONFIG_DIR " of the archive");
	j->have_config = true;
	return add_file(j, e, err);
}

static int
add_dir(struct job *j, const char *path, uint32_t mode, struct err *err)
{
	struct tarfile *tar;
	const char *inside;

	if (path[0] == '\0' || strcmp(path, ".") == 0)
		return 0;
	if (path_guard_check(&j->guard, path, err) != 0 ||
	    output_route(&j->out, path, &tar, &inside, err) != 0)
		return -1;
	return inside == NULL ? 0 : tarfile_dir(tar, inside, mode | DIR_MODE,
	    j->commit->start_time, err);
}

static int
add_link(struct job *j, const struct manifest_entry *e, struct err *err)
{
	struct tarfile *tar;
	const char *inside;

	if (strcmp(e->path, WAL_DIR) == 0) /* its target was outside */
		return add_dir(j, e->path, DIR_MODE, err);
	if (path_guard_check(&j->guard, e->path, err) != 0 ||
	    output_route(&j->out, e->path, &tar, &inside, err) != 0)
		return -1;
	if (inside == NULL) /* a tablespace's: tablespace_map makes it */
		return 0;
	log_warning("%s is a symbolic link to %s, as it was; what it leads to "
		    "is not in the backup", e->path, e->target);
	path_guard_link(&j->guard, e->path);
	return tarfile_link(tar, inside, e->target, j->commit->start_time,
	    err);
}

static int
add_data(struct job *j, const char *name, const struct manifest_entry *e,
    struct err *err)
{
	const struct tarfile_about about = { .path = name,
		.size = e->data_len, .mode = OWN_MODE,
		.mtime = j->commit->stop_time };

	if (path_guard_own(&j->guard, name, err) != 0 ||
	    tarfile_content(j->out.base, &about, e->data, err) != 0)
		return -1;
	return pgmanifest_file(j->listing, name, e->data_len, about.mtime,
	    crc32c(e->data, e->data_len), err);
}

static int
keep_control(struct job *j, const struct manifest_entry *e, struct err *err)
{
	if (path_guard_own(&j->guard, CONTROL_PATH, err) != 0 ||
	    fileread_stream(j->files, j->reader, e, fileread_to_buf,
		&j->control, err) != 0)
		return -1;
	if (j->control.len != CONTROL_FILE_SIZE)
		return err_set(err, ERR_DAMAGED, "pg_control of backup %s has "
		    "%zu bytes", j->commit->label, j->control.len);
	j->control_about = (struct tarfile_about){ .path = CONTROL_PATH,
		.size = j->control.len, .mode = e->mode, .mtime = e->mtime };
	return pgmanifest_file(j->listing, CONTROL_PATH, e->size, e->mtime,
	    e->crc, err);
}

static int
add_entry(struct job *j, const struct manifest_entry *e, struct err *err)
{
	switch (e->type) {
	case MANIFEST_DIR:
		return add_dir(j, e->path, e->mode, err);
	case MANIFEST_LINK:
		return add_link(j, e, err);
	case MANIFEST_FILE:
		return add_file(j, e, err);
	case MANIFEST_CONFIG:
		return add_config(j, e, err);
	case MANIFEST_CONTROL:
		return keep_control(j, e, err);
	case MANIFEST_BACKUP_LABEL:
		j->have_label = true;
		return add_data(j, "backup_label", e, err);
	case MANIFEST_TABLESPACE_MAP:
		return e->data_len == 0 ? 0 :
					  add_data(j, "tablespace_map", e, err);
	case MANIFEST_HEAD:
	case MANIFEST_TABLESPACE:
	case MANIFEST_SETTING:
	case MANIFEST_END:
		return 0;
	case MANIFEST_DATA: /* of dumps only */
		break;
	}
	return err_set(err, ERR_BUG, "manifest entry of type %d", e->type);
}

/* Into a single archive, from the nameless file that it was written to. */
static int
add_manifest(struct job *j, struct err *err)
{
	const int fd = j->out.manifest_fd;
	const off_t size = lseek(fd, 0, SEEK_END);
	struct tarfile_about about = { .path = PGMANIFEST_NAME,
		.size = (uint64_t)size, .mode = OWN_MODE,
		.mtime = j->commit->stop_time };
	char *piece;
	uint64_t at = 0;
	size_t got = 1;
	int ret;

	if (j->out.directory)
		return 0;
	if (path_guard_own(&j->guard, PGMANIFEST_NAME, err) != 0)
		return -1;
	piece = xmalloc(PIECE);
	ret = tarfile_begin(j->out.base, &about, err);
	for (; ret == 0 && got > 0; at += got) {
		ret = io_pread_upto(fd, piece, PIECE, at, &got,
		    PGMANIFEST_NAME, err);
		if (ret == 0 && got > 0)
			ret = tarfile_data(j->out.base, piece, got, err);
	}
	free(piece);
	return ret == 0 ? tarfile_end(j->out.base, err) : -1;
}

static int
run(struct job *j, struct err *err)
{
	const struct commit *c = j->commit;
	struct repo *repo = j->params->repo;
	struct manifest_entry e;
	int rc;

	if (output_open(&j->out, j->params, c, err) != 0 ||
	    pgmanifest_new(&j->listing, c->inc.major, c->inc.system_id,
		put_manifest, &j->out, err) != 0 ||
	    fileread_new(&j->files, repo, c, err) != 0 ||
	    manifest_reader_open(&j->reader, repo, &c->inc, c->label, c->parts,
		c->n_parts, err) != 0)
		return -1;
	while ((rc = manifest_reader_next(j->reader, &e, err)) == 1)
		if (cancel_check(err) != 0 || add_entry(j, &e, err) != 0)
			return -1;
	if (rc != 0)
		return -1;
	if (j->control.len == 0 || !j->have_label)
		return err_set(err, ERR_DAMAGED, "the manifest has no %s",
		    j->have_label ? "pg_control" : "backup_label");
	if (output_end_spaces(&j->out, err) != 0 ||
	    (j->params->wal && job_add_wal(j, err) != 0) ||
	    pgmanifest_finish(j->listing, c->timeline, c->start_lsn,
		c->stop_lsn, err) != 0 ||
	    add_manifest(j, err) != 0 ||
	    tarfile_content(j->out.base, &j->control_about, j->control.data,
		err) != 0)
		return -1;
	return output_publish(&j->out, err);
}

int
export_find(struct repo *repo, const char *cluster, const char *prefix,
    struct export_found *out, struct err *err)
{
	struct incarnation *incs = NULL;
	struct export_found found;
	size_t n = 0, i, matches = 0;
	int ret = -1;

	if (repo_incarnations(repo, cluster, &incs, &n, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		found.inc = incs[i];
		if (catalogue_find_any(repo, &incs[i], prefix, &found.kind,
			found.label, err) == 0) {
			if (matches++ > 0) {
				err_set(err, ERR_USAGE, "%s is the beginning "
				    "of more than one label", prefix);
				goto out;
			}
			*out = found;
		} else if (err->code != ERR_NOT_FOUND) {
			goto out;
		}
		err_clear(err);
	}
	if (matches == 0) {
		err_set(err, ERR_NOT_FOUND, "there is no backup or dump %s",
		    prefix);
		err_hint(err, "dapk-backup info lists them");
		goto out;
	}
	ret = 0;
out:
	free(incs);
	return ret;
}

int
export_backup(const struct export_params *params, struct commit *commit,
    struct err *err)
{
	struct job j = { .params = params, .commit = commit };
	int ret;

	if (commit_get(params->repo, params->inc, params->label, commit,
		err) != 0)
		return -1;
	atomic_store(&params->progress->total_bytes, commit->original_bytes);
	if (commit->damaged_count > 0)
		log_warning("backup %s holds %llu damaged page%s, as the "
			    "database did", commit->label,
		    (unsigned long long)commit->damaged_count,
		    commit->damaged_count == 1 ? "" : "s");
	j.out.manifest_fd = -1;
	buf_init(&j.control, CONTROL_FILE_SIZE);
	ret = run(&j, err);
	pgmanifest_free(j.listing);
	manifest_reader_close(j.reader);
	fileread_free(j.files);
	buf_free(&j.control);
	path_guard_free(&j.guard);
	output_free(&j.out);
	if (ret != 0 && err->code == ERR_DAMAGED)
		err_hint(err, "dapk-backup verify --quick names the newest "
		    "backup that is whole; dapk-backup verify --repair mends "
		    "what can be");
	return ret == 0 ? 0 : err_wrap(err, "export of backup %s",
	    commit->label);
}
