/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/tired.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "repo/hash.h"
#include "repo/state.h"

#define TIRED_SECONDS 120

static char *
note_path(const char *state_directory, const char *url)
{
	if (state_directory == NULL)
		return NULL;
	return xasprintf("%s/unreachable/%016llx", state_directory,
	    (unsigned long long)hash_64(url, strlen(url), 0));
}

bool
wal_tired(const char *state_directory, const char *url)
{
	char *path = note_path(state_directory, url);
	time_t now = time(NULL);
	struct stat st;
	bool yes;

	/*
	 * A clock that was set back must not make it last for ever. A file's
	 * time may be finer than time()'s, and so a second ahead.
	 */
	yes = path != NULL && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_mtime <= now + 1 && now - st.st_mtime < TIRED_SECONDS;
	free(path);
	return yes;
}

void
wal_tired_note(const char *state_directory, const char *url)
{
	char *path = note_path(state_directory, url), *folder;
	struct err ignored = ERR_INIT; /* then it is asked first again */
	int fd;

	if (path == NULL)
		return;
	folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	if (state_make(folder, &ignored) == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
		    O_NOFOLLOW, 0600);
		if (fd >= 0) {
			(void)futimens(fd, NULL); /* O_TRUNC of nothing */
			(void)close(fd);
		}
	}
	free(folder);
	free(path);
}

void
wal_tired_forget(const char *state_directory, const char *url)
{
	char *path = note_path(state_directory, url);

	if (path != NULL)
		(void)unlink(path); /* or it ends by itself */
	free(path);
}
