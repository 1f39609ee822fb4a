# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Backups held against the files they were made of.

# What a backup has of the data directory is what is in it, as long as nothing
# writes: kept beside, to compare with later.
keep_truth() { # CLUSTER NAME
	rm -rf "${T:?}/truth.$2"
	as_user mkdir "$T/truth.$2"
	as_user cp -a "$T/$1/base" "$T/$1/global" "$T/$1/pg_xact" "$T/$1/pg_multixact" \
		"$T/$1/PG_VERSION" "$T/truth.$2"
	rm -f "$T/truth.$2/global/pg_control"
	find "$T/truth.$2" -name 'pg_internal.init*' -delete
	find "$T/truth.$2" -name pgsql_tmp -prune -exec rm -rf {} +
}

# Restored, not started: every file is byte for byte what it was.
assert_restores_truth() { # LABEL NAME
	local dir
	rm -rf "$T/check"
	expect 0 dapk restore -D "$T/check" --backup "$1" --target immediate
	rm -f "$T/check/global/pg_control"
	for dir in base global pg_xact pg_multixact PG_VERSION; do
		run diff -r "$T/truth.$2/$dir" "$T/check/$dir"
		[ "$RC" = 0 ] || fail "backup $1 ($2): $(head -n 10 <<<"$OUT")"
	done
	rm -rf "$T/check"
}

commit_of() { tail -n +2 "$(backup_dir "$1")/commit"; } # LABEL

own_bytes() { # LABEL: in its own folder
	find "$(backup_dir "$1")" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }'
}

# The packs that a backup refers to, as LABEL/FILE, those of others first
# that have most in use.
foreign_packs() { # LABEL
	commit_of "$1" | jq -r --arg own "$1" '.packs | map(select(.label != $own)) |
		sort_by(-.live)[] | "\(.label) \(.attempt) \(.number)"' |
		while read -r label attempt number; do
			printf '%s/pack-%02d-%06d.zst\n' "$label" "$attempt" "$number"
		done
}
