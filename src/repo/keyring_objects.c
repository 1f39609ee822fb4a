/* SPDX-License-Identifier: PostgreSQL */
/* The objects below keys/RING/: their names, texts and authentication. */
#include "config.h"

#include "repo/keyring_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/json.h"

#define OBJECT_TEXT_MAX ((size_t)16 << 10)
#define MAC_BEFORE ",\n\"mac\": \""
#define MAC_AFTER "\"\n}"
#define MAC_TAIL (sizeof(MAC_BEFORE) - 1 + KEYRING_MAC_TEXT + \
    sizeof(MAC_AFTER) - 1)

static const char *const item_kinds[] = { "pair", "recipient", "wrap",
	"secrets" };
static const char *const who_kinds[] = { "passphrase", "key-file",
	"public-key" };

/* 8 bytes of seed, 32 of names' key, 32 of authentication. */
int
keyring_set_derive(struct keyring_set *set, const uint8_t repository[16],
    struct err *err)
{
	static const char info[] = "dapk-backup set 1";
	struct crypt_hkdf h = { .secret = set->master,
		.secret_len = CRYPT_KEY, .salt = repository, .salt_len = 16,
		.info = info, .info_len = sizeof(info) - 1 };
	uint8_t out[8 + 2 * CRYPT_KEY];

	if (crypt_hkdf(&h, out, sizeof(out), err) != 0)
		return -1;
	set->seed = get_le64(out);
	memcpy(set->name, out + 8, CRYPT_KEY);
	memcpy(set->auth, out + 8 + CRYPT_KEY, CRYPT_KEY);
	explicit_bzero(out, sizeof(out));
	return 0;
}

int
keyring_vouch(const uint8_t vouch[CRYPT_KEY], const struct repo *repo,
    const struct keyring_set *root, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	static const char what[] = "dapk-backup vouch 1";
	uint8_t text[sizeof(what) + 16 + SHA256_SIZE];

	memcpy(text, what, sizeof(what));
	memcpy(text + sizeof(what), repo->id, 16);
	if (sha256(root->auth, CRYPT_KEY, text + sizeof(what) + 16, err) != 0)
		return -1;
	return sha256_hmac(vouch, CRYPT_KEY, text, sizeof(text), out, err);
}

static int
compute_mac(const struct keyring_set *set, const char *kind, const char *key,
    const char *json, size_t len, uint8_t out[SHA256_SIZE], struct err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, len + STORAGE_KEY_MAX + 256);
	buf_printf(&b, "dapk-backup mac 1\n%s\n%s\n", kind, key);
	buf_add(&b, json, len);
	rc = buf_check(&b, key, err);
	if (rc == 0)
		rc = sha256_hmac(set->auth, CRYPT_KEY, b.data, b.len, out,
		    err);
	buf_free(&b);
	return rc;
}

int
keyring_mac_text(const struct keyring_set *set, const char *kind,
    const char *key, struct buf *json, struct err *err)
{
	uint8_t mac[SHA256_SIZE];
	char hex[KEYRING_MAC_TEXT + 1];

	if (buf_check(json, key, err) != 0)
		return -1;
	if (json->len < 2 || memcmp(json->data + json->len - 2, "\n}", 2) != 0)
		return err_set(err, ERR_BUG, "%s has another end", key);
	json->len -= 2;
	if (compute_mac(set, kind, key, (const char *)json->data, json->len,
		mac, err) != 0)
		return -1;
	text_hex(mac, sizeof(mac), hex);
	buf_printf(json, MAC_BEFORE "%s" MAC_AFTER, hex);
	return buf_check(json, key, err);
}

int
keyring_mac_verify(const struct keyring_set *set, const char *kind,
    const char *key, const char *json, size_t len, struct err *err)
{
	uint8_t mac[SHA256_SIZE], own[SHA256_SIZE];
	char hex[KEYRING_MAC_TEXT + 1], again[MAC_TAIL + 1];
	const char *tail = NULL;

	if (len > MAC_TAIL) {
		tail = json + len - MAC_TAIL;
		memcpy(hex, tail + sizeof(MAC_BEFORE) - 1, KEYRING_MAC_TEXT);
		hex[KEYRING_MAC_TEXT] = '\0';
		(void)snprintf(again, sizeof(again), MAC_BEFORE "%s" MAC_AFTER,
		    hex);
	}
	if (tail == NULL || memcmp(again, tail, MAC_TAIL) != 0 ||
	    !text_unhex(hex, mac, sizeof(mac)))
		return err_set(err, ERR_DAMAGED, "%s is not authenticated, as "
		    "all is in an encrypted repository", key);
	if (compute_mac(set, kind, key, json, len - MAC_TAIL, own, err) != 0)
		return -1;
	if (!crypt_equal(mac, own, sizeof(mac)))
		return err_set(err, ERR_DAMAGED, "%s was changed, or put there "
		    "by somebody who has not this repository's key", key);
	return 0;
}

static void
item_name(const struct keyring_item *item, char *out, size_t size)
{
	if (item->type == ITEM_PAIR)
		(void)snprintf(out, size, "pair-%08u", item->pair);
	else if (item->type == ITEM_RECIPIENT)
		(void)snprintf(out, size, "recipient-%s", item->id);
	else if (item->type == ITEM_WRAP)
		(void)snprintf(out, size, "wrap-%08u-%s", item->pair, item->id);
	else
		(void)snprintf(out, size, "secrets-%08u-%s", item->pair,
		    item->id);
}

void
keyring_key(const char *ring, const struct keyring_item *item,
    char out[STORAGE_KEY_MAX])
{
	char name[64];

	item_name(item, name, sizeof(name));
	(void)snprintf(out, STORAGE_KEY_MAX, "keys/%s/%s", ring, name);
}

/* False for a name that is none of ours. */
static bool
parse_name(const char *name, struct keyring_item *out)
{
	char again[64];

	memset(out, 0, sizeof(*out));
	if (sscanf(name, "pair-%8u", &out->pair) == 1)
		out->type = ITEM_PAIR;
	else if (sscanf(name, "recipient-%16[0-9a-f]", out->id) == 1)
		out->type = ITEM_RECIPIENT;
	else if (sscanf(name, "wrap-%8u-%16[0-9a-f]", &out->pair,
		out->id) == 2)
		out->type = ITEM_WRAP;
	else if (sscanf(name, "secrets-%8u-%16[0-9a-f]", &out->pair,
		out->id) == 2)
		out->type = ITEM_SECRETS;
	else
		return false;
	item_name(out, again, sizeof(again));
	return strcmp(name, again) == 0 &&
	    (out->type == ITEM_PAIR || strlen(out->id) == 2 * KEYRING_ID) &&
	    (out->type == ITEM_RECIPIENT || out->pair > 0);
}

static int
note_item(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct keyring_list *l = arg;
	struct keyring_item item;

	if (entry->is_directory || !parse_name(entry->name, &item))
		return 0;
	if (l->n == KEYRING_ITEMS_MAX)
		return err_set(err, ERR_DAMAGED, "there are more than %u keys",
		    KEYRING_ITEMS_MAX);
	l->items = xreallocarray(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = item;
	return 0;
}

/* Pairs by number, then what belongs to them. */
static int
by_pair(const void *a, const void *b)
{
	const struct keyring_item *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return strcmp(x->id, y->id);
}

int
keyring_items(const struct repo *repo, const char *ring, struct keyring_list *out,
    struct err *err)
{
	char prefix[STORAGE_KEY_MAX];

	memset(out, 0, sizeof(*out));
	(void)snprintf(prefix, sizeof(prefix), "keys/%s/", ring);
	if (storage_list(repo->st, prefix, true, note_item, out, err) != 0) {
		free(out->items);
		memset(out, 0, sizeof(*out));
		return -1;
	}
	if (out->n > 0)
		qsort(out->items, out->n, sizeof(*out->items), by_pair);
	return 0;
}

/* Authenticate, put, and read back what lies there then. */
static int
put_item(struct repo *repo, const char *ring, const struct keyring_item *item,
    const struct keyring_set *root, struct buf *json, struct err *err)
{
	const char *kind = item_kinds[item->type], *back;
	char key[STORAGE_KEY_MAX];
	struct buf b;
	size_t len;
	int rc;

	keyring_key(ring, item, key);
	if (keyring_mac_text(root, kind, key, json, err) != 0 ||
	    repo_put_text(repo, key, kind, buf_str(json), json->len, err) != 0)
		return -1;
	buf_init(&b, OBJECT_TEXT_MAX + 256);
	rc = repo_get_text(repo, key, kind, &b, &back, &len, err);
	if (rc == 0 && (len != json->len ||
	    memcmp(back, json->data, len) != 0))
		rc = err_set(err, ERR_DAMAGED, "%s does not read back as it "
		    "was put", key);
	buf_free(&b);
	return rc;
}

/* json_close(r) and buf_free(b) after 0. */
static int
get_item(struct repo *repo, const char *ring, const struct keyring_item *item,
    const struct keyring_set *root, struct buf *b, struct json_reader *r,
    struct err *err)
{
	const char *kind = item_kinds[item->type], *json;
	char key[STORAGE_KEY_MAX];
	size_t len;

	keyring_key(ring, item, key);
	buf_init(b, OBJECT_TEXT_MAX + 256);
	if (repo_get_text(repo, key, kind, b, &json, &len, err) == 0 &&
	    (root == NULL ||
	    keyring_mac_verify(root, kind, key, json, len, err) == 0) &&
	    json_open(r, json, len, err) == 0)
		return 0;
	buf_free(b);
	return -1;
}

static int
end_item(struct buf *b, struct json_reader *r, const char *ring,
    const struct keyring_item *item, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	int rc = json_check(r, err);

	keyring_key(ring, item, key);
	if (rc != 0)
		(void)err_wrap(err, "%s", key);
	json_close(r);
	buf_free(b);
	return rc;
}

int
keyring_put_pair(struct repo *repo, const char *ring, uint32_t pair,
    const uint8_t public_half[CRYPT_KEY], const struct keyring_set *root,
    struct err *err)
{
	struct keyring_item item = { .type = ITEM_PAIR, .pair = pair };
	char hex[2 * CRYPT_KEY + 1], created[TIME_TEXT_MAX];
	struct buf b;
	int rc;

	text_hex(public_half, CRYPT_KEY, hex);
	buf_init(&b, OBJECT_TEXT_MAX);
	buf_printf(&b, "{\n\"id\": %u,\n\"kind\": \"x25519\",\n"
	    "\"public\": \"%s\",\n\"created\": \"%s\"\n}", pair, hex,
	    time_format(time_now(), created));
	rc = put_item(repo, ring, &item, root, &b, err);
	buf_free(&b);
	return rc;
}

int
keyring_look_pair(struct repo *repo, const char *ring, uint32_t pair,
    const struct keyring_set *root, uint8_t public_half[CRYPT_KEY],
    int64_t *created, struct err *err)
{
	struct keyring_item item = { .type = ITEM_PAIR, .pair = pair };
	struct json_reader r;
	struct buf b;

	if (get_item(repo, ring, &item, root, &b, &r, err) != 0)
		return -1;
	if (json_get_u64(&r, r.root, "id", UINT32_MAX) != pair)
		json_note(&r, "id");
	if (strcmp(json_get_text(&r, r.root, "kind"), "x25519") != 0)
		json_note(&r, "kind");
	json_get_hex(&r, r.root, "public", public_half, CRYPT_KEY);
	*created = json_get_time(&r, r.root, "created");
	return end_item(&b, &r, ring, &item, err);
}

int
keyring_get_pair(struct repo *repo, const char *ring, uint32_t pair,
    const struct keyring_set *root, uint8_t public_half[CRYPT_KEY],
    struct err *err)
{
	int64_t created;

	return keyring_look_pair(repo, ring, pair, root, public_half,
	    &created, err);
}

int
keyring_put_recipient(struct repo *repo, const char *ring, const char *id,
    const char *name, const struct keyring_person *who,
    const struct keyring_set *root, struct err *err)
{
	struct keyring_item item = { .type = ITEM_RECIPIENT };
	char hex[2 * CRYPT_KEY + 1], created[TIME_TEXT_MAX];
	struct buf b;
	int rc;

	memcpy(item.id, id, sizeof(item.id));
	text_hex(who->public_half, CRYPT_KEY, hex);
	buf_init(&b, OBJECT_TEXT_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"kind\": \"%s\",\n"
	    "\"name\": \"", id, who_kinds[who->kind]);
	text_escape(&b, name, strlen(name));
	buf_printf(&b, "\",\n\"public\": \"%s\",\n\"created\": \"%s\"", hex,
	    time_format(time_now(), created));
	if (who->kind == KEYRING_PASSPHRASE) {
		text_hex(who->stretch.salt, sizeof(who->stretch.salt), hex);
		buf_printf(&b, ",\n\"salt\": \"%s\",\n\"n\": %llu,\n"
		    "\"r\": %u,\n\"p\": %u", hex,
		    (unsigned long long)who->stretch.n, who->stretch.r,
		    who->stretch.p);
	}
	if (who->vouched) {
		text_hex(who->vouch, sizeof(who->vouch), hex);
		buf_printf(&b, ",\n\"vouch\": \"%s\"", hex);
	}
	buf_add_str(&b, "\n}");
	rc = put_item(repo, ring, &item, root, &b, err);
	buf_free(&b);
	return rc;
}

static void
take_person(struct json_reader *r, struct keyring_person *out)
{
	const char *kind = json_get_text(r, r->root, "kind");
	char *name = json_get_escaped(r, r->root, "name");

	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	free(name);
	out->created = json_get_time(r, r->root, "created");
	for (out->kind = KEYRING_PASSPHRASE; out->kind < KEYRING_PUBLIC_KEY &&
	    strcmp(kind, who_kinds[out->kind]) != 0; out->kind++)
		;
	if (strcmp(kind, who_kinds[out->kind]) != 0)
		json_note(r, "kind");
	json_get_hex(r, r->root, "public", out->public_half, CRYPT_KEY);
	if (out->kind == KEYRING_PASSPHRASE) {
		json_get_hex(r, r->root, "salt", out->stretch.salt,
		    sizeof(out->stretch.salt));
		out->stretch.n = json_get_u64(r, r->root, "n",
		    UINT64_C(1) << 40);
		out->stretch.r = (uint32_t)json_get_u64(r, r->root, "r",
		    UINT32_MAX);
		out->stretch.p = (uint32_t)json_get_u64(r, r->root, "p",
		    UINT32_MAX);
	}
	out->vouched = json_object_get(r->root, "vouch") != NULL;
	if (out->vouched)
		json_get_hex(r, r->root, "vouch", out->vouch,
		    sizeof(out->vouch));
	else if (out->kind != KEYRING_PUBLIC_KEY)
		json_note(r, "vouch");
}

int
keyring_get_recipient(struct repo *repo, const char *ring, const char *id,
    const struct keyring_set *root, struct keyring_person *out,
    struct err *err)
{
	struct keyring_item item = { .type = ITEM_RECIPIENT };
	struct json_reader r;
	struct buf b;

	memset(out, 0, sizeof(*out));
	memcpy(item.id, id, sizeof(item.id));
	if (get_item(repo, ring, &item, root, &b, &r, err) != 0)
		return -1;
	if (strcmp(json_get_text(&r, r.root, "id"), id) != 0)
		json_note(&r, "id");
	take_person(&r, out);
	return end_item(&b, &r, ring, &item, err);
}

/* A seal is for this object of this ring alone: its key is the context. */
int
keyring_put_sealed(struct repo *repo, const char *ring,
    const struct keyring_item *item, const uint8_t public_half[CRYPT_KEY],
    const uint8_t secret[CRYPT_KEY], const struct keyring_set *root,
    struct err *err)
{
	char hex[2 * CRYPT_SEALED + 1], key[STORAGE_KEY_MAX];
	uint8_t sealed[CRYPT_SEALED];
	struct buf b;
	int rc;

	keyring_key(ring, item, key);
	if (crypt_seal(public_half, key, secret, sealed, err) != 0)
		return -1;
	text_hex(sealed, sizeof(sealed), hex);
	buf_init(&b, OBJECT_TEXT_MAX);
	buf_printf(&b, "{\n\"pair\": %u,\n\"id\": \"%s\",\n"
	    "\"sealed\": \"%s\"\n}", item->pair, item->id, hex);
	rc = put_item(repo, ring, item, root, &b, err);
	buf_free(&b);
	return rc;
}

int
keyring_get_sealed(struct repo *repo, const char *ring,
    const struct keyring_item *item, const uint8_t half[CRYPT_KEY],
    const struct keyring_set *root, uint8_t secret[CRYPT_KEY],
    struct err *err)
{
	uint8_t sealed[CRYPT_SEALED];
	char key[STORAGE_KEY_MAX];
	struct json_reader r;
	struct buf b;

	if (get_item(repo, ring, item, root, &b, &r, err) != 0)
		return -1;
	json_get_hex(&r, r.root, "sealed", sealed, sizeof(sealed));
	if (end_item(&b, &r, ring, item, err) != 0)
		return -1;
	keyring_key(ring, item, key);
	if (crypt_open(half, key, sealed, secret, err) != 0)
		return err_wrap(err, "%s", key);
	return 0;
}
