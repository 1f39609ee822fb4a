libdapk_a_SOURCES += \
	%D%/bigrow.c %D%/bigrow.h \
	%D%/copystmt.c %D%/copystmt.h \
	%D%/dump.h \
	%D%/facts.c %D%/facts.h \
	%D%/leader.c %D%/leader.h \
	%D%/globals.c %D%/globals.h \
	%D%/head.c %D%/head.h \
	%D%/lobs.c %D%/lobs.h \
	%D%/outline.c \
	%D%/session.c %D%/session.h \
	%D%/tables.c %D%/tables.h \
	%D%/tasks.c %D%/tasks.h \
	%D%/work.c %D%/work.h

unit_tests += \
	tests/unit/test_copystmt \
	tests/unit/test_lobs \
	tests/unit/test_tasks
