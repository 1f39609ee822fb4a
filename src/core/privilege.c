/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

static int
set_environment(const struct passwd *pw, struct err *err)
{
	if (setenv("HOME", pw->pw_dir, 1) != 0 ||
	    setenv("USER", pw->pw_name, 1) != 0 ||
	    setenv("LOGNAME", pw->pw_name, 1) != 0)
		return err_sys(err, errno, "set the environment of user %s",
		    pw->pw_name);
	return 0;
}

int
privilege_become(const char *user, struct err *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user); /* no threads yet */
	if (pw == NULL && errno != 0)
		return err_sys(err, errno, "look up user %s", user);
	if (pw == NULL)
		return err_set(err, ERR_CONFIG,
		    "run-as: there is no user %s here", user);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return err_set(err, ERR_CONFIG,
		    "run-as: user %s has root's rights", user);
	if (initgroups(user, pw->pw_gid) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return err_sys(err, errno, "become user %s", user);
	if (setuid(0) == 0)
		return err_set(err, ERR_BUG,
		    "root's rights could be taken back");
	return set_environment(pw, err);
}
