dist_man_MANS += %D%/dapk-backup.1 %D%/dapk-backup.conf.5
unit_tests += tests/unit/test_man
