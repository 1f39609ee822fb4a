/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_PEOPLE_H
#define CLI_PEOPLE_H

/*
 * Who is to be let in to an encrypted repository: from what `init` and `keys
 * add` were given to the recipients of a ring.
 *
 *	people_gather(&p, &wish, err);	p.list, p.n
 *	people_free(&p);		in any case; wipes
 */
#include <stdbool.h>

#include "core/buf.h"
#include "repo/keyring.h"

#define PEOPLE_MAX 3
#define PASSPHRASE_MAX 1024
#define PASSPHRASE_MIN 8 /* bytes */

struct people_wish {
	const char *key_file; /* made when it is not there */
	const char *passphrase_file, *passphrase;
	const char *public_key_file;
	const char *name; /* of all; NULL: as the file */
};

struct people {
	struct keyring_recipient list[PEOPLE_MAX];
	size_t n;
	char passphrase[PASSPHRASE_MAX];
	bool typed; /* the passphrase, at the terminal */
	uint8_t key[CRYPT_KEY];
	bool key_made;
};

/*
 * The key file first, then the passphrase, then the public key. When nothing
 * is named, a passphrase is asked for; ERR_USAGE where there is no terminal.
 */
int people_gather(struct people *p, const struct people_wish *wish,
    struct err *err) ERR_USE;
void people_free(struct people *p);

/* "key file", "passphrase", "public key" */
const char *people_kind(enum keyring_kind kind);

#endif
