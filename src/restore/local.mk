libdapk_a_SOURCES += \
	%D%/apply.c \
	%D%/command.c %D%/command.h \
	%D%/copyback.c %D%/copyback.h \
	%D%/copycompare.c \
	%D%/copyjob.h \
	%D%/copyworker.c \
	%D%/damage.c %D%/damage.h \
	%D%/delta.c %D%/delta.h \
	%D%/dest.c \
	%D%/dirmanifest.c %D%/dirmanifest.h \
	%D%/olddir.c \
	%D%/pathset.c %D%/pathset.h \
	%D%/places.c \
	%D%/plan.c %D%/plan.h \
	%D%/postmaster.c %D%/postmaster.h \
	%D%/proof.c %D%/proof.h \
	%D%/recovery.c %D%/recovery.h \
	%D%/refuse.c %D%/refuse.h \
	%D%/restore.h \
	%D%/show.c \
	%D%/start.c \
	%D%/startlog.c %D%/startlog.h \
	%D%/sweep.c %D%/sweep.h \
	%D%/target.c \
	%D%/tree.c %D%/tree.h \
	%D%/walleft.c %D%/walleft.h
unit_tests += tests/unit/test_apply tests/unit/test_recovery \
	tests/unit/test_restore_plan tests/unit/test_walleft
tests_unit_test_walleft_SOURCES = tests/unit/test_walleft.c \
	tests/unit/fixture_wal.h
tests_unit_test_apply_SOURCES = tests/unit/test_apply.c \
	tests/unit/fixture_wal.h
tests_unit_test_restore_plan_SOURCES = tests/unit/test_restore_plan.c \
	tests/unit/fixture_wal.h
