libdapk_a_SOURCES += %D%/pool.c %D%/pool.h
unit_tests += tests/unit/test_pool
