/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/time.h"
#include "storage/s3_put_headers.h"

#define INC "clusters/main/15-7312345678901234567/"

static const char *
value(const struct s3_put_headers *h, const char *name)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (strcmp(h->pairs[i].name, name) == 0)
			return h->pairs[i].value;
	return NULL;
}

static void
what_lasts_is_locked_and_what_comes_and_goes_is_not(void **state)
{
	static const char *const lasting[] = { "dapk-repository",
		"README.recovery", "keys/1",
		INC "wal/00000001/00000000/000000010000000000000003-ab.zst",
		INC "wal/00000002/00000002.history-ab.zst",
		INC "backups/L/pack-01-000000.zst",
		INC "backups/L/manifest-00.zst", INC "backups/L/commit",
		INC "dumps/L/commit" };
	static const char *const passing[] = { "tmp-probe/0123",
		INC "leases/backups/0000000001-ab", INC "intents/ab",
		INC "tombstones/ab", INC "pins/ab",
		INC "backups/L/pack-01-000000.g0.damaged", "clusters/main",
		"clusters/main/15-1" };
	struct storage_settings set = { .object_lock_days = 40,
		.storage_class = "STANDARD_IA",
		.server_side_encryption = "AES256" };
	struct err err = ERR_INIT;
	struct s3_put_headers h;
	struct s3_put_rules rules;
	size_t i;

	s3_put_rules_init(&rules, &set);
	assert_int_equal(s3_put_rules_check(&rules, &err), 0);
	for (i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++) {
		assert_int_equal(s3_put_headers(&rules, lasting[i], "abc", 3,
		    time_from_unix(1795354267), &h, &err), 0);
		assert_string_equal(value(&h, "x-amz-object-lock-mode"),
		    "COMPLIANCE");
		assert_string_equal(value(&h,
		    "x-amz-object-lock-retain-until-date"),
		    "2027-01-01T13:31:07Z");
		assert_string_equal(value(&h, "content-md5"),
		    "kAFQmDzST7DWlj99KOF/cg==");
		assert_string_equal(value(&h, "x-amz-storage-class"),
		    "STANDARD_IA");
		assert_string_equal(value(&h, "x-amz-server-side-encryption"),
		    "AES256");
	}
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (s3_put_lasts(passing[i]))
			fail_msg("%s would be locked", passing[i]);
		assert_int_equal(s3_put_headers(&rules, passing[i], "abc", 3,
		    0, &h, &err), 0);
		assert_int_equal(h.n, 1); /* encrypted all the same */
	}
	s3_put_rules_free(&rules);
}

static void
rules_that_make_no_sense_are_refused(void **state)
{
	static const struct storage_settings bad[] = {
		{ .server_side_encryption = "aes" },
		{ .server_side_encryption = "AES256", .kms_key_id = "k" },
		{ .kms_key_id = "k" },
		{ .server_side_encryption = "aws:kms", .kms_key_id = "a\nb" },
		{ .storage_class = "DEEP_ARCHIVE" },
		{ .storage_class = "GLACIER" },
		{ .storage_class = "A B" },
	};
	struct storage_settings good = { .server_side_encryption = "aws:kms",
		.kms_key_id = "arn:aws:kms:eu-central-1:1:key/2" };
	struct s3_put_rules rules;
	struct s3_put_headers h;
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s3_put_rules_init(&rules, &bad[i]);
		assert_int_equal(s3_put_rules_check(&rules, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		err_clear(&err);
		s3_put_rules_free(&rules);
	}
	s3_put_rules_init(&rules, &good);
	assert_int_equal(s3_put_rules_check(&rules, &err), 0);
	assert_int_equal(s3_put_headers(&rules, "dapk-repository", "", 0, 0,
	    &h, &err), 0);
	assert_int_equal(h.n, 2);
	assert_string_equal(value(&h,
	    "x-amz-server-side-encryption-aws-kms-key-id"), good.kms_key_id);
	s3_put_rules_free(&rules);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_lasts_is_locked_and_what_comes_and_goes_is_not),
		cmocka_unit_test(rules_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
