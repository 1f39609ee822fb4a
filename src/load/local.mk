libdapk_a_SOURCES += \
	%D%/reschema.c %D%/reschema.h \
	%D%/retext.c %D%/retext.h \
	%D%/sqllex.c %D%/sqllex.h

unit_tests += \
	tests/unit/test_reschema
