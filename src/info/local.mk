libdapk_a_SOURCES += \
	%D%/info.c %D%/info.h \
	%D%/info_note.c \
	%D%/info_rate.c \
	%D%/info_share.c
unit_tests += tests/unit/test_info_share
