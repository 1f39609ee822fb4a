# shellcheck shell=bash
# dapk-backup; DAPK_BACKUP is the binary. The variant names the compression level, and what else is set, joined by '-'.
: "${DAPK_BACKUP:=dapk-backup}"
variants() { echo zst3 zst1; }
conf() { echo "$BENCH_DATA/conf/$TOOL-$VARIANT-$1.conf"; } # CLUSTER
setup() {
  fresh "$(repo)"
  fresh "$BENCH_DATA/spool/$TOOL-$VARIANT"
  mkdir -p "$BENCH_DATA/conf"
  cat >"$(conf "$1")" <<C
[global]
jobs = $PROCS
compress-level = ${VARIANT:3:1}
state-directory = $BENCH_DATA/spool/$TOOL-$VARIANT
[cluster $1]
pgdata = $(pgdata "$1")
conninfo = host=$SOCK port=$(port "$1") user=postgres dbname=postgres
repositories = bench
[repository bench]
url = file://$(repo)
C
  "$DAPK_BACKUP" --config "$(conf "$1")" init
}
dapk() { CMD=("$DAPK_BACKUP" --config "$(conf "$1")" --cluster "$1" "${@:2}"); }
# A backup waits until its own WAL is stored, so the server must archive for real.
prepare() { archive_command "$1" "$DAPK_BACKUP --config $(conf "$1") --cluster $1 archive-push %p"; }
cleanup() { archive_command "$1" /bin/true; }
full_backup() { dapk "$1" backup --progress never; }
restore() {
  rmdir "$2"
  dapk "$1" restore -D "$2" --target immediate --progress never
}
archive_push_one() { dapk "$1" --pgdata "$2" archive-push %p; }
archive_get_one() { dapk "$1" --pgdata "$2" archive-get %f %p; }
wal_get_reset() { rm -rf "$BENCH_DATA/spool/$TOOL-$VARIANT/spool"; }
info() { dapk "$1" info; }
