# shellcheck shell=bash
# pg_dump and pg_restore: format (custom, or a directory read by two), then the level of gzip.
variants() { echo fc-z1 fd2-z1 fd2-z0; }
logical_dump() { # CLUSTER DB OUT [TABLE]
  case $VARIANT in
    fc-z*) CMD=(pg_dump -Fc "-Z${VARIANT#fc-z}" -p "$(port "$1")" -f "$3" "$2") ;;
    fd2-z*) CMD=(pg_dump -Fd -j "$PROCS" "-Z${VARIANT#fd2-z}" -p "$(port "$1")" -f "$3" "$2") ;;
  esac
}
logical_restore() { CMD=(pg_restore -j "$PROCS" -p "$(port "$1")" -d "$2" "$3"); } # CLUSTER DB OUT
