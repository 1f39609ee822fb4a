libdapk_a_SOURCES += %D%/check.c %D%/check.h
