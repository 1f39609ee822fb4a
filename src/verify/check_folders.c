/* SPDX-License-Identifier: PostgreSQL */
/* The directories on this host that are written to: whose, and where. */
#include "config.h"

#include "verify/check_private.h"

#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"

#define DEPTH_MAX 5	     /* clusters/NAME/INCARNATION/wal/TIMELINE/LOG */
#define FOLDERS_MAX 4096     /* are looked at */
#define FILE_URL "file://"

struct walk {
	uid_t owner;
	unsigned looked;
	char *found; /* the first directory of another owner */
	uid_t found_owner;
};

static const char *
user_name(uid_t uid, char *out, size_t size)
{
	const struct passwd *pw = getpwuid(uid); /* one thread */

	if (pw != NULL)
		(void)snprintf(out, size, "%s", pw->pw_name);
	else
		(void)snprintf(out, size, "%u", (unsigned)uid);
	return out;
}

/* Somebody, root mostly, ran a command there as another user. */
static void
find_foreign(struct walk *w, const char *path, unsigned depth)
{
	struct dirent *de;
	struct stat st;
	char *sub;
	DIR *d;

	if (w->found != NULL || ++w->looked > FOLDERS_MAX ||
	    lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return;
	if (st.st_uid != w->owner) {
		w->found = xstrdup(path);
		w->found_owner = st.st_uid;
		return;
	}
	d = depth >= DEPTH_MAX ? NULL : opendir(path);
	if (d == NULL)
		return;
	while (w->found == NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.' || (de->d_type != DT_DIR &&
		    de->d_type != DT_UNKNOWN))
			continue;
		sub = xasprintf("%s/%s", path, de->d_name);
		find_foreign(w, sub, depth + 1);
		free(sub);
	}
	(void)closedir(d);
}

static bool
tell_foreign(struct check *c, const char *what, const char *root, uid_t owner)
{
	struct walk w = { .owner = owner };
	char theirs[64], ours[64], *next;

	find_foreign(&w, root, 0);
	if (w.found == NULL)
		return false;
	(void)user_name(w.found_owner, theirs, sizeof(theirs));
	(void)user_name(owner, ours, sizeof(ours));
	next = xasprintf("as root: chown -R %s: %s", ours, root);
	check_tell(c, CHECK_FAILED, what, next, "%s belongs to %s, and the "
	    "server runs as %s: a command was run there as the wrong user",
	    w.found, theirs, ours);
	free(next);
	free(w.found);
	return true;
}

/* Rights of others that reach down to what is stored. */
static void
tell_open(struct check *c, const char *what, const char *root,
    const char *below)
{
	char *inner = xasprintf("%s/%s", root, below), *next;
	struct stat st, in;
	mode_t open;

	if (stat(root, &st) != 0)
		goto out;
	/* Behind a directory that nobody enters the modes do not matter. */
	open = stat(inner, &in) == 0 ? st.st_mode & in.st_mode & 0055 : 0;
	open = (open & 0050) == 0050 || (open & 0005) == 0005 ? open : 0;
	if ((st.st_mode & 0002) != 0 && (st.st_mode & S_ISVTX) == 0) {
		next = xasprintf("chmod -R go-w %s", root);
		check_tell(c, CHECK_FAILED, what, next, "%s has mode %04o: "
		    "anybody on this host can remove what is there", root,
		    (unsigned)(st.st_mode & 07777));
		free(next);
	} else if (open != 0) {
		next = xasprintf("chmod -R go-rwx %s", root);
		check_tell(c, CHECK_NOTE, what, next, "%s has mode %04o: %s "
		    "can read the databases there", root,
		    (unsigned)(st.st_mode & 07777), (open & 0005) == 0005 ?
		    "everybody on this host" : "its group");
		free(next);
	}
out:
	free(inner);
}

/* What lies in the data directory is lost with it. */
static bool
tell_inside(struct check *c, const char *what, const char *root)
{
	char *inner = realpath(root, NULL), *outer = realpath(c->pgdata, NULL);
	const size_t len = outer == NULL ? 0 : strlen(outer);
	bool inside = inner != NULL && len > 0 &&
	    strncmp(inner, outer, len) == 0 &&
	    (inner[len] == '/' || inner[len] == '\0');

	if (inside)
		check_tell(c, CHECK_FAILED, what, "stop archiving, move it to "
		    "a directory of its own, and correct the configuration",
		    "%s lies in the data directory, is part of each backup, "
		    "and is lost with it", root);
	free(inner);
	free(outer);
	return inside;
}

static const char *
folder_of(const struct check_place *p)
{
	return strncmp(p->from->url, FILE_URL, strlen(FILE_URL)) == 0 ?
	    p->from->url + strlen(FILE_URL) : NULL;
}

/* One disk's end must not take both. */
static void
check_disks(struct check *c, const struct stat *data)
{
	const struct check_place *p;
	struct stat st;

	for (p = c->places; p < c->places + c->n_places; p++) {
		if (folder_of(p) == NULL || stat(folder_of(p), &st) != 0 ||
		    st.st_dev != data->st_dev)
			return;
	}
	check_tell(c, CHECK_NOTE, "disk", "add a [repository NAME] on another "
	    "disk, host or store to 'repositories', then: dapk-backup init; "
	    "dapk-backup copy", "what is stored lies on the file system of the "
	    "data directory only, and is lost with it");
}

void
check_folders(struct check *c)
{
	const char *state = c->cfg->state_directory, *root;
	const struct check_place *p;
	struct stat data;
	char what[160];

	if (!c->have_control || stat(c->pgdata, &data) != 0)
		return;
	for (p = c->places; p < c->places + c->n_places; p++) {
		root = folder_of(p);
		if (root == NULL || p->repo == NULL)
			continue;
		(void)check_what(c, p, "repository", what, sizeof(what));
		if (!tell_inside(c, what, root) &&
		    !tell_foreign(c, what, root, data.st_uid))
			tell_open(c, what, root, "clusters");
	}
	if (!tell_inside(c, "state-directory", state) &&
	    !tell_foreign(c, "state-directory", state, data.st_uid))
		tell_open(c, "state-directory", state, "spool");
	check_disks(c, &data);
}
