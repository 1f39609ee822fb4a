# shellcheck shell=bash
# Servers for the variants -s3 and -sftp: on loopback, of tests/services, made anew by store_fresh, so that every run
# begins with an empty store. -d20: through the fault proxy, 20 ms later in each direction, as over a long line.
SERVICES=$BENCH_HOME/../tests/services
S3_DIR=$BENCH_DATA/s3 SFTP_DIR=$BENCH_DATA/sftp PROXY_DIR=$BENCH_DATA/proxy BUCKET=bench
store_kind() { case $VARIANT in *-s3*) echo s3 ;; *-sftp*) echo sftp ;; *) echo file ;; esac; }
store_delay() { [[ $VARIANT =~ -d([0-9]+) ]] && echo "${BASH_REMATCH[1]}"; }
proxy_down() {
  [[ -s $PROXY_DIR/pid ]] && kill "$(cat "$PROXY_DIR/pid")" 2>/dev/null
  rm -f "$PROXY_DIR/pid"
}
proxy_up() { # TARGET-PORT MS; PROXY_DIR/log begins with "ready PORT"
  proxy_down
  mkdir -p "$PROXY_DIR"
  echo "delay=$2" >"$PROXY_DIR/rules"
  setsid python3 "$SERVICES/fault-proxy.py" 0 "$1" "$PROXY_DIR/rules" >"$PROXY_DIR/log" 2>&1 </dev/null &
  echo $! >"$PROXY_DIR/pid"
  local i
  for ((i = 0; i < 100; i++)); do grep -q ready "$PROXY_DIR/log" 2>/dev/null && return; sleep 0.05; done
  die "the proxy does not start: $(cat "$PROXY_DIR/log")"
}
proxy_port() { sed -n 's/^ready //p' "$PROXY_DIR/log"; }
store_down() {
  proxy_down
  [[ ! -d $S3_DIR ]] || "$SERVICES/s3-server" stop "$S3_DIR"
  [[ ! -d $SFTP_DIR ]] || "$SERVICES/sftp-server" stop "$SFTP_DIR"
}
store_fresh() { # an empty store for the loaded variant; the others' are stopped
  store_down
  case $(store_kind) in
    s3)
      rm -rf "$S3_DIR"
      S3_BYTES=${S3_BYTES:-8589934592} "$SERVICES/s3-server" start "$S3_DIR" >/dev/null || die "no S3 server"
      (set -a && source "$S3_DIR/env" && S3_ENDPOINT=$S3_TLS_ENDPOINT python3 "$SERVICES/s3-request.py" PUT /$BUCKET) || die "no bucket"
      ;;
    sftp)
      rm -rf "$SFTP_DIR"
      "$SERVICES/sftp-server" start "$SFTP_DIR" >/dev/null || die "no SFTP server"
      ;;
  esac
  [[ -z $(store_delay) ]] || proxy_up "$(store_target)" "$(store_delay)"
}
store_target() { # the server's own port
  case $(store_kind) in
    s3) (source "$S3_DIR/env" && echo "${S3_TLS_ENDPOINT##*:}") ;;
    sftp) (source "$SFTP_DIR/env" && echo "$SFTP_PORT") ;;
  esac
}
store_port() { if [[ -n $(store_delay) ]]; then proxy_port; else store_target; fi; } # where a client of this variant connects to
