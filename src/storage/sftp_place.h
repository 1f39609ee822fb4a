/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_SFTP_PLACE_H
#define STORAGE_SFTP_PLACE_H

/*
 * Internal to src/storage: what an sftp:// URL says. Pure.
 *
 *	sftp://user@host:port/srv/backup	an absolute path
 *	sftp://host/~/backup			below the user's home
 *	sftp://[2001:db8::1]/srv/backup
 */
#include "core/err.h"

struct sftp_place {
	char *url;  /* as it is shown: no trailing slash */
	char *user; /* NULL: the name of who runs this */
	char *host; /* without brackets */
	unsigned port;
	char *root; /* "/srv/backup", or "backup" below the home, or "." */
};

/* ERR_CONFIG with a hint. */
int sftp_place_parse(struct sftp_place *out, const char *url,
    struct err *err) ERR_USE;
void sftp_place_free(struct sftp_place *p); /* a zeroed one is fine */

#endif
