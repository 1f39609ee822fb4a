/* SPDX-License-Identifier: PostgreSQL */
/* One line a cluster and repository, from what this host knows. */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/status.h"
#include "core/io.h"
#include "core/mem.h"

/* The clusters of the file; their texts are their configurations'. */
struct all {
	struct config *others;
	unsigned n_others;
	struct status_line *lines;
	size_t n;
	enum notes_verdict worst;
};

static void
add_lines(struct all *all, const struct config *cfg)
{
	struct status_line *more;
	size_t i, n;

	status_collect(cfg, &more, &n);
	all->lines = xreallocarray(all->lines, all->n + n,
	    sizeof(*all->lines));
	memcpy(all->lines + all->n, more, n * sizeof(*more));
	all->n += n;
	for (i = 0; i < n; i++)
		if (more[i].judgement.verdict > all->worst)
			all->worst = more[i].judgement.verdict;
	free(more);
}

static int
add_cluster(struct all *all, const struct config *cfg, const char *name,
    struct err *err)
{
	const struct config_given given[] = {
		{ option_find("cluster", 7, COMMAND_STATUS), name },
		{ option_find("state-directory", 15, COMMAND_STATUS),
		    cfg->state_directory },
	};
	const struct config_sources sources = {
		.default_file = cfg->config_file,
		.command = COMMAND_STATUS,
		.given = given,
		.n_given = 2,
	};
	struct config *other = &all->others[all->n_others++];

	config_init(other);
	if (config_load(other, &sources, err) != 0)
		return -1;
	add_lines(all, other);
	return 0;
}

static int
add_all(struct all *all, const struct config *cfg, struct err *err)
{
	unsigned i;

	add_lines(all, cfg);
	all->others = xcalloc((size_t)cfg->n_more_clusters + 1,
	    sizeof(*all->others));
	for (i = 0; i < cfg->n_more_clusters; i++)
		if (add_cluster(all, cfg, cfg->more_clusters[i], err) != 0)
			return -1;
	return 0;
}

static void
all_free(struct all *all)
{
	unsigned i;

	for (i = 0; i < all->n_others; i++)
		config_free(&all->others[i]);
	free(all->others);
	free(all->lines);
}

/* The worst first: who watches shows the first line alone. */
static void
print_text(const struct all *all, FILE *out)
{
	int v;
	size_t i;

	for (v = NOTES_CRITICAL; v >= NOTES_OK; v--)
		for (i = 0; i < all->n; i++)
			if ((int)all->lines[i].judgement.verdict == v)
				status_print_line(&all->lines[i], out);
}

static void
print_json(const struct all *all, FILE *out)
{
	json_t *list = json_array(), *j;
	size_t i;

	for (i = 0; i < all->n; i++)
		if (json_array_append_new(list,
		    status_json(&all->lines[i])) != 0)
			abort(); /* memory is out */
	j = json_pack("{s:i,s:s,s:o}", "format", 1, "verdict",
	    notes_verdict_name(all->worst), "repositories", list);
	if (j == NULL)
		abort(); /* memory is out */
	/* A failure to write is the stream's, and told by who closes it. */
	(void)json_dumpf(j, out, JSON_INDENT(2));
	(void)fputc('\n', out);
	json_decref(j);
}

static void
print(const struct all *all, enum status_format format, FILE *out)
{
	if (format == STATUS_JSON)
		print_json(all, out);
	else if (format == STATUS_PROMETHEUS)
		status_print_prometheus(all->lines, all->n, out);
	else
		print_text(all, out);
}

/* For others to read, whatever the umask; not synced: it is soon old. */
static int
write_temporary(const char *path, const char *text, size_t len,
    struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
	    O_NOFOLLOW, 0644);
	int rc;

	if (fd < 0)
		return err_sys(err, errno, "create %s", path);
	rc = io_write_full(fd, text, len, path, err);
	if (rc == 0 && fchmod(fd, 0644) != 0)
		rc = err_sys(err, errno, "set the mode of %s", path);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "write %s", path);
	return rc;
}

/*
 * Readers see the old file or the new one, whole. The temporary file's name
 * does not end with .prom, so that the collector never reads it.
 */
static int
write_file(const struct all *all, const struct config *cfg,
    enum status_format format, struct err *err)
{
	char *tmp = xasprintf("%s.%ld.tmp", cfg->output, (long)getpid());
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int ret = -1;

	if (f == NULL)
		abort(); /* memory is out */
	print(all, format, f);
	if (fclose(f) != 0)
		abort(); /* memory is out */
	if (write_temporary(tmp, text, len, err) == 0) {
		ret = rename(tmp, cfg->output);
		if (ret != 0)
			err_sys(err, errno, "rename %s to %s", tmp,
			    cfg->output);
	}
	if (ret != 0)
		(void)unlink(tmp); /* the first error is the one to tell */
	free(text);
	free(tmp);
	return ret;
}

/* As Nagios and its kin read it. */
static int
exit_code(enum notes_verdict worst)
{
	switch (worst) {
	case NOTES_OK:
		return EXIT_DONE;
	case NOTES_WARNING:
		return EXIT_WARNING;
	case NOTES_CRITICAL:
		return EXIT_CRITICAL;
	case NOTES_UNKNOWN:
		break;
	}
	return EXIT_UNKNOWN;
}

int
cmd_status(const struct config *cfg, struct err *err)
{
	const enum status_format format = cfg->json ? STATUS_JSON :
	    (enum status_format)cfg->status_format;
	struct all all = { .worst = NOTES_OK };
	int ret = -1;

	if (add_all(&all, cfg, err) != 0)
		goto out;
	if (cfg->output == NULL)
		print(&all, format, stdout);
	else if (write_file(&all, cfg, format, err) != 0)
		goto out;
	ret = exit_code(all.worst);
out:
	all_free(&all);
	return ret;
}
