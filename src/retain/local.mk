libdapk_a_SOURCES += \
	%D%/survey.c %D%/survey.h \
	%D%/expire.c %D%/expire.h %D%/expire_wal.c %D%/expire_wal.h \
	%D%/retention.c %D%/retention.h \
	%D%/policy.c %D%/policy.h %D%/policy_odd.c %D%/policy_path.c \
	%D%/policy_private.h %D%/policy_set.c %D%/policy_time.c \
	%D%/policy_why.c \
	%D%/removal.c %D%/removal.h %D%/removal_mark.c \
	%D%/removal_private.h %D%/removal_rest.c %D%/removal_run.c
unit_tests += tests/unit/test_policy tests/unit/test_removal \
	tests/unit/test_removal_faults
tests_unit_test_removal_SOURCES = tests/unit/test_removal.c \
	tests/unit/fixture_removal.h tests/unit/fixture_repo.h
tests_unit_test_removal_faults_SOURCES = tests/unit/test_removal_faults.c \
	tests/unit/fixture_removal.h tests/unit/fixture_repo.h
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c \
	tests/unit/fixture_policy.h
unit_tests += tests/unit/test_policy_random
tests_unit_test_policy_random_SOURCES = tests/unit/test_policy_random.c \
	tests/unit/fixture_policy.h tests/unit/fixture_promise.h \
	tests/unit/fixture_world.h
