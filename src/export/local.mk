libdapk_a_SOURCES += \
	%D%/dump.c %D%/dump.h %D%/dumpjob.h \
	%D%/dump_directory.c %D%/dump_plain.c %D%/dump_script.c \
	%D%/dump_stream.c \
	%D%/export.c %D%/export.h \
	%D%/job.h \
	%D%/outfile.c %D%/outfile.h \
	%D%/output.c \
	%D%/tarfile.c %D%/tarfile.h \
	%D%/wal.c
unit_tests += tests/unit/test_export_dump tests/unit/test_tarfile
