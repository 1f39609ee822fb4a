/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/info_known.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/notes.h"
#include "repo/state.h"

#define KNOWN_MAX ((size_t)64 << 20)

/* STATE/notes/ADDRESS/info.text, or that of one cluster. */
static char *
path_of(const struct config *cfg, const char *form)
{
	char *folder = notes_folder(cfg->state_directory, &cfg->repo);
	char *path = xasprintf("%s/info%s%s.%s", folder,
	    cfg->cluster_given ? "-" : "",
	    cfg->cluster_given ? cfg->cluster : "", form);

	free(folder);
	return path;
}

static void
keep_form(const struct config *cfg, const struct info *info, bool json)
{
	char *path = path_of(cfg, json ? "json" : "text"), *bytes = NULL;
	struct err ignored = ERR_INIT;
	size_t len = 0;
	FILE *f = open_memstream(&bytes, &len);
	bool ok = f != NULL;

	if (ok && json)
		ok = info_print_json(info, f, &ignored) == 0;
	else if (ok)
		info_print_text(info, false, f);
	if (f != NULL)
		ok = fclose(f) == 0 && ok;
	if (!ok || len > KNOWN_MAX ||
	    state_replace(path, bytes, len, &ignored) != 0)
		(void)unlink(path); /* rather nothing than what is not so */
	free(bytes);
	free(path);
}

void
info_known_note(const struct config *cfg,
    const struct config_repository *address, const struct info *info)
{
	char *folder = notes_folder(cfg->state_directory, address);
	struct err ignored = ERR_INIT;

	if (state_may_keep(cfg->state_directory) &&
	    state_make(folder, &ignored) == 0)
		info_note(info, cfg->state_directory, address);
	free(folder);
}

void
info_known_keep(const struct config *cfg, const struct info *info)
{
	char *folder = notes_folder(cfg->state_directory, &cfg->repo);
	struct info alone = *info;
	struct err ignored = ERR_INIT;

	alone.cfg = NULL; /* how the others stand is known anew each time */
	if (state_may_keep(cfg->state_directory) &&
	    state_make(folder, &ignored) == 0) {
		info_note(info, cfg->state_directory, &cfg->repo);
		keep_form(cfg, &alone, false);
		keep_form(cfg, &alone, true);
	}
	free(folder);
}

/* Microseconds since 2000; 0: not known. */
static int64_t
kept_at(const char *path)
{
	struct stat st;

	return stat(path, &st) != 0 ? 0 : time_from_unix(st.st_mtim.tv_sec);
}

static bool
show_json(const char *bytes, size_t len, int64_t at, const struct err *why)
{
	json_t *j = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL), *r;
	char when[TIME_TEXT_MAX], text[NOTES_TEXT_MAX];
	bool ok = false;

	r = json_object_get(j, "repository");
	if (json_is_object(r) && json_object_set_new(r, "reached",
	    json_false()) == 0 && json_object_set_new(r, "known_at",
	    json_string(time_format(at, when))) == 0 &&
	    json_object_set_new(r, "problem", json_pack("{s:s,s:s}", "code",
		err_code_name(why->code), "message",
		notes_message(why, text))) == 0)
		ok = json_dumpf(j, stdout, JSON_INDENT(2)) == 0 &&
		    fputc('\n', stdout) != EOF;
	json_decref(j);
	return ok;
}

void
info_known_show(const struct config *cfg, const struct err *why)
{
	char *path = path_of(cfg, cfg->json ? "json" : "text"), age[32];
	struct err ignored = ERR_INIT;
	int64_t at = kept_at(path);
	struct buf b;

	buf_init(&b, KNOWN_MAX);
	/* One backup or dump is only shown as it is. */
	if (at == 0 || cfg->n_arguments > 0 || why->code == ERR_CANCELLED ||
	    why->code == ERR_USAGE || why->code == ERR_BUG ||
	    io_read_file(path, &b, &ignored) != 0)
		goto out;
	if (cfg->json) {
		if (!show_json(buf_str(&b), b.len, at, why))
			goto out;
	} else {
		(void)printf("NOT REACHED: this is what was known %s ago\n",
		    notes_age(time_now() - at, age));
		(void)fwrite(b.data, 1, b.len, stdout); /* cli_flush() */
	}
	log_warning("the repository could not be looked at: what is shown "
	    "was known %s ago", notes_age(time_now() - at, age));
out:
	buf_free(&b);
	free(path);
}
