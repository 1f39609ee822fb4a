libdapk_a_SOURCES += \
	%D%/survey.c %D%/survey.h \
	%D%/sweep.c %D%/sweep.h
unit_tests += tests/unit/test_sweep
