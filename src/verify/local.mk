libdapk_a_SOURCES += \
	%D%/check.c %D%/check.h \
	%D%/check_arrival.c %D%/check_private.h \
	%D%/check_command.c %D%/check_folders.c %D%/check_others.c \
	%D%/check_server.c %D%/check_space.c %D%/check_stores.c \
	%D%/verify.c %D%/verify.h \
	%D%/verify_dump.c \
	%D%/verify_facts.c %D%/verify_facts.h \
	%D%/verify_pack.c %D%/verify_pack.h \
	%D%/verify_prove.c \
	%D%/verify_read.c \
	%D%/verify_repair.c \
	%D%/verify_wal.c \
	%D%/verify_work.h
unit_tests += tests/unit/test_verify tests/unit/test_verify_dump
