/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/people.h"

#include <stdio.h>
#include <string.h>

#include "cli/prompt.h"
#include "core/io.h"
#include "core/random.h"
#include "core/secret.h"
#include "repo/keyfile.h"

static struct keyring_recipient *
more(struct people *p, enum keyring_kind kind, const struct people_wish *wish,
    const char *file)
{
	struct keyring_recipient *r = &p->list[p->n++];
	const char *name = file;

	if (file != NULL && strrchr(file, '/') != NULL)
		name = strrchr(file, '/') + 1;
	if (wish->name != NULL)
		name = wish->name;
	r->kind = kind;
	(void)snprintf(r->name, sizeof(r->name), "%s",
	    name == NULL ? "passphrase" : name);
	return r;
}

static int
take_key_file(struct people *p, const struct people_wish *wish,
    struct err *err)
{
	bool exists;

	if (io_exists(wish->key_file, &exists, err) != 0)
		return -1;
	if (!exists && (random_bytes(p->key, sizeof(p->key), err) != 0 ||
	    keyfile_write(wish->key_file, p->key, err) != 0))
		return -1;
	p->key_made = !exists;
	if (exists && keyfile_read(wish->key_file, p->key, err) != 0)
		return -1;
	more(p, KEYRING_KEY_FILE, wish, wish->key_file)->key = p->key;
	return 0;
}

static int
check_passphrase(const char *passphrase, struct err *err)
{
	if (strlen(passphrase) >= PASSPHRASE_MIN)
		return 0;
	(void)err_set(err, ERR_CONFIG, "the passphrase has fewer than %d "
	    "characters: it could be guessed", PASSPHRASE_MIN);
	return err_hint(err, "several words by chance are good; nobody has to "
	    "type them often");
}

static int
take_passphrase(struct people *p, const struct people_wish *wish,
    struct err *err)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, SECRET_FILE_MAX);
	if (wish->passphrase_file != NULL)
		rc = secret_read_file(wish->passphrase_file, SECRET_PRIVATE,
		    &b, err);
	else if (wish->passphrase != NULL)
		buf_add_str(&b, wish->passphrase);
	if (rc == 0 && b.len >= sizeof(p->passphrase))
		rc = err_set(err, ERR_CONFIG, "the passphrase is longer than "
		    "%d bytes", PASSPHRASE_MAX - 1);
	if (rc == 0)
		(void)snprintf(p->passphrase, sizeof(p->passphrase), "%s",
		    buf_str(&b));
	secret_buf_free(&b);
	if (rc == 0)
		rc = check_passphrase(p->passphrase, err);
	if (rc == 0)
		more(p, KEYRING_PASSPHRASE, wish, wish->passphrase_file)
		    ->passphrase = p->passphrase;
	return rc;
}

static int
ask_passphrase(struct people *p, const struct people_wish *wish,
    struct err *err)
{
	if (prompt_new_secret("New passphrase of the repository",
		p->passphrase, sizeof(p->passphrase), err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		return err_set(err, ERR_USAGE, "nothing says who is let in: "
		    "no key file, passphrase file or public key file is "
		    "named, and there is no terminal to ask at");
	}
	p->typed = true;
	if (check_passphrase(p->passphrase, err) != 0)
		return -1;
	more(p, KEYRING_PASSPHRASE, wish, NULL)->passphrase = p->passphrase;
	return 0;
}

int
people_gather(struct people *p, const struct people_wish *wish,
    struct err *err)
{
	struct keyring_recipient *r;

	memset(p, 0, sizeof(*p));
	if (wish->key_file != NULL && take_key_file(p, wish, err) != 0)
		return -1;
	if ((wish->passphrase_file != NULL || wish->passphrase != NULL) &&
	    take_passphrase(p, wish, err) != 0)
		return -1;
	if (wish->public_key_file != NULL) {
		r = more(p, KEYRING_PUBLIC_KEY, wish, wish->public_key_file);
		if (keyfile_read_public(wish->public_key_file,
			r->public_half, err) != 0)
			return -1;
	}
	return p->n > 0 ? 0 : ask_passphrase(p, wish, err);
}

void
people_free(struct people *p)
{
	explicit_bzero(p, sizeof(*p));
}

const char *
people_kind(enum keyring_kind kind)
{
	static const char *const words[] = { "passphrase", "key file",
		"public key" };

	return words[kind];
}
