/* SPDX-License-Identifier: PostgreSQL */
/*
 * The key ring: who opens it, what a host without a key can do, and that a
 * store that changes it is found out.
 */
#include "config.h"

#include "fixture_repo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/text.h"
#include "repo/keyfile.h"
#include "repo/keyring.h"
#include "repo/keyring_private.h"

#define PASSPHRASE "correct horse battery staple"

static const uint8_t key_bytes[CRYPT_KEY] = "thirty-two bytes of a key file.";

struct place {
	struct fixture *f;
	struct repo *repo;
	char dir[64], key_file[96], state[96];
	char ring[KEYRING_ID_TEXT];
	struct keyring_recipient first;
};

/* A cheap passphrase: the cost is not what is tried here. */
static struct keyring_recipient
passphrase_recipient(void)
{
	struct keyring_recipient r = { .kind = KEYRING_PASSPHRASE,
		.name = "dba", .passphrase = PASSPHRASE, .scrypt_n = 16 };

	return r;
}

static int
setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	if (fixture_setup((void **)&p->f) != 0)
		return -1;
	p->repo = p->f->repo;
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/test-keyring-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->key_file, sizeof(p->key_file), "%s/key", p->dir);
	(void)snprintf(p->state, sizeof(p->state), "%s/state", p->dir);
	OK(io_mkdir_p(p->state, 0700, &err));
	OK(keyfile_write(p->key_file, key_bytes, &err));
	p->first = (struct keyring_recipient){ .kind = KEYRING_KEY_FILE,
		.name = "vault", .key = key_bytes };
	OK(keyring_create(p->repo, &p->first, p->ring, &err));
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	OK(io_remove_tree(p->dir, &err));
	(void)fixture_teardown((void **)&p->f);
	free(p);
	return 0;
}

/* As another process has it: nothing but its options. */
static void
come(struct place *p, const struct keyring_unlock *unlock)
{
	keyring_release(p->repo->ring);
	p->repo->ring = NULL;
	OK(keyring_new(&p->repo->ring, p->ring, unlock, &err));
}

static void
come_with_key(struct place *p)
{
	struct keyring_unlock u = { .key_file = p->key_file };

	come(p, &u);
}

static void
what_is_written_opens_with_the_key_alone(void **state)
{
	struct place *p = *state;
	struct data_key made, opened;
	struct keyring_unlock none = { .key_file = NULL };

	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &made, &err));
	come_with_key(p);
	OK(keyring_open_data_key(p->repo, made.pair, made.sealed, &opened,
	    &err));
	assert_memory_equal(opened.key, made.key, CRYPT_KEY);
	assert_memory_equal(opened.auth, made.auth, CRYPT_KEY);
	come(p, &none);
	FAILS(keyring_open_data_key(p->repo, made.pair, made.sealed, &opened,
	    &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "--encryption-key-file"));
	FAILS(keyring_new_data_key(p->repo, &made, &err), ERR_CONFIG);
}

static void
another_key_or_passphrase_opens_nothing(void **state)
{
	struct place *p = *state;
	struct keyring_unlock u = { .passphrase = PASSPHRASE };
	uint8_t other[CRYPT_KEY] = { 1 };
	struct data_key made;
	char path[128];

	come(p, &u);
	FAILS(keyring_new_data_key(p->repo, &made, &err), ERR_CONFIG);
	(void)snprintf(path, sizeof(path), "%s/other", p->dir);
	OK(keyfile_write(path, other, &err));
	u = (struct keyring_unlock){ .key_file = path };
	come(p, &u);
	FAILS(keyring_new_data_key(p->repo, &made, &err), ERR_CONFIG);

	p->first = passphrase_recipient();
	OK(keyring_create(p->repo, &p->first, p->ring, &err));
	u = (struct keyring_unlock){ .passphrase = "correct horse" };
	come(p, &u);
	FAILS(keyring_new_data_key(p->repo, &made, &err), ERR_CONFIG);
	u.passphrase = PASSPHRASE;
	come(p, &u);
	OK(keyring_new_data_key(p->repo, &made, &err));
	come_with_key(p);
	FAILS(keyring_new_data_key(p->repo, &made, &err), ERR_CONFIG);
}

static void
a_clone_has_the_same_ring(void **state)
{
	struct place *p = *state;
	struct data_key made, opened;
	struct repo *clone;

	come_with_key(p);
	OK(repo_clone(p->repo, &clone, &err));
	OK(keyring_new_data_key(clone, &made, &err));
	OK(keyring_open_data_key(p->repo, made.pair, made.sealed, &opened,
	    &err));
	assert_memory_equal(opened.key, made.key, CRYPT_KEY);
	repo_close(p->repo); /* the clone's lives on */
	OK(keyring_open_data_key(clone, made.pair, made.sealed, &opened,
	    &err));
	p->repo = clone;
	p->f->repo = clone;
}

/* archive-push has no key; and a stolen state opens no earlier backup. */
static void
a_host_without_a_key_writes_and_reads_its_own_alone(void **state)
{
	struct place *p = *state;
	struct data_key others, own, next, opened;
	struct keyring_unlock with = { .key_file = p->key_file,
		.state_directory = p->state };
	struct keyring_unlock without = { .state_directory = p->state };
	uint64_t seed, again;

	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &others, &err));
	come(p, &with);
	OK(keyring_seed(p->repo, &seed, &err));
	come(p, &without);
	OK(keyring_new_data_key(p->repo, &own, &err));
	OK(keyring_remember(p->repo, &own, &err));
	come(p, &without);
	OK(keyring_seed(p->repo, &again, &err));
	assert_true(seed == again);
	OK(keyring_open_data_key(p->repo, own.pair, own.sealed, &opened,
	    &err));
	assert_memory_equal(opened.key, own.key, CRYPT_KEY);
	OK(keyring_new_data_key(p->repo, &next, &err));
	FAILS(keyring_open_data_key(p->repo, next.pair, next.sealed, &opened,
	    &err), ERR_CONFIG);
	FAILS(keyring_open_data_key(p->repo, others.pair, others.sealed,
	    &opened, &err), ERR_CONFIG);
	come_with_key(p);
	OK(keyring_open_data_key(p->repo, next.pair, next.sealed, &opened,
	    &err));
	assert_memory_equal(opened.key, next.key, CRYPT_KEY);
}

static void
the_state_is_for_its_owner_and_its_newest_backups(void **state)
{
	struct place *p = *state;
	struct keyring_unlock with = { .key_file = p->key_file,
		.state_directory = p->state };
	struct keyring_unlock without = { .state_directory = p->state };
	struct data_key keys[KEYRING_REMEMBERED + 1], opened;
	char path[256];
	struct stat st;
	size_t i;

	come(p, &with);
	for (i = 0; i <= KEYRING_REMEMBERED; i++) {
		OK(keyring_new_data_key(p->repo, &keys[i], &err));
		OK(keyring_remember(p->repo, &keys[i], &err));
	}
	come(p, &without);
	FAILS(keyring_open_data_key(p->repo, 1, keys[0].sealed, &opened,
	    &err), ERR_CONFIG);
	for (i = 1; i <= KEYRING_REMEMBERED; i++)
		OK(keyring_open_data_key(p->repo, 1, keys[i].sealed, &opened,
		    &err));
	(void)snprintf(path, sizeof(path), "%s/keys/%s/ring", p->state,
	    p->repo->id_text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* One that others could read is not used, nor half a one. */
	assert_int_equal(chmod(path, 0640), 0);
	come(p, &without);
	FAILS(keyring_new_data_key(p->repo, &opened, &err), ERR_CONFIG);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	come(p, &without);
	FAILS(keyring_new_data_key(p->repo, &opened, &err), ERR_CONFIG);
	come(p, &with); /* and is made anew */
	OK(keyring_new_data_key(p->repo, &opened, &err));
	come(p, &without);
	OK(keyring_new_data_key(p->repo, &opened, &err));
}

/* Each object of the ring in turn, by fn; the key finds it out. */
static void
each_object(struct place *p, void (*fn)(struct place *, const char *))
{
	struct keyring_list l;
	struct data_key made;
	char key[STORAGE_KEY_MAX];
	struct buf b;
	size_t i;

	OK(keyring_items(p->repo, p->ring, &l, &err));
	assert_int_equal(l.n, 4);
	for (i = 0; i < l.n; i++) {
		keyring_key(p->ring, &l.items[i], key);
		buf_init(&b, 1 << 16);
		OK(storage_get_all(p->f->st, key, &b, &err));
		fn(p, key);
		come_with_key(p);
		err_clear(&err);
		if (keyring_new_data_key(p->repo, &made, &err) == 0)
			fail_msg("%s is not missed", key);
		fixture_replace(p->f, key, b.data, b.len);
		come_with_key(p);
		OK(keyring_new_data_key(p->repo, &made, &err));
		buf_free(&b);
	}
	free(l.items);
}

/* A valid text object that says something else: a digit of its JSON. */
static void
change(struct place *p, const char *key)
{
	char kind[32];
	struct buf b;
	char *json, *digit;

	buf_init(&b, 1 << 16);
	OK(storage_get_all(p->f->st, key, &b, &err));
	assert_int_equal(sscanf(buf_str(&b), "dapk-backup %31s", kind), 1);
	json = strchr((char *)b.data, '\n') + 1;
	digit = strstr(json, "\"public\": \"");
	if (digit == NULL)
		digit = strstr(json, "\"sealed\": \"");
	assert_non_null(digit);
	digit += 20;
	*digit = *digit == '1' ? '2' : '1';
	OK(storage_remove(p->f->st, key, &err));
	OK(repo_put_text(p->repo, key, kind, json, strlen(json) - 1, &err));
	buf_free(&b);
}

static void
take_away(struct place *p, const char *key)
{
	OK(storage_remove(p->f->st, key, &err));
}

static void
an_object_that_was_changed_or_taken_is_found(void **state)
{
	each_object(*state, change);
	each_object(*state, take_away);
}

/* A ring of the store's own making, in which all but the vouching agrees. */
static void
forge_ring(struct place *p, const struct keyring_person *who,
    const struct keyring_set *root, const uint8_t half[CRYPT_KEY])
{
	struct keyring_item wrap = { .type = ITEM_WRAP, .pair = 1,
		.id = "0123456789abcdef" };
	struct keyring_item secrets = { .type = ITEM_SECRETS, .pair = 1 };
	uint8_t public_half[CRYPT_KEY];

	(void)snprintf(p->ring, sizeof(p->ring), "feedfeedfeedfeed");
	text_hex(root->id, KEYRING_ID, secrets.id);
	OK(crypt_public(half, public_half, &err));
	OK(keyring_put_pair(p->repo, p->ring, 1, public_half, root, &err));
	OK(keyring_put_recipient(p->repo, p->ring, wrap.id, "vault", who,
	    root, &err));
	OK(keyring_put_sealed(p->repo, p->ring, &wrap, who->public_half, half,
	    root, &err));
	OK(keyring_put_sealed(p->repo, p->ring, &secrets, public_half,
	    root->master, root, &err));
}

/*
 * The store knows every public half and what is vouched, and can wrap a pair
 * of its own for the true recipient.
 */
static void
a_ring_or_a_pair_that_the_store_made_itself_is_refused(void **state)
{
	struct place *p = *state;
	struct keyring_person who;
	struct keyring_set root = { .id = { 9 }, .master = { 9 } };
	struct data_key key;
	uint8_t half[CRYPT_KEY] = { 9 }, public_half[CRYPT_KEY];
	char ring[KEYRING_ID_TEXT];

	memcpy(ring, p->ring, sizeof(ring));
	OK(keyring_get_recipient(p->repo, p->ring, p->first.id, NULL, &who,
	    &err));
	OK(keyring_set_derive(&root, p->repo->id, &err));
	forge_ring(p, &who, &root, half);
	come_with_key(p);
	FAILS(keyring_new_data_key(p->repo, &key, &err), ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "somebody who has none"));

	/* Or it adds a pair of its own to the true ring. */
	memcpy(p->ring, ring, sizeof(ring));
	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &key, &err));
	OK(crypt_public(half, public_half, &err));
	OK(keyring_put_pair(p->repo, p->ring, 2, public_half, &root, &err));
	come_with_key(p);
	FAILS(keyring_new_data_key(p->repo, &key, &err), ERR_DAMAGED);
}

/* By either of them what the store encrypted itself would be restored. */
static void
a_set_or_a_wrap_that_the_store_made_itself_is_refused(void **state)
{
	struct place *p = *state;
	struct keyring_set root = { .id = { 9 }, .master = { 9 } };
	struct keyring_item set = { .type = ITEM_SECRETS, .pair = 1,
		.id = "0909090909090909" };
	struct keyring_item wrap = { .type = ITEM_WRAP, .pair = 2 };
	struct keyring_person who;
	struct data_key key;
	uint8_t half[CRYPT_KEY] = { 9 }, public_half[CRYPT_KEY];
	uint8_t forged[KEYRING_SEALED];
	char name[STORAGE_KEY_MAX];

	OK(keyring_set_derive(&root, p->repo->id, &err));
	OK(keyring_get_pair(p->repo, p->ring, 1, NULL, public_half, &err));
	OK(keyring_put_sealed(p->repo, p->ring, &set, public_half,
	    root.master, &root, &err));
	/* It is there, and opens nothing. */
	memset(forged, 9, KEYRING_ID);
	OK(crypt_seal(public_half, "data key", half, forged + KEYRING_ID,
	    &err));
	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &key, &err));
	assert_memory_not_equal(key.sealed, forged, KEYRING_ID);
	FAILS(keyring_open_data_key(p->repo, 1, forged, &key, &err),
	    ERR_REFUSED);
	keyring_key(p->ring, &set, name);
	OK(storage_remove(p->f->st, name, &err));
	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &key, &err));

	OK(keyring_get_recipient(p->repo, p->ring, p->first.id, NULL, &who,
	    &err));
	memcpy(wrap.id, p->first.id, sizeof(wrap.id));
	OK(keyring_put_sealed(p->repo, p->ring, &wrap, who.public_half, half,
	    &root, &err));
	/* Nothing that was sealed to its pair is taken for ours. */
	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &key, &err));
	assert_int_equal(key.pair, 1);
	OK(crypt_public(half, public_half, &err));
	OK(crypt_seal(public_half, "data key", half, key.sealed + KEYRING_ID,
	    &err));
	FAILS(keyring_open_data_key(p->repo, 2, key.sealed, &key, &err),
	    ERR_CONFIG);
}

static void
any_call_may_fail_while_a_ring_is_made_and_opened(void **state)
{
	struct place *p = *state;
	struct data_key key;
	unsigned n, torn, points = 0;
	bool failed;

	for (torn = 0; torn < 2; torn++)
		for (n = 1, failed = true; failed; n++, points++) {
			storage_fault_at(p->f->st, n, torn != 0);
			err_clear(&err);
			failed = keyring_create(p->repo, &p->first, p->ring,
			    &err) != 0;
			storage_fault_at(p->f->st, 0, false);
			if (!failed) { /* what is called done opens */
				come_with_key(p);
				OK(keyring_new_data_key(p->repo, &key, &err));
			}
		}
	for (n = 1, failed = true; failed; n++, points++) {
		come_with_key(p);
		storage_fault_at(p->f->st, n, false);
		err_clear(&err);
		failed = keyring_new_data_key(p->repo, &key, &err) != 0;
		storage_fault_at(p->f->st, 0, false);
		OK(keyring_new_data_key(p->repo, &key, &err)); /* again */
	}
	print_message("%u calls\n", points);
	assert_true(points > 20);
}

static void
text_is_authenticated_for_its_place(void **state)
{
	struct place *p = *state;
	uint8_t set[KEYRING_ID];
	struct buf b;
	size_t i;

	come_with_key(p);
	buf_init(&b, 1 << 12);
	buf_add_str(&b, "{\n\"label\": \"x\",\n\"bytes\": 12\n}");
	OK(keyring_writing_set(p->repo, set, &err));
	OK(keyring_mac_add(p->repo, "commit", "a/commit", &b, &err));
	OK(keyring_mac_check(p->repo, set, "commit", "a/commit", buf_str(&b),
	    b.len, &err));
	FAILS(keyring_mac_check(p->repo, set, "commit", "b/commit",
	    buf_str(&b), b.len, &err), ERR_DAMAGED);
	FAILS(keyring_mac_check(p->repo, set, "commif", "a/commit",
	    buf_str(&b), b.len, &err), ERR_DAMAGED);
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		FAILS(keyring_mac_check(p->repo, set, "commit", "a/commit",
		    buf_str(&b), b.len, &err), ERR_DAMAGED);
		b.data[i] ^= 1;
		FAILS(keyring_mac_check(p->repo, set, "commit", "a/commit",
		    buf_str(&b), i, &err), ERR_DAMAGED);
	}
	set[0] ^= 1;
	FAILS(keyring_mac_check(p->repo, set, "commit", "a/commit",
	    buf_str(&b), b.len, &err), ERR_DAMAGED);
	buf_free(&b);
}

static void
names_are_an_hmac_in_whatever_pieces_it_comes(void **state)
{
	struct place *p = *state;
	uint8_t out[KEYRING_HASH], wanted[SHA256_SIZE];
	static const char text[] = "a segment's bytes";
	struct keyring_hash *h;
	size_t cut;

	come_with_key(p);
	for (cut = 0; cut < sizeof(text); cut++) {
		OK(keyring_hash_new(p->repo, NULL, &h, &err));
		OK(keyring_hash_add(h, text, cut, &err));
		OK(keyring_hash_add(h, text + cut, sizeof(text) - cut, &err));
		OK(keyring_hash_finish(h, out, &err));
		keyring_hash_free(h);
		OK(sha256_hmac(p->repo->ring->set.name, CRYPT_KEY, text,
		    sizeof(text), wanted, &err));
		assert_memory_equal(out, wanted, sizeof(out));
	}
}

static void
put_file(const char *path, const char *text)
{
	(void)unlink(path);
	OK(io_write_file_durable(path, text, strlen(text), 0600, &err));
}

static void
a_key_typed_in_from_paper_opens_and_a_mistyped_one_says_so(void **state)
{
	struct place *p = *state;
	uint8_t back[CRYPT_KEY];
	char path[128], *at;
	struct buf b;

	(void)snprintf(path, sizeof(path), "%s/typed", p->dir);
	buf_init(&b, 1 << 12);
	OK(io_read_file(p->key_file, &b, &err));
	for (at = (char *)b.data; (at = strchr(at, ' ')) != NULL; at++)
		if (at - (char *)b.data > 20)
			*at = '\t';
	put_file(path, buf_str(&b));
	OK(keyfile_read(path, back, &err));
	assert_memory_equal(back, key_bytes, CRYPT_KEY);
	at = strchr((char *)b.data, '\n') + 3;
	*at = *at == '0' ? '1' : '0';
	put_file(path, buf_str(&b));
	FAILS(keyfile_read(path, back, &err), ERR_CONFIG);
	assert_non_null(strstr(err.msg, "mistyped"));
	put_file(path, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	FAILS(keyfile_read(path, back, &err), ERR_CONFIG);
	/* What others can read is no secret; and no key is overwritten. */
	FAILS(keyfile_write(p->key_file, back, &err), ERR_EXISTS);
	OK(keyfile_read(p->key_file, back, &err));
	assert_int_equal(chmod(p->key_file, 0640), 0);
	FAILS(keyfile_read(p->key_file, back, &err), ERR_CONFIG);
	buf_free(&b);
}

/* Do they open what was written before and after, and it alone? */
static void
opens(struct place *p, const struct keyring_unlock *who,
    const struct data_key *written, bool does)
{
	struct data_key opened;

	come(p, who);
	if (!does) {
		FAILS(keyring_open_data_key(p->repo, written->pair,
		    written->sealed, &opened, &err), ERR_CONFIG);
		return;
	}
	OK(keyring_open_data_key(p->repo, written->pair, written->sealed,
	    &opened, &err));
	assert_memory_equal(opened.key, written->key, CRYPT_KEY);
}

static void
who_was_revoked_opens_nothing_and_the_others_all(void **state)
{
	struct place *p = *state;
	struct keyring_unlock key = { .key_file = p->key_file };
	struct keyring_unlock phrase = { .passphrase = PASSPHRASE };
	struct keyring_recipient second = passphrase_recipient();
	struct data_key before, after;
	uint32_t pair;

	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &before, &err));
	FAILS(keyring_revoke(p->repo, p->first.id, &err), ERR_REFUSED);
	OK(keyring_add(p->repo, &second, &err));
	opens(p, &phrase, &before, true);
	/* The passphrase alone rotates for both. */
	OK(keyring_rotate(p->repo, &pair, &err));
	assert_int_equal(pair, 2);
	OK(keyring_new_data_key(p->repo, &after, &err));
	assert_int_equal(after.pair, 2);
	opens(p, &key, &before, true);
	opens(p, &key, &after, true);
	OK(keyring_revoke(p->repo, second.id, &err));
	FAILS(keyring_revoke(p->repo, second.id, &err), ERR_NOT_FOUND);
	FAILS(keyring_revoke(p->repo, p->first.id, &err), ERR_REFUSED);
	opens(p, &phrase, &before, false);
	opens(p, &phrase, &after, false);
	opens(p, &key, &before, true);
	opens(p, &key, &after, true);
}

/* What rots of one's way in does not lock the others out. */
static void
another_recipients_damage_locks_nobody_out(void **state)
{
	struct place *p = *state;
	struct keyring_unlock key = { .key_file = p->key_file };
	struct keyring_unlock phrase = { .passphrase = PASSPHRASE };
	struct keyring_recipient second = passphrase_recipient();
	struct keyring_item item = { .type = ITEM_RECIPIENT };
	struct data_key written, opened;
	char name[STORAGE_KEY_MAX];

	come_with_key(p);
	OK(keyring_new_data_key(p->repo, &written, &err));
	OK(keyring_add(p->repo, &second, &err));
	memcpy(item.id, second.id, sizeof(item.id));
	keyring_key(p->ring, &item, name);
	OK(storage_remove(p->f->st, name, &err));
	OK(storage_put(p->f->st, name, "rot", 3, &err));
	opens(p, &key, &written, true);
	come(p, &phrase); /* and who cannot come in is told of it */
	FAILS(keyring_open_data_key(p->repo, written.pair, written.sealed,
	    &opened, &err), ERR_DAMAGED);
}

/* Restore needs the private half; the state of a host has the new pair. */
static void
a_host_that_rotates_writes_to_the_new_pair_without_a_key_too(void **state)
{
	struct place *p = *state;
	struct keyring_unlock with = { .key_file = p->key_file,
		.state_directory = p->state };
	struct keyring_unlock without = { .state_directory = p->state };
	struct data_key made;
	uint64_t seed, again;
	uint32_t pair;

	come(p, &with);
	OK(keyring_seed(p->repo, &seed, &err));
	OK(keyring_rotate(p->repo, &pair, &err));
	come(p, &without);
	OK(keyring_new_data_key(p->repo, &made, &err));
	assert_int_equal(made.pair, 2);
	OK(keyring_seed(p->repo, &again, &err));
	assert_true(seed == again);
	opens(p, &with, &made, true);
}

/* What each of the three does, for the fault at every call. */
static int
change_ring(struct place *p, int what, char second[KEYRING_ID_TEXT])
{
	struct keyring_recipient r = passphrase_recipient();
	uint32_t pair;
	int rc;

	if (what == 1)
		return keyring_rotate(p->repo, &pair, &err);
	if (what == 2)
		return keyring_revoke(p->repo, second, &err);
	rc = keyring_add(p->repo, &r, &err);
	memcpy(second, r.id, KEYRING_ID_TEXT);
	return rc;
}

static void
any_call_may_fail_while_a_ring_is_changed(void **state)
{
	struct place *p = *state;
	struct keyring_unlock key = { .key_file = p->key_file };
	struct keyring_unlock phrase = { .passphrase = PASSPHRASE };
	struct keyring_recipient second;
	struct data_key before, after;
	char id[KEYRING_ID_TEXT] = "";
	unsigned n, torn, points = 0;
	int what;
	bool failed;

	for (what = 0; what < 3; what++)
		for (torn = 0; torn < 2; torn++)
			for (n = 1, failed = true; failed; n++, points++) {
				OK(keyring_create(p->repo, &p->first,
				    p->ring, &err));
				come_with_key(p);
				OK(keyring_new_data_key(p->repo, &before,
				    &err));
				second = passphrase_recipient();
				if (what > 0)
					OK(keyring_add(p->repo, &second,
					    &err));
				memcpy(id, second.id, sizeof(id));
				come_with_key(p);
				storage_fault_at(p->f->st, n, torn != 0);
				err_clear(&err);
				failed = change_ring(p, what, id) != 0;
				storage_fault_at(p->f->st, 0, false);
				opens(p, &key, &before, true);
				OK(keyring_new_data_key(p->repo, &after,
				    &err));
				opens(p, &key, &after, true);
				if (what == 1)
					opens(p, &phrase, &after, true);
				/* Again, and to the end. */
				err_clear(&err);
				if (failed && change_ring(p, what, id) != 0)
					assert_int_equal(err.code,
					    ERR_NOT_FOUND); /* it was done */
				OK(keyring_new_data_key(p->repo, &after,
				    &err));
				opens(p, &key, &before, true);
				opens(p, &key, &after, true);
				opens(p, &phrase, &before, what != 2);
				opens(p, &phrase, &after, what != 2);
			}
	print_message("%u calls\n", points);
	assert_true(points > 80);
}

#define RING(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A host of the public half alone, whose state is gone. */
static void
a_lost_state_makes_a_set_that_nobody_vouches_for(void **state)
{
	struct place *p = *state;
	struct keyring_unlock only = { .public_only = true,
		.state_directory = p->state };
	struct keyring_unlock none = { .public_only = true };
	struct data_key first, second, opened;
	char id[KEYRING_ID_TEXT];
	uint32_t pair;

	come(p, &none);
	FAILS(keyring_new_data_key(p->repo, &first, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "--state-directory"));
	come(p, &only);
	OK(keyring_new_data_key(p->repo, &first, &err));
	come(p, &only); /* the state has it now: no other set */
	OK(keyring_new_data_key(p->repo, &second, &err));
	assert_memory_equal(first.sealed, second.sealed, KEYRING_ID);
	FAILS(keyring_open_data_key(p->repo, first.pair, first.sealed,
	    &opened, &err), ERR_CONFIG);
	/* Not by being rotated along with the others. */
	come_with_key(p);
	FAILS(keyring_open_data_key(p->repo, first.pair, first.sealed,
	    &opened, &err), ERR_REFUSED);
	assert_non_null(strstr(err.hint, "keys rotate --accept"));
	OK(keyring_rotate(p->repo, &pair, &err));
	come_with_key(p);
	FAILS(keyring_open_data_key(p->repo, first.pair, first.sealed,
	    &opened, &err), ERR_REFUSED);
	text_hex(first.sealed, KEYRING_ID, id);
	FAILS(keyring_accept(p->repo, "0123456789abcdef", &err),
	    ERR_NOT_FOUND);
	OK(keyring_accept(p->repo, id, &err));
	OK(keyring_rotate(p->repo, &pair, &err));
	come_with_key(p);
	OK(keyring_open_data_key(p->repo, first.pair, first.sealed, &opened,
	    &err));
	assert_memory_equal(opened.key, first.key, CRYPT_KEY);
	/* The host notices the new pair. */
	come(p, &only);
	OK(keyring_look(p->repo, &err));
	OK(keyring_new_data_key(p->repo, &second, &err));
	assert_int_equal(second.pair, pair);
	come_with_key(p);
	OK(keyring_open_data_key(p->repo, second.pair, second.sealed, &opened,
	    &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RING(what_is_written_opens_with_the_key_alone),
		RING(another_key_or_passphrase_opens_nothing),
		RING(a_clone_has_the_same_ring),
		RING(a_lost_state_makes_a_set_that_nobody_vouches_for),
		RING(a_host_without_a_key_writes_and_reads_its_own_alone),
		RING(the_state_is_for_its_owner_and_its_newest_backups),
		RING(an_object_that_was_changed_or_taken_is_found),
		RING(a_ring_or_a_pair_that_the_store_made_itself_is_refused),
		RING(a_set_or_a_wrap_that_the_store_made_itself_is_refused),
		RING(any_call_may_fail_while_a_ring_is_made_and_opened),
		RING(who_was_revoked_opens_nothing_and_the_others_all),
		RING(another_recipients_damage_locks_nobody_out),
		RING(a_host_that_rotates_writes_to_the_new_pair_without_a_key_too),
		RING(any_call_may_fail_while_a_ring_is_changed),
		RING(text_is_authenticated_for_its_place),
		RING(names_are_an_hmac_in_whatever_pieces_it_comes),
		RING(a_key_typed_in_from_paper_opens_and_a_mistyped_one_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
