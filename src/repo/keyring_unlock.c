/* SPDX-License-Identifier: PostgreSQL */
/* From a passphrase or a key file to private halves and sets. */
#include "config.h"

#include "repo/keyring_private.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/secret.h"
#include "core/text.h"
#include "repo/keyfile.h"

static int
hand_of(struct keyring_hand *out, const uint8_t both[2 * CRYPT_KEY],
    struct err *err)
{
	memcpy(out->half, both, CRYPT_KEY);
	memcpy(out->vouch, both + CRYPT_KEY, CRYPT_KEY);
	return crypt_public(out->half, out->public_half, err);
}

int
keyring_hand_of_key(struct keyring_hand *out, const uint8_t key[CRYPT_KEY],
    struct err *err)
{
	static const char info[] = "dapk-backup recipient 1";
	struct crypt_hkdf h = { .secret = key, .secret_len = CRYPT_KEY,
		.info = info, .info_len = sizeof(info) - 1 };
	uint8_t both[2 * CRYPT_KEY];
	int rc = crypt_hkdf(&h, both, sizeof(both), err);

	if (rc == 0)
		rc = hand_of(out, both, err);
	explicit_bzero(both, sizeof(both));
	return rc;
}

int
keyring_hand_of_passphrase(struct keyring_hand *out, const char *passphrase,
    const struct keyring_stretch *stretch, struct err *err)
{
	struct crypt_scrypt s = { .passphrase = passphrase,
		.salt = stretch->salt, .salt_len = sizeof(stretch->salt),
		.n = stretch->n, .r = stretch->r, .p = stretch->p };
	uint8_t both[2 * CRYPT_KEY];
	int rc = crypt_scrypt(&s, both, sizeof(both), err);

	if (rc == 0)
		rc = hand_of(out, both, err);
	explicit_bzero(both, sizeof(both));
	return rc;
}

/* What was configured, read: one of the two is there. */
struct given {
	struct buf passphrase;
	bool has_passphrase;
	uint8_t key[CRYPT_KEY];
};

static int
no_key(const struct repo *repo, struct err *err)
{
	(void)err_set(err, ERR_CONFIG, "%s is encrypted, and no key is given",
	    storage_url(repo->st));
	return err_hint(err, "name it by --encryption-key-file FILE or "
	    "--encryption-passphrase-file FILE");
}

static int
read_given(struct repo *repo, struct given *g, struct err *err)
{
	const struct keyring *k = repo->ring;

	memset(g, 0, sizeof(*g));
	buf_init(&g->passphrase, SECRET_FILE_MAX);
	if (k->key_file != NULL)
		return keyfile_read(k->key_file, g->key, err);
	g->has_passphrase = true;
	if (k->passphrase_file != NULL)
		return secret_read_file(k->passphrase_file, SECRET_PRIVATE,
		    &g->passphrase, err);
	if (k->passphrase == NULL)
		return no_key(repo, err);
	/* Room at once: growing would leave copies behind. */
	if (buf_reserve(&g->passphrase, strlen(k->passphrase)) != NULL)
		buf_add_str(&g->passphrase, k->passphrase);
	return buf_check(&g->passphrase, "the passphrase", err);
}

static void
free_given(struct given *g)
{
	secret_buf_free(&g->passphrase);
	explicit_bzero(g->key, sizeof(g->key));
}

/* 1: this recipient is who was given. 0: another one. */
static int
try_recipient(struct repo *repo, const struct given *g, const char *id,
    struct keyring_person *who, struct keyring_hand *hand, struct err *err)
{
	if (keyring_get_recipient(repo, repo->ring->name, id, NULL, who,
		err) != 0)
		return -1;
	if (g->has_passphrase != (who->kind == KEYRING_PASSPHRASE))
		return 0;
	if ((g->has_passphrase ?
	    keyring_hand_of_passphrase(hand, buf_str(&g->passphrase),
		&who->stretch, err) :
	    keyring_hand_of_key(hand, g->key, err)) != 0)
		return -1;
	return crypt_equal(hand->public_half, who->public_half, CRYPT_KEY);
}

/* What a key opened so far; becomes the ring's when all of it holds. */
struct opening {
	const char *id; /* of the recipient */
	struct keyring_hand hand;
	struct keyring_person who;
	struct keyring_private_half *halves;
	size_t n_halves;
	struct keyring_set *sets;
	size_t n_sets;
	bool *left_out;	   /* of the list's items */
	struct err damage; /* the first reason for that */
};

static void
free_opening(struct opening *o)
{
	if (o->halves != NULL) {
		explicit_bzero(o->halves, o->n_halves * sizeof(*o->halves));
		free(o->halves);
	}
	if (o->sets != NULL) {
		explicit_bzero(o->sets, o->n_sets * sizeof(*o->sets));
		free(o->sets);
	}
	free(o->left_out);
	explicit_bzero(o, sizeof(*o));
}

/*
 * One object that has rotted must not lock up what others open: a set is
 * sealed to each pair since it was made, and an old pair has old backups only.
 */
static bool
leave_out(const struct repo *repo, struct opening *o, size_t item,
    struct err *err)
{
	if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
		return false;
	log_warning("%s: not used; what it alone opens cannot be read (%s)",
	    err->msg, storage_url(repo->st));
	if (o->damage.code == ERR_NONE)
		o->damage = *err;
	o->left_out[item] = true;
	err_clear(err);
	return true;
}

static int
find_recipient(struct repo *repo, const struct keyring_list *l,
    const struct given *g, struct opening *o, struct err *err)
{
	struct err damage = ERR_INIT;
	size_t i;
	int rc = 0;

	for (i = 0; i < l->n && rc != 1; i++) {
		if (l->items[i].type != ITEM_RECIPIENT)
			continue;
		rc = try_recipient(repo, g, l->items[i].id, &o->who,
		    &o->hand, err);
		o->id = l->items[i].id;
		/* Another one's may be damaged: this key opens all the same. */
		if (rc < 0 && err->code != ERR_DAMAGED &&
		    err->code != ERR_NOT_FOUND)
			return -1;
		if (rc < 0)
			damage = *err;
		err_clear(err);
	}
	if (rc == 1)
		return 0;
	if (damage.code != ERR_NONE) {
		*err = damage;
		return -1;
	}
	(void)err_set(err, ERR_CONFIG, "the %s given opens nothing in %s",
	    g->has_passphrase ? "passphrase" : "key file",
	    storage_url(repo->st));
	return err_hint(err, "is it another repository's, or was it revoked?");
}

static bool
has_pair(const struct keyring_list *l, uint32_t pair)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->items[i].type == ITEM_PAIR && l->items[i].pair == pair)
			return true;
	return false;
}

/* Growing leaves no copy behind: room for all is made at once. */
static int
open_halves(struct repo *repo, const struct keyring_list *l, struct opening *o,
    struct err *err)
{
	size_t i;

	o->halves = xcalloc(l->n, sizeof(*o->halves));
	for (i = 0; i < l->n; i++) {
		const struct keyring_item *w = &l->items[i];
		struct keyring_private_half *h = &o->halves[o->n_halves];

		if (w->type != ITEM_WRAP || strcmp(w->id, o->id) != 0 ||
		    !has_pair(l, w->pair))
			continue; /* or of a rotation that did not end */
		if (keyring_get_sealed(repo, repo->ring->name, w,
			o->hand.half, NULL, h->half, err) != 0) {
			if (!leave_out(repo, o, i, err))
				return -1;
			continue;
		}
		h->pair = w->pair;
		o->n_halves++;
	}
	if (o->n_halves == 0 && o->damage.code != ERR_NONE) {
		*err = o->damage;
		return -1;
	}
	if (o->n_halves == 0)
		return err_set(err, ERR_DAMAGED, "no pair in %s is wrapped for "
		    "recipient %s", storage_url(repo->st), o->id);
	return 0;
}

static const uint8_t *
half_of(const struct keyring_private_half *halves, size_t n, uint32_t pair)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (halves[i].pair == pair)
			return halves[i].half;
	return NULL;
}

/* A set's item under the newest pair that is open. */
static int
open_set(struct repo *repo, const struct keyring_list *l, size_t item,
    struct opening *o, struct err *err)
{
	const struct keyring_item *s = &l->items[item];
	const uint8_t *half = half_of(o->halves, o->n_halves, s->pair);
	struct keyring_set *set = &o->sets[o->n_sets];
	size_t i;

	if (half == NULL)
		return 0;
	if (!text_unhex(s->id, set->id, KEYRING_ID))
		return err_set(err, ERR_BUG, "set %s", s->id);
	for (i = 0; i < o->n_sets; i++)
		if (memcmp(o->sets[i].id, set->id, KEYRING_ID) == 0)
			return 0; /* from before a rotation */
	if (keyring_get_sealed(repo, repo->ring->name, s, half, NULL,
		set->master, err) != 0)
		return leave_out(repo, o, item, err) ? 0 : -1;
	if (keyring_set_derive(set, repo->id, err) != 0)
		return -1;
	set->unvouched = true; /* until check_secrets() or find_root() */
	o->n_sets++;
	return 0;
}

/*
 * Is it the root set? A recipient's secret vouches for it; one that was let in
 * by a public half has to believe whose name is on its own object.
 */
static int
is_root(struct repo *repo, const struct opening *o,
    const struct keyring_set *set, bool *out, struct err *err)
{
	uint8_t vouch[SHA256_SIZE];
	struct err why = ERR_INIT;
	struct keyring_person who;

	if (!o->who.vouched) {
		*out = keyring_get_recipient(repo, repo->ring->name, o->id,
		    set, &who, &why) == 0;
		if (*out || why.code == ERR_DAMAGED)
			return 0;
		*err = why;
		return -1;
	}
	if (keyring_vouch(o->hand.vouch, repo, set, vouch, err) != 0)
		return -1;
	*out = crypt_equal(vouch, o->who.vouch, sizeof(vouch));
	return 0;
}

static int
find_root(struct repo *repo, struct opening *o, struct err *err)
{
	struct keyring_set root;
	bool found;
	size_t i;

	for (i = 0; i < o->n_sets; i++) {
		if (is_root(repo, o, &o->sets[i], &found, err) != 0)
			return -1;
		if (found) {
			root = o->sets[i];
			root.unvouched = false;
			o->sets[i] = o->sets[0];
			o->sets[0] = root;
			explicit_bzero(&root, sizeof(root));
			return 0;
		}
	}
	if (o->damage.code != ERR_NONE) {
		*err = o->damage;
		return -1;
	}
	return err_set(err, ERR_DAMAGED, "the secrets in %s are not those that "
	    "this key was let in to: its keys were changed by somebody who "
	    "has none", storage_url(repo->st));
}

/*
 * A set's secrets: by the root set, or by itself, when a host that had only
 * the public half made it (keyring_write.c). They must be those that were
 * opened: a store may answer otherwise when it is asked again.
 */
static int
check_secrets(struct repo *repo, const struct keyring_item *s,
    const uint8_t half[CRYPT_KEY], const struct opening *o, struct err *err)
{
	struct keyring_set *set = NULL;
	uint8_t own[CRYPT_KEY], id[KEYRING_ID];
	struct err why = ERR_INIT;
	bool itself = false;
	size_t i;
	int rc;

	for (i = 0; i < o->n_sets && text_unhex(s->id, id, sizeof(id)); i++)
		if (memcmp(o->sets[i].id, id, sizeof(id)) == 0)
			set = &o->sets[i];
	rc = keyring_get_sealed(repo, repo->ring->name, s, half, &o->sets[0],
	    own, err);
	if (rc != 0 && err->code == ERR_DAMAGED && set != NULL &&
	    set != &o->sets[0] && keyring_get_sealed(repo,
		repo->ring->name, s, half, set, own, &why) == 0) {
		err_clear(err);
		itself = true;
		rc = 0;
	}
	if (rc == 0 && set != NULL &&
	    !crypt_equal(own, set->master, sizeof(own)))
		rc = err_set(err, ERR_DAMAGED, "the set of secrets %s in %s "
		    "is not what was opened", s->id, storage_url(repo->st));
	/* The newest item comes last, and is the one that was opened. */
	if (rc == 0 && set != NULL)
		set->unvouched = itself;
	explicit_bzero(own, sizeof(own));
	return rc;
}

/* 1: its object is rotten, and not another one that somebody put there. */
static int
check_pair(struct repo *repo, const struct opening *o, uint32_t pair,
    uint8_t public_half[CRYPT_KEY], struct err *err)
{
	const struct keyring_set *root = &o->sets[0];
	struct err why = ERR_INIT;

	if (keyring_get_pair(repo, repo->ring->name, pair, root, public_half,
		err) == 0)
		return 0;
	if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
		return -1;
	return keyring_get_pair(repo, repo->ring->name, pair, NULL,
	    public_half, &why) == 0 ? -1 : 1;
}

/* A half is the pair's; where the pair is not known, its wrap says so. */
static int
check_half(struct repo *repo, struct opening *o, size_t item,
    const struct keyring_item *wrap, struct err *err)
{
	const uint8_t *half = half_of(o->halves, o->n_halves, wrap->pair);
	uint8_t public_half[CRYPT_KEY], own[CRYPT_KEY];
	int rc = check_pair(repo, o, wrap->pair, public_half, err);

	if (rc < 0)
		return -1;
	if (rc == 1) {
		(void)leave_out(repo, o, item, err); /* of these two codes */
		rc = keyring_get_sealed(repo, repo->ring->name, wrap,
		    o->hand.half, &o->sets[0], own, err);
		if (rc == 0 && !crypt_equal(own, half, CRYPT_KEY))
			rc = err_set(err, ERR_DAMAGED, "what is wrapped of "
			    "pair %u in %s is not what was opened",
			    wrap->pair, storage_url(repo->st));
		explicit_bzero(own, sizeof(own));
		return rc;
	}
	if (crypt_public(half, own, err) != 0)
		return -1;
	if (!crypt_equal(own, public_half, CRYPT_KEY))
		return err_set(err, ERR_DAMAGED, "pair %u in %s is not what is "
		    "wrapped", wrap->pair, storage_url(repo->st));
	return 0;
}

/* One that can be read holds; of one that cannot, another was opened. */
static int
check_opened(struct repo *repo, struct opening *o, size_t i,
    const struct keyring_item *item, const uint8_t half[CRYPT_KEY],
    struct err *err)
{
	uint8_t own[CRYPT_KEY];
	struct err why = ERR_INIT;
	int rc = check_secrets(repo, item, half, o, err);

	if (rc != 0 && keyring_get_sealed(repo, repo->ring->name, item, half,
		NULL, own, &why) != 0 && leave_out(repo, o, i, err))
		rc = 0;
	explicit_bzero(own, sizeof(own));
	return rc;
}

static int
check_item(struct repo *repo, const struct keyring_list *l, size_t i,
    struct opening *o, struct err *err)
{
	const struct keyring_item *item = &l->items[i];
	const uint8_t *half = item->type == ITEM_RECIPIENT ? NULL :
	    half_of(o->halves, o->n_halves, item->pair);
	uint8_t public_half[CRYPT_KEY];
	int rc;

	if (o->left_out[i])
		return 0;
	if (item->type == ITEM_SECRETS && half != NULL)
		return check_opened(repo, o, i, item, half, err);
	if (item->type == ITEM_WRAP && half != NULL &&
	    strcmp(item->id, o->id) == 0)
		return check_half(repo, o, i, item, err);
	if (item->type != ITEM_PAIR || half != NULL)
		return 0;
	/* One that this key cannot open was let in without it: rotated to. */
	rc = check_pair(repo, o, item->pair, public_half, err);
	return rc == 1 && leave_out(repo, o, i, err) ? 0 : rc;
}

/* Now that it is known who may speak: is all that was read theirs? */
static int
check_all(struct repo *repo, const struct keyring_list *l, struct opening *o,
    struct err *err)
{
	struct keyring_person who;
	size_t i;

	if (keyring_get_recipient(repo, repo->ring->name, o->id, &o->sets[0],
		&who, err) != 0)
		return -1;
	for (i = 0; i < l->n; i++)
		if (check_item(repo, l, i, o, err) != 0)
			return -1;
	return 0;
}

static int
open_all(struct repo *repo, const struct keyring_list *l,
    const struct given *g, struct opening *o, struct err *err)
{
	size_t i;

	o->left_out = xcalloc(l->n + 1, sizeof(*o->left_out));
	if (find_recipient(repo, l, g, o, err) != 0 ||
	    open_halves(repo, l, o, err) != 0)
		return -1;
	o->sets = xcalloc(l->n, sizeof(*o->sets));
	for (i = l->n; i-- > 0;) /* newest pairs first */
		if (l->items[i].type == ITEM_SECRETS &&
		    open_set(repo, l, i, o, err) != 0)
			return -1;
	if (find_root(repo, o, err) != 0)
		return -1;
	return check_all(repo, l, o, err);
}

int
keyring_unlock(struct repo *repo, struct err *err)
{
	struct keyring *k = repo->ring;
	struct keyring_list l = { .items = NULL };
	struct opening o = { .id = NULL };
	struct given g;
	int rc;

	if (k->unlocked)
		return 0;
	rc = read_given(repo, &g, err);
	if (rc == 0)
		rc = keyring_items(repo, k->name, &l, err);
	if (rc == 0)
		rc = open_all(repo, &l, &g, &o, err);
	if (rc == 0) {
		k->halves = o.halves;
		k->n_halves = o.n_halves;
		k->sets = o.sets;
		k->n_sets = o.n_sets;
		k->unlocked = true;
		o.halves = NULL;
		o.sets = NULL;
	}
	free_opening(&o);
	free(l.items);
	free_given(&g);
	return rc;
}
