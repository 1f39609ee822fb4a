libdapk_a_SOURCES += \
	%D%/export.c %D%/export.h \
	%D%/job.h \
	%D%/outfile.c %D%/outfile.h \
	%D%/output.c \
	%D%/tarfile.c %D%/tarfile.h \
	%D%/wal.c
unit_tests += tests/unit/test_tarfile
