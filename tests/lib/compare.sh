# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Comparing a restored cluster with what its source was at the target.

# The whole content as pg_dump writes it. Newer pg_dumps write a random key
# into \restrict lines: these go.
dump_db() { # NAME FILE [DATABASE]
	local bin=$CLIENTS
	[ "${MAJOR[$1]}" -le 15 ] || bin=$PG_DIR/clients-18/bin
	[ -x "$bin/pg_dump" ] || fail "no pg_dump at $bin; run scripts/test"
	as_user "$bin/pg_dump" -h "$(psql_host "$1")" -p "${PORT[$1]}" -U postgres \
		-d "${3:-postgres}" >"$2.raw"
	# Physical order of rows is the same in a restored cluster, but a hot
	# row's place may depend on pruning: sort the COPY data.
	grep -vE '^\\(un)?restrict ' "$2.raw" | LC_ALL=C sort >"$2"
	rm "$2.raw"
	[ -s "$2" ] || fail "an empty dump of $1"
}

assert_same_dump() { # FILE FILE
	cmp -s "$1" "$2" ||
		fail "dumps differ: $(diff "$1" "$2" | head -n 10 || :)"
}

# pgbench adds the same amount to an account, a teller, a branch and the
# history in each transaction: half a transaction would show here.
assert_bench_invariant() { # NAME
	assert_eq "$(sql "$1" "
		SELECT count(DISTINCT s) FROM (
		SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts UNION ALL
		SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers UNION ALL
		SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches UNION ALL
		SELECT coalesce(sum(delta), 0) FROM pgbench_history) q(s)")" 1 \
		"different sums of balances in $1"
}

# Heap and indexes agree. Needs a cluster that can be written to once
# (the extension), unless the source had amcheck installed already.
assert_amcheck() { # NAME [DATABASE]
	if [ "${MAJOR[$1]}" = 13 ]; then # pg_amcheck needs 14
		sql "$1" "CREATE EXTENSION IF NOT EXISTS amcheck" "${2:-postgres}"
		sql "$1" "SELECT bt_index_check(oid, true) FROM pg_class
			WHERE relkind = 'i' AND relam = 403" "${2:-postgres}" >/dev/null
		return 0
	fi
	run as_user "$CLIENTS/pg_amcheck" -h "$(psql_host "$1")" -p "${PORT[$1]}" \
		-U postgres --heapallindexed --install-missing -d "${2:-postgres}"
	[ "$RC" = 0 ] || fail "pg_amcheck of $1: $OUT $ERR"
}

# All pages of a stopped cluster.
assert_checksums() { # NAME
	local prog
	prog=$(program_for "${MAJOR[$1]}" pg_checksums)
	run as_user "$prog" --check -D "$T/$1"
	[ "$RC" = 0 ] || fail "pg_checksums of $1: $OUT $ERR"
	assert_match "$OUT" 'bad checksums: +0'
}
