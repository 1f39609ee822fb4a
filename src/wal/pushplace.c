/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushplace.h"

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
#include "repo/hash.h"
#include "repo/state.h"

#define FILE_MAX ((size_t)512)
#define KNOWN_US ((int64_t)5 * 60 * 1000000)
#define FAILING_US ((int64_t)60 * 1000000)

static const char *
text(const char *s)
{
	return s == NULL ? "" : s;
}

static char *
folder(const char *state_directory, const struct config_repository *address)
{
	char hex[2 * HASH_128_SIZE + 1];
	uint8_t hash[HASH_128_SIZE];
	char *all;

	/* All that decides which store is reached, and as whom. */
	all = xasprintf("%s\n%s\n%s\n%d\n%s\n%s\n%s", address->url,
	    text(address->endpoint), text(address->region),
	    (int)address->path_style, text(address->credentials),
	    text(address->access_key_id), text(address->key_file));
	hash_128(all, strlen(all), hash);
	free(all);
	text_hex(hash, sizeof(hash), hex);
	return xasprintf("%s/address/%s", state_directory, hex);
}

void
wal_place_init(struct wal_place *out, const char *state_directory,
    const struct config_repository *address)
{
	struct err ignored = ERR_INIT;

	out->dir = folder(state_directory, address);
	if (state_make(out->dir, &ignored) != 0)
		wal_place_free(out);
}

void
wal_place_free(struct wal_place *p)
{
	free(p->dir);
	p->dir = NULL;
}

/* "BOOT SINCE-BOOT REST\n" */
static void
put(const struct wal_place *p, const char *name, const char *rest)
{
	char *path, *tmp, *line, *boot = NULL;
	struct err ignored = ERR_INIT;
	bool ok;
	int fd;

	if (p->dir == NULL || state_boot_id(&boot, &ignored) != 0)
		return;
	path = xasprintf("%s/%s", p->dir, name);
	tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
	line = xasprintf("%s %" PRId64 " %s\n", boot, time_boottime(), rest);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd >= 0) {
		ok = io_write_full(fd, line, strlen(line), tmp,
		    &ignored) == 0;
		ok = close(fd) == 0 && ok && rename(tmp, path) == 0;
		if (!ok)
			(void)unlink(tmp); /* the old one stays */
	}
	free(line);
	free(tmp);
	free(path);
	free(boot);
}

/* The rest of the line, if it was written in this boot, not too long ago. */
static bool
get(const struct wal_place *p, const char *name, int64_t max_age,
    struct buf *rest)
{
	struct err ignored = ERR_INIT;
	char *path, *boot = NULL;
	char was[64], end[2];
	char value[FILE_MAX];
	int64_t since;
	struct buf b;
	bool ok;

	if (p->dir == NULL || state_boot_id(&boot, &ignored) != 0)
		return false;
	path = xasprintf("%s/%s", p->dir, name);
	buf_init(&b, FILE_MAX - 1);
	_Static_assert(FILE_MAX == 512, "the width below");
	ok = io_read_file(path, &b, &ignored) == 0 &&
	    sscanf(buf_str(&b), "%63s %" SCNd64 " %511[^\n]%1[\n]", was,
		&since, value, end) == 4 &&
	    strcmp(was, boot) == 0 && since <= time_boottime() &&
	    time_boottime() - since <= max_age;
	if (ok)
		buf_add(rest, value, strlen(value));
	buf_free(&b);
	free(path);
	free(boot);
	return ok;
}

bool
wal_place_known(const struct wal_place *p, struct repo *out)
{
	struct buf b;
	bool ok;

	buf_init(&b, FILE_MAX);
	_Static_assert(REPO_ID_TEXT == 33, "the widths below");
	ok = get(p, "identity", KNOWN_US, &b) &&
	    sscanf(buf_str(&b), "%32s %32s", out->id_text,
		out->place_text) == 2 &&
	    strlen(out->id_text) == REPO_ID_TEXT - 1 &&
	    strlen(out->place_text) == REPO_ID_TEXT - 1 &&
	    strspn(out->id_text, "0123456789abcdef") == REPO_ID_TEXT - 1 &&
	    strspn(out->place_text, "0123456789abcdef") == REPO_ID_TEXT - 1;
	buf_free(&b);
	return ok;
}

void
wal_place_note(const struct wal_place *p, const struct repo *repo)
{
	char *rest = xasprintf("%s %s", repo->id_text, repo->place_text);

	put(p, "identity", rest);
	free(rest);
}

void
wal_place_forget(const char *state_directory,
    const struct config_repository *address)
{
	char *dir = folder(state_directory, address);
	char *path = xasprintf("%s/identity", dir);

	(void)unlink(path); /* usually there is none */
	free(path);
	free(dir);
}

void
wal_place_note_failure(const struct wal_place *p)
{
	put(p, "failing", "-");
}

void
wal_place_note_success(const struct wal_place *p)
{
	char *path;

	if (p->dir == NULL)
		return;
	path = xasprintf("%s/failing", p->dir);
	(void)unlink(path); /* usually there is none */
	free(path);
}

bool
wal_place_failing(const struct wal_place *p)
{
	struct buf b;
	bool ok;

	buf_init(&b, FILE_MAX);
	ok = get(p, "failing", FAILING_US, &b);
	buf_free(&b);
	return ok;
}
