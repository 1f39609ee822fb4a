# SPDX-License-Identifier: PostgreSQL
# The integration tests run real servers: scripts/test runs them, make check
# does not.
# What integration tests run; built by scripts/test.
EXTRA_PROGRAMS = tests/lib/walblocks tests/lib/walmany tests/lib/reportpage \
	tests/contract/storage_faults tests/fault/faultrun
tests_fault_faultrun_SOURCES = tests/fault/faultrun.c \
	tests/fault/durable.c tests/fault/durable.h

EXTRA_DIST += \
	%D%/contract/place.h %D%/contract/stores.h \
	%D%/fuzz/fuzz_archive.c \
	%D%/lib/backups.sh %D%/lib/base.sh %D%/lib/churn.sh %D%/lib/compare.sh \
	%D%/lib/docs.py %D%/lib/traps.py %D%/lib/dumps.sh %D%/lib/fakestat.c %D%/lib/faults.sh %D%/lib/sortcopy.py %D%/lib/sql/lobs.sql \
	%D%/lib/sql/objects.sql %D%/lib/sql/quoting.sql \
	%D%/lib/sql/roles.sql %D%/lib/sql/shipments.sql \
	%D%/lib/sql/types.sql \
	%D%/lib/lib.sh %D%/lib/machine.sh %D%/lib/page.py %D%/lib/pages.py %D%/lib/pg.sh %D%/lib/promtext.py %D%/lib/remote.sh \
	%D%/lib/stores.sh \
	%D%/lib/reportpage.c %D%/lib/walblocks.c %D%/lib/walmany.c \
	%D%/services/aws-keys.py \
	%D%/services/fault-proxy.py %D%/services/get-postgres \
	%D%/services/mk-tls %D%/services/s3-request.py \
	%D%/services/s3-server %D%/services/sftp-server \
	%D%/services/start-pg \
	%D%/FULL-RESULTS.md \
	%D%/integration/10-archive-push.sh \
	%D%/integration/11-push-salvage.sh \
	%D%/integration/12-archive-get.sh \
	%D%/integration/13-restore-command-exit-codes.sh \
	%D%/integration/20-backup-basic.sh \
	%D%/integration/21-backup-damaged-page.sh \
	%D%/integration/22-backup-bad-input.sh \
	%D%/integration/23-backup-cancel.sh \
	%D%/integration/24-tablespaces-and-links.sh \
	%D%/integration/25-max-rate.sh \
	%D%/integration/26-set-back-server.sh \
	%D%/integration/27-check.sh \
	%D%/integration/30-pitr-targets.sh \
	%D%/integration/31-timelines.sh \
	%D%/integration/32-refusals.sh \
	%D%/integration/33-time-after-last-commit.sh \
	%D%/integration/34-standby.sh \
	%D%/integration/35-debian-layout.sh \
	%D%/integration/36-archiving-off.sh \
	%D%/integration/37-start-proof.sh \
	%D%/integration/84-check-stores.sh \
	%D%/integration/84-object-lock.sh \
	%D%/integration/40-versions.sh \
	%D%/integration/41-auth.sh \
	%D%/integration/41-hostile-session.sh \
	%D%/integration/41-least-privilege.sh \
	%D%/integration/41-root.sh \
	%D%/integration/41-modes.sh \
	%D%/integration/42-users-database.sh \
	%D%/integration/50-damage.sh \
	%D%/integration/51-info-json.sh \
	%D%/integration/52-durability-trace.sh \
	%D%/integration/53-memory.sh \
	%D%/integration/71-dump-quoting.sh \
	%D%/integration/71-dump-types.sh \
	%D%/integration/77-dump-encodings.sh \
	%D%/integration/77-dump-extensions.sh \
	%D%/integration/77-dump-nightly.sh \
	%D%/integration/77-dump-objects.sh \
	%D%/integration/78-dump-consistency.sh \
	%D%/integration/78-dump-ddl.sh \
	%D%/integration/78-dump-interrupted.sh \
	%D%/integration/79-dump-5000-tables.sh \
	%D%/integration/79-dump-memory.sh \
	%D%/integration/79-dump-versions.sh \
	%D%/integration/79-dump-ways-in.sh \
	%D%/integration/80-contract-s3.sh \
	%D%/integration/80-contract-sftp.sh \
	%D%/integration/81-store-faults.sh \
	%D%/integration/82-pitr-s3.sh \
	%D%/integration/83-pitr-sftp.sh \
	%D%/integration/85-sftp-logins.sh %D%/integration/86-store-refuses.sh \
	%D%/integration/87-push-ahead.sh \
	%D%/integration/87-push-several.sh \
	%D%/integration/88-copy.sh \
	%D%/integration/88-mirror-background.sh \
	%D%/integration/88-mirror-stores.sh \
	%D%/integration/64-thirty-incrementals.sh \
	%D%/integration/64-wal-blocks.sh \
	%D%/integration/67-evidence.sh \
	%D%/integration/69-evidence-refused.sh \
	%D%/integration/72-export-dump.sh \
	%D%/integration/61-delta-restore.sh \
	%D%/integration/62-allow-damage.sh \
	%D%/integration/62-verify.sh \
	%D%/integration/62-verify-wal.sh \
	%D%/integration/63-standard-evidence.sh \
	%D%/integration/65-export-tar.sh \
	%D%/integration/67-new-tablespace.sh \
	%D%/integration/65-delta-chain.sh \
	%D%/integration/64-stream.sh \
	%D%/integration/59-info-cache.sh %D%/integration/59-info-memory.sh \
	%D%/integration/59-info-stores.sh \
	%D%/integration/59-status.sh \
	%D%/integration/60-standby-source.sh \
	%D%/integration/66-lease.sh \
	%D%/integration/67-resume.sh \
	%D%/integration/68-removal.sh \
	%D%/integration/60-incremental.sh \
	%D%/integration/61-parent-bad-input.sh \
	%D%/integration/70-dump.sh \
	%D%/integration/73-dump-dedupe.sh \
	%D%/integration/76-dump-info-expire.sh \
	%D%/integration/74-load.sh \
	%D%/integration/75-dump-verify.sh \
	%D%/integration/76-recover-dump.sh \
	%D%/integration/67-incremental-traps.sh \
	%D%/integration/89-get-several.sh %D%/integration/89-outage.sh \
	%D%/integration/89-restore-choice.sh \
	%D%/integration/90-expire.sh %D%/integration/90-expire-damage.sh \
	%D%/integration/90-expire-faults.sh \
	%D%/integration/91-status.sh \
	%D%/integration/92-report.sh \
	%D%/integration/93-check-findings.sh \
	%D%/integration/93-check-others.sh \
	%D%/integration/94-archive-queue-max.sh \
	%D%/integration/94-pin-hold-hooks.sh \
	%D%/integration/95-completion.sh \
	%D%/integration/95-hardening.sh %D%/integration/95-packaging.sh \
	%D%/integration/96-failover.sh \
	%D%/integration/97-thirty-days.sh \
	%D%/integration/98-core.sh \
	%D%/integration/98-encrypted.sh \
	%D%/integration/98-faults-sets.sh \
	%D%/integration/98-faults-wal.sh \
	%D%/integration/98-keys.sh \
	%D%/integration/98-power-cut.sh \
	%D%/integration/98-storm.sh \
	%D%/integration/98-valgrind.sh
