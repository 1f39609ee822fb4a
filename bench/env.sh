# shellcheck shell=bash
# Settings of the harness; every one can be set from outside.
: "${BENCH_DATA:=${TMPDIR:-/tmp}/bench-data}"      # datasets, repositories, results
: "${PGBIN:=$(pg_config --bindir 2>/dev/null)}"    # server and client binaries
: "${PGUSER_OS:=postgres}"                         # the OS user that runs everything
: "${RUNS:=3}"                                     # measured runs per cell
: "${PROCS:=2}"                                    # parallel workers of a tool
: "${SCALE:=130}" "${DOC_MB:=1600}"               # dataset "main": half pgbench, half text and jsonb
: "${SMALL_TABLES:=10000}"                         # dataset "small"
: "${MANY_MB:=1000}" "${ONE_MB:=2000}"             # dataset "dumps": nine tables, and one table, in MB of COPY's text
: "${WAL_SCALE:=50}" "${WAL_SEGS:=200}"            # dataset "wal"
: "${RESULTS:=$BENCH_DATA/results.jsonl}"
SOCK=$BENCH_DATA/sock
GROW_GB="1 4 16"                                   # sizes of the datasets grow1, grow4, grow16
PORT_grow1=54331 PORT_grow4=54332 PORT_grow16=54333
PORT_dumps=54324 PORT_main=54321 PORT_small=54322 PORT_wal=54323
export BENCH_DATA PGBIN RUNS PROCS RESULTS SOCK BENCH_HOME
export PATH=$PGBIN:$PATH PGHOST=$SOCK PGUSER=postgres LC_ALL=C.UTF-8
