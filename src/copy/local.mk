libdapk_a_SOURCES += \
	%D%/copy.c %D%/copy.h \
	%D%/copy_gaps.c \
	%D%/copy_object.c \
	%D%/copy_set.c \
	%D%/copy_wal.c \
	%D%/copy_work.h \
	%D%/mirror.c %D%/mirror.h
unit_tests += tests/unit/test_places
tests_unit_test_places_SOURCES = tests/unit/test_places.c \
	tests/unit/fixture_dump.h tests/unit/fixture_repo.h
