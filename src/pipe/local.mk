libdapk_a_SOURCES += %D%/pool.c %D%/pool.h %D%/rate.c %D%/rate.h
unit_tests += tests/unit/test_pool tests/unit/test_rate
