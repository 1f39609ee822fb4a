/* SPDX-License-Identifier: PostgreSQL */
/*
 * STATE/keys/REPOSITORY/ring: what this host may know without a key. Who
 * reads it can read this host's newest backups, which the host could read
 * when it made them, and nothing else.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/secret.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/json.h"
#include "repo/keyring_private.h"
#include "repo/state.h"

#define KIND "ring"
#define STATE_MAX ((size_t)64 << 10)

/* NULL when there is none. The caller frees it. */
static char *
state_path(struct repo *repo)
{
	const struct keyring *k = repo->ring;
	struct err err = ERR_INIT;
	char *folder, *path;

	if (k->state_directory == NULL || !state_may_keep(k->state_directory))
		return NULL;
	if (state_folder(k->state_directory, "keys", repo, NULL, NULL,
		&folder, &err) != 0) {
		log_debug("no keys are remembered: %s", err.msg);
		return NULL;
	}
	path = xasprintf("%s/ring", folder);
	free(folder);
	return path;
}

bool
keyring_state_kept(struct repo *repo)
{
	char *path = state_path(repo);

	free(path);
	return path != NULL;
}

static void
take_known(struct json_reader *r, struct keyring *k)
{
	const json_t *list = json_get_list(r, r->root, "known",
	    KEYRING_REMEMBERED), *o;
	size_t i;

	if (list == NULL)
		return;
	json_array_foreach(list, i, o) {
		struct keyring_known *to = &k->known[k->n_known++];

		to->pair = (uint32_t)json_get_u64(r, o, "pair", UINT32_MAX);
		json_get_hex(r, o, "key", to->key, CRYPT_KEY);
		json_get_hex(r, o, "sealed", to->sealed, KEYRING_SEALED);
	}
}

static int
take(struct repo *repo, const char *json, size_t len, struct err *err)
{
	struct keyring *k = repo->ring;
	struct json_reader r;
	int rc;

	if (json_open(&r, json, len, err) != 0)
		return -1;
	if (strcmp(json_get_text(&r, r.root, "ring"), k->name) != 0)
		json_note(&r, "ring");
	json_get_hex(&r, r.root, "set", k->set.id, KEYRING_ID);
	json_get_hex(&r, r.root, "master", k->set.master, CRYPT_KEY);
	k->pair = (uint32_t)json_get_u64(&r, r.root, "pair", UINT32_MAX);
	json_get_hex(&r, r.root, "public", k->public_half, CRYPT_KEY);
	if (json_object_get(r.root, "looked") != NULL)
		k->looked = json_get_time(&r, r.root, "looked");
	k->set.unvouched = json_is_true(json_object_get(r.root, "own"));
	take_known(&r, k);
	rc = json_check(&r, err);
	json_close(&r);
	return rc == 0 ? keyring_set_derive(&k->set, repo->id, err) : -1;
}

static int
read_file(struct repo *repo, const char *path, struct err *err)
{
	const char *json;
	struct buf b;
	size_t len;
	int rc = secret_read_file(path, SECRET_PRIVATE, &b, err);

	if (rc == 0) {
		buf_add_byte(&b, '\n'); /* reading took it for white space */
		rc = text_object_decode(b.data, b.len, KIND, &json, &len, err);
	}
	if (rc == 0)
		rc = take(repo, json, len, err);
	secret_buf_free(&b);
	return rc;
}

void
keyring_state_read(struct repo *repo)
{
	struct keyring *k = repo->ring;
	struct err err = ERR_INIT;
	char *path;

	if (k->state_read)
		return;
	k->state_read = true;
	path = state_path(repo);
	if (path != NULL && read_file(repo, path, &err) == 0)
		k->writing = true;
	else
		k->n_known = 0;
	if (!k->writing && path != NULL && err.code != ERR_NOT_FOUND)
		log_warning("what %s remembers of keys is not used: %s", path,
		    err.msg);
	free(path);
}

static void
encode(const struct keyring *k, struct buf *b)
{
	char hex[2 * KEYRING_SEALED + 1], when[TIME_TEXT_MAX];
	size_t i;

	buf_printf(b, "{\n\"ring\": \"%s\"", k->name);
	text_hex(k->set.id, KEYRING_ID, hex);
	buf_printf(b, ",\n\"set\": \"%s\"", hex);
	text_hex(k->set.master, CRYPT_KEY, hex);
	buf_printf(b, ",\n\"master\": \"%s\",\n\"pair\": %u", hex, k->pair);
	text_hex(k->public_half, CRYPT_KEY, hex);
	buf_printf(b, ",\n\"public\": \"%s\",\n\"looked\": \"%s\",\n"
	    "\"own\": %s,\n\"known\": [", hex,
	    time_format(k->looked, when), k->set.unvouched ? "true" : "false");
	for (i = 0; i < k->n_known; i++) {
		text_hex(k->known[i].key, CRYPT_KEY, hex);
		buf_printf(b, "%s\n{\"pair\": %u, \"key\": \"%s\", ",
		    i == 0 ? "" : ",", k->known[i].pair, hex);
		text_hex(k->known[i].sealed, KEYRING_SEALED, hex);
		buf_printf(b, "\"sealed\": \"%s\"}", hex);
	}
	buf_add_str(b, "]\n}");
	explicit_bzero(hex, sizeof(hex));
}

int
keyring_state_write(struct repo *repo, struct err *err)
{
	char *path = state_path(repo);
	struct buf json, b;
	int rc;

	if (path == NULL)
		return 0;
	buf_init(&json, STATE_MAX);
	buf_init(&b, STATE_MAX);
	/* Room for all of it: growing would leave copies behind. */
	(void)buf_reserve(&json, STATE_MAX - 1);
	(void)buf_reserve(&b, STATE_MAX - 1);
	encode(repo->ring, &json);
	text_object_encode(KIND, buf_str(&json), json.len, &b);
	rc = buf_check(&json, path, err);
	if (rc == 0)
		rc = buf_check(&b, path, err);
	if (rc == 0)
		rc = state_replace(path, b.data, b.len, err);
	secret_buf_free(&json);
	secret_buf_free(&b);
	free(path);
	return rc;
}
