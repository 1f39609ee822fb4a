/* SPDX-License-Identifier: PostgreSQL */
/*
 * A ring in several places, what is shown of it, and a key on paper: whatever
 * fails, the places can be made the same again; whatever is mistyped is found.
 */
#include "config.h"

#include "fixture_repo.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "repo/keyfile.h"
#include "repo/keyring.h"
#include "repo/keyring_private.h"
#include "storage/storage_ops.h"

static const uint8_t key_bytes[CRYPT_KEY] = "thirty-two bytes of a key file.";

struct world {
	struct fixture *near, *far;
	char dir[64], key_file[96], ring[KEYRING_ID_TEXT];
};

/* As a process that has the key comes to a place. */
static void
come(struct world *w, struct fixture *f)
{
	struct keyring_unlock u = { .key_file = w->key_file };

	keyring_release(f->repo->ring);
	f->repo->ring = NULL;
	OK(keyring_new(&f->repo->ring, w->ring, &u, &err));
}

static int
setup(void **state)
{
	struct keyring_recipient first = { .kind = KEYRING_KEY_FILE,
		.name = "vault", .key = key_bytes };
	struct world *w = xcalloc(1, sizeof(*w));

	if (fixture_setup((void **)&w->near) != 0 ||
	    fixture_setup((void **)&w->far) != 0)
		return -1;
	/* Places of one repository. */
	memcpy(w->far->repo->id, w->near->repo->id, 16);
	memcpy(w->far->repo->id_text, w->near->repo->id_text, REPO_ID_TEXT);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-keys-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->key_file, sizeof(w->key_file), "%s/key", w->dir);
	OK(keyfile_write(w->key_file, key_bytes, &err));
	OK(keyring_create(w->near->repo, &first, w->ring, &err));
	come(w, w->near);
	come(w, w->far);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	OK(io_remove_tree(w->dir, &err));
	(void)fixture_teardown((void **)&w->near);
	(void)fixture_teardown((void **)&w->far);
	free(w);
	return 0;
}

/* A key opens all of it there, and it speaks for this many of each. */
static void
has(struct world *w, struct fixture *f, unsigned pairs, unsigned recipients)
{
	struct keyring_entry *e;
	unsigned seen[2] = { 0, 0 };
	size_t n, i;

	come(w, f);
	OK(keyring_entries(f->repo, true, &e, &n, &err));
	for (i = 0; i < n; i++) {
		seen[e[i].pair > 0 ? 0 : 1]++;
		if (e[i].pair == 0)
			assert_int_equal(e[i].pairs, pairs);
	}
	assert_int_equal(seen[0], pairs);
	assert_int_equal(seen[1], recipients);
	free(e);
}

static void
any_call_may_fail_while_a_ring_is_copied(void **state)
{
	struct world *w = *state;
	struct keyring_recipient second = { .kind = KEYRING_PUBLIC_KEY,
		.name = "elsewhere" };
	uint32_t pair;
	unsigned nth, torn;
	int rc = -1;

	OK(keyring_public_of(key_bytes, second.public_half, &err));
	OK(keyring_copy(w->near->repo, w->far->repo, &err));
	has(w, w->far, 1, 1);
	for (torn = 0; torn < 2; torn++)
		for (nth = 1, rc = -1; rc != 0; nth++) {
			assert_true(nth < 60);
			if (nth % 4 == 1)
				OK(keyring_rotate(w->near->repo, &pair, &err));
			storage_fault_at(w->far->st, nth, torn != 0);
			rc = keyring_copy(w->near->repo, w->far->repo, &err);
			storage_fault_at(w->far->st, 0, false);
			err_clear(&err);
			/* What came opens, or the ring is as it was. */
			come(w, w->far);
			OK(keyring_need(w->far->repo, &err));
		}
	OK(keyring_add(w->near->repo, &second, &err));
	OK(keyring_rotate(w->near->repo, &pair, &err));
	OK(keyring_copy(w->near->repo, w->far->repo, &err));
	has(w, w->near, pair, 2);
	has(w, w->far, pair, 2);
	OK(keyring_copy(w->far->repo, w->near->repo, &err));
	has(w, w->near, pair, 2);
}

static void
places_that_were_rotated_apart_are_told_and_stay_as_they_are(void **state)
{
	struct world *w = *state;
	uint32_t pair;

	OK(keyring_copy(w->near->repo, w->far->repo, &err));
	OK(keyring_rotate(w->near->repo, &pair, &err));
	OK(keyring_rotate(w->far->repo, &pair, &err));
	FAILS(keyring_copy(w->near->repo, w->far->repo, &err), ERR_REFUSED);
	has(w, w->near, 2, 1);
	has(w, w->far, 2, 1);
}

static void
what_a_store_made_up_is_listed_only_without_a_key(void **state)
{
	struct world *w = *state;
	static const char json[] = "{\n\"id\": \"00112233445566aa\",\n"
	    "\"kind\": \"public-key\",\n\"name\": \"a%20friend\",\n"
	    "\"public\": \"000102030405060708090a0b0c0d0e0f"
	    "101112131415161718191a1b1c1d1e1f\",\n"
	    "\"created\": \"2026-11-22 13:31:07.123456+00\"\n}";
	struct keyring_entry *e;
	char key[STORAGE_KEY_MAX];
	size_t n;

	(void)snprintf(key, sizeof(key), "keys/%s/recipient-00112233445566aa",
	    w->ring);
	OK(repo_put_text(w->near->repo, key, "recipient", json,
	    sizeof(json) - 1, &err));
	OK(keyring_entries(w->near->repo, false, &e, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(e[1].name, "a friend");
	assert_int_equal(e[1].pairs, 0);
	free(e);
	come(w, w->near);
	FAILS(keyring_entries(w->near->repo, true, &e, &n, &err),
	    ERR_DAMAGED);
}

static bool
is_digit(char c)
{
	return c != '\0' && strchr("0123456789abcdef", c) != NULL;
}

static void
every_mistyped_digit_of_a_sheet_is_found_in_its_line(void **state)
{
	uint8_t back[CRYPT_KEY];
	char want[16], was;
	unsigned line = 0, digits = 0;
	struct buf b;
	char *p;

	(void)state;
	buf_init(&b, 4096);
	OK(keyfile_to_sheet(key_bytes, &b, &err));
	buf_add_byte(&b, '\0');
	OK(keyfile_from_sheet((char *)b.data, back, &err));
	assert_memory_equal(back, key_bytes, CRYPT_KEY);
	for (p = (char *)b.data; *p != '\0'; p++) {
		if (p[1] == ':')
			line = (unsigned)(*p - '0');
		/* Digits; not the number, not the c and e of "check". */
		if (!is_digit(*p) || p[1] == ':' || p[1] == 'h' ||
		    p[-1] == 'h' || p[1] == 'k')
			continue;
		was = *p;
		*p = was == '7' ? 'f' : '7';
		digits++;
		FAILS(keyfile_from_sheet((char *)b.data, back, &err),
		    ERR_CONFIG);
		(void)snprintf(want, sizeof(want), "line %u ", line);
		assert_non_null(strstr(err.msg, want));
		*p = was;
	}
	assert_int_equal(digits, 4 * 20);
	buf_free(&b);
}

static void
lines_of_a_sheet_that_change_places_or_are_left_out_are_found(void **state)
{
	uint8_t back[CRYPT_KEY];
	char *one, *two;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	OK(keyfile_to_sheet(key_bytes, &b, &err));
	buf_add_byte(&b, '\0');
	one = strstr((char *)b.data, "1:");
	two = strstr((char *)b.data, "2:");
	*one = '2';
	*two = '1';
	FAILS(keyfile_from_sheet((char *)b.data, back, &err), ERR_CONFIG);
	*one = '1';
	*two = '9';
	FAILS(keyfile_from_sheet((char *)b.data, back, &err), ERR_CONFIG);
	assert_non_null(strstr(err.msg, "line 2 "));
	FAILS(keyfile_from_sheet("", back, &err), ERR_CONFIG);
	buf_free(&b);
}

static void
a_public_half_is_no_key_and_a_key_no_public_half(void **state)
{
	struct world *w = *state;
	uint8_t public_half[CRYPT_KEY], back[CRYPT_KEY];
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/key.pub", w->dir);
	OK(keyring_public_of(key_bytes, public_half, &err));
	OK(keyfile_write_public(path, public_half, &err));
	FAILS(keyfile_write_public(path, public_half, &err), ERR_EXISTS);
	OK(keyfile_read_public(path, back, &err));
	assert_memory_equal(back, public_half, CRYPT_KEY);
	FAILS(keyfile_read_public(w->key_file, back, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, ".pub"));
	assert_int_equal(chmod(path, 0600), 0);
	FAILS(keyfile_read(path, back, &err), ERR_CONFIG);
	assert_true(keyfile_is(w->key_file));
	assert_false(keyfile_is(path));
	assert_false(keyfile_is(w->dir));
	assert_int_equal(stat(w->key_file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/*
 * One rotten object costs what it alone opened and no more: 'pair' and
 * 'secrets' nothing, a wrap what was sealed to its pair.
 */
static void
a_rotten_object_locks_up_nothing_that_others_open(void **state)
{
	struct world *w = *state;
	struct repo *repo = w->near->repo;
	struct keyring_list l;
	struct data_key first, second, opened;
	char name[STORAGE_KEY_MAX];
	uint32_t pair;
	size_t i;

	OK(keyring_new_data_key(repo, &first, &err));
	OK(keyring_rotate(repo, &pair, &err));
	OK(keyring_new_data_key(repo, &second, &err));
	assert_int_not_equal(first.pair, second.pair);
	OK(keyring_items(repo, w->ring, &l, &err));
	assert_int_equal(l.n, 2 + 1 + 2 + 2);
	for (i = 0; i < l.n; i++) {
		const struct keyring_item *item = &l.items[i];
		bool wrap = item->type == ITEM_WRAP;
		struct buf was;

		keyring_key(w->ring, item, name);
		buf_init(&was, 1 << 20);
		OK(storage_get_all(w->near->st, name, &was, &err));
		OK(storage_remove(w->near->st, name, &err));
		OK(storage_put(w->near->st, name, "rot", 3, &err));
		come(w, w->near);
		if (item->type == ITEM_RECIPIENT)
			FAILS(keyring_need(repo, &err), ERR_DAMAGED);
		else
			OK(keyring_need(repo, &err));
		if (item->type != ITEM_RECIPIENT && (!wrap || item->pair == 2))
			OK(keyring_open_data_key(repo, first.pair,
			    first.sealed, &opened, &err));
		if (item->type != ITEM_RECIPIENT && (!wrap || item->pair == 1))
			OK(keyring_open_data_key(repo, second.pair,
			    second.sealed, &opened, &err));
		if (wrap)
			FAILS(keyring_open_data_key(repo, item->pair,
			    item->pair == 1 ? first.sealed : second.sealed,
			    &opened, &err), ERR_CONFIG);
		OK(storage_remove(w->near->st, name, &err));
		OK(storage_put(w->near->st, name, was.data, was.len, &err));
		buf_free(&was);
	}
	free(l.items);
	come(w, w->near);
	OK(keyring_open_data_key(repo, first.pair, first.sealed, &opened,
	    &err));
	OK(keyring_open_data_key(repo, second.pair, second.sealed, &opened,
	    &err));
}

/* A store that answers the first time with what lies there, then with rot. */
static struct {
	const struct storage_ops *true_ops;
	struct storage_ops ops;
	char key[STORAGE_KEY_MAX];
	unsigned reads;
} liar;

static int
lie(struct storage *st, const char *key, uint64_t off, size_t len, void *out,
    struct err *e)
{
	int rc = liar.true_ops->get(st, key, off, len, out, e);

	if (rc == 0 && strcmp(key, liar.key) == 0 && liar.reads++ > 0)
		memset(out, 'x', len);
	return rc;
}

static void
lie_about(struct storage *st, const char *ring, const struct keyring_item *item)
{
	keyring_key(ring, item, liar.key);
	liar.reads = 0;
	liar.true_ops = st->ops;
	liar.ops = *st->ops;
	liar.ops.get = lie;
	liar.ops.get_all = NULL;
	st->ops = &liar.ops;
}

/* What is left out as rotten must not be what was opened before that. */
static void
a_set_that_rots_after_it_was_opened_is_believed_by_nobody(void **state)
{
	struct world *w = *state;
	struct repo *repo = w->near->repo;
	struct keyring_set forged = { .id = { 9 }, .master = { 9 } };
	struct keyring_item item = { .type = ITEM_SECRETS, .pair = 1,
		.id = "0900000000000000" };
	uint8_t public_half[CRYPT_KEY], half[CRYPT_KEY] = { 7 };
	uint8_t sealed[KEYRING_SEALED];
	struct data_key opened;

	OK(keyring_set_derive(&forged, repo->id, &err));
	OK(keyring_get_pair(repo, w->ring, 1, NULL, public_half, &err));
	OK(keyring_put_sealed(repo, w->ring, &item, public_half,
	    forged.master, &forged, &err));
	memcpy(sealed, forged.id, KEYRING_ID);
	OK(crypt_seal(public_half, "data key", half, sealed + KEYRING_ID,
	    &err));
	come(w, w->near);
	lie_about(w->near->st, w->ring, &item);
	FAILS(keyring_open_data_key(repo, 1, sealed, &opened, &err),
	    ERR_REFUSED);
	w->near->st->ops = liar.true_ops;
	assert_true(liar.reads > 1);
}

/* One by a host of the public half, which was accepted and rotated with. */
static void
accept_another_set(struct world *w, struct keyring_item *newest)
{
	struct keyring_set set = { .id = { 8 }, .master = { 8 } };
	struct repo *repo = w->near->repo;
	uint8_t public_half[CRYPT_KEY];
	struct keyring_item item = { .type = ITEM_SECRETS, .pair = 1,
		.id = "0800000000000000" };

	OK(keyring_set_derive(&set, repo->id, &err));
	OK(keyring_get_pair(repo, w->ring, 1, NULL, public_half, &err));
	OK(keyring_put_sealed(repo, w->ring, &item, public_half, set.master,
	    &set, &err));
	come(w, w->near);
	OK(keyring_accept(repo, item.id, &err));
	OK(keyring_rotate(repo, &item.pair, &err));
	*newest = item;
}

static void
an_accepted_set_is_not_exchanged_by_answering_twice(void **state)
{
	struct world *w = *state;
	struct repo *repo = w->near->repo;
	struct keyring_set forged = { .id = { 8 }, .master = { 9 } };
	struct keyring_item item, first = { .type = ITEM_SECRETS };
	uint8_t public_half[CRYPT_KEY], half[CRYPT_KEY] = { 7 };
	uint8_t sealed[KEYRING_SEALED];
	char name[STORAGE_KEY_MAX];
	struct data_key opened;
	struct buf was;

	accept_another_set(w, &item);
	/* Two that are vouched for, and none by its host alone. */
	OK(keyring_rotate(repo, &item.pair, &err));
	first.pair = 1;
	memcpy(first.id, item.id, sizeof(first.id));
	keyring_key(w->ring, &first, name);
	OK(storage_remove(w->near->st, name, &err));
	OK(keyring_set_derive(&forged, repo->id, &err));
	OK(keyring_get_pair(repo, w->ring, item.pair, NULL, public_half,
	    &err));
	keyring_key(w->ring, &item, name);
	buf_init(&was, 1 << 20);
	OK(storage_get_all(w->near->st, name, &was, &err));
	OK(storage_remove(w->near->st, name, &err));
	OK(keyring_put_sealed(repo, w->ring, &item, public_half,
	    forged.master, &forged, &err));
	memcpy(sealed, forged.id, KEYRING_ID);
	OK(crypt_seal(public_half, "data key", half, sealed + KEYRING_ID,
	    &err));
	come(w, w->near);
	lie_about(w->near->st, w->ring, &item);
	FAILS(keyring_open_data_key(repo, item.pair, sealed, &opened, &err),
	    ERR_DAMAGED);
	w->near->st->ops = liar.true_ops;
	/* As it was it is believed. */
	OK(storage_remove(w->near->st, name, &err));
	OK(storage_put(w->near->st, name, was.data, was.len, &err));
	buf_free(&was);
	come(w, w->near);
	OK(keyring_open_data_key(repo, item.pair, sealed, &opened, &err));
}

#define PLACES(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PLACES(any_call_may_fail_while_a_ring_is_copied),
		PLACES(places_that_were_rotated_apart_are_told_and_stay_as_they_are),
		PLACES(a_set_that_rots_after_it_was_opened_is_believed_by_nobody),
		PLACES(an_accepted_set_is_not_exchanged_by_answering_twice),
		PLACES(a_rotten_object_locks_up_nothing_that_others_open),
		PLACES(what_a_store_made_up_is_listed_only_without_a_key),
		PLACES(every_mistyped_digit_of_a_sheet_is_found_in_its_line),
		PLACES(lines_of_a_sheet_that_change_places_or_are_left_out_are_found),
		PLACES(a_public_half_is_no_key_and_a_key_no_public_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
