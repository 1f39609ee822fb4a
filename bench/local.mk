EXTRA_DIST += %D%/README.md %D%/bench.sh %D%/dataset.sh %D%/env.sh \
	%D%/limits.sh %D%/sftp.sh %D%/lib/common.sh %D%/lib/damage.py %D%/lib/disk.py \
	%D%/lib/measure.py %D%/lib/quiet.py %D%/lib/replay.py \
	%D%/lib/stores.sh %D%/lib/summary.py %D%/lib/walrun.py %D%/lib/words.py \
	%D%/tools/README.md %D%/tools/dapk-backup.sh %D%/tools/limit.sh \
	%D%/tools/pg_basebackup.sh %D%/tools/pg_dump.sh %D%/tools/pgbackrest.sh \
	%D%/tools/pgbackrest-deb.sh %D%/RESULTS.md
