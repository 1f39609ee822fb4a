libdapk_a_SOURCES += \
	%D%/attach.c %D%/attach.h \
	%D%/backup.c %D%/backup.h \
	%D%/basis.c %D%/basis.h \
	%D%/compare.c %D%/compare.h \
	%D%/conffiles.c %D%/conffiles.h \
	%D%/copy.c %D%/copy.h \
	%D%/copytask.c \
	%D%/dispatch.c %D%/dispatch.h \
	%D%/entries.c %D%/entries.h \
	%D%/evidence.c %D%/evidence.h \
	%D%/gather.c %D%/gather.h \
	%D%/leftover.c %D%/leftover.h \
	%D%/pages.c %D%/pages.h \
	%D%/parent.c %D%/parent.h \
	%D%/piece.c %D%/piece.h \
	%D%/plan.c %D%/plan.h \
	%D%/planlist.c %D%/planlist.h \
	%D%/server.c %D%/server.h \
	%D%/settings.c %D%/settings.h \
	%D%/source.c %D%/source.h \
	%D%/sources.c %D%/sources.h \
	%D%/stream.c %D%/stream.h \
	%D%/streamcopy.c %D%/streamcopy.h \
	%D%/streamfile.c %D%/streamfile.h \
	%D%/streammanifest.c %D%/streammanifest.h \
	%D%/streamparent.c %D%/streamparent.h \
	%D%/streamtar.c %D%/streamtar.h \
	%D%/timing.c %D%/timing.h \
	%D%/wait.c %D%/wait.h \
	%D%/walcollect.c %D%/walcollect.h
unit_tests += tests/unit/test_leftover \
	tests/unit/test_parent tests/unit/test_plan tests/unit/test_copy \
	tests/unit/test_renew \
	tests/unit/test_stream \
	tests/unit/test_sources \
	tests/unit/test_evidence \
	tests/unit/test_walcollect
