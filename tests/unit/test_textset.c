/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "core/time.h"
#include "repo/hold.h"
#include "repo/pin.h"

#define PINS "clusters/main/15-7312345678901234567/pins/"
#define ODD "till the \"audit\" is \374ber 100 %\n"

static void
put_pin(struct fixture *f, enum repo_kind kind, const char *label,
    int64_t until, int64_t created, const char *reason, char id[PIN_ID_TEXT])
{
	struct pin p = { .kind = kind, .until = until, .created = created };

	(void)snprintf(p.label, sizeof(p.label), "%s", label);
	p.reason = (char *)(uintptr_t)reason; /* only read */
	OK(pin_put(f->repo, &f->inc, &p, &err));
	memcpy(id, p.id, PIN_ID_TEXT);
}

static void
a_pin_comes_back_as_it_was_put(void **state)
{
	struct fixture *f = *state;
	char a[PIN_ID_TEXT], b[PIN_ID_TEXT];
	struct pin *pins;
	size_t n;

	OK(pin_list(f->repo, &f->inc, &pins, &n, &err));
	assert_int_equal(n, 0);
	pins_free(pins, n);
	put_pin(f, REPO_DUMP, LABEL_B, 0, 2000, NULL, a);
	put_pin(f, REPO_BACKUP, LABEL_A, 987654321, 1000, ODD, b);
	assert_string_not_equal(a, b);
	OK(pin_list(f->repo, &f->inc, &pins, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(pins[0].id, b); /* the older one first */
	assert_int_equal(pins[0].kind, REPO_BACKUP);
	assert_string_equal(pins[0].label, LABEL_A);
	assert_int_equal(pins[0].until, 987654321);
	assert_int_equal(pins[0].created, 1000);
	assert_string_equal(pins[0].reason, ODD);
	assert_int_equal(pins[1].kind, REPO_DUMP);
	assert_int_equal(pins[1].until, 0);
	assert_string_equal(pins[1].reason, "");
	pins_free(pins, n);
}

static void
a_removed_pin_is_gone_and_may_go_twice(void **state)
{
	struct fixture *f = *state;
	char id[PIN_ID_TEXT];
	struct pin *pins;
	size_t n;

	put_pin(f, REPO_BACKUP, LABEL_A, 0, 1000, "", id);
	OK(pin_remove(f->repo, &f->inc, id, &err));
	OK(pin_remove(f->repo, &f->inc, id, &err));
	OK(pin_list(f->repo, &f->inc, &pins, &n, &err));
	assert_int_equal(n, 0);
	pins_free(pins, n);
}

/* It would be removed as if nobody wanted it. */
static void
a_pin_that_cannot_be_read_is_an_error(void **state)
{
	static const char *const bodies[] = {
		"{\"kind\": \"backup\", \"label\": \"" LABEL_A "\", \"until\": "
		"null, \"created\": \"yesterday\", \"reason\": \"\"}",
		"{\"kind\": \"wal\", \"label\": \"" LABEL_A "\", \"until\": "
		"null, \"created\": \"2026-11-22 13:31:07+00\", \"reason\": "
		"\"\"}",
		"{\"kind\": \"backup\", \"label\": \"../x\", \"until\": "
		"null, \"created\": \"2026-11-22 13:31:07+00\", \"reason\": "
		"\"\"}",
	};
	struct fixture *f = *state;
	struct pin *pins;
	size_t i, n;

	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		OK(repo_put_text(f->repo, PINS "0123456789abcdef", "pin",
		    bodies[i], strlen(bodies[i]), &err));
		FAILS(pin_list(f->repo, &f->inc, &pins, &n, &err),
		    ERR_DAMAGED);
		assert_non_null(strstr(err.msg, "0123456789abcdef"));
		OK(storage_remove(f->st, PINS "0123456789abcdef", &err));
	}
}

static void
a_file_that_is_no_pin_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct pin *pins;
	size_t n;

	OK(storage_put(f->st, PINS "notes.txt", "x", 1, &err));
	OK(pin_list(f->repo, &f->inc, &pins, &n, &err));
	assert_int_equal(n, 0);
	pins_free(pins, n);
}

static void
put_hold(struct fixture *f, const char *cluster, const char *reason)
{
	struct hold h = { .created = 0 };

	h.reason = (char *)(uintptr_t)reason; /* only read */
	OK(hold_put(f->repo, cluster, &h, &err));
	assert_true(h.created != 0);
	assert_true(h.user[0] != '\0');
	free(h.host);
	free(h.user);
}

static void
a_hold_stops_its_cluster_until_it_is_released(void **state)
{
	struct fixture *f = *state;
	struct hold *holds;
	size_t n;

	OK(hold_check(f->repo, "main", &err));
	put_hold(f, "main", "new disks");
	put_hold(f, "main", NULL);
	FAILS(hold_check(f->repo, "main", &err), ERR_LOCKED);
	assert_non_null(strstr(err.msg, "new disks"));
	assert_non_null(strstr(err.hint, "release"));
	OK(hold_check(f->repo, "other", &err));
	OK(hold_list(f->repo, "main", &holds, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(holds[0].reason, "new disks");
	holds_free(holds, n);
	OK(hold_remove(f->repo, "main", &n, &err));
	assert_int_equal(n, 2);
	OK(hold_check(f->repo, "main", &err));
	OK(hold_remove(f->repo, "main", &n, &err));
	assert_int_equal(n, 0);
}

/* Nobody knows what it says, but somebody wanted something to stop. */
static void
a_hold_that_cannot_be_read_holds_and_can_be_released(void **state)
{
	static const char body[] = "{\"created\": 1}";
	struct fixture *f = *state;
	size_t n;

	OK(repo_put_text(f->repo, "holds/main/0123456789abcdef", "hold", body,
	    strlen(body), &err));
	FAILS(hold_check(f->repo, "main", &err), ERR_DAMAGED);
	assert_non_null(strstr(err.hint, "release"));
	OK(hold_remove(f->repo, "main", &n, &err));
	assert_int_equal(n, 1);
	OK(hold_check(f->repo, "main", &err));
}

static void
a_store_that_fails_is_not_taken_for_no_hold(void **state)
{
	struct fixture *f = *state;
	struct hold *holds;
	struct pin *pins;
	size_t n;

	storage_fault_at(f->st, 1, false);
	FAILS(hold_check(f->repo, "main", &err), ERR_STORAGE);
	storage_fault_at(f->st, 1, false);
	FAILS(hold_list(f->repo, "main", &holds, &n, &err), ERR_STORAGE);
	storage_fault_at(f->st, 1, false);
	FAILS(pin_list(f->repo, &f->inc, &pins, &n, &err), ERR_STORAGE);
}

#define REPO_TEST(f) \
	cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REPO_TEST(a_pin_comes_back_as_it_was_put),
		REPO_TEST(a_removed_pin_is_gone_and_may_go_twice),
		REPO_TEST(a_pin_that_cannot_be_read_is_an_error),
		REPO_TEST(a_file_that_is_no_pin_is_passed_over),
		REPO_TEST(a_hold_stops_its_cluster_until_it_is_released),
		REPO_TEST(
		    a_hold_that_cannot_be_read_holds_and_can_be_released),
		REPO_TEST(a_store_that_fails_is_not_taken_for_no_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
