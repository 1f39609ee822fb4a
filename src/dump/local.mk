libdapk_a_SOURCES += \
	%D%/copystmt.c %D%/copystmt.h \
	%D%/head.c %D%/head.h \
	%D%/lobs.c %D%/lobs.h \
	%D%/session.c %D%/session.h \
	%D%/tables.c %D%/tables.h \
	%D%/tasks.c %D%/tasks.h

unit_tests += \
	tests/unit/test_copystmt \
	tests/unit/test_lobs \
	tests/unit/test_tasks
