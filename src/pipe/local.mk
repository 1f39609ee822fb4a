libdapk_a_SOURCES += %D%/pool.c %D%/pool.h
