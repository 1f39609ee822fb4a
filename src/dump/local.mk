libdapk_a_SOURCES += \
	%D%/bigrow.c %D%/bigrow.h \
	%D%/chunkindex.c %D%/chunkindex.h \
	%D%/copyout.c %D%/copyout.h \
	%D%/copystmt.c %D%/copystmt.h \
	%D%/cut.c %D%/cut.h \
	%D%/dump.c %D%/dump.h \
	%D%/facts.c %D%/facts.h \
	%D%/globals.c %D%/globals.h \
	%D%/head.c %D%/head.h \
	%D%/leader.c %D%/leader.h \
	%D%/lobs.c %D%/lobs.h \
	%D%/outline.c \
	%D%/parent.c %D%/parent.h \
	%D%/session.c %D%/session.h \
	%D%/store.c %D%/store.h %D%/store_private.h \
	%D%/tables.c %D%/tables.h \
	%D%/tasks.c %D%/tasks.h \
	%D%/todir.c %D%/todir.h \
	%D%/torepo.c %D%/torepo.h \
	%D%/work.c %D%/work.h \
	%D%/writer.c

unit_tests += \
	tests/unit/test_chunkindex \
	tests/unit/test_copystmt \
	tests/unit/test_cut \
	tests/unit/test_dump_store \
	tests/unit/test_lobs \
	tests/unit/test_tasks
