dist_man_MANS += %D%/dapk-backup.1 %D%/dapk-backup.conf.5 \
	%D%/dapk-backup-format.5 %D%/dapk-backup-failover.7 \
	%D%/dapk-backup-archive-get.1 %D%/dapk-backup-archive-push.1 \
	%D%/dapk-backup-backup.1 %D%/dapk-backup-check.1 \
	%D%/dapk-backup-completion.1 %D%/dapk-backup-copy.1 \
	%D%/dapk-backup-dump.1 %D%/dapk-backup-expire.1 \
	%D%/dapk-backup-export.1 %D%/dapk-backup-hold.1 \
	%D%/dapk-backup-info.1 %D%/dapk-backup-init.1 \
	%D%/dapk-backup-keys.1 %D%/dapk-backup-load.1 %D%/dapk-backup-pin.1 \
	%D%/dapk-backup-release.1 %D%/dapk-backup-report.1 \
	%D%/dapk-backup-restore.1 %D%/dapk-backup-status.1 \
	%D%/dapk-backup-unpin.1 %D%/dapk-backup-verify.1
unit_tests += tests/unit/test_man
