#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A server that is set up by README alone, and then left to itself for NIGHTS
# nights by a clock that is set from one to the next: each day a little work,
# each night the lines of the packaged example for cron. Retention runs as the
# end of what they run, never by name. It holds what it promises, takes no more,
# outlives a clock that jumps, and what comes back is what there was.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/machine.sh
. "$TEST_TOP/tests/lib/machine.sh"

NIGHTS=${DAPK_TEST_NIGHTS:-90}
FIRST=2026-01-01
PINNED=5 PIN_ENDS=$((NIGHTS > 60 ? 60 : 40)) # nights
JUMP_BACK=33 JUMP_AHEAD=36 CALM=39 # by then the clock's traces are gone
[ "$NIGHTS" -ge 45 ] || fail "too few nights"

# ------------------------------------------------------------- the machine

m() { machine "cd / && $1" "${CLOCK_ENV[@]}"; }
dapk_there() { m "sudo -u postgres dapk-backup $1"; }
psql_there() { m "runuser -u postgres -- psql -X -A -t -q -v ON_ERROR_STOP=1 -d shop <<'END'
$1
END"; }
stamp_of() { date_of "$1" | tr -d -; }
date_of() { date -u -d "$FIRST + $1 days" +%F; } # NIGHT

have_package
machine_new
machine "dpkg -P dapk-backup >/dev/null 2>&1 || :
rm -rf /var/lib/dapk-backup /var/lib/dapk-backup-state /etc/dapk-backup.conf
dpkg -i /deb/dapk-backup_*.deb" >"$T/dpkg.log" 2>&1 || fail "the package: $(cat "$T/dpkg.log")"

note "README's commands on Debian's cluster"
machine_clock_new "$FIRST 12:00:00"
machine_server
readme_section "Set up a server"
machine_put "$T"/readme.{conf,sh}
m "printf '%s\n' $(printf "\"%s'\" " "${CLOCK_ENV[@]/=/ = \'}") >>/etc/postgresql/15/main/environment
	cp /run/readme.conf /etc/dapk-backup.conf"
expect 0 m 'bash -e /run/readme.sh'

note "a second repository with a retention of its own"
expect 0 m "sed -i 's/^repositories = local$/repositories = local, offsite/' /etc/dapk-backup.conf
	printf '\n[repository offsite]\nurl = file:///var/lib/dapk-offsite\nretain = 10d\n' >>/etc/dapk-backup.conf
	install -d -o postgres -g postgres -m 700 /var/lib/dapk-offsite"
expect 0 dapk_there init
expect 0 dapk_there check
expect 0 m "runuser -u postgres -- createdb shop"
expect 0 psql_there "CREATE TABLE ledger (night int, word text, at timestamptz DEFAULT clock_timestamp());
	CREATE TABLE accounts (id int PRIMARY KEY, balance int);
	INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 5000) n"

# ------------------------------------------------------------------ nights

# The line of the packaged example that runs COMMAND, as it stands there; of
# those for a second repository without its "#". What it prints is a mail.
cron() { # COMMAND
	m "line=\$(sed -n 's/^#\?[0-9*]\S* \+\S\+ \+\S\+ \+\S\+ \+\S\+ \+postgres \+\(\(nice \)\?dapk-backup $1 \)/\1/p' \
		/usr/share/doc/dapk-backup/examples/crontab.example)
	[ -n \"\$line\" ] || exit 9
	runuser -u postgres -- sh -c \"\$line\""
}

# Rows before and after a moment that is remembered, with what there was then.
declare -A MOMENT=() ROWS=() SIZE=()
rows_sql="SELECT md5(string_agg(l::text, ',' ORDER BY at)) FROM ledger l;
	SELECT md5(string_agg(a::text, ',' ORDER BY id)) FROM accounts a"
work() { # NIGHT
	local answer segment
	answer=$(psql_there "INSERT INTO ledger VALUES ($1, 'before');
		UPDATE accounts SET balance = balance + $1 WHERE id % 50 = $1 % 50;
		$rows_sql;
		SELECT clock_timestamp();
		INSERT INTO ledger VALUES ($1, 'after');
		UPDATE accounts SET balance = balance - 1 WHERE id % 50 = 7;
		SELECT pg_walfile_name(pg_switch_wal())") || fail "work: $answer"
	ROWS[$1]=$(sed -n 1,2p <<<"$answer" | xargs)
	MOMENT[$1]=$(sed -n 3p <<<"$answer")
	segment=$(sed -n 4p <<<"$answer")
	wait_for 30 "the archiving of $segment" there_archived "$segment"
}
there_archived() {
	[ "$(psql_there "SELECT coalesce(last_archived_wal, '') >= '$1' FROM pg_stat_archiver")" = t ]
}

MAIL=''
mailed() { # COMMAND
	expect 0 cron "$1"
	MAIL+=$OUT$ERR${OUT:+$'\n'}${ERR:+$'\n'}
}
night() { # NIGHT [DATE]
	local day=${2:-$(date_of "$1")}
	MAIL=''
	machine_clock "$day 01:20:00"
	work "$1"
	machine_clock "$day 01:30:00"
	mailed backup
	machine_clock "$day 02:30:00"
	mailed dump
	machine_clock "$day 03:40:00"
	mailed copy
	machine_clock "$day 04:00:00"
	mailed verify
	machine_clock "$day 09:00:00"
}

# What was archived in 2090 stays for its thirty days, and is odd that long.
mail_of_note() { grep -v 'warning: WAL of timeline 1 was stored 2090-' <<<"$MAIL" || :; }

labels() { # backup|offsite [backups|dumps]: of those that have a commit
	m "cd /var/lib/dapk-$1/clusters/main/*/${2:-backups} && ls -d */commit" | sed 's,/commit$,,'
}
size_of() { m "du -sb /var/lib/dapk-$1" | cut -f1; } # backup|offsite

# How far back every moment is, by what status says: the promise, and at most
# the time until the next backup, and the two nights that removal takes.
days_back() { # REPOSITORY NIGHT
	local from
	from=$(jq -r ".repositories[] | select(.repository == \"$1\") | .window.from" <<<"$OUT")
	echo $((($(date -u -d "$(date_of "$2") 09:00:00" +%s) - $(date -u -d "$from" +%s)) / 86400))
}
assert_promise() { # NIGHT
	expect 0 dapk_there 'status --json'
	if [ "$1" -gt 31 ]; then
		assert_between "$(days_back local "$1")" 30 33 "days that local goes back, night $1"
	fi
	assert_between "$(days_back offsite "$1")" "$(($1 > 11 ? 10 : $1 - 1))" 13 "days that offsite goes back, night $1"
}
reachable() { # NIGHT: proved from what is stored, at the window's beginning
	expect 0 dapk_there "restore -D /var/lib/postgresql/none --dry-run --target-time '$(date_of $(($1 - 30))) 09:10:00+00'"
}

# The same night by a clock that is wrong: nothing goes that is not too old by
# the right one, and that something is odd is said. Then what a person does.
wrong_night() { # NIGHT DATE REGEX
	local repository before gone label
	before=$(labels backup | sed 's,^,backup ,' && labels offsite | sed 's,^,offsite ,')
	night "$1" "$2"
	assert_match "$MAIL" "$3" "what cron mails in $2"
	expect 0 dapk_there 'expire --grace=0s'
	expect 0 dapk_there 'expire --grace=0s'
	assert_match "$ERR" "$3" "what expire says in $2"
	while read -r repository label; do
		gone=$(labels "$repository" | grep -c "^$label$") || :
		[ "$gone" = 1 ] || [ "${label%%T*}" -lt "$(stamp_of $((NIGHT - (${#repository} == 6 ? 31 : 11))))" ] ||
			fail "backup $label went from $repository in $2"
	done <<<"$before"
	machine_clock "$(date_of $((NIGHT - 1))) 12:00:00"
	for repository in backup offsite; do
		for label in $(labels "$repository"; labels "$repository" dumps); do
			[ "${label:0:4}" != "${2:0:4}" ] ||
				expect 0 dapk_there "expire --repository ${repository/backup/local} --force --backup $label"
		done
	done
}

note "nights 1 to $NIGHTS: cron mails nothing, status is ok, the promise is kept"
for ((NIGHT = 1; NIGHT <= NIGHTS; NIGHT++)); do
	case $NIGHT in
	"$JUMP_BACK") wrong_night 1970 1970-01-03 'clock .*is behind most of what is stored: nothing goes' ;;
	"$JUMP_AHEAD") wrong_night 2090 2090-01-03 'nothing was stored from .* days do not count' ;;
	esac
	night "$NIGHT"
	LABEL=$(labels backup | grep "^$(stamp_of "$NIGHT")T") || fail "no backup of night $NIGHT: $(labels backup | tail -n 3 | xargs); $OUT $MAIL"
	SIZE[$NIGHT]=$(size_of backup)
	if [ "$NIGHT" -lt "$JUMP_BACK" ] || [ "$NIGHT" -ge "$CALM" ]; then
		[ -z "$(mail_of_note)" ] || fail "cron mails in night $NIGHT: $MAIL"
		assert_promise "$NIGHT"
	fi
	if [ "$NIGHT" = "$PINNED" ]; then
		PIN=$LABEL
		expect 0 dapk_there "pin $PIN --until $(date_of "$PIN_ENDS")"
	fi
	if [ "$NIGHT" = "$PIN_ENDS" ]; then
		assert_contains "$(labels backup)" "$PIN" "backups in the last night of the pin"
	fi
	[ "$NIGHT" -lt 32 ] || [ $((NIGHT % 10)) != 5 ] || reachable "$NIGHT"
done

note "what is there in the end: the promise, its months, and no more"
nights_there() { # backup|offsite: their nights
	local label
	for label in $(labels "$1"); do
		echo $((($(date -ud "${label%%T*}" +%s) - $(date -ud "$FIRST" +%s)) / 86400))
	done
}
extra=() # the last one of each month that is over
for n in 30 58 89; do [ "$n" -ge $((NIGHTS - 33)) ] || extra+=("$n"); done
assert_eq "$(nights_there backup | awk -v from=$((NIGHTS - 33)) '$1 < from' | xargs)" "${extra[*]}" "nights before the window"
assert_eq "$(nights_there backup | awk -v from=$((NIGHTS - 31)) '$1 >= from' | xargs)" \
	"$(seq -s ' ' $((NIGHTS - 31)) "$NIGHTS")" "nights of the window"
assert_eq "$(nights_there offsite | awk -v from=$((NIGHTS - 13)) '$1 < from' | xargs)" "" "nights offsite before its window"
assert_eq "$(nights_there offsite | awk -v from=$((NIGHTS - 11)) '$1 >= from' | xargs)" \
	"$(seq -s ' ' $((NIGHTS - 11)) "$NIGHTS")" "nights offsite"
half=$((NIGHTS > 60 ? 45 : 34))
assert_between $((${SIZE[$NIGHTS]} * 10 / ${SIZE[$half]})) 5 13 "tenths of night $half's size that night $NIGHTS has"
twice=$(m "find /var/lib/dapk-offsite/clusters -path '*/wal/*' -type f -printf '%f\n'" |
	grep -oE '^[0-9A-F]{24}-' | sort | uniq -d | head -n 3)
assert_eq "$twice" "" "WAL that offsite has more than once"

note "and it is whole, and comes back"
expect 0 dapk_there verify
expect 0 dapk_there 'verify --repository offsite'
comes_back() { # NIGHT [option...]
	local at=/var/lib/postgresql/back rows
	expect 0 dapk_there "restore -D $at --target-time '${MOMENT[$1]}' --start ${*:2}"
	rows=$(m "runuser -u postgres -- psql -X -A -t -q -d shop -h \"\$(sed -n 5p $at/postmaster.pid)\" \
		-p \"\$(sed -n 4p $at/postmaster.pid)\" -c \"$(tr '\n' ' ' <<<"$rows_sql")\"" | xargs)
	m "runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D $at -m immediate stop && rm -rf $at" >/dev/null
	assert_eq "$rows" "${ROWS[$1]}" "the rows of night $1"
}
comes_back $((NIGHTS - 29))
# Not a night of the wrong clocks: replay ends at the first commit past a time.
comes_back $((NIGHTS - 7)) --repository offsite

note "a night by the containers' script instead of cron"
machine_put "$TEST_TOP/packaging/docker/nightly"
machine_clock "$(date_of $((NIGHTS + 1))) 01:30:00"
expect 0 m 'sudo -u postgres sh /run/nightly once'
assert_contains "$(labels backup)" "$(stamp_of $((NIGHTS + 1)))T" "backups"
assert_contains "$(labels backup dumps)" "$(stamp_of $((NIGHTS + 1)))T" "dumps"
