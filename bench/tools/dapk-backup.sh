# shellcheck shell=bash
# dapk-backup; DAPK_BACKUP is the binary. The variant names the compression level, and what else is set, joined by '-':
# all (every incremental reads all pages; without it, only what WAL says has changed); s3, sftp, d20 (lib/stores.sh).
source "$BENCH_HOME/lib/stores.sh"
: "${DAPK_BACKUP:=dapk-backup}"
variants() { echo zst3 zst3-all zst1; }
conf() { echo "$BENCH_DATA/conf/$TOOL-$VARIANT-$1.conf"; } # CLUSTER
setup() {
  fresh "$(repo)"
  fresh "$BENCH_DATA/spool/$TOOL-$VARIANT"
  mkdir -p "$BENCH_DATA/conf"
  store_fresh
  (umask 077 && cat >"$(conf "$1")") <<C
[global]
jobs = $PROCS
compress-level = ${VARIANT:3:1}
dump-compress-level = ${VARIANT:3:1}
state-directory = $BENCH_DATA/spool/$TOOL-$VARIANT
$([[ $VARIANT != *-all* ]] || echo 'full-read-every = 0')
[cluster $1]
pgdata = $(pgdata "$1")
conninfo = host=$SOCK port=$(port "$1") user=postgres dbname=postgres
repositories = bench
[repository bench]
$(place)
C
  "$DAPK_BACKUP" --config "$(conf "$1")" init
}
place() { # the repository's keys
  case $(store_kind) in
    s3) (
      source "$S3_DIR/env"
      printf '%s\n' "url = s3://$BUCKET/$TOOL" "endpoint = https://127.0.0.1:$(store_port)" "region = $S3_REGION" \
        "access-key-id = $S3_ACCESS_KEY" "secret-access-key = $S3_SECRET_KEY" "ca-file = $S3_CA"
    ) ;;
    sftp) (
      source "$SFTP_DIR/env"
      sed "s/:$SFTP_PORT\\b/:$(store_port)/" "$SFTP_KNOWN_HOSTS" >"$BENCH_DATA/conf/known_hosts"
      printf '%s\n' "url = sftp://$SFTP_USER@127.0.0.1:$(store_port)$SFTP_DATA/$TOOL" "key-file = $SFTP_KEY" \
        "known-hosts = $BENCH_DATA/conf/known_hosts"
    ) ;;
    file) echo "url = file://$(repo)" ;;
  esac
}
dapk() { CMD=("$DAPK_BACKUP" --config "$(conf "$1")" --cluster "$1" "${@:2}"); }
# A backup waits until its own WAL is stored, so the server must archive for real.
archive_shell() { echo "$DAPK_BACKUP --config $(conf "$1") --cluster $1 archive-push %p"; }
prepare() { archive_command "$1" "$(archive_shell "$1")"; }
cleanup() {
  archive_command "$1" /bin/true
  [[ $(store_kind) == file || -n ${KEEP:-} ]] || store_down
}
full_backup() { dapk "$1" backup --full --progress never; }
incr_backup() { dapk "$1" backup --verbose --progress never; }
own_seconds() { # of the line of times: all but the waits for the checkpoint and for WAL
  sed -n 's/.*debug: seconds: //p' | tail -n 1 | tr ',' '\n' |
    awk '$1 == "sum" { all = $2 } $1 == "checkpoint" || /wait for WAL/ { wait += $NF } END { if (all) print all - wait }'
}
backups_size() { find "$(repo)/clusters" -path '*/backups/*' -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f\n", s }'; }
restore() {
  rmdir "$2"
  dapk "$1" restore -D "$2" --target immediate --progress never
}
restore_delta() { dapk "$1" restore -D "$2" --delta --target immediate --progress never; }
verify_repo() { dapk "$1" verify --progress never; }
archive_push_one() { dapk "$1" --pgdata "$2" archive-push %p; }
archive_get_one() { dapk "$1" --pgdata "$2" archive-get %f %p; }
wal_get_reset() { rm -rf "$BENCH_DATA/spool/$TOOL-$VARIANT/spool"; }
# A dump's repository is a folder of its own, so its size is the dump's.
logical_conf() { echo "$BENCH_DATA/conf/${1##*/}.conf"; } # OUT
logical_setup() { # CLUSTER OUT
  mkdir -p "$BENCH_DATA/conf"
  cat >"$(logical_conf "$2")" <<C
[global]
jobs = $PROCS
compress-level = ${VARIANT:3:1}
dump-compress-level = ${VARIANT:3:1}
[cluster $1]
conninfo = host=$SOCK port=$(port "$1") user=postgres dbname=postgres
repositories = bench
[repository bench]
url = file://$2
C
  "$DAPK_BACKUP" --config "$(logical_conf "$2")" init
}
dapk_dump() { CMD=("$DAPK_BACKUP" --config "$(logical_conf "$2")" --cluster "$1" "${@:3}" --progress never); }
logical_dump() { dapk_dump "$1" "$3" dump "$2"; } # CLUSTER DB OUT
logical_again() { dapk_dump "$1" "$3" dump "$2"; }
logical_restore() { # CLUSTER DB OUT
  local label
  label=$(find "$3/clusters" -path '*/dumps/*/commit' -printf '%h\n' | sed 's,.*/,,' | tail -n 1)
  dapk_dump "$1" "$3" load "$label" --database "$2"
}
info() { dapk "$1" info; }
