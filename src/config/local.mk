libdapk_a_SOURCES += \
	%D%/config.c %D%/config.h \
	%D%/file.c %D%/file.h \
	%D%/mask.c \
	%D%/option.c %D%/option.h %D%/option_dump_rows.h \
	%D%/option_find.c \
	%D%/option_set.c
unit_tests += tests/unit/test_option tests/unit/test_config
