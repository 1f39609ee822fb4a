libdapk_a_SOURCES += \
	%D%/absent.c %D%/absent.h \
	%D%/cluster.c %D%/cluster.h \
	%D%/get.c %D%/get.h \
	%D%/getone.c %D%/getone.h \
	%D%/prefetch.c %D%/prefetch.h \
	%D%/push.c %D%/push.h \
	%D%/pushahead.c %D%/pushahead.h \
	%D%/pushcheck.c %D%/pushfile.h \
	%D%/pushed.c %D%/pushed.h \
	%D%/pushhistory.c %D%/pushhistory.h \
	%D%/pushpartial.c %D%/pushpartial.h \
	%D%/pushplace.c %D%/pushplace.h \
	%D%/pushqueue.c %D%/pushqueue.h \
	%D%/pushstore.c %D%/pushstore.h \
	%D%/salvage.c \
	%D%/spool.c %D%/spool.h \
	%D%/tired.c %D%/tired.h

unit_tests += tests/unit/test_push
tests_unit_test_push_SOURCES = tests/unit/test_push.c \
	tests/unit/fixture_push.h tests/unit/fixture_wal.h
unit_tests += tests/unit/test_push_partial
tests_unit_test_push_partial_SOURCES = tests/unit/test_push_partial.c \
	tests/unit/fixture_push.h tests/unit/fixture_wal.h
unit_tests += tests/unit/test_push_ahead
tests_unit_test_push_ahead_SOURCES = tests/unit/test_push_ahead.c \
	tests/unit/fixture_wal.h
unit_tests += tests/unit/test_get
tests_unit_test_get_SOURCES = tests/unit/test_get.c \
	tests/unit/fixture_get.h tests/unit/fixture_wal.h
unit_tests += tests/unit/test_get_spool
tests_unit_test_get_spool_SOURCES = tests/unit/test_get_spool.c \
	tests/unit/fixture_get.h tests/unit/fixture_wal.h
unit_tests += tests/unit/test_salvage
tests_unit_test_salvage_SOURCES = tests/unit/test_salvage.c \
	tests/unit/fixture_wal.h
unit_tests += tests/unit/test_get_several
tests_unit_test_get_several_SOURCES = tests/unit/test_get_several.c \
	tests/unit/fixture_wal.h
