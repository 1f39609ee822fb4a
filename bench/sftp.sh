#!/bin/bash
# sftp.sh: what is written over SFTP, beside OpenSSH's own client: a local repository with one full backup of the dataset
# main, copied by `dapk-backup copy` with one connection (every object read, checked, put, synced) and by `sftp put -r`.
set -uo pipefail
BENCH_HOME=$(cd "$(dirname "$0")" && pwd)
source "$BENCH_HOME/env.sh"
source "$BENCH_HOME/lib/common.sh"
as_bench_user "$BENCH_HOME/sftp.sh" "$@"
cd "$BENCH_DATA" || exit 1
mkdir -p "$BENCH_DATA/log" "$BENCH_DATA/repo"

load_tool dapk-backup:zst3
pg_up main
setup main
prepare main
full_backup main
"${CMD[@]}" >>"$BENCH_DATA/log/out.log" 2>&1 || die "no backup"
cleanup main
LOCAL=$(conf main)
for ((ROUND = 1; ROUND <= RUNS; ROUND++)); do
  VARIANT=zst3-sftp${1:-}
  store_fresh
  source "$SFTP_DIR/env"
  sed "s/:$SFTP_PORT /:$(store_port) /" "$SFTP_KNOWN_HOSTS" >"$BENCH_DATA/conf/known_hosts"
  echo "put -r $BENCH_DATA/repo/dapk-backup-zst3 $SFTP_DATA/plain" >"$BENCH_DATA/conf/sftp.batch"
  settle
  measure sftp-write "sftp-put${1:-}" "{\"round\": $ROUND}" sftp -q -b "$BENCH_DATA/conf/sftp.batch" -i "$SFTP_KEY" \
    -o "UserKnownHostsFile=$SFTP_KNOWN_HOSTS" -P "$(store_port)" "$SFTP_USER@127.0.0.1" >>"$BENCH_DATA/log/out.log" 2>&1
  (
    umask 077
    sed 's/^repositories = .*/repositories = bench, far/' "$LOCAL" >"$LOCAL.two"
    printf '\n[repository far]\n' >>"$LOCAL.two"
    place >>"$LOCAL.two"
  )
  "$DAPK_BACKUP" --config "$LOCAL.two" --cluster main init >>"$BENCH_DATA/log/out.log" 2>&1
  settle
  for jobs in 1 2; do
    [[ $jobs == 1 ]] || {
      VARIANT=zst3-sftp${1:-} store_fresh
      source "$SFTP_DIR/env"
      (umask 077 && sed '/^\[repository far\]/,$d' "$LOCAL.two" >"$LOCAL.tmp" && printf '[repository far]\n' >>"$LOCAL.tmp" && place >>"$LOCAL.tmp" && mv "$LOCAL.tmp" "$LOCAL.two")
      "$DAPK_BACKUP" --config "$LOCAL.two" --cluster main init >>"$BENCH_DATA/log/out.log" 2>&1
      settle
    }
    measure sftp-write "dapk-backup:copy-j$jobs${1:-}" "{\"round\": $ROUND}" "$DAPK_BACKUP" --config "$LOCAL.two" --cluster main copy --to far \
      --jobs "$jobs" --progress never >>"$BENCH_DATA/log/out.log" 2>&1
  done
done
store_down
