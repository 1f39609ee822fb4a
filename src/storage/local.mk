libdapk_a_SOURCES += \
	%D%/http.c %D%/http.h \
	%D%/libcurl.c %D%/libcurl.h \
	%D%/libssh2.c %D%/libssh2.h \
	%D%/retry.c %D%/retry.h \
	%D%/sftp.c %D%/sftp.h \
	%D%/sftp_auth.c %D%/sftp_hostkey.c \
	%D%/sftp_place.c %D%/sftp_place.h \
	%D%/sftp_put.c %D%/sftp_read.c \
	%D%/sftp_session.c %D%/sftp_session.h \
	%D%/s3.c %D%/s3.h \
	%D%/s3_answer.c %D%/s3_answer.h \
	%D%/s3_ask.c %D%/s3_ask.h \
	%D%/s3_call.c \
	%D%/s3_credentials.c %D%/s3_credentials.h \
	%D%/s3_get.c \
	%D%/s3_list.c \
	%D%/s3_place.c %D%/s3_place.h \
	%D%/s3_profile.c \
	%D%/s3_put.c \
	%D%/s3_remove.c \
	%D%/s3_put_headers.c %D%/s3_put_headers.h \
	%D%/s3_source.c %D%/s3_source.h \
	%D%/s3_source_http.c \
	%D%/s3_source_sts.c \
	%D%/s3_xml.c %D%/s3_xml.h \
	%D%/sigv4.c %D%/sigv4.h \
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
	tests/contract/test_storage_posix \
	tests/unit/test_retry \
	tests/unit/test_s3_credentials \
	tests/unit/test_s3_put_headers \
	tests/unit/test_sftp_place \
	tests/unit/test_s3_server \
	tests/unit/test_s3_xml \
	tests/unit/test_sigv4
