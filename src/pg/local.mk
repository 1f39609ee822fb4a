libdapk_a_SOURCES += \
	%D%/autoconf.h \
	%D%/archive.h %D%/archive_private.h \
	%D%/archive_custom.c %D%/archive_custom.h \
	%D%/archive_dir.c %D%/archive_dir.h \
	%D%/archive_pack.c %D%/archive_pack.h \
	%D%/archive_read.c %D%/archive_tar.c %D%/archive_tar.h \
	%D%/archive_write.c \
	%D%/backupapi.c %D%/backupapi.h \
	%D%/blockset.c %D%/blockset.h \
	%D%/conn.c %D%/conn.h %D%/conn_private.h \
	%D%/conninfo.c %D%/conninfo.h \
	%D%/control.c %D%/control.h \
	%D%/copy.c %D%/copy.h \
	%D%/datafile.c %D%/datafile.h \
	%D%/history.c %D%/history.h \
	%D%/libpq.c %D%/libpq.h \
	%D%/page.c %D%/page.h \
	%D%/pagefilter.c %D%/pagefilter.h %D%/pagefilter_private.h \
	%D%/pagefilter_streams.c \
	%D%/quote.c %D%/quote.h \
	%D%/walblocks.c %D%/walblocks.h \
	%D%/running.c %D%/running.h \
	%D%/pgtools.c %D%/pgtools.h \
	%D%/pooler.c %D%/pooler.h \
	%D%/replication.c %D%/replication.h \
	%D%/rights.c %D%/rights.h \
	%D%/walevent.c %D%/walevent.h \
	%D%/walname.c %D%/walname.h \
	%D%/walparse.h \
	%D%/walread.c %D%/walread.h \
	%D%/walsumfile.c %D%/walsumfile.h \
	%D%/walsummary.c

unit_tests += \
	tests/unit/test_archive \
	tests/unit/test_blockset \
	tests/unit/test_control \
	tests/unit/test_datafile \
	tests/unit/test_history \
	tests/unit/test_page tests/unit/test_pagefilter \
	tests/unit/test_pgtools \
	tests/unit/test_quote \
	tests/unit/test_walblocks \
	tests/unit/test_walname \
	tests/unit/test_walread
