libdapk_a_SOURCES += \
	%D%/retry.c %D%/retry.h \
	%D%/storage.c %D%/storage.h \
	%D%/storage_check.c \
	%D%/storage_fault.c \
	%D%/storage_mem.c \
	%D%/storage_ops.h \
	%D%/storage_posix.c %D%/storage_posix.h \
	%D%/storage_posix_read.c \
	%D%/storage_posix_sweep.c
unit_tests += \
	tests/contract/test_storage \
	tests/unit/test_retry
