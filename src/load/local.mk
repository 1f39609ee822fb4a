libdapk_a_SOURCES += \
	%D%/choose.c \
	%D%/load.c %D%/load.h \
	%D%/loadjob.h \
	%D%/objects.c \
	%D%/reschema.c %D%/reschema.h \
	%D%/retext.c %D%/retext.h \
	%D%/roles.c \
	%D%/rows.c \
	%D%/sections.c \
	%D%/sqllex.c %D%/sqllex.h

unit_tests += \
	tests/unit/test_reschema
