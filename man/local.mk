dist_man_MANS += %D%/dapk-backup.1 %D%/dapk-backup.conf.5 \
	%D%/dapk-backup-completion.1 \
	%D%/dapk-backup-hold.1 %D%/dapk-backup-release.1 \
	%D%/dapk-backup-pin.1 %D%/dapk-backup-unpin.1 \
	%D%/dapk-backup-report.1 \
	%D%/dapk-backup-failover.7
unit_tests += tests/unit/test_man
