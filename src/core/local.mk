libdapk_a_SOURCES += \
	%D%/buf.c %D%/buf.h \
	%D%/bytes.h \
	%D%/cancel.c %D%/cancel.h \
	%D%/coredump.c %D%/coredump.h \
	%D%/crc32c.c %D%/crc32c.h \
	%D%/detach.c %D%/detach.h \
	%D%/dynlib.c %D%/dynlib.h \
	%D%/err.c %D%/err.h \
	%D%/io.c %D%/io.h %D%/io_sync.c \
	%D%/libarchive.c %D%/libarchive.h \
	%D%/libcrypto.c %D%/libcrypto.h \
	%D%/log.c %D%/log.h \
	%D%/md5.c %D%/md5.h \
	%D%/mem.c %D%/mem.h \
	%D%/privilege.c %D%/privilege.h \
	%D%/process.c %D%/process.h \
	%D%/random.c %D%/random.h \
	%D%/secret.c %D%/secret.h \
	%D%/sha256.c %D%/sha256.h \
	%D%/text.c %D%/text.h \
	%D%/time.c %D%/time.h
unit_tests += \
	tests/unit/test_buf \
	tests/unit/test_crc32c \
	tests/unit/test_dynlib \
	tests/unit/test_err \
	tests/unit/test_io \
	tests/unit/test_process \
	tests/unit/test_text \
	tests/unit/test_time
