/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_PRIVILEGE_H
#define CORE_PRIVILEGE_H

#include "core/err.h"

/*
 * Becoming another user for good. Threads: none may run yet, and nothing may
 * be open that this user should not have.
 *
 * privilege_become(user) makes this process, which runs as root, `user`: its
 * groups, group and user id (real, effective and saved: setresuid(2)), and HOME,
 * USER and LOGNAME of the environment, in which libpq, ssh and cloud
 * credentials look for files. The umask and the current directory stay. Errors:
 * ERR_CONFIG for a user that is not there or is root too, ERR_IO where a call
 * failed; then the process must end.
 */
int privilege_become(const char *user, struct err *err) ERR_USE;

#endif
