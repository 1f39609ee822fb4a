libdapk_a_SOURCES += \
	%D%/survey.c %D%/survey.h \
	%D%/policy.h \
	%D%/removal.c %D%/removal.h
unit_tests += tests/unit/test_removal
